package acme

import (
	"time"

	"lb/internal/tlsconf"
)

// Sources of certificates.
const (
	SourceACME     = "acme"
	SourceInternal = "internal"            // lb's internal authority
	SourceStandIn  = "internal (stand-in)" // the same, until the real one has come
)

// Material is what loops serve. It must not be changed.
type Material struct {
	Certs  []Cert            // one for all internal names, and one for each other, in the order of the configuration; then challenges
	Tokens map[string]string // answers to HTTP-01 challenges, by token
	Faults map[string]string // by name: why its certificate could not be got or renewed the last time, and when it is tried again
}

// Cert is one certificate of Material.
type Cert struct {
	tlsconf.Cert
	Source string
}

// Status is how it stands with the certificate of one name.
type Status struct {
	Name    string
	Source  string    // of the certificate that is served
	Until   time.Time // when that ends
	StandIn bool      // it is served until the real one has come
	Error   string    // why it could not be got or renewed the last time, or "" if it could
	Next    time.Time // when that is tried again; zero without Error, or if it is not known
}

// Status returns one for each name, in the order of the configuration.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Status
	for _, name := range m.names {
		s := m.sites[name]
		if s == nil {
			list = append(list, Status{Name: name, Source: SourceInternal, Until: m.local.Until})
			continue
		}
		list = append(list, Status{Name: name, Source: s.source(), Until: s.until(), StandIn: s.real == nil, Error: s.fault, Next: s.next})
	}
	return list
}

// material returns what is to be served now. m.mu is held.
func (m *Manager) material() Material {
	out := Material{Faults: map[string]string{}}
	local := false // the one for internal names is in already
	for _, name := range m.names {
		s := m.sites[name]
		switch {
		case s == nil && !local:
			local = true
			out.Certs = append(out.Certs, Cert{tlsconf.Cert{Chain: m.local.Chain, Key: m.local.Key}, SourceInternal})
		case s != nil:
			out.Certs = append(out.Certs, Cert{s.served(), s.source()})
			if s.fault != "" {
				out.Faults[name] = s.fault
				if !s.next.IsZero() {
					out.Faults[name] += "; next try " + s.next.UTC().Format(time.RFC3339)
				}
			}
		}
	}
	for _, c := range m.challenges.certs {
		out.Certs = append(out.Certs, Cert{c, SourceACME})
	}
	out.Tokens = m.challenges.tokens
	return out
}
