package crew

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lb/admin/api"
	"lb/internal/ipc"
	"lb/internal/tlsconf"
	"lb/supervise/asking"
	"lb/supervise/engine"
	"lb/supervise/listen"
	"lb/supervise/plan"
)

// threads are the loops of mt: goroutines of this process, each locked to an OS
// thread.
type threads struct {
	Options
	ending  chan struct{}
	helpers sync.WaitGroup // the watch over panics, and one for each retiring loop
	targets atomic.Pointer[map[int]*engine.Engine]
	asked   asking.Book
	sets    engine.Sets

	mu       sync.Mutex // guards what follows; no loop waits for it, and its holder waits for no loop
	snapshot *plan.Snapshot
	sockets  []*listen.Set
	numbers  socketNumbers
	active   []*thread // by place
	retiring []*thread
}

// thread is one loop of threads.
type thread struct {
	slot        int
	since       time.Time
	engine      *engine.Engine // nil if it is not started yet
	seat        plan.Seat      // what it was given last
	panics      panicWatch
	restarts    int
	predecessor *thread // that panicked too often, or nil if none did
}

// startThreads is Start for mt.
func startThreads(c Options, s *plan.Snapshot, sets []*listen.Set, n int) (*threads, error) {
	t := &threads{Options: c, ending: make(chan struct{})}
	if err := t.Apply(s, sets, n); err != nil {
		now := make(chan struct{})
		close(now)
		t.Finish(0, now)
		return nil, err
	}
	t.helpers.Go(t.watchPanics)
	return t, nil
}

// Apply implements Crew.
func (t *threads) Apply(s *plan.Snapshot, sets []*listen.Set, n int) error {
	raiseProcs(n, s) // so that the control plane never waits for a loop
	acks, err := t.resize(s, sets, n)
	return errors.Join(err, acks.Wait(applyTimeout, fmt.Sprintf("has not taken up configuration %d", s.Number)))
}

// resize gives all loops s, with n of them in use, or fewer after an error.
func (t *threads) resize(s *plan.Snapshot, sets []*listen.Set, n int) (acks asking.Acks, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snapshot, t.sockets = s, sets
	leave := t.active[min(n, len(t.active)):]
	t.active = slices.Clone(t.active[:len(t.active)-len(leave)])
	for len(t.active) < n && err == nil {
		var slot int
		if slot, err = t.Slots.Claim(); err == nil {
			t.active = append(t.active, &thread{slot: slot})
		}
	}
	for _, th := range leave {
		t.retire(th)
	}
	acks, dealErr := t.deal()
	return acks, errors.Join(err, dealErr)
}

// deal gives every loop its seat, and starts loops that do not run yet. One that
// cannot begin is left out, and the others share its sockets.
func (t *threads) deal() (acks asking.Acks, err error) {
	for {
		failed, startErr := t.dealTo(&acks)
		err = errors.Join(err, startErr)
		if failed == nil {
			return acks, err
		}
		t.Slots.Release(failed.slot)
		t.active = slices.DeleteFunc(t.active, func(th *thread) bool { return th == failed })
	}
}

// dealTo is deal until one loop cannot begin.
func (t *threads) dealTo(acks *asking.Acks) (failed *thread, err error) {
	n := len(t.active)
	hands := deal(t.snapshot, t.sockets, n)
	numbers := t.numbers.deal(hands)
	slots := make([]int, n)
	for i, th := range t.active {
		slots[i] = th.slot
	}
	for i, th := range t.active {
		s := plan.Seat{Snapshot: t.snapshot, Place: i, Loops: n, Slots: slots,
			Sockets: numbers[i], Listeners: hands[i].listeners}
		if startErr := t.update(th, s, hands[i].files, acks, fmt.Sprintf("loop %d", i)); startErr != nil {
			if th.engine == nil {
				return th, startErr
			}
			err = errors.Join(err, startErr)
		}
	}
	for _, th := range t.retiring {
		s := plan.Seat{Snapshot: t.snapshot, Loops: n + 1, Slots: append(slices.Clone(slots), th.slot), Place: n}
		t.update(th, s, nil, acks, fmt.Sprintf("the retiring loop of slot %d", th.slot))
	}
	t.publish()
	return nil, err
}

// update gives one loop s, or starts it with s. files are all sockets of s.
func (t *threads) update(th *thread, s plan.Seat, files []*os.File, acks *asking.Acks, name string) error {
	if th.engine != nil && th.seat.Equal(s) {
		return nil
	}
	fresh := newSockets(s.Sockets, th.seat.Sockets, files)
	fds, err := ipc.DupAll(fresh)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if th.engine == nil {
		return t.start(th, s, fds)
	}
	th.seat = s
	th.engine.Apply(s, fds, acks.Expect(name, th.engine.Ended()))
	return nil
}

// start starts th with s. It takes fds over.
func (t *threads) start(th *thread, s plan.Seat, fds []int) error {
	th.panics.note(time.Now(), t.Board.Loop(th.slot).Panics.Load())
	e, err := engine.Start(engine.Options{
		Board:  t.Board,
		Slot:   th.slot,
		Log:    t.Log,
		Limit:  t.Limit,
		Shared: true,
		PassOn: t.passOn,
		Sets:   &t.sets,
	}, s, fds)
	if err != nil {
		return err
	}
	th.engine, th.seat, th.since = e, s, time.Now()
	return nil
}

// publish makes known which loops take conns that others pass on.
func (t *threads) publish() {
	targets := map[int]*engine.Engine{}
	for _, th := range t.active {
		targets[th.slot] = th.engine
	}
	t.targets.Store(&targets)
}

// passOn has the loop of slot take over a conn that another loop has accepted. It is
// called on that other loop.
func (t *threads) passOn(slot int, c engine.Passed) bool {
	targets := t.targets.Load()
	if targets == nil {
		return false
	}
	e := (*targets)[slot]
	return e != nil && e.Pass(c)
}

// retire has a loop that is no longer in use finish what it has, without haste, and
// the conns that wait in its sockets, which may belong to an address that is left.
func (t *threads) retire(th *thread) {
	t.retiring = append(t.retiring, th)
	th.engine.Drain()
	t.helpers.Go(func() {
		select {
		case <-th.engine.Drained():
		case <-th.engine.Ended(): // cut off by finish
		}
		th.engine.Stop()
		t.Slots.Release(th.slot)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.retiring = slices.DeleteFunc(t.retiring, func(other *thread) bool { return other == th })
	})
}

// watchPanics replaces loops that panic too often.
func (t *threads) watchPanics() {
	look := time.NewTicker(panicLook)
	defer look.Stop()
	for {
		select {
		case <-t.ending:
			return
		case now := <-look.C:
			t.lookForPanics(now)
		}
	}
}

func (t *threads) lookForPanics(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if closed(t.ending) {
		return
	}
	for i, th := range t.active {
		tooMany := th.panics.note(now, t.Board.Loop(th.slot).Panics.Load())
		if tooMany && !slices.Contains(t.retiring, th.predecessor) {
			if err := t.replace(i); err != nil {
				t.Log.Error("loop cannot be replaced", "loop", i, "slot", th.slot, "cause", err, "mend", "restart lb, and report the panics")
			}
			return // the others at the next look, because the list has changed
		}
	}
}

// replace starts a loop in a new slot with the sockets of the loop at place, and has
// that loop retire.
func (t *threads) replace(place int) error {
	slot, err := t.Slots.Claim()
	if err != nil {
		return err
	}
	old := t.active[place]
	successor := &thread{slot: slot, restarts: old.restarts + 1, predecessor: old}
	t.active[place] = successor
	if _, err := t.deal(); successor.engine == nil {
		t.active = slices.Insert(t.active, place, old)
		_, again := t.deal()
		return errors.Join(err, again)
	}
	t.Log.Error("loop panicked too often, replaced", "loop", place, "slot", old.slot, "by_slot", slot, "mend", "report the panics, with their stacks")
	t.retire(old)
	return nil
}

// Change implements Crew.
func (t *threads) Change(s *plan.Snapshot, d *plan.Delta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snapshot = s
	for _, th := range t.all() {
		th.seat.Snapshot = s
		th.engine.Change(th.seat, d.Changed(), func() {})
	}
}

// SetSecrets implements Crew.
func (t *threads) SetSecrets(secrets *tlsconf.Secrets) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snapshot = t.snapshot.WithSecrets(secrets) // for loops that start later
	for _, th := range t.all() {
		th.engine.SetSecrets(secrets)
	}
}

// SetLogLevel implements Crew: the level is that of this process.
func (t *threads) SetLogLevel(string) {}

// all returns every loop that was started.
func (t *threads) all() []*thread { return slices.Concat(t.active, t.retiring) }

// Loops implements Crew.
func (t *threads) Loops() []Loop {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Loop, 0, len(t.active)+len(t.retiring))
	for i, th := range t.all() {
		state := Serving
		if i >= len(t.active) {
			state = Retiring
		}
		list = append(list, Loop{
			Slot:     th.slot,
			Place:    i,
			PID:      os.Getpid(),
			Since:    th.since,
			Restarts: th.restarts,
			State:    state,
		})
	}
	return list
}

// Ping implements Crew.
func (t *threads) Ping(timeout time.Duration) error {
	var acks asking.Acks
	t.mu.Lock()
	for i, th := range t.active {
		done := acks.Expect(fmt.Sprintf("loop %d", i), th.engine.Ended())
		th.engine.Ping(func() { done(nil) })
	}
	t.mu.Unlock()
	return acks.Wait(timeout, "does not turn")
}

// Explain implements Crew.
func (t *threads) Explain(ask api.ExplainAsk) (api.Explained, error) {
	t.mu.Lock()
	e := t.active[0].engine
	t.mu.Unlock()
	return t.asked.Ask(ask, "loop 0", e.Ended(), func(q asking.Question) { e.Explain(q, t.asked.Put) })
}

// Running implements Crew.
func (t *threads) Running() (n int, restarts uint64) {
	if targets := t.targets.Load(); targets != nil {
		n = len(*targets)
	}
	return n, t.Board.Control().WorkerRestarts.Load()
}

// Finish implements Crew.
func (t *threads) Finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	t.mu.Lock()
	close(t.ending)
	all, retiring := t.all(), len(t.retiring)
	t.mu.Unlock()
	var total atomic.Int64
	var running sync.WaitGroup
	for _, th := range all {
		running.Go(func() { total.Add(int64(th.engine.Finish(timeout, now))) })
	}
	running.Wait()
	t.helpers.Wait()
	for _, th := range all[:len(all)-retiring] {
		t.Slots.Release(th.slot)
	}
	return int(total.Load())
}
