package tlsconf

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lb/config"
)

// sessionsMax is how many sessions with backends a pool keeps for resumption: one for each
// backend, those that were used last.
const sessionsMax = 4096

// sessions are the sessions of a pool, of all its backends, with what its configuration
// was made of. It may be used by any goroutine.
type sessions struct {
	tls.ClientSessionCache
	cfg      config.BackendTLS
	protocol string // of the pool
	secrets  PoolSecrets
}

// same reports whether the configurations with s and other are made of the same.
func (s *sessions) same(other *sessions) bool {
	a, b := &s.secrets, &other.secrets
	return s.cfg == other.cfg && s.protocol == other.protocol && bytes.Equal(a.CA, b.CA) && bytes.Equal(a.ClientCert, b.ClientCert) && bytes.Equal(a.ClientKey, b.ClientKey)
}

// ofBackend are the sessions with one backend: another one of the same server_name could
// not read their tickets.
type ofBackend struct {
	pool    *sessions
	backend string
}

// Get implements tls.ClientSessionCache.
func (s *ofBackend) Get(string) (*tls.ClientSessionState, bool) { return s.pool.Get(s.backend) }

// Put implements tls.ClientSessionCache.
func (s *ofBackend) Put(_ string, state *tls.ClientSessionState) { s.pool.Put(s.backend, state) }

// buildPools returns Set.Pools. An error names the table, the key and the file.
func buildPools(cfg *config.Config, s *Secrets) ([]*tls.Config, error) {
	list := make([]*tls.Config, len(cfg.Pools))
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		if !hasTLS(p) {
			continue
		}
		var own *PoolSecrets
		if i < len(s.Pools) {
			own = s.Pools[i]
		}
		c, err := Client(p.TLS, p.Protocol, own)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tableOf(p.Name), err)
		}
		list[i] = c
	}
	return list, nil
}

// OfPool returns the configuration of the pool at an index, or nil. s may be nil.
func (s *Set) OfPool(i int) *tls.Config {
	if s == nil || i >= len(s.Pools) {
		return nil
	}
	return s.Pools[i]
}

// Covers reports whether s has what every pool of cfg needs. s was made for a configuration
// that differs in members alone, and may be nil.
func (s *Set) Covers(cfg *config.Config) bool {
	for i := range cfg.Pools {
		if hasTLS(&cfg.Pools[i]) && s.OfPool(i) == nil {
			return false
		}
	}
	return true
}

// ForProbes returns a set with Pools alone. A nil s is like one without contents.
func ForProbes(cfg *config.Config, s *Secrets) (*Set, error) {
	if s == nil {
		s = &Secrets{}
	}
	pools, err := buildPools(cfg, s)
	return &Set{Pools: pools}, err
}

// Keep has the pools whose settings and secrets stand in before, too, use the
// configurations from there, and with them the sessions and conns that were made with
// them. It is called before anything uses s. before may be nil.
func (s *Set) Keep(before *Set) {
	if s == nil || before == nil {
		return
	}
	for i, c := range s.Pools {
		if c == nil {
			continue
		}
		for _, old := range before.Pools {
			if old != nil && sourceOf(old).same(sourceOf(c)) && !slices.Contains(s.Pools[:i], old) {
				s.Pools[i] = old
				break
			}
		}
	}
}

// sourceOf returns the sessions of a configuration that Client has made.
func sourceOf(c *tls.Config) *sessions { return c.ClientSessionCache.(*sessions) }

// hasTLS reports whether a backend of p has TLS, or may be found to have it.
func hasTLS(p *config.Pool) bool {
	if p.Discover != "" {
		return true
	}
	for i := range p.Backends {
		if p.Backends[i].TLS {
			return true
		}
	}
	return false
}

// tableOf returns the table of lb.toml with the TLS settings of a pool.
func tableOf(pool string) string {
	if pool == config.DefaultPool {
		return "[backend_tls]"
	}
	return fmt.Sprintf("[pools.tls] of the pool %q", pool)
}

// Client returns the configuration for the backends of a pool, before the name of one is
// known: see ForBackend. protocol, that of the pool, decides what ALPN offers. secrets may
// be nil if cfg names no file. An error names the key and the file.
func Client(cfg config.BackendTLS, protocol string, secrets *PoolSecrets) (*tls.Config, error) {
	if secrets == nil {
		secrets = &PoolSecrets{}
	}
	c := &tls.Config{
		ServerName:         cfg.ServerName,
		InsecureSkipVerify: cfg.Insecure,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         offered(protocol),
		// Sizes of records are decided by loop/tlsconn.
		DynamicRecordSizingDisabled: true,
		ClientSessionCache:          &sessions{tls.NewLRUClientSessionCache(sessionsMax), cfg, protocol, *secrets},
	}
	if cfg.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(secrets.CA) {
			return nil, fmt.Errorf("ca: %s has no certificate in PEM", cfg.CA)
		}
	}
	if cfg.ClientCert == "" {
		return c, nil
	}
	file, key := cfg.ClientKey, secrets.ClientKey
	if file == "" {
		file, key = cfg.ClientCert, secrets.ClientCert
	}
	pair, err := tls.X509KeyPair(secrets.ClientCert, key)
	if err != nil {
		return nil, fmt.Errorf("client_cert %s with client_key %s: %s", cfg.ClientCert, file,
			strings.TrimPrefix(err.Error(), "tls: "))
	}
	// It is shown whatever authorities the backend names: their list is often not whole, and
	// the alert of a backend that refuses the certificate says more than that it has got none.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c, nil
}

// offered returns what ALPN offers to backends (RFC 7301). Of two, lb's preference is the
// first.
func offered(protocol string) []string {
	switch protocol {
	case config.ProtocolH2:
		return []string{ProtocolH2}
	case config.ProtocolAuto:
		return []string{ProtocolH2, ProtocolHTTP1}
	}
	return []string{ProtocolHTTP1}
}

// ForBackend returns the configuration for one backend of the pool of which pool is the
// configuration, or nil for a backend without TLS.
func ForBackend(pool *tls.Config, b config.Backend) *tls.Config {
	if pool == nil || !b.TLS {
		return nil
	}
	c := pool.Clone()
	if c.ServerName == "" {
		c.ServerName = nameOf(b)
	}
	c.ClientSessionCache = &ofBackend{sourceOf(pool), b.String()}
	return c
}

// nameOf returns the name that the certificate of b has to be for. A unix socket has none:
// its peer is this machine. For an IP address crypto/tls sends no SNI.
func nameOf(b config.Backend) string {
	if b.Socket != "" {
		return "localhost"
	}
	host := cmp.Or(b.Name, b.Host)
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.WithZone("").String()
	}
	return strings.TrimSuffix(host, ".")
}
