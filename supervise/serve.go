package supervise

import (
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/filewatch"
	"lb/internal/host"
	"lb/internal/systemd"
	"lb/supervise/crew"
	"lb/supervise/discover"
	"lb/supervise/handover"
	"lb/supervise/health"
	"lb/supervise/listen"
	"lb/supervise/plan"
)

// closeTimeout is how long an operator's request may go on at the end.
const closeTimeout = time.Second

// Serve runs cfg's loops until a signal or a command ends them, and leaves
// nothing behind: no process, goroutine, descriptor or file. exitCode is for the
// process: 0 when everything that ran was answered, 3 when something was cut off,
// 1 with an error of one line when lb could not begin.
func Serve(cfg *config.Config, o Options) (exitCode int, err error) {
	s := newServer(o, cfg)
	defer s.close()
	if err := s.start(cfg); err != nil {
		s.from.ReportFault(err)
		return crew.ExitFault, err
	}
	return crew.ExitCode(s.run()), nil
}

// server is one call of Serve. Its fields belong to the goroutine that calls
// start, run and close: the desk. What another may look at is said there.
type server struct {
	o        Options
	log      *slog.Logger
	resolver discover.Resolver
	desk     *desk // any goroutine
	signals  *intake

	// What an upgrade hands over, beside the sockets below.
	board     *board.Board // any goroutine, until close
	boardFile *os.File     // stays open as long as the board, see board.Slots
	registry  *plan.Registry
	now       *plan.Snapshot // at work; nil before start

	program         string                // path that this process was started from
	from            *handover.Inheritance // what the process before this one handed over; nil: there is none
	given           []*listen.Set         // by systemd and by the process before this one
	notifier        *systemd.Notifier
	limit           uint64 // of descriptors
	slots           *crew.Slots
	listeners       *listen.Set
	crew            crew.Crew
	prober          *health.Prober
	book            *discover.Book
	lookups         *discover.Lookups
	watch           *filewatch.Watcher // nil: the file is not watched
	admin           Admin              // nil: the address is configured off
	adminListener   net.Listener
	runtime         Runtime // nil: there is none
	runtimeListener *net.UnixListener
	runtimePath     string // that the listener is bound to; "": there is none
	pidFile         string // that is ours; ""

	watched   string // path that is watched; "": none
	seen      string // hash of the file's content that was tried last
	overrules []overrule
	loaded    time.Time
	fault     fault // why the last reload was refused
	upFault   fault // why the last upgrade failed
	ending    *ending
	moving    *upgrading     // an upgrade is under way
	closing   sync.WaitGroup // of servers that were replaced

	looking  sync.RWMutex // held for reading by who looks at the board and is not the desk
	unmapped bool         // the board is there no more
	lookedAt atomic.Bool  // perhaps, by a server that was closed by force

	loops  atomic.Pointer[crew.Crew] // any goroutine: the crew, also when it has finished; nil before start
	view   atomic.Pointer[View]      // any goroutine: the snapshot at work
	public atomic.Pointer[published] // any goroutine: what status tells when the desk is busy
}

// fault is something that was refused.
type fault struct {
	text string // "": nothing was
	at   time.Time
}

// newServer returns a server that has not started, but hears signals.
func newServer(o Options, cfg *config.Config) *server {
	s := &server{
		o:        o,
		log:      o.Log,
		resolver: o.Resolver,
		desk:     newDesk(),
		signals:  newIntake(o.Signals),
		program:  host.StartPath(),
		seen:     filewatch.HashFile(cfg.Source), // cfg was read a moment ago
	}
	if s.log == nil {
		s.log, s.o.Level = NewLevelLog(os.Stderr, cfg.LogLevel)
	}
	s.notifier = systemd.NewNotifier(s.log)
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	return s
}

// start brings everything up; what it took before an error is let go by close.
// In an upgrade nothing is changed that the old process still needs before that
// has let go, in takeOver.
func (s *server) start(cfg *config.Config) (err error) {
	if s.limit, err = host.RaiseDescriptorLimit(); err != nil {
		return err
	}
	s.registry = plan.NewRegistry()
	if s.from, err = handover.Inherit(s.registry); err != nil {
		return err
	}
	s.takeSockets()
	loops := host.LoopsFor(cfg.Workers, cfg.Limits.Connections)
	if err := s.openBoard(cfg, loops); err != nil {
		return err
	}
	if s.from == nil { // else the port is ours already, and the file not yet
		if err := s.openSockets(cfg, loops); err != nil {
			return err
		}
		if err := s.writePID(cfg.PIDFile); err != nil {
			return err
		}
	}
	if err := s.firstSnapshot(cfg); err != nil {
		return err
	}
	s.warnDescriptors(cfg, loops)
	if err := s.openAdmin(cfg); err != nil {
		return err
	}
	if err := s.openRuntime(cfg); err != nil {
		return err
	}
	// In an upgrade the system puts connections into new sockets from here on, and
	// the loops accept beside the old ones, so what can be refused is behind us.
	if s.from != nil {
		if err := s.openSockets(cfg, loops); err != nil {
			return err
		}
	}
	c := crew.Options{Log: s.log, Board: s.board, BoardFile: s.boardFile, Slots: s.slots, Limit: s.limit}
	crew, err := crew.Start(c, s.now, s.listeners, loops)
	if err != nil {
		return err
	}
	s.crew = crew
	s.loops.Store(&crew)
	if err := s.takeOver(cfg); err != nil {
		return err
	}
	s.begin(cfg)
	return nil
}

// openSockets makes ready what the loops accept from.
func (s *server) openSockets(cfg *config.Config, loops int) (err error) {
	if s.listeners, err = s.listen(cfg, loops); err != nil {
		return err
	}
	if s.from != nil {
		s.from.Left = !slices.Contains(s.from.Sets, s.listeners)
	}
	s.dropGiven()
	return nil
}

// openBoard makes a board with room to grow, or takes the one that was handed
// over, and the books that belong to it.
func (s *server) openBoard(cfg *config.Config, loops int) (err error) {
	if s.from != nil {
		s.board, s.boardFile = s.from.Board, s.from.BoardFile
	} else {
		loopsRoom, backendsRoom := board.Room(loops, backends(cfg))
		if s.board, s.boardFile, err = board.Create(loopsRoom, backendsRoom); err != nil {
			return err
		}
		s.board.Control().StartedAt.Set(uint64(time.Now().UnixNano()))
	}
	s.slots = crew.NewSlots(s.board, s.boardFile)
	return nil
}

// backends returns how many there are over all pools.
func backends(cfg *config.Config) (n int) {
	for _, p := range cfg.Pools {
		n += len(p.Backends)
	}
	return n
}

// firstSnapshot resolves names and gives every backend its place on the board.
func (s *server) firstSnapshot(cfg *config.Config) error {
	s.book = discover.NewBook(s.log)
	s.book.Note(discover.LookUp(context.Background(), s.resolver, discover.Names(cfg), discover.Timeout))
	number := uint64(1)
	if s.from != nil {
		number = s.from.Number + 1
	}
	given, err := s.registry.Assign(cfg.Pools, number, s.board.BackendsRoom(), s.reusable)
	if err != nil {
		return err
	}
	s.overrules = s.overruled(cfg)
	s.take(given, s.from != nil)
	s.setNow(&plan.Snapshot{Config: cfg, Number: number, IDs: given.IDs, Addrs: plan.Addrs(cfg, s.book.Of)})
	return nil
}

// setNow makes now the snapshot at work.
func (s *server) setNow(now *plan.Snapshot) {
	s.now = now
	s.view.Store(&View{Config: now.Config, IDs: now.IDs, Number: now.Number})
}

// warnDescriptors tells when limits.connections is more than there can be.
func (s *server) warnDescriptors(cfg *config.Config, loops int) {
	here := 1 // loops that share the descriptors of one process
	if cfg.Mode == config.MT {
		here = loops
	}
	if room := loops * host.ConnsMax(s.limit, 0, 0, loops, here); cfg.Limits.Connections > room {
		s.log.Warn("descriptor limit is too low for limits.connections",
			"configured", cfg.Limits.Connections, "possible", room, "descriptors", s.limit)
	}
}

// takeOver has the old process, if there is one, let go of what only one of the
// two can have.
func (s *server) takeOver(cfg *config.Config) error {
	if s.from == nil {
		return nil
	}
	if err := s.from.Ready(s.o.Version); err != nil { // returns when the old one has decided to be replaced
		return err
	}
	s.board.Control().Upgrades.Add(1)
	if err := s.writePID(cfg.PIDFile); err != nil {
		s.log.Error("upgrade goes on without a pid file", "cause", err)
	}
	return nil
}

// begin makes public what start has brought up, and starts what goes on beside
// the loops.
func (s *server) begin(cfg *config.Config) {
	s.loaded = time.Now()
	s.prober = health.Start(s.probes(s.now))
	s.lookups = discover.StartLookups(s.resolver, s.o.ResolveEvery, s.resolved)
	s.setLookups()
	s.obeyFile(s.overrules)
	s.setWatch(cfg)
	s.publish()
	var adminAddr net.Addr
	if s.admin != nil {
		adminAddr = s.adminListener.Addr()
		s.admin.Serve(s.adminListener)
	}
	if s.runtimeListener != nil {
		s.runtime.Serve(s.runtimeListener)
	}
	s.log.Info("serving", "address", s.listeners.Addr, "mode", cfg.Mode,
		"loops", host.LoopsFor(cfg.Workers, cfg.Limits.Connections), "number", s.now.Number)
	if s.from != nil {
		s.from.Took()
		s.notifier.IsMain()
	}
	s.notifier.Ready(s.headline())
	if s.o.Ready != nil {
		s.o.Ready(s.listeners.Addr, adminAddr)
	}
}

// probes returns what the prober is to check.
func (s *server) probes(now *plan.Snapshot) health.Options {
	addrs := make([][][]health.Addr, len(now.Addrs))
	for i, pool := range now.Addrs {
		for _, list := range pool {
			addrs[i] = append(addrs[i], dialable(list))
		}
	}
	return health.Options{
		Config: now.Config,
		Board:  s.board,
		IDs:    now.IDs,
		Addrs:  addrs,
		Log:    s.log,
		Now:    crew.Now,
	}
}

// dialable returns addrs as the standard library dials them.
func dialable(addrs []plan.Addr) []health.Addr {
	out := make([]health.Addr, len(addrs))
	for i, a := range addrs {
		if out[i] = (health.Addr{Network: "unix", Address: a.Path}); a.Path == "" {
			out[i] = health.Addr{Network: "tcp", Address: a.IP.String()}
		}
	}
	return out
}

// writePID writes the process's number to path and makes that file ours.
func (s *server) writePID(path string) error {
	if err := host.WritePID(path); err != nil {
		return err
	}
	s.pidFile = path
	return nil
}

// close lets go of what start took, as far as that came.
func (s *server) close() {
	s.desk.close()
	s.cancelUpgrade()
	s.signals.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	s.closeRuntime(ctx)
	s.closeAdmin(ctx)
	if s.crew != nil { // start failed behind it: nothing is at work yet
		now := make(chan struct{})
		close(now)
		s.crew.Finish(0, now)
	}
	s.stopHelpers()
	s.closing.Wait()
	if s.prober != nil {
		s.prober.Close()
	}
	s.closeSets()
	if s.from != nil {
		s.from.Close()
	}
	host.RemovePID(s.pidFile)
	if s.board != nil {
		s.boardFile.Close()
		s.closeBoard()
	}
}

// closeBoard unmaps the board when nobody looks at it any more; else the end of
// the process does.
func (s *server) closeBoard() {
	s.looking.Lock()
	defer s.looking.Unlock()
	if !s.lookedAt.Load() {
		s.board.Close()
		s.unmapped = true
	}
}

// stopHelpers ends the goroutines that bring news to the desk.
func (s *server) stopHelpers() {
	if s.lookups != nil {
		s.lookups.Close()
		s.lookups = nil
	}
	if s.watch != nil {
		s.watch.Close()
		s.watch = nil
	}
}

// ReportFault tells the process that this one was to replace, if there is one,
// why that cannot be. It is for errors before Serve.
func ReportFault(err error) { handover.ReportFault(err) }
