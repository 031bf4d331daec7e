package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lb/admin/api"
	"lb/internal/systemd"
	"lb/loop/tick"
	"lb/supervise/crew"
)

// The desk is the one goroutine that changes the state of the control plane.
// Signals, commands and news reach it as functions, one at a time, so that
// nothing of that state has a lock.

// desk is how others get at it.
type desk struct {
	work   chan job
	closed chan struct{} // nothing is taken any more
	once   sync.Once
	doing  atomic.Pointer[task] // nil: it waits
}

// job is a function for the desk.
type job struct {
	what string // it does, for those who have to wait: "reloading"
	do   func()
	done chan struct{}
}

// task is what the desk is doing, and since when.
type task struct {
	what  string
	since time.Time
}

// busyAfter is how long a command waits for the desk.
const busyAfter = 900 * time.Millisecond

var errEnding = errors.New("lb is ending")

func newDesk() *desk { return &desk{work: make(chan job), closed: make(chan struct{})} }

// ask has the desk do f and returns when that is done, or an error when it
// cannot begin in time, or not any more.
func (d *desk) ask(what string, f func()) error { return d.askWithin(busyAfter, what, f) }

func (d *desk) askWithin(patience time.Duration, what string, f func()) error {
	j := job{what, f, make(chan struct{})}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case d.work <- j:
		<-j.done
		return nil
	case <-d.closed:
		return errEnding
	case <-late.C:
		return d.busy()
	}
}

// busy says what the desk is doing.
func (d *desk) busy() error {
	t := d.doing.Load()
	if t == nil {
		return errors.New("lb is busy; try again")
	}
	return fmt.Errorf("lb is busy %s, since %v; try again", t.what, time.Since(t.since).Round(time.Millisecond))
}

// tell is ask for news, which nobody waits for: it returns when the desk has
// done f, or gives up when cancelled is closed or the desk has.
func (d *desk) tell(what string, cancelled <-chan struct{}, f func()) {
	j := job{what, f, make(chan struct{})}
	select {
	case d.work <- j:
		select {
		case <-j.done:
		case <-cancelled: // perhaps by f, or what the desk does behind it
		}
	case <-cancelled:
	case <-d.closed:
	}
}

// run does what was asked for; only the desk calls it.
func (d *desk) run(what string, f func()) {
	d.doing.Store(&task{what, time.Now()})
	defer d.doing.Store(nil)
	f()
}

func (d *desk) close() { d.once.Do(func() { close(d.closed) }) }

// intake sorts the signals. It never lets one wait that ends lb, however many
// others come, and any number of SIGHUPs that wait are one.
type intake struct {
	reload  chan struct{}
	upgrade chan struct{}
	end     chan os.Signal
	stop    func()
}

// endsMax is how many signals that end lb can wait; the first drains, the second
// cuts, more say nothing new.
const endsMax = 4

// newIntake hears from, or if that is nil the signals of the process.
func newIntake(from <-chan os.Signal) *intake {
	in := &intake{
		reload:  make(chan struct{}, 1),
		upgrade: make(chan struct{}, 1),
		end:     make(chan os.Signal, endsMax),
	}
	forget := func() {}
	if from == nil {
		c := make(chan os.Signal, 64)
		// SIGPIPE too: a log that nobody reads any more is no reason to die.
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT,
			syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGPIPE)
		from, forget = c, func() { signal.Stop(c) }
	}
	done, ended := make(chan struct{}), make(chan struct{})
	in.stop = sync.OnceFunc(func() { forget(); close(done); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case sig := <-from:
				in.sort(sig)
			case <-done:
				return
			}
		}
	}()
	return in
}

func (in *intake) sort(sig os.Signal) {
	switch sig {
	case syscall.SIGPIPE:
	case syscall.SIGHUP:
		offer(in.reload, struct{}{})
	case syscall.SIGUSR2:
		offer(in.upgrade, struct{}{})
	default:
		offer(in.end, sig)
	}
}

// offer drops v when c is full.
func offer[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

func (in *intake) close() { in.stop() }

const (
	// hupEvery is the least time between two reloads by signal. The first of a
	// storm is obeyed at once, the rest are one.
	hupEvery = 200 * time.Millisecond
	// choreEvery is how often the desk looks whether there is something to tidy.
	choreEvery = time.Second
)

// run is the desk at work, until everything has ended; it returns how many
// exchanges were cut off.
func (s *server) run() (cut int) {
	chores := time.NewTicker(choreEvery)
	defer chores.Stop()
	watchdog, stop := ticks(systemd.WatchdogEvery(s.log))
	defer stop()
	hup := s.signals.reload
	again := time.NewTimer(0) // when SIGHUP is heard again
	defer again.Stop()
	for {
		select {
		case j := <-s.desk.work:
			s.desk.run(j.what, j.do)
			close(j.done)
		case sig := <-s.signals.end:
			s.end(sig)
		case <-hup:
			s.desk.run("reloading", func() { s.reloadFor("signal") })
			hup = nil
			again.Reset(hupEvery)
		case <-again.C:
			hup = s.signals.reload
		case <-s.signals.upgrade:
			s.beginUpgrade("", func(api.Upgraded, error) {}) // which logs
		case <-chores.C:
			s.chores()
		case <-watchdog:
			s.desk.run("looking whether all loops turn", s.feedWatchdog)
		case cut := <-s.ended():
			s.log.Info("stopped", "cut", cut)
			return cut
		}
	}
}

// clock is the clock of the board.
func (s *server) clock() tick.Instant { return crew.Now() }

// chores are what is done now and then.
func (s *server) chores() {
	if s.ending == nil && s.moving == nil { // else another process takes free slots
		s.slots.Sweep()
	}
}

// pingTimeout is how long a loop may take to turn; the desk waits for it.
const pingTimeout = 500 * time.Millisecond

// feedWatchdog tells systemd that all is well, if it is.
func (s *server) feedWatchdog() {
	if s.crew != nil { // a drain has a timeout of its own
		if err := s.crew.Ping(pingTimeout); err != nil {
			s.log.Error("not alive for the watchdog", "cause", err)
			return
		}
	}
	s.notifier.Alive()
}

// ticks returns a ticker's channel; nil, for ever silent, when every is 0.
func ticks(every time.Duration) (c <-chan time.Time, stop func()) {
	if every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// ending is lb on its way out.
type ending struct {
	atOnce bool
	// replaced: nobody has told this process to end, but a new one has taken its place.
	replaced bool
	cutNow   chan struct{} // closed: what still runs is cut off
	result   chan int      // how many exchanges that were
}

// ended returns where the number of exchanges that were cut off comes, once all
// loops have ended; nil: lb goes on.
func (s *server) ended() <-chan int {
	if s.ending == nil {
		return nil
	}
	return s.ending.result
}

// end obeys a signal that ends lb: the first drains, the next cuts.
func (s *server) end(sig os.Signal) {
	switch {
	case s.ending == nil:
		s.drain(sig == syscall.SIGQUIT)
	case s.ending.replaced && sig != syscall.SIGQUIT:
		s.ending.replaced = false
		s.log.Info("signal: draining already", "signal", sig)
	case !s.ending.atOnce:
		s.log.Warn("second signal: leaving at once", "signal", sig)
		s.ending.atOnce = true
		close(s.ending.cutNow)
	}
}

// drain begins to finish what runs, or to end at once, and takes nothing new.
func (s *server) drain(atOnce bool) {
	s.cancelUpgrade()
	if s.admin != nil {
		s.admin.SetDraining(true)
	}
	s.notifier.Stopping()
	s.log.Info("draining", "timeout", s.now.Config.Timeouts.Drain, "at_once", atOnce)
	s.finish(atOnce)
}

// finish has the loops end.
func (s *server) finish(atOnce bool) {
	s.stopHelpers()
	e := &ending{atOnce: atOnce, cutNow: make(chan struct{}), result: make(chan int, 1)}
	if atOnce {
		close(e.cutNow)
	}
	s.publish() // the last of what only the crew knows
	crew, timeout := s.crew, s.now.Config.Timeouts.Drain
	s.crew, s.ending = nil, e
	s.publish()
	s.listeners.Close() // the loops close theirs
	go func() { e.result <- crew.Finish(timeout, e.cutNow) }()
}
