package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"lb/internal/tlsconf"
)

// storage is a folder from which challenges are published.
type storage struct {
	*certmagic.FileStorage
	m *Manager
}

// Store saves value. It returns for a challenge when it can be answered.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if err := s.FileStorage.Store(ctx, key, value); err != nil || !isChallenge(key) {
		return err
	}
	var c acme.Challenge
	if json.Unmarshal(value, &c) == nil {
		s.m.o.Log.Info("challenge of the authority is answered", "name", c.Identifier.Value, "type", c.Type)
	}
	s.m.readChallenges()
	if err := s.m.publishWait(ctx); err != nil || s.m.o.Alone {
		return err
	}
	select {
	case <-time.After(2 * lookEvery):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// List returns keys below prefix, but no accounts: lb has its contact from the configuration.
// CertMagic would take that of an account which is being written for another name at this
// moment, and "default", its folder without a contact, for an address.
func (s *storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if path.Base(prefix) == "users" {
		return nil, fs.ErrNotExist
	}
	return s.FileStorage.List(ctx, prefix, recursive)
}

// Delete removes key.
func (s *storage) Delete(ctx context.Context, key string) error {
	err := s.FileStorage.Delete(ctx, key)
	if isChallenge(key) && s.m.readChallenges() {
		s.m.publish()
	}
	return err
}

// isChallenge reports whether key is that of a challenge.
func isChallenge(key string) bool { return strings.Contains(key, "/challenge_tokens/") }

// challengeLife is how long a challenge in the storage is answered: one that is older was
// left by a process that was killed.
const challengeLife = time.Hour

// challenges are those in the storage.
type challenges struct {
	tokens map[string]string // key authorizations of HTTP-01, by token
	certs  []tlsconf.Cert    // of TLS-ALPN-01
	seen   string            // the files they are from
}

// read takes up the challenges in folder, and reports whether they are others than before.
func (c *challenges) read(folder string, log *slog.Logger) (changed bool) {
	paths, _ := filepath.Glob(filepath.Join(folder, "acme", "*", "challenge_tokens", "*.json"))
	var current []string
	var seen strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) > challengeLife {
			continue
		}
		current = append(current, path)
		fmt.Fprintln(&seen, path, info.ModTime().UnixNano(), info.Size())
	}
	if seen.String() == c.seen {
		return false
	}
	*c = challenges{seen: seen.String(), tokens: map[string]string{}}
	for _, path := range current {
		if err := c.add(path); err != nil && !os.IsNotExist(err) {
			log.Warn("challenge in the storage cannot be answered", "file", path, "cause", err, "mend", "let the user of lb read it, or remove it")
		}
	}
	return true
}

// add adds the challenge in the file at path.
func (c *challenges) add(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var one acme.Challenge
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	switch one.Type {
	case acme.ChallengeTypeHTTP01:
		c.tokens[one.Token] = one.KeyAuthorization
	case acme.ChallengeTypeTLSALPN01:
		cert, err := acmez.TLSALPN01ChallengeCert(one)
		if err != nil {
			return err
		}
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			return err
		}
		c.certs = append(c.certs, tlsconf.Cert{
			Chain:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
			Key:       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
			Challenge: one.Identifier.Value,
		})
	}
	return nil
}
