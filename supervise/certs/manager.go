package certs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lb/config"
	"lb/internal/tlsconf"
)

// lookEvery is how often files are looked at.
const lookEvery = 500 * time.Millisecond

// Manager looks after the certificates of one configuration. The desk calls its methods,
// unless they say otherwise.
type Manager struct {
	log    *slog.Logger
	news   func(cancelled <-chan struct{}) // see Start
	cancel context.CancelFunc              // nil before Start
	ended  chan struct{}
	wake   chan struct{} // has a value if there is news

	mu      sync.Mutex // guards what follows; its holder reads no file
	cfg     *config.Config
	units   []*watched
	managed Managed
	parsed  []shown // of managed
	tickets tickets
	number  uint64
	secrets *tlsconf.Secrets // nil if cfg has no TLS
	checked *tlsconf.Set     // the last that was made to check, so that the next is made faster
	waiting []waiter
	closed  bool
	warned  map[[32]byte]time.Time // when it was last said that a certificate expires
}

// waiter is a caller of SetManaged.
type waiter struct {
	number uint64 // of the secrets that it waits for
	taken  chan struct{}
}

// New returns a Manager without certificates.
func New(log *slog.Logger) *Manager {
	return &Manager{log: log, ended: make(chan struct{}), wake: make(chan struct{}, 1), warned: map[[32]byte]time.Time{}}
}

// Loaded is what the files of a configuration have.
type Loaded struct {
	cfg   *config.Config
	units []*watched
}

// faultsMax is how many faults an error of Prepare has.
const faultsMax = 10

// Prepare reads the files of cfg and checks whether cfg can be used with them. It changes
// nothing. An error has a line for each fault.
func (m *Manager) Prepare(cfg *config.Config) (*Loaded, error) {
	l := &Loaded{cfg: cfg}
	var faults []error
	for _, u := range unitsOf(cfg) {
		content, err := u.loadPatiently()
		if err == nil {
			l.units = append(l.units, &watched{unit: u, now: content, seen: content.print})
		} else if faults = append(faults, err); len(faults) == faultsMax {
			break
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return l, m.check(cfg, l.units, m.managed)
}

// Check reads the files of cfg like Prepare, and that of the authority for ACME. It returns
// what is doubtful about those that can be used.
func Check(cfg *config.Config) (doubts []*Fault, err error) {
	l, err := New(slog.New(slog.DiscardHandler)).Prepare(cfg)
	if acme := &cfg.TLS.ACME; acme.DirectoryCA != "" && len(acme.Names) > 0 {
		_, ofACME := loadAuthorities(file{"tls.acme.directory_ca", acme.DirectoryCA})
		err = errors.Join(err, ofACME)
	}
	if err != nil {
		return nil, err
	}
	for _, w := range l.units {
		if leaf := w.now.leaf; leaf != nil && time.Now().After(leaf.NotAfter) {
			doubts = append(doubts, w.cert.fault("has expired on "+leaf.NotAfter.Format(time.DateOnly), "renew it"))
		}
		doubts = append(doubts, w.now.warnings...)
	}
	return doubts, nil
}

// Use uses l, and returns what loops need, or nil if the configuration has no TLS. It
// logs what is doubtful about files that were not in use as they are.
func (m *Manager) Use(l *Loaded) *tlsconf.Secrets {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range l.units {
		known := slices.ContainsFunc(m.units, func(old *watched) bool {
			return old.unit == w.unit && old.now.print == w.now.print
		})
		if !known {
			m.warn(w.now)
		}
	}
	m.cfg, m.units = l.cfg, l.units
	m.tickets.rotate(time.Now())
	m.renew()
	m.remind(time.Now())
	return m.secrets
}

// warn logs what is doubtful about l.
func (m *Manager) warn(l *loaded) {
	for _, w := range l.warnings {
		m.log.Warn("certificate: "+w.What, "key", w.Key, "file", w.File, "mend", w.Mend)
	}
}

// renew makes secrets of what there is.
func (m *Manager) renew() {
	m.number++
	m.secrets = m.build(m.cfg, m.units, m.managed)
}

// build returns the secrets of cfg, or nil if it has no TLS.
func (m *Manager) build(cfg *config.Config, units []*watched, managed Managed) *tlsconf.Secrets {
	if !hasTLS(cfg) {
		return nil
	}
	s := &tlsconf.Secrets{
		Number:  m.number,
		Tickets: m.tickets.Keys,
		Pools:   make([]*tlsconf.PoolSecrets, len(cfg.Pools)),
		Tokens:  managed.Tokens,
	}
	for _, w := range units {
		switch l := w.now; w.use {
		case forClients:
			s.Certs = append(s.Certs, tlsconf.Cert{Chain: l.chain, Key: l.key})
		case clientCA:
			s.ClientCA = l.chain
		case poolCA:
			poolOf(s, w.pool).CA = l.chain
		case forPool:
			p := poolOf(s, w.pool)
			p.ClientCert, p.ClientKey = l.chain, l.key
			if w.key.path == "" {
				p.ClientCert = slices.Concat(l.chain, l.key)
			}
		}
	}
	for _, c := range managed.Certs {
		s.Certs = append(s.Certs, c.Cert)
	}
	return s
}

// check returns why the secrets of cfg are of no use, or nil.
func (m *Manager) check(cfg *config.Config, units []*watched, managed Managed) error {
	set, err := m.checked.Next(cfg, m.build(cfg, units, managed))
	if err == nil {
		m.checked = set
	}
	return err
}

// poolOf returns the secrets of a pool, which it makes if there are none.
func poolOf(s *tlsconf.Secrets, i int) *tlsconf.PoolSecrets {
	if s.Pools[i] == nil {
		s.Pools[i] = &tlsconf.PoolSecrets{}
	}
	return s.Pools[i]
}

// hasTLS reports whether cfg has anything to do with TLS.
func hasTLS(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Listening(), func(l config.Listener) bool { return l.TLS || l.RedirectHTTPS }) ||
		slices.ContainsFunc(cfg.Pools, func(p config.Pool) bool { return poolHasTLS(&p) })
}

// Start begins to look after what is in use. It calls news whenever Secrets has something
// new. news has to return when cancelled is closed, which is when Close is called.
func (m *Manager) Start(news func(cancelled <-chan struct{})) {
	ctx, cancel := context.WithCancel(context.Background())
	m.news, m.cancel = news, cancel
	go m.run(ctx)
}

func (m *Manager) run(ctx context.Context) {
	defer close(m.ended)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			m.news(ctx.Done())
		case now := <-look.C:
			if m.look(now) {
				m.news(ctx.Done())
			}
		}
	}
}

// Secrets returns what loops need now, or nil if the configuration in use has no TLS, and
// the number for Taken.
func (m *Manager) Secrets() (s *tlsconf.Secrets, number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.secrets, m.number
}

// look takes up files that have changed, rotates keys, and reports whether there are new
// secrets.
func (m *Manager) look(now time.Time) (changed bool) {
	m.mu.Lock()
	units, inUse := m.units, make([]*loaded, len(m.units))
	for i, w := range units {
		inUse[i] = w.now
	}
	m.mu.Unlock()
	fresh := make([]*loaded, len(units))
	backs, errs := make([]bool, len(units)), make([]error, len(units))
	for i, w := range units {
		fresh[i], backs[i], errs[i] = w.look(inUse[i], now)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cfg == nil || len(units) > 0 && (len(m.units) == 0 || &m.units[0] != &units[0]) {
		return false // a reload has come between
	}
	changed = m.takeUp(units, fresh, now)
	for i, w := range units {
		if backs[i] {
			m.fits(w)
		}
		if errs[i] != nil {
			m.refuse(w, errs[i], now)
		}
	}
	changed = m.tickets.rotate(now) || changed
	if changed {
		m.renew()
	}
	m.remind(now)
	return changed && m.secrets != nil
}

// takeUp uses those of fresh that are not nil, and reports whether that changes anything.
func (m *Manager) takeUp(units []*watched, fresh []*loaded, now time.Time) (changed bool) {
	old := make([]*loaded, len(units))
	for i, w := range units {
		if old[i] = w.now; fresh[i] == nil {
			continue
		}
		if fresh[i].same(w.now) {
			m.fits(w)
		} else {
			changed = true
		}
		w.now, w.fault, w.since = fresh[i], "", time.Time{}
	}
	if !changed {
		return false
	}
	err := m.check(m.cfg, units, m.managed)
	for i, w := range units {
		switch {
		case fresh[i] == nil || fresh[i].same(old[i]):
		case err != nil: // not expected: each is good by itself
			w.now = old[i]
			m.refuse(w, err, now)
		default:
			m.warn(w.now)
			if w.now.leaf == nil {
				m.log.Info("authorities taken up", "key", w.cert.key, "file", w.cert.path)
			} else {
				m.log.Info("certificate taken up", "name", nameOf(w.now.leaf), "expires", w.now.leaf.NotAfter, "key", w.cert.key, "file", w.cert.path)
			}
		}
	}
	return err == nil
}

// refuse notes that the files of w are not used as they are.
func (m *Manager) refuse(w *watched, err error, now time.Time) {
	w.fault, w.faultAt = err.Error(), now
	m.log.Error("certificate not taken up, the old one goes on", "cause", err, "mend", "put a pair that fits into the files")
}

// fits notes that the files of w have again what is in use.
func (m *Manager) fits(w *watched) {
	if w.fault != "" {
		m.log.Info("certificate files are again those in use", "key", w.cert.key, "file", w.cert.path)
	}
	w.fault = ""
}

// Close ends the look after certificates.
func (m *Manager) Close() {
	if m.cancel != nil {
		m.cancel()
		<-m.ended
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.release(m.number)
}
