package tlsconf

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lb/config"
)

// Identity is what a client has shown of itself in the handshake. Its texts have printable
// ASCII only.
type Identity struct {
	Fingerprint string // of the certificate: SHA-256, in hex
	Verified    bool   // by an authority of client_ca, valid now, for clients
	Reason      string // why Verified is false
	Subject     string // as in RFC 4514; "" if it is longer than 1 KiB, and unless Verified
	SAN         string // "DNS:a.example, URI:spiffe://a/b", with at most 2 KiB of entries; "" unless Verified
}

const (
	subjectMax = 1 << 10
	sanMax     = 2 << 10
)

// ClientIdentity returns what the client of a conn has shown of itself. ok is false without
// a certificate, and if none is asked of clients.
func (s *Set) ClientIdentity(state *tls.ConnectionState) (id Identity, ok bool) {
	if s == nil || s.clients == nil || len(state.PeerCertificates) == 0 {
		return id, false
	}
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	id.Fingerprint = hex.EncodeToString(sum[:])
	if len(state.VerifiedChains) == 0 { // else crypto/tls has verified it, see config.ClientAuthRequire
		id.Reason = s.clients.verdict(state.PeerCertificates)
	}
	if id.Verified = id.Reason == ""; id.Verified {
		id.Subject, id.SAN = subject(leaf), san(leaf)
	}
	return id, true
}

// askClients sets in cfg what is asked of clients in the handshake. The check is nil for
// config.ClientAuthNone.
func askClients(cfg *tls.Config, clientAuth string, ca []byte) (*clientCheck, error) {
	if clientAuth == config.ClientAuthNone || clientAuth == "" {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("client_ca has no certificate in PEM")
	}
	check := &clientCheck{roots: roots, known: map[[32]byte]verdict{}}
	cfg.ClientCAs = roots
	if clientAuth == config.ClientAuthRequire {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		return check, nil
	}
	cfg.ClientAuth = tls.RequestClientCert
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) > 0 {
			check.verdict(state.PeerCertificates) // for ClientIdentity: it finds it later, on the loop
		}
		return nil
	}
	return check, nil
}

// clientCheck verifies certificates of clients. Several goroutines may use it. It
// remembers its verdicts for a short while, because it is asked twice: first in the
// handshake, beside the loop, where verification (some 100 µs) disturbs no other conn,
// then on the loop.
type clientCheck struct {
	roots *x509.CertPool
	mu    sync.Mutex
	known map[[32]byte]verdict // by the SHA-256 of the chain
}

type verdict struct {
	reason string // "" for a good one
	until  time.Time
}

const (
	verdictMax  = 4096
	verdictTime = time.Minute
)

// verdict returns why chain, the leaf first, does not verify, or "".
func (c *clientCheck) verdict(chain []*x509.Certificate) (reason string) {
	h := sha256.New()
	for _, cert := range chain {
		h.Write(cert.Raw)
	}
	var key [32]byte
	h.Sum(key[:0])
	now := time.Now()
	c.mu.Lock()
	v, ok := c.known[key]
	c.mu.Unlock()
	if ok && now.Before(v.until) {
		return v.reason
	}
	v = verdict{c.verify(chain, now), now.Add(verdictTime)}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.known { // any: Go's order is random
		if len(c.known) < verdictMax {
			break
		}
		delete(c.known, k)
	}
	c.known[key] = v
	return v.reason
}

// verify is verdict without memory.
func (c *clientCheck) verify(chain []*x509.Certificate, now time.Time) (reason string) {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: c.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		return ""
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
			return "not yet valid"
		case invalid.Reason == x509.Expired:
			return "expired"
		case invalid.Reason == x509.IncompatibleUsage:
			return "not for clients"
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "unknown authority"
	}
	return "invalid"
}

// subject returns the subject of a certificate as text.
func subject(c *x509.Certificate) string {
	s := printable(c.Subject.String(), "")
	if len(s) > subjectMax {
		return ""
	}
	return s
}

// san returns the entries of the SAN of a certificate as text, as many as fit.
func san(c *x509.Certificate) string {
	var b strings.Builder
	add := func(kind, value string) {
		entry := kind + ":" + printable(value, `,\`)
		if b.Len()+len(", ")+len(entry) > sanMax {
			return
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(entry)
	}
	for _, n := range c.DNSNames {
		add("DNS", n)
	}
	for _, u := range c.URIs {
		add("URI", u.String())
	}
	for _, m := range c.EmailAddresses {
		add("email", m)
	}
	for _, ip := range c.IPAddresses {
		add("IP", ip.String())
	}
	return b.String()
}

// printable returns s with the bytes that may not stand in a field of HTTP, and those of
// special, as \XX (RFC 4514 2.4).
func printable(s, special string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || strings.IndexByte(special, c) >= 0 {
			fmt.Fprintf(&b, `\%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
