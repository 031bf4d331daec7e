package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"

	"lb/internal/tlsconf"
	"lb/supervise/localca"
)

// retryPause is how long a name rests after certmagic has given up at once, as it does
// without room in the storage, or after a month of trying.
const retryPause = 10 * time.Minute

// site is one name with a certificate of its own. Manager.mu guards it, but for the
// fields that do not change.
type site struct {
	name   string
	magic  *certmagic.Config
	issuer *certmagic.ACMEIssuer
	ctx    context.Context // done when the name is given up
	cancel context.CancelFunc

	real  *pair         // from the storage, or nil if it has not come yet
	leaf  *localca.Leaf // served until then
	cause error         // of the last attempt, until certmagic says when it tries again
	fault string
	next  time.Time
	fails int    // attempts to renew in a row
	doubt string // why what is in the storage was of no use the last time
}

// pair is a certificate of an authority with its key.
type pair struct {
	tlsconf.Cert
	until time.Time
}

// served returns the certificate to serve.
func (s *site) served() tlsconf.Cert {
	switch {
	case s.real != nil:
		return s.real.Cert
	case s.leaf != nil:
		return tlsconf.Cert{Chain: s.leaf.Chain, Key: s.leaf.Key}
	}
	return tlsconf.Cert{}
}

func (s *site) source() string {
	if s.real != nil {
		return SourceACME
	}
	return SourceStandIn
}

// until returns when the certificate that is served ends.
func (s *site) until() time.Time {
	switch {
	case s.real != nil:
		return s.real.until
	case s.leaf != nil:
		return s.leaf.Until
	}
	return time.Time{}
}

// addSite begins to look after name. m.mu is held.
func (m *Manager) addSite(name string) {
	s := &site{name: name}
	s.ctx, s.cancel = context.WithCancel(m.ctx)
	s.issuer, s.magic = m.agent.issuer, m.agent.configFor(m, s)
	m.sites[name] = s
	m.read(s)
	if m.standIn(s, time.Now()); s.leaf != nil {
		m.o.Log.Info("a certificate of lb's internal authority is served until the real one has come", "name", name)
	}
	if m.begun {
		m.start(s)
	}
}

// dropSites gives up the names for which gone returns true, and returns them. m.mu is
// held.
func (m *Manager) dropSites(gone func(name string) bool) (names []string) {
	for name, s := range m.sites {
		if gone(name) {
			s.cancel()
			delete(m.sites, name)
			names = append(names, name)
		}
	}
	return names
}

// standIn makes a leaf for s if it needs one, and reports whether it did. m.mu is held.
func (m *Manager) standIn(s *site, now time.Time) (made bool) {
	switch {
	case s.real != nil:
		s.leaf = nil
		return false
	case s.leaf != nil && !half(s.leaf, now):
		return false
	}
	leaf, err := m.agent.internal.Leaf([]string{s.name}, now, standInLife)
	if err != nil { // crypto/x509 refuses a name that config has let through
		m.o.Log.Error("no certificate of the internal authority", "name", s.name, "cause", err, "mend", "correct the name in tls.acme.names")
		return false
	}
	s.leaf = leaf
	return true
}

// start has a goroutine get the certificate of s if there is none, and leave it to
// certmagic's maintenance. m.mu is held.
func (m *Manager) start(s *site) {
	m.work.Go(func() {
		for {
			err := s.magic.ObtainCertAsync(s.ctx, s.name) // comes back when it is there
			if err == nil {
				break
			}
			m.failed(s, err, retryPause)
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(retryPause):
			}
		}
		m.take(s)
		// Loads it, and renews it where it is time.
		if err := s.magic.ManageAsync(s.ctx, []string{s.name}); err != nil {
			m.failed(s, err, 0)
		}
	})
}

// take takes up the certificate of s, which is in the storage. It does nothing after Stop:
// the storage is the next process's then.
func (m *Manager) take(s *site) {
	m.mu.Lock()
	changed := m.agent != nil && m.sites[s.name] == s && m.read(s)
	m.mu.Unlock()
	if changed {
		m.publish()
	}
}

// read reads the certificate of s from the storage, and reports whether it is another
// one. m.mu is held.
func (m *Manager) read(s *site) (changed bool) {
	got, err := m.agent.load(s.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		// Another process may have written one of the two: the next look will tell.
		if text := err.Error(); s.doubt != text {
			s.doubt = text
		} else if s.fault != text {
			m.o.Log.Error("certificate in the storage cannot be used", "name", s.name, "cause", err, "mend", "remove its folder in tls.acme.storage; lb gets another one")
			s.fault, s.next = text, time.Time{}
		}
		return false
	case s.real != nil && string(got.Chain) == string(s.real.Chain):
		return false
	}
	s.real, s.leaf = got, nil
	s.cause, s.fault, s.next, s.fails, s.doubt = nil, "", time.Time{}, 0, ""
	return true
}

// load returns the certificate of name in the storage. The error is fs.ErrNotExist if
// there is none.
func (a *agent) load(name string) (*pair, error) {
	chainPath := a.path(certmagic.StorageKeys.SiteCert(a.issuer.IssuerKey(), name))
	chain, err := os.ReadFile(chainPath)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(a.path(certmagic.StorageKeys.SitePrivateKey(a.issuer.IssuerKey(), name)))
	if err != nil {
		return nil, err
	}
	both, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove its folder to get another one", chainPath, err)
	}
	return &pair{tlsconf.Cert{Chain: chain, Key: key}, both.Leaf.NotAfter}, nil
}

// path returns where key of the storage is.
func (a *agent) path(key string) string { return filepath.Join(a.folder, filepath.FromSlash(key)) }
