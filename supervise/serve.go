package supervise

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/supervise/health"
)

// Exit codes of Serve and Worker.
const (
	exitDone  = 0 // everything that ran was answered
	exitFault = 1 // it could not begin, or a loop ended of itself
	exitCut   = 3 // exchanges were cut off
)

// Options are what Serve needs beside the configuration. The zero value serves.
type Options struct {
	Log *slog.Logger // nil: NewLog on stderr at the configured level
	// Ready is called once traffic is served, with host:port as it is: a port of
	// 0 in the configuration is the real one here. adminAddr is nil without a
	// server for the operator.
	Ready func(addr string, adminAddr net.Addr)
	// Admin makes the server for the operator; nil: there is none.
	Admin func(Running) Admin
	// Resolver finds the addresses of names; nil: net.DefaultResolver.
	Resolver Resolver
	// Signals, which is never closed, is obeyed instead of the signals that the
	// process is sent; nil: those.
	Signals <-chan os.Signal
	// ResolveEvery is how often names are looked up again; 0: every 30 s.
	ResolveEvery time.Duration
}

// Admin is the operator's server as the supervisor uses it; *admin.Server is one.
type Admin interface {
	// Listen begins to serve; nil and no error when it is configured off.
	Listen() (net.Addr, error)
	// SetDraining says what health shows.
	SetDraining(draining bool)
	// Close ends the server, by force when ctx is done.
	Close(ctx context.Context) error
}

// Running is what the server for the operator can look at.
type Running struct {
	Config *config.Config
	Board  *board.Board
	Now    func() int64 // the clock of the board, in nanoseconds
	// Workers returns how many worker processes serve, and how many were replaced
	// since the start; nil in mt. Any goroutine may call it.
	Workers func() (running int, restarts uint64)
}

// adminCloseTimeout is how long an operator's request may go on at the end.
const adminCloseTimeout = time.Second

// crew is the loops of either mode.
type crew interface {
	setAddrs(at place, addrs []loop.Addr)
	finish(timeout time.Duration, now <-chan struct{}) (cut int)
}

// NewLog returns a log of key=value lines on w. level is debug, info, warn or
// error; anything else is info.
func NewLog(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

// Serve runs cfg's loops until a signal ends them, and leaves nothing behind: no
// process, goroutine, descriptor or file. exitCode is for the process: 0 when
// everything that ran was answered, 3 when something was cut off, 1 with an
// error of one line when lb could not begin.
func Serve(cfg *config.Config, o Options) (exitCode int, err error) {
	s := &server{cfg: cfg, o: o, log: o.Log, resolver: o.Resolver, signals: o.Signals}
	if s.log == nil {
		s.log = NewLog(os.Stderr, cfg.LogLevel)
	}
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	if s.signals == nil {
		signals := make(chan os.Signal, 8)
		// SIGPIPE too: a log that nobody reads any more is no reason to die.
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGPIPE)
		defer signal.Stop(signals)
		s.signals = signals
	}
	defer s.close()
	if err := s.start(); err != nil {
		return exitFault, err
	}
	return finishCode(s.run()), nil
}

// finishCode returns the exit code of a process that has cut so many exchanges.
func finishCode(cut int) int {
	if cut > 0 {
		return exitCut
	}
	return exitDone
}

// server is one call of Serve.
type server struct {
	cfg      *config.Config
	o        Options
	log      *slog.Logger
	resolver Resolver
	signals  <-chan os.Signal

	listeners *listeners
	pid       bool // the PID file is ours
	board     *board.Board
	book      *addrBook
	crew      crew
	workers   *workers // the crew in mp; nil in mt
	prober    *health.Prober
	admin     Admin
}

// start brings everything up; what it took before an error is let go by close.
func (s *server) start() error {
	limit, err := raiseDescriptorLimit()
	if err != nil {
		return err
	}
	loops := loopsFor(s.cfg.Workers, s.cfg.Limits.Connections)
	if s.listeners, err = listen(s.resolver, s.cfg.Host, s.cfg.Port, loops); err != nil {
		return err
	}
	if err := writePID(s.cfg.PIDFile); err != nil {
		return err
	}
	s.pid = true
	s.book = newAddrBook(s.cfg.Pools, s.resolver, s.log)
	s.book.refresh(context.Background(), func(place, []loop.Addr) {})
	if room := loops * connsMax(limit, 0, 0, loops, s.loopsHere(loops)); s.cfg.Limits.Connections > room {
		s.log.Warn("descriptor limit is too low for limits.connections",
			"configured", s.cfg.Limits.Connections, "possible", room, "descriptors", limit)
	}
	if err := s.startCrew(loops, limit); err != nil {
		return err
	}
	s.startProber()
	adminAddr, err := s.startAdmin()
	if err != nil {
		return err
	}
	s.log.Info("serving", "address", s.listeners.addr, "mode", s.cfg.Mode, "loops", loops)
	if s.o.Ready != nil {
		s.o.Ready(s.listeners.addr, adminAddr)
	}
	return nil
}

// loopsHere returns how many loops share the descriptors of one process.
func (s *server) loopsHere(loops int) int {
	if s.cfg.Mode == config.MT {
		return loops
	}
	return 1
}

func (s *server) startCrew(loops int, limit uint64) error {
	addrs := s.book.snapshot()
	if s.cfg.Mode == config.MT {
		s.board = board.New(loops, backends(s.cfg))
		t, err := startThreads(engineOptions{
			Config: s.cfg,
			Board:  s.board,
			Addrs:  addrs,
			Log:    s.log,
		}, s.listeners.files, limit)
		if err == nil {
			s.crew = t
		}
		return err
	}
	b, f, err := board.Create(loops, backends(s.cfg))
	if err != nil {
		return err
	}
	s.board = b
	if s.workers, err = startWorkers(s.cfg, s.log, b, f, s.listeners.files, addrs); err == nil {
		s.crew = s.workers
	}
	return err
}

// backends returns how many there are over all pools.
func backends(cfg *config.Config) (n int) {
	for _, p := range cfg.Pools {
		n += len(p.Backends)
	}
	return n
}

// startProber begins the active checks: here, once for all loops in either mode.
// They go on to the end of a drain, which may still need to pick a backend.
func (s *server) startProber() {
	known := s.book.snapshot()
	addrs := make([][][]health.Addr, len(known))
	for i, pool := range known {
		for _, list := range pool {
			addrs[i] = append(addrs[i], dialable(list))
		}
	}
	s.prober = health.Start(health.Options{
		Config: s.cfg,
		Board:  s.board,
		Addrs:  addrs,
		Log:    s.log,
		Now:    loop.Monotonic,
	})
}

// dialable returns addrs as the standard library dials them.
func dialable(addrs []loop.Addr) []health.Addr {
	out := make([]health.Addr, len(addrs))
	for i, a := range addrs {
		if out[i] = (health.Addr{Network: "unix", Address: a.Path}); a.Path == "" {
			out[i] = health.Addr{Network: "tcp", Address: a.IP.String()}
		}
	}
	return out
}

func (s *server) startAdmin() (net.Addr, error) {
	if s.o.Admin == nil {
		return nil, nil
	}
	r := Running{Config: s.cfg, Board: s.board, Now: func() int64 { return int64(loop.Monotonic()) }}
	if s.workers != nil {
		r.Workers = s.workers.running
	}
	s.admin = s.o.Admin(r)
	return s.admin.Listen()
}

// run waits for a signal that ends it all, and returns how many exchanges were
// cut off.
func (s *server) run() (cut int) {
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		every := s.o.ResolveEvery
		if every == 0 {
			every = resolveEvery
		}
		s.book.watch(ctx, every, s.readdress)
	}()
	sig := s.wait()
	cancel()
	<-watched
	return s.finish(sig == syscall.SIGQUIT)
}

func (s *server) readdress(at place, addrs []loop.Addr) {
	ips := make([]string, len(addrs))
	for i, a := range addrs {
		ips[i] = a.IP.Addr().String()
	}
	s.log.Info("name has new addresses",
		"name", s.cfg.Pools[at.Pool].Backends[at.Backend].Host, "addresses", strings.Join(ips, ","))
	s.crew.setAddrs(at, addrs)
	s.prober.SetAddrs(at.Pool, at.Backend, dialable(addrs))
}

// wait returns the signal that ends it all.
func (s *server) wait() os.Signal {
	for {
		switch sig := <-s.signals; sig {
		case syscall.SIGHUP:
			s.log.Info("signal ignored", "signal", sig)
		case syscall.SIGPIPE:
		default:
			return sig
		}
	}
}

// finish drains, or ends at once, and returns how many exchanges were cut off.
func (s *server) finish(atOnce bool) (cut int) {
	if s.admin != nil {
		s.admin.SetDraining(true)
	}
	now := make(chan struct{})
	timeout := s.cfg.Timeouts.Drain
	if atOnce {
		close(now)
	}
	s.log.Info("draining", "timeout", timeout, "at_once", atOnce)
	s.listeners.close() // the loops close theirs
	result := make(chan int, 1)
	crew := s.crew
	s.crew = nil
	go func() { result <- crew.finish(timeout, now) }()
	for {
		select {
		case cut = <-result:
			s.log.Info("stopped", "cut", cut)
			return cut
		case sig := <-s.signals:
			if sig == syscall.SIGHUP || sig == syscall.SIGPIPE || atOnce {
				continue
			}
			s.log.Warn("second signal: leaving at once", "signal", sig)
			atOnce = true
			close(now)
		}
	}
}

// close lets go of what start took, as far as that came.
func (s *server) close() {
	if s.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
		s.admin.Close(ctx)
		cancel()
	}
	if s.crew != nil { // start failed behind it: nothing is at work yet
		now := make(chan struct{})
		close(now)
		s.crew.finish(0, now)
	}
	if s.prober != nil {
		s.prober.Close()
	}
	if s.board != nil {
		s.board.Close()
	}
	if s.pid {
		removePID(s.cfg.PIDFile)
	}
	if s.listeners != nil {
		s.listeners.close()
	}
}
