package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/internal/filewatch"
	"lb/internal/host"
	"lb/supervise/discover"
	"lb/supervise/listen"
	"lb/supervise/plan"
)

// A reload is made of two halves. In the first, prepare, is all that can fail;
// it changes nothing, and what it opens is closed again when a later step fails.
// The second, commit, does not fail: a loop that does not answer gets the
// configuration when it does.

// reloadLookupTimeout is how long a reload looks up the names that it brings:
// somebody waits for it. What is not found by then comes later.
const reloadLookupTimeout = 500 * time.Millisecond

// change is a configuration on its way.
type change struct {
	cfg    *config.Config
	number uint64
	given  *plan.Assignment
	loops  int
	what   []string // lines for the operator
	notes  []string
	undo   []func() // what prepare has opened, closed

	listeners *listen.Set // the ones at work, if the address stays
	pid       bool        // another PID file is written
	admin     *opened[Admin, net.Listener]
	runtime   *opened[string, *net.UnixListener]
}

// opened is a server, or where it is, and its listener; neither is set when the
// new configuration has none.
type opened[S any, L net.Listener] struct {
	at       S
	listener L
	any      bool
}

// refusal is why there can be no reload now; nil: there can.
func (s *server) refusal() error {
	switch {
	case s.ending != nil:
		return errors.New("lb is draining and takes no new configuration")
	case s.moving != nil:
		return errors.New("an upgrade is under way; the new process reads the configuration by itself")
	case s.o.Load == nil:
		return errors.New("this lb cannot read its configuration again")
	}
	return nil
}

// reloadFor is a reload that nobody waits for; why it was made goes to the log.
func (s *server) reloadFor(why string) {
	if err := s.refusal(); err != nil {
		s.log.Warn("reload refused", "by", why, "cause", err)
		return
	}
	s.reload(why, false)
}

// reload reads the configuration again and puts it to work, or with plan only
// says what would change. See api.Control.
func (s *server) reload(why string, plan bool) (api.Reloaded, error) {
	if err := s.refusal(); err != nil {
		return api.Reloaded{}, err
	}
	if plan {
		c, err := s.compare()
		if err != nil {
			return api.Reloaded{}, err
		}
		return api.Reloaded{Plan: true, Number: s.now.Number, Changes: c.what, Notes: c.notes}, nil
	}
	s.notifier.Reloading(time.Duration(s.clock()))
	defer func() { s.notifier.Ready(s.headline()) }()
	c, err := s.prepare()
	if err != nil {
		s.refuse(why, err)
		return api.Reloaded{}, err
	}
	err = s.commit(c)
	s.log.Info("configuration reloaded", "number", c.number, "changes", len(c.what), "by", why)
	if err != nil {
		s.board.Control().ReloadFaults.Add(1)
		s.fault = fault{err.Error(), time.Now()}
		s.log.Error("not every loop has taken up the configuration", "number", c.number, "cause", err)
	}
	s.publish()
	return api.Reloaded{Number: c.number, Changes: c.what, Notes: c.notes}, err
}

// headline is what systemd shows.
func (s *server) headline() string {
	text := fmt.Sprintf("serving on %s, configuration %d", s.listeners.Addr, s.now.Number)
	if s.fault.text != "" {
		text += ", a newer one was refused"
	}
	return text
}

// refuse notes why a configuration was not taken up.
func (s *server) refuse(why string, err error) {
	s.board.Control().ReloadFaults.Add(1)
	s.fault = fault{err.Error(), time.Now()}
	var list config.Errors
	if !errors.As(err, &list) {
		s.log.Error("configuration refused, the old one goes on", "by", why, "cause", err)
	}
	for _, e := range list {
		cause := e.What
		if e.Hint != "" {
			cause += "; " + e.Hint
		}
		s.log.Error("configuration refused, the old one goes on", "by", why,
			"file", e.File, "line", e.Line, "key", e.Key, "cause", cause)
	}
	s.publish()
}

// compare reads the configuration and works out what it changes. Nothing is
// touched, not even names are looked up.
func (s *server) compare() (*change, error) {
	cfg, err := s.o.Load()
	if err != nil {
		return nil, err
	}
	old := s.now.Config
	if cfg.Mode != old.Mode {
		return nil, fmt.Errorf("mode: %s -> %s is more than a reload can change; use `lb upgrade`, or restart", old.Mode, cfg.Mode)
	}
	c := &change{cfg: cfg, number: s.now.Number + 1, loops: host.LoopsFor(cfg.Workers, cfg.Limits.Connections)}
	if room := s.board.LoopsRoom(); c.loops > room {
		return nil, fmt.Errorf("workers: %d are more than the %d there is room for until the next restart", c.loops, room)
	}
	if c.given, err = s.registry.Assign(cfg.Pools, c.number, s.board.BackendsRoom(), s.reusable); err != nil {
		return nil, err
	}
	for _, d := range config.Diff(old, cfg) {
		c.what = append(c.what, d.String())
	}
	for _, o := range s.overruled(cfg) {
		c.notes = append(c.notes, o.note)
	}
	return c, nil
}

// prepare makes all ready that can fail. After an error nothing has changed.
func (s *server) prepare() (c *change, err error) {
	// Before it is read: if it is written between, the watcher finds another hash.
	s.seen = filewatch.HashFile(s.now.Config.Source)
	if c, err = s.compare(); err != nil {
		return nil, err
	}
	s.resolveNew(c)
	// Sockets for traffic come last: the system puts connections into their queues
	// at once, and nobody accepts those before commit.
	for _, step := range []func(*change) error{s.preparePID, s.prepareAdmin, s.prepareRuntime, s.prepareListeners} {
		if err := step(c); err != nil {
			for _, undo := range c.undo {
				undo()
			}
			return nil, err
		}
	}
	return c, nil
}

// resolveNew looks up the names that are new, for a moment. Known ones keep what
// they have.
func (s *server) resolveNew(c *change) {
	names := discover.Names(c.cfg)
	if missing := s.book.Without(names); len(missing) > 0 {
		s.book.Note(discover.LookUp(context.Background(), s.resolver, missing, reloadLookupTimeout))
	}
	for _, name := range s.book.Without(names) {
		c.notes = append(c.notes, fmt.Sprintf("%s has no address yet; it is looked up again and again", name))
	}
}

func (s *server) preparePID(c *change) error {
	path := c.cfg.PIDFile
	if path == s.pidFile {
		return nil
	}
	if err := host.WritePID(path); err != nil {
		return err
	}
	c.pid = true
	c.undo = append(c.undo, func() { host.RemovePID(path) })
	return nil
}

func (s *server) prepareAdmin(c *change) error {
	if s.o.Admin == nil || c.cfg.Admin.Address == s.now.Config.Admin.Address {
		return nil
	}
	c.admin = &opened[Admin, net.Listener]{}
	return s.listenAdmin(c.cfg, c.admin, &c.undo)
}

// listenAdmin makes a server for the address of cfg, if there is one, that
// listens and does not serve yet.
func (s *server) listenAdmin(cfg *config.Config, to *opened[Admin, net.Listener], undo *[]func()) (err error) {
	if cfg.Admin.Address == "" {
		return nil
	}
	a := s.o.Admin(cfg, s.running())
	if to.listener = s.from.TakeAdmin(cfg.Admin.Address); to.listener == nil {
		if to.listener, err = a.Listen(); err != nil {
			return err
		}
	}
	to.at, to.any = a, true
	*undo = append(*undo, func() { to.listener.Close() })
	return nil
}

// prepareRuntime opens the socket for commands at its new path, also if that
// could not be done before.
func (s *server) prepareRuntime(c *change) error {
	path := socketPath(c.cfg)
	if s.runtime == nil || path == s.runtimePath {
		return nil
	}
	c.runtime = &opened[string, *net.UnixListener]{}
	return s.listenRuntime(c.cfg, c.runtime, &c.undo)
}

func socketPath(cfg *config.Config) string {
	return config.SocketPath(cfg, os.Getenv, os.Geteuid() == 0)
}

// listenRuntime opens the socket for commands, if there is to be one. If nobody
// has asked for it by name, lb does without.
func (s *server) listenRuntime(cfg *config.Config, to *opened[string, *net.UnixListener], undo *[]func()) (err error) {
	path := socketPath(cfg)
	if path == "" {
		return nil
	}
	if to.listener = s.from.TakeRuntime(path); to.listener == nil {
		if to.listener, err = s.runtime.Listen(path); err != nil {
			if cfg.Admin.Socket == "" {
				s.log.Warn("no socket for commands", "cause", err)
				return nil
			}
			return err
		}
	}
	to.at, to.any = path, true
	*undo = append(*undo, func() { to.listener.Close() })
	return nil
}

// prepareListeners opens what the address and the number of loops take.
func (s *server) prepareListeners(c *change) (err error) {
	c.listeners, err = s.listen(c.cfg, c.loops)
	return err
}

// commit puts c to work. The error names the loops that have not taken it up yet.
func (s *server) commit(c *change) error {
	overruled := s.overruled(c.cfg)
	s.take(c.given, true)
	old := s.now
	s.setNow(&plan.Snapshot{Config: c.cfg, Number: c.number, IDs: c.given.IDs, Addrs: plan.Addrs(c.cfg, s.book.Of)})
	gone := s.listeners
	if s.listeners = c.listeners; gone != s.listeners && !gone.Systemd {
		gone.Leave()
	}
	err := s.crew.Apply(s.now, c.listeners, c.loops)
	s.obeyFile(overruled)
	s.prober.Update(s.probes(s.now))
	s.book.Forget(discover.Names(c.cfg))
	s.setLookups()
	if c.admin != nil {
		s.swapAdmin(c.admin)
	}
	if c.runtime != nil {
		s.swapRuntime(c.runtime)
	}
	if c.pid {
		host.RemovePID(s.pidFile)
		s.pidFile = c.cfg.PIDFile
	}
	if s.o.Level != nil {
		host.SetLevel(s.o.Level, c.cfg.LogLevel)
	}
	if c.cfg.Limits.Connections != old.Config.Limits.Connections || c.loops != host.LoopsFor(old.Config.Workers, old.Config.Limits.Connections) {
		s.warnDescriptors(c.cfg, c.loops)
	}
	s.setWatch(c.cfg)
	s.loaded, s.fault = time.Now(), fault{}
	s.board.Control().Reloads.Add(1)
	return err
}

// overrule is a change made at run time that the file takes back: its value for
// that backend is another than it was.
type overrule struct {
	id            int
	weight, admin bool
	note          string
}

// overruled returns what of the run-time changes cfg takes back, when it comes
// behind the configuration of the registry at work.
func (s *server) overruled(cfg *config.Config) (list []overrule) {
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			key := plan.Key(p.Name, b)
			had, ok := s.registry.InUse[key]
			if !ok {
				continue
			}
			o := overrule{id: had.ID}
			var notes []string
			state := s.board.State(had.ID)
			if w := state.WeightOverride.Load(); w != 0 && had.Weight != b.Weight {
				o.weight = true
				notes = append(notes, fmt.Sprintf("weight %d is overwritten by the file's %d", w, b.Weight))
			}
			if a := board.Admin(state.Admin.Load()); a != board.Enabled && had.Drain != b.Drain {
				o.admin = true
				notes = append(notes, fmt.Sprintf("%v is overwritten by the file's drain = %v", a, b.Drain))
			}
			if len(notes) > 0 {
				o.note = fmt.Sprintf("pool %s: backend %s, changed at run time: %s", p.Name, b, strings.Join(notes, "; "))
				list = append(list, o)
			}
		}
	}
	return list
}

// obeyFile takes run-time changes back.
func (s *server) obeyFile(list []overrule) {
	for _, o := range list {
		if o.weight {
			s.board.SetWeight(o.id, 0)
		}
		if o.admin {
			s.board.SetAdmin(o.id, board.Enabled, int64(s.clock()))
		}
		s.log.Info("run-time change is overwritten by the file", "note", o.note)
	}
}
