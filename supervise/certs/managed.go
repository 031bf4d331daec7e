package certs

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"lb/internal/tlsconf"
)

// Managed are certificates that are not in files of the configuration. It must not be
// changed once it is given to SetManaged.
type Managed struct {
	// Certs come after those of files. They include those that answer TLS-ALPN-01.
	Certs []ManagedCert
	// Tokens are the answers to HTTP-01 challenges, by token.
	Tokens map[string]string
	// Faults has why there is no certificate, or no new one, for a name: for status.
	Faults map[string]string
}

// ManagedCert is one of Managed.
type ManagedCert struct {
	tlsconf.Cert
	Source string // as status shows it, such as "acme" or "internal"
}

// SetManaged puts x in the place of what was set before. taken is closed when every loop
// that turns has it, or when the Manager is closed. Any goroutine may call it, also before
// there is a configuration. An error says which certificate is of no use; then nothing has
// changed.
func (m *Manager) SetManaged(x Managed) (taken <-chan struct{}, err error) {
	parsed := make([]shown, 0, len(x.Certs))
	for i, c := range x.Certs {
		leaf, err := leafOf(c.Chain)
		if err != nil {
			return nil, fmt.Errorf("managed certificate %d: %w", i+1, err)
		}
		if c.Challenge == "" {
			parsed = append(parsed, shown{leaf: leaf, source: c.Source})
		}
	}
	done := make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cfg != nil {
		if err := m.check(m.cfg, m.units, x); err != nil {
			return nil, err
		}
	}
	m.managed, m.parsed = x, parsed
	if m.cfg != nil {
		m.renew()
	}
	if m.closed || m.cfg != nil && m.secrets == nil {
		close(done)
		return done, nil
	}
	m.waiting = append(m.waiting, waiter{m.number, done})
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return done, nil
}

// Taken notes that every loop that turns has what Secrets returned with this number.
func (m *Manager) Taken(number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release(number)
}

// Awaited reports whether a caller of SetManaged waits for the loops.
func (m *Manager) Awaited() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiting) > 0
}

// release ends the wait for secrets up to this number.
func (m *Manager) release(number uint64) {
	m.waiting = slices.DeleteFunc(m.waiting, func(w waiter) bool {
		if w.number > number {
			return false
		}
		close(w.taken)
		return true
	})
}

// leafOf returns the first certificate of a chain in PEM.
func leafOf(chain []byte) (*x509.Certificate, error) {
	b, _ := pem.Decode(chain)
	if b == nil || b.Type != certBlock {
		return nil, fmt.Errorf("it is no certificate in PEM")
	}
	return x509.ParseCertificate(b.Bytes)
}
