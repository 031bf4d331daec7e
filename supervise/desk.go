package supervise

import (
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lb/admin/api"
	"lb/admin/history"
	"lb/board"
	"lb/internal/systemd"
	"lb/loop/tick"
	"lb/supervise/accesslog"
	"lb/supervise/acme"
	"lb/supervise/certs"
	"lb/supervise/conffile"
	"lb/supervise/crew"
	"lb/supervise/discover"
	"lb/supervise/faultwatch"
	"lb/supervise/handover"
	"lb/supervise/health"
	"lb/supervise/notice"
	"lb/supervise/outlier"
	"lb/supervise/plan"
	"lb/supervise/ports"
	"lb/supervise/queue"
	"lb/supervise/rings"
	"lb/supervise/signals"
	"lb/supervise/slots"
	"lb/supervise/tracing"
)

// desk is one call of Serve. Its fields belong to the goroutine that calls start,
// run and close; the comments name the fields that other goroutines may use.
type desk struct {
	o       Options
	log     *slog.Logger
	queue   *queue.Queue // any goroutine
	signals *signals.Intake
	program string // path that this process was started from

	// What an upgrade hands over, besides the sockets of ports.
	board     *board.Board // any goroutine, until close
	boardFile *os.File     // open as long as the board, see board.Slots
	registry  *plan.Registry
	now       *plan.Snapshot // in use; nil before start

	from      *handover.Inheritance // from the process before this one, or nil if there was none
	notifier  *systemd.Notifier
	limit     uint64 // of descriptors
	slots     *slots.Slots
	crew      crew.Crew
	prober    *health.Prober
	accessLog *accesslog.Writer // nil before the board is there
	traces    *tracing.Tracing  // nil before the board is there
	past      *history.Sampler  // nil before begin
	notices   *notice.Notices   // nil before begin
	outliers  *outlier.Outliers // nil before begin
	faults    *faultwatch.Watch // nil before begin
	pidFile   string            // path of the one that this process has written, or ""
	overrules []overrule        // by the configuration of the start; obeyed in begin

	certs    *certs.Manager
	acme     *acme.Manager // its certificates go to certs
	ports    *ports.Ports
	hub      *discover.Hub // of names and sources
	crowded  bool          // the board has no room for all that they have found
	operator operator
	file     conffile.File
	outcome  outcome

	rings *rings.Reader // any goroutine

	delay  *time.Timer // between a red /healthz and the closed door; nil before and after
	ending *ending
	moving *upgrading // nil while no upgrade is under way

	looking  sync.RWMutex // held for reading by goroutines other than the desk that look at the board
	unmapped bool         // the board is gone

	loops  atomic.Pointer[crew.Crew]     // any goroutine: the crew, also after it has finished; nil before start
	view   atomic.Pointer[plan.Snapshot] // any goroutine: now, for the operator's server
	public atomic.Pointer[published]     // any goroutine: what status tells while the desk is busy
}

const (
	// hupEvery is the least time between two reloads by signal: the first signal of
	// a storm makes a reload at once, all others together make one after this time.
	hupEvery = 200 * time.Millisecond
	// choreEvery is how often the desk looks for something to tidy up.
	choreEvery = time.Second
)

// run works until everything has ended, and returns how many exchanges were cut
// off.
func (d *desk) run() (cut int) {
	chores := time.NewTicker(choreEvery)
	defer chores.Stop()
	watchdog, stop := ticks(systemd.WatchdogEvery(d.log))
	defer stop()
	hup := d.signals.Reload
	again := time.NewTimer(0) // when SIGHUP is heard again
	defer again.Stop()
	for {
		select {
		case j := <-d.queue.Work:
			d.queue.Run(j.What, j.Do)
			close(j.Done)
		case sig := <-d.signals.End:
			d.end(sig)
		case <-hup:
			d.queue.Run("reloading", func() { d.reloadFor(bySignal) })
			hup = nil
			again.Reset(hupEvery)
		case <-again.C:
			hup = d.signals.Reload
		case <-d.signals.Reopen:
			d.reopenLog()
		case <-d.signals.Upgrade:
			d.beginUpgrade("", func(api.Upgraded, error) {}) // the outcome is in the log
		case <-chores.C:
			d.chores()
		case <-watchdog:
			d.queue.Run("looking whether all loops turn", d.feedWatchdog)
		case <-d.delayed():
			d.closeDoor(false)
		case cut := <-d.ended():
			d.log.Info("stopped", "cut", cut)
			return cut
		}
	}
}

// clock returns the time of the clock that the board goes by.
func (d *desk) clock() tick.Instant { return crew.Now() }

// chores does the work that comes now and then.
func (d *desk) chores() {
	if os.Getpid() == 1 {
		crew.ReapOrphans()
	}
	if d.ending == nil && d.moving == nil { // else another process takes free slots, and the socket
		d.slots.Sweep()
		d.operator.mendRuntime()
		if d.crowded {
			d.takeMembers()
		}
	}
}

// pingTimeout is how long a loop may take to turn; the desk waits for it.
const pingTimeout = 500 * time.Millisecond

// feedWatchdog tells systemd that all is well, if it is.
func (d *desk) feedWatchdog() {
	if d.crew != nil { // a drain has a timeout of its own
		if err := d.crew.Ping(pingTimeout); err != nil {
			d.log.Error("not alive for the watchdog", "cause", err, "mend", "systemd restarts lb if this goes on; see the stack traces, and report them")
			return
		}
	}
	d.notifier.Alive()
}

// ticks returns a ticker's channel, or nil, which never ticks, if every is 0.
func ticks(every time.Duration) (c <-chan time.Time, stop func()) {
	if every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// ending is lb on its way out.
type ending struct {
	atOnce   bool
	replaced bool          // a new process has taken over, and no signal has asked for an end
	cutNow   chan struct{} // closed to cut off what still runs
	result   chan int      // gets the number of exchanges that were cut off
}

// ended returns the channel that gets the number of exchanges cut off once all
// loops have ended, or nil while lb goes on.
func (d *desk) ended() <-chan int {
	if d.ending == nil {
		return nil
	}
	return d.ending.result
}

// end handles a signal that ends lb: the first drains, the next cuts off. While the door is
// still open, the next one closes it.
func (d *desk) end(sig os.Signal) {
	switch {
	case d.delay != nil:
		d.closeDoor(sig == syscall.SIGQUIT)
	case d.ending == nil:
		d.drain(sig == syscall.SIGQUIT)
	case d.ending.replaced && sig != syscall.SIGQUIT:
		d.ending.replaced = false
		d.log.Info("signal: draining already", "signal", sig)
	case !d.ending.atOnce:
		d.log.Warn("second signal: leaving at once", "signal", sig, "mend", "one signal alone waits for open requests")
		d.ending.atOnce = true
		close(d.ending.cutNow)
	}
}

// drain begins to finish what runs, or to end at once, and takes nothing new. With
// timeouts.drain_delay, what is before lb first has that time to see in /healthz that lb is
// to get nothing new; until then everything goes on as before.
func (d *desk) drain(atOnce bool) {
	d.cancelUpgrade()
	d.operator.setDraining()
	d.notifier.Stopping()
	if wait := d.now.Config.Timeouts.DrainDelay; wait > 0 && !atOnce {
		d.delay = time.NewTimer(wait)
		d.log.Info("draining: no longer healthy, the door is open", "for", wait)
		d.publish()
		return
	}
	d.closeDoor(atOnce)
}

// closeDoor takes nothing new from now on.
func (d *desk) closeDoor(atOnce bool) {
	if d.delay != nil {
		d.delay.Stop()
		d.delay = nil
	}
	d.log.Info("draining", "timeout", d.now.Config.Timeouts.Drain, "at_once", atOnce)
	d.finish(atOnce)
}

// delayed returns the channel that says when the delay of a drain is over, or nil.
func (d *desk) delayed() <-chan time.Time {
	if d.delay == nil {
		return nil
	}
	return d.delay.C
}

// isDraining reports whether lb is on its way out.
func (d *desk) isDraining() bool { return d.delay != nil || d.ending != nil }

// finish has the loops end.
func (d *desk) finish(atOnce bool) {
	d.stopHelpers()
	e := &ending{atOnce: atOnce, cutNow: make(chan struct{}), result: make(chan int, 1)}
	if atOnce {
		close(e.cutNow)
	}
	d.publish() // for the last time with what only the crew knows
	crew, timeout := d.crew, d.now.Config.Timeouts.Drain
	d.crew, d.ending = nil, e
	d.publish()
	d.ports.Finish()
	go func() { e.result <- crew.Finish(timeout, e.cutNow) }()
}
