package acme

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"lb/config"
	"lb/supervise/localca"
)

// agent is what one account at one authority needs, with one storage.
type agent struct {
	settings settings
	folder   string // the storage
	internal *localca.Authority

	// These are nil if all names are internal.
	issuer *certmagic.ACMEIssuer
	cache  *certmagic.Cache
	store  *storage
	log    *zap.Logger
	taken  net.Listener // at the address at which certmagic would listen

	mu      sync.Mutex
	configs map[string]*certmagic.Config // by name
}

// settings are those for which another agent is needed. One with other names serves.
type settings struct {
	email, directory, storage string
	roots                     string // contents of the file directory_ca
	public                    bool   // some names are not internal
	plain                     bool   // there is a listener without TLS, for HTTP-01
}

// settingsOf reads what cfg asks of an agent.
func settingsOf(cfg *config.Config) (settings, error) {
	a := cfg.TLS.ACME
	s := settings{email: a.Email, directory: cmp.Or(a.Directory, certmagic.LetsEncryptProductionCA), storage: a.Storage}
	for _, name := range a.Names {
		s.public = s.public || !localca.Internal(name)
	}
	for _, l := range cfg.Listening() {
		s.plain = s.plain || !l.TLS
	}
	if a.DirectoryCA != "" {
		roots, err := os.ReadFile(a.DirectoryCA)
		if err != nil {
			return s, fmt.Errorf("tls.acme.directory_ca: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(roots) {
			return s, fmt.Errorf("tls.acme.directory_ca: %s has no certificate in PEM", a.DirectoryCA)
		}
		s.roots = string(bytes.TrimSpace(roots))
	}
	return s, nil
}

// newAgent makes the storage ready. It does nothing on the network.
func newAgent(m *Manager, s settings) (*agent, error) {
	a := &agent{settings: s, configs: map[string]*certmagic.Config{}}
	var err error
	if a.folder, err = localca.Storage(s.storage); err != nil {
		return nil, err
	}
	if a.internal, err = localca.Open(a.folder, time.Now()); err != nil {
		return nil, err
	}
	if a.folder != s.storage {
		m.o.Log.Info("tls.acme.storage cannot be written by this user, another folder is used", "storage", s.storage, "folder", a.folder)
	}
	if !s.public {
		return a, nil
	}
	if a.taken, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	a.log = zap.New(bridge{m: m})
	muteDefault(a.log)
	a.store = &storage{&certmagic.FileStorage{Path: a.folder}, m}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   a.configOf,
		RenewCheckInterval: m.o.CheckEvery,
		Logger:             a.log,
	})
	base := certmagic.New(a.cache, a.template())
	port := a.taken.Addr().(*net.TCPAddr).Port
	template := certmagic.ACMEIssuer{
		CA:                   s.directory,
		Email:                s.email,
		Agreed:               true,
		DisableHTTPChallenge: !s.plain,
		ListenHost:           "127.0.0.1",
		AltHTTPPort:          port,
		AltTLSALPNPort:       port,
		Logger:               a.log,
	}
	if s.roots != "" {
		template.TrustedRoots = x509.NewCertPool()
		template.TrustedRoots.AppendCertsFromPEM([]byte(s.roots))
	}
	a.issuer = certmagic.NewACMEIssuer(base, template)
	m.work.Go(a.refuseAll)
	return a, nil
}

// refuseAll closes what connects to the address that is taken.
func (a *agent) refuseAll() {
	for {
		c, err := a.taken.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

// template returns the settings of every name.
func (a *agent) template() certmagic.Config {
	c := certmagic.Config{
		Storage: a.store,
		Logger:  a.log,
		// What certmagic staples stays in its own cache, from which nothing is served here.
		OCSP: certmagic.OCSPConfig{DisableStapling: true},
	}
	if a.issuer != nil {
		c.Issuers = []certmagic.Issuer{a.issuer}
	}
	return c
}

// configFor returns what looks after s, with a log that says which name it is about.
func (a *agent) configFor(m *Manager, s *site) *certmagic.Config {
	c := a.template()
	c.Logger = a.log.With(zap.String(siteKey, s.name))
	c.OnEvent = func(_ context.Context, event string, data map[string]any) error {
		m.event(s, event, data)
		return nil
	}
	made := certmagic.New(a.cache, c)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.configs[s.name] = made
	return made
}

// configOf returns what looks after cert. certmagic holds a lock of its own meanwhile.
func (a *agent) configOf(cert certmagic.Certificate) (*certmagic.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.configs[cert.Names[0]]; c != nil {
		return c, nil
	}
	return nil, errors.New("the name is no longer in tls.acme.names")
}

// forget ends the renewal of names.
func (a *agent) forget(names []string) {
	var list []certmagic.SubjectIssuer
	for _, name := range names {
		list = append(list, certmagic.SubjectIssuer{Subject: name})
	}
	a.cache.RemoveManaged(list)
}

// close ends all renewal.
func (a *agent) close(m *Manager) {
	if a.cache != nil {
		a.taken.Close()
		m.work.Go(a.cache.Stop) // waits for the network
	}
}
