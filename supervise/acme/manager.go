package acme

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lb/config"
	"lb/supervise/localca"
)

// Options are what a Manager needs besides the configuration.
type Options struct {
	Log *slog.Logger
	// Publish gives m to all loops, in the place of what they had. It returns at once;
	// taken is closed when all have it. It is called by one goroutine at a time.
	Publish func(m Material) (taken <-chan struct{})
	// CheckEvery is how often certificates are looked at for renewal; 0 is certmagic's
	// ten minutes.
	CheckEvery time.Duration
	// Alone is for tests: no other machine shares the storage, so a challenge does not
	// wait until others have found it.
	Alone bool
}

const (
	// lookEvery is how often the storage is looked at for challenges of others.
	lookEvery = time.Second
	// readEvery is how often it is looked at for certificates that others have renewed.
	readEvery = time.Minute
	// takeTimeout is how long loops may take to get a challenge. After that the authority
	// is asked all the same to look: a loop that hangs must not end all renewal.
	takeTimeout = 10 * time.Second
	// closeTimeout is how long Close waits for orders to be given up.
	closeTimeout = 2 * time.Second

	localLife   = 60 * 24 * time.Hour // of the leaf for internal names
	standInLife = 7 * 24 * time.Hour  // of the leaf for a name whose certificate has not come yet
)

// Manager has the certificates of one configuration after the other. It does nothing on
// the network before Begin. Any goroutine may use it.
type Manager struct {
	o      Options
	ctx    context.Context // done after Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	publishing sync.Mutex // held from material to Publish, so that the newest comes last; before mu

	mu         sync.Mutex // never held while certmagic is called
	begun      bool
	looking    bool   // look runs
	agent      *agent // nil without a name
	names      []string
	sites      map[string]*site // by name; internal names have none
	local      *localca.Leaf    // for the internal names, or nil if there is none
	challenges challenges
}

// New returns a Manager without names.
func New(o Options) *Manager {
	m := &Manager{o: o, sites: map[string]*site{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Change is a configuration that is about to be used.
type Change struct {
	names []string
	agent *agent
}

// Prepare does what can fail for cfg. It makes the storage if there is none, and changes
// nothing else. A Change that is not to be used is given to Drop.
func (m *Manager) Prepare(cfg *config.Config) (*Change, error) {
	c := &Change{names: slices.Clone(cfg.TLS.ACME.Names)}
	if len(c.names) == 0 {
		return c, nil
	}
	wanted, err := settingsOf(cfg)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	c.agent = m.agent
	m.mu.Unlock()
	if c.agent == nil || c.agent.settings != wanted {
		c.agent, err = newAgent(m, wanted)
	}
	return c, err
}

// Drop releases what c holds.
func (m *Manager) Drop(c *Change) {
	m.mu.Lock()
	unused := c.agent != m.agent
	m.mu.Unlock()
	if unused && c.agent != nil {
		c.agent.close(m)
	}
}

// Commit uses c, and publishes what the storage has of it. Names that it has no longer
// are given up, added ones are asked for, and the others go on.
func (m *Manager) Commit(c *Change) {
	m.mu.Lock()
	before := m.agent
	if before == nil && c.agent == nil {
		m.mu.Unlock()
		return
	}
	gone := m.dropSites(func(name string) bool { return before != c.agent || !slices.Contains(c.names, name) })
	m.agent, m.names = c.agent, c.names
	var internal []string
	for _, name := range m.names {
		switch {
		case localca.Internal(name):
			internal = append(internal, name)
		case m.sites[name] == nil:
			m.addSite(name)
		}
	}
	m.makeLocal(internal, time.Now())
	m.challenges = challenges{}
	m.startLooking()
	m.mu.Unlock()
	switch {
	case before != nil && before != c.agent:
		before.close(m)
	case len(gone) > 0:
		before.forget(gone)
	}
	m.readChallenges()
	m.publish()
}

// Begin begins to ask for certificates.
func (m *Manager) Begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun = true
	for _, s := range m.sites {
		m.start(s)
	}
	m.startLooking()
}

// startLooking starts look, once there is something to look for. m.mu is held.
func (m *Manager) startLooking() {
	if m.begun && m.agent != nil && !m.looking {
		m.looking = true
		m.work.Go(m.look)
	}
}

// Stop gives up what is under way and begins nothing any longer. It does not wait.
func (m *Manager) Stop() {
	m.cancel()
	m.mu.Lock()
	a := m.agent
	m.agent = nil
	m.mu.Unlock()
	if a != nil {
		a.close(m)
	}
}

// Close is Stop, and waits a little until the storage is left to others.
func (m *Manager) Close() {
	m.Stop()
	ended := make(chan struct{})
	go func() {
		m.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
	}
}

// publish publishes what is to be served now.
func (m *Manager) publish() (taken <-chan struct{}) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	m.mu.Lock()
	now := m.material()
	m.mu.Unlock()
	return m.o.Publish(now)
}

// publishWait publishes, and returns when all loops have it.
func (m *Manager) publishWait(ctx context.Context) error {
	late := time.NewTimer(takeTimeout)
	defer late.Stop()
	select {
	case <-m.publish():
	case <-late.C:
		m.o.Log.Warn("not every loop has a challenge yet, the authority is told all the same", "mend", "lb status shows loops that do not turn; the authority is asked again")
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// look looks now and then for what others have left in the storage, and renews what the
// internal authority has signed.
func (m *Manager) look() {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	read := time.Now()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-every.C:
		}
		changed := m.readChallenges()
		if now := time.Now(); now.Sub(read) >= readEvery {
			read = now
			changed = m.readAll(now) || changed
		}
		if changed {
			m.publish()
		}
	}
}

// readChallenges takes up the challenges in the storage. It reports whether they have
// changed.
func (m *Manager) readChallenges() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.agent != nil && m.agent.cache != nil && m.challenges.read(m.agent.folder, m.o.Log)
}

// readAll takes up the certificates in the storage, and makes new leaves where half of
// their life is over. It reports whether anything has changed.
func (m *Manager) readAll(now time.Time) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.agent == nil {
		return false
	}
	for _, s := range m.sites {
		changed = m.read(s) || changed
		changed = m.standIn(s, now) || changed
	}
	if m.local != nil && half(m.local, now) {
		m.makeLocal(m.local.Names, now)
		changed = true
	}
	return changed
}

// half reports whether half of the life of leaf is over.
func half(leaf *localca.Leaf, now time.Time) bool {
	return now.After(leaf.Since.Add(leaf.Until.Sub(leaf.Since) / 2))
}

// makeLocal makes the certificate for names, all internal ones, unless there is one for
// exactly these. m.mu is held.
func (m *Manager) makeLocal(names []string, now time.Time) {
	switch {
	case len(names) == 0:
		m.local = nil
		return
	case m.local != nil && slices.Equal(m.local.Names, names) && m.local.By == m.agent.internal && !half(m.local, now):
		return
	}
	leaf, err := m.agent.internal.Leaf(names, now, localLife)
	if err != nil { // crypto/x509 refuses a name that config has let through
		m.o.Log.Error("no certificate of the internal authority", "names", names, "cause", err, "mend", "correct the names in tls.acme.names")
		leaf = m.local
	}
	m.local = leaf
}
