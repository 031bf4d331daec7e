package crew

import (
	"slices"
	"time"

	"lb/supervise/plan"
)

// keeper is the seat of one worker, and the goroutine that sees to it that the seat
// has a worker. Its slot on the board and its sockets stay when the worker dies and
// is replaced. The mutex of workers guards it.
type keeper struct {
	place       int
	slot        int
	process     *process  // nil if it died, or was not started yet
	seat        plan.Seat // what the process was given last
	state       State
	dismissed   chan struct{} // closed when the seat is taken away
	alarm       chan struct{} // has a value when the worker panics too often
	deaths      deaths
	fault       error // why the last worker died, or nil if none did
	panics      panicWatch
	requests    uint64 // that were counted in the slot when the process was started
	restarts    int
	predecessor *process // that panicked too often, or nil if none did
}

// orphaned reports whether the worker of k is down, or its successor does not serve yet.
func (k *keeper) orphaned() bool { return k.fault != nil && k.state != Serving }

// keep starts a worker for k, and another one whenever it is gone, until the seat is
// taken away.
func (w *workers) keep(k *keeper) {
	for {
		delay := time.Duration(0)
		p, err := w.spawn(k)
		switch {
		case p != nil:
			if p = w.attend(k, p); p == nil {
				return
			}
			delay = w.reap(k, p)
		case err != nil:
			delay = w.cannotSpawn(k, err)
		default:
			return // the seat is taken away
		}
		again := time.NewTimer(delay)
		select {
		case <-k.dismissed:
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// attend returns the worker of k when it is gone; it may be another worker than p
// by then. It returns nil if the seat is taken away first.
func (w *workers) attend(k *keeper, p *process) *process {
	for {
		select {
		case <-k.dismissed:
			return nil
		case <-p.exited:
			return p
		case <-k.alarm:
			p = w.replace(k, p)
		}
	}
}

// spawn starts a worker for k with the newest snapshot. Later changes reach it as
// orders. It returns neither a process nor an error if the seat is taken away.
func (w *workers) spawn(k *keeper) (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if closed(k.dismissed) {
		return nil, nil
	}
	p, seat, err := w.start(k, k.slot)
	if err != nil {
		return nil, err
	}
	k.process, k.seat, k.state = p, seat, Starting
	k.requests = w.Board.Loop(k.slot).Requests.Load()
	if k.fault != nil {
		k.restarts++
		w.Board.Control().WorkerRestarts.Add(1)
		w.Log.Info("worker started", "worker", k.place, "pid", p.pid())
	}
	return p, nil
}

// start starts a process for k in a slot to which nobody writes.
func (w *workers) start(k *keeper, slot int) (*process, plan.Seat, error) {
	seats, hands := w.seats()
	seat := seats[k.place]
	if slot != k.slot {
		seat.Slots = slices.Clone(seat.Slots)
		seat.Slots[k.place] = slot
	}
	counters := w.Board.Loop(slot)
	// From here on an ID of this snapshot is in use there, even before the process
	// has come so far as to say so itself.
	counters.OldestConfig.Set(w.snapshot.Number)
	p, err := startProcess(processOptions{
		place:      k.place,
		slot:       slot,
		boardFile:  w.BoardFile,
		program:    w.Program,
		exchanges:  func() int { return int(counters.Exchanges.Load()) },
		progressed: w.progressed,
		answered:   w.asked.Put,
		passOn:     w.relay,
		returned:   w.comeBack,
	}, outgoing{order: order{Start: &startOrder{Slot: slot, Seat: seat}}, files: hands[k.place].files})
	if err != nil {
		counters.OldestConfig.Set(0)
		return nil, plan.Seat{}, err
	}
	return p, seat, nil
}

// reap tidies up after the worker of k, which is gone, and returns how long to wait
// before the next one.
func (w *workers) reap(k *keeper, p *process) (delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if closed(k.dismissed) {
		return 0 // retire waits for the process
	}
	k.process, k.state, k.fault = nil, Waiting, p.cause()
	served := w.Board.Loop(k.slot).Requests.Load() != k.requests
	delay = w.delay(backOff(k.deaths.note(p.age(), served)), closed(p.serving))
	w.logDeath(p, "restart_in", delay)
	w.Board.TakeOver(k.slot)
	w.deal() // others serve its sockets until the next one does
	w.tell()
	return delay
}

// delay returns how long to wait before the next worker of a seat: less than its back-off if
// no worker serves. ready says that the last one did.
func (w *workers) delay(backOff time.Duration, ready bool) time.Duration {
	lives := func(k *keeper) bool { return k.state == Serving }
	switch {
	case slices.ContainsFunc(w.active, lives):
		return backOff
	case ready:
		return 0
	}
	return min(backOff, backOffMin)
}

// logDeath logs why a process, which has exited, is gone.
func (w *workers) logDeath(p *process, more ...any) {
	w.Log.Error("worker died", append([]any{"worker", p.o.place, "pid", p.pid(), "cause", p.cause(),
		"age", p.age(), "cut", p.cut, "mend", "if the system has killed it, see the memory (dmesg); report a panic"}, more...)...)
}

// cannotSpawn is reap for a worker that could not be started.
func (w *workers) cannotSpawn(k *keeper, err error) (delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.state, k.fault = Waiting, err
	delay = w.delay(backOff(k.deaths.note(0, false)), false)
	w.Log.Error("worker cannot be started", "worker", k.place, "cause", err, "restart_in", delay, "mend", "see the limits of processes, memory and descriptors")
	w.deal()
	w.tell()
	return delay
}

// watchPanics tells the keepers of workers that panic too often.
func (w *workers) watchPanics() {
	look := time.NewTicker(panicLook)
	defer look.Stop()
	for {
		select {
		case <-w.ending:
			return
		case now := <-look.C:
			w.lookForPanics(now)
		}
	}
}

func (w *workers) lookForPanics(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.active {
		tooMany := k.panics.note(now, w.Board.Loop(k.slot).Panics.Load())
		if tooMany && k.state == Serving && !slices.Contains(w.retiring, k.predecessor) {
			offer(k.alarm, struct{}{})
		}
	}
}

// replace starts a worker in a new slot with the sockets of old, the worker of k,
// and has old retire once the new one serves. It returns the worker that k has
// then.
func (w *workers) replace(k *keeper, old *process) *process {
	p, err := w.startBeside(k)
	if p == nil {
		if err != nil {
			w.Log.Error("worker cannot be replaced", "worker", k.place, "pid", old.pid(), "cause", err, "mend", "restart lb, and report the panics")
		}
		return old
	}
	select {
	case <-p.serving:
	case <-p.exited:
	case <-old.exited:
	case <-k.dismissed:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.serves() || closed(old.exited) || closed(k.dismissed) {
		w.retire(p)
		return old
	}
	w.Log.Error("worker panicked too often, replaced", "worker", k.place, "pid", old.pid(),
		"slot", old.o.slot, "by_pid", p.pid(), "by_slot", p.o.slot, "mend", "report the panics, with their stacks")
	w.install(k, p, old)
	return p
}

// startBeside starts a second process for k. It returns neither a process nor an
// error if the seat is taken away.
func (w *workers) startBeside(k *keeper) (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if closed(k.dismissed) {
		return nil, nil
	}
	slot, err := w.Slots.Claim()
	if err != nil {
		return nil, err
	}
	p, _, err := w.start(k, slot)
	if err != nil {
		w.Slots.Release(slot)
		return nil, err
	}
	return p, nil
}

// install gives k the process p in the place of old.
func (w *workers) install(k *keeper, p, old *process) {
	k.process, k.slot, k.predecessor = p, p.o.slot, old
	k.requests = w.Board.Loop(k.slot).Requests.Load()
	k.panics = panicWatch{}
	k.panics.note(time.Now(), w.Board.Loop(k.slot).Panics.Load())
	k.restarts++
	w.Board.Control().WorkerRestarts.Add(1)
	w.retire(old)
	k.seat = plan.Seat{} // it began with the newest of that time
	w.deal()
}
