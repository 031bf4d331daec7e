package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"lb/admin/api"
	"lb/internal/tlsconf"
)

// shown is a certificate in use, for people.
type shown struct {
	leaf   *x509.Certificate
	source string
	pool   string // to whose backends it is shown; "" for clients
	file   string
	w      *watched // nil if it is not from files
}

const sourceFile = "file"

// inUse returns the certificates in use. The mutex is held.
func (m *Manager) inUse() (list []shown) {
	for _, w := range m.units {
		if w.now.leaf != nil {
			list = append(list, shown{w.now.leaf, sourceFile, w.name, w.cert.path, w})
		}
	}
	return append(list, m.parsed...)
}

// List returns the certificates in use, and the names that have none yet, for people. Any
// goroutine may call it.
func (m *Manager) List() (list []api.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	without := maps.Clone(m.managed.Faults)
	for _, s := range m.inUse() {
		c := api.Certificate{
			Name:    nameOf(s.leaf),
			Names:   tlsconf.Names(s.leaf),
			Issuer:  issuerOf(s.leaf),
			Expires: s.leaf.NotAfter,
			Soon:    time.Until(s.leaf.NotAfter) <= soon(s.leaf, s.source),
			Source:  s.source,
			Pool:    s.pool,
			File:    s.file,
		}
		if s.w != nil {
			c.Fault, c.FaultAt = s.w.fault, s.w.faultAt
		}
		for _, name := range c.Names {
			if s.source != sourceFile && without[name] != "" {
				c.Fault = without[name]
				delete(without, name)
			}
		}
		list = append(list, c)
	}
	for _, name := range slices.Sorted(maps.Keys(without)) {
		list = append(list, api.Certificate{Name: name, Names: []string{name}, Fault: without[name]})
	}
	for _, w := range m.units {
		if w.now.leaf == nil && w.fault != "" {
			list = append(list, api.Certificate{Name: "(authorities)", Source: sourceFile, Pool: w.name, File: w.cert.path, Fault: w.fault, FaultAt: w.faultAt})
		}
	}
	return list
}

// nameOf returns the name of a certificate in one word.
func nameOf(leaf *x509.Certificate) string {
	if names := tlsconf.Names(leaf); len(names) > 0 {
		return names[0]
	}
	return leaf.Subject.String()
}

// issuerOf returns the authority of a certificate, in short.
func issuerOf(leaf *x509.Certificate) string {
	issuer := leaf.Issuer
	switch org := issuer.Organization; {
	case len(org) > 0 && strings.HasPrefix(issuer.CommonName, org[0]):
		return issuer.CommonName
	case len(org) > 0 && issuer.CommonName != "":
		return org[0] + " " + issuer.CommonName
	case len(org) > 0:
		return org[0]
	case issuer.CommonName != "":
		return issuer.CommonName
	}
	return issuer.String()
}

const (
	// soonMax is how long before its end a certificate is said to expire.
	soonMax = 14 * 24 * time.Hour
	// remindEvery is how often that is said.
	remindEvery = 24 * time.Hour
)

// soon returns how long before its end a certificate is said to expire: that is not normal
// for it. Those that lb renews are renewed when a third of their time is left.
func soon(leaf *x509.Certificate, source string) time.Duration {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if source == sourceFile {
		return min(soonMax, life/3)
	}
	return min(soonMax, life/6)
}

// remind logs which certificates have expired or will soon, each once a day. The mutex is
// held.
func (m *Manager) remind(now time.Time) {
	last := m.warned
	m.warned = map[[32]byte]time.Time{}
	for _, s := range m.inUse() {
		left := s.leaf.NotAfter.Sub(now)
		if left > soon(s.leaf, s.source) {
			continue
		}
		key := sha256.Sum256(s.leaf.Raw)
		if at, ok := last[key]; ok && now.Sub(at) < remindEvery && (left > 0) == (s.leaf.NotAfter.Sub(at) > 0) {
			m.warned[key] = at
			continue
		}
		m.warned[key] = now
		what := "certificate expires soon"
		if left <= 0 {
			what = "certificate has expired"
		}
		m.log.Warn(what, "name", nameOf(s.leaf), "expires", s.leaf.NotAfter, "source", s.source, "file", s.file,
			"mend", "put a new one into its file; lb takes it up by itself")
	}
}
