package crew

import (
	"slices"
	"time"

	"lb/supervise/plan"
)

// A keeper is a goroutine that sees to it that a seat has a worker.

// keep starts a worker for s, and another one whenever that is gone, until s is
// taken away.
func (w *workers) keep(s *keeper) {
	for {
		delay := time.Duration(0)
		p, err := w.spawn(s)
		switch {
		case p != nil:
			if p = w.attend(s, p); p == nil {
				return
			}
			delay = w.reap(s, p)
		case err != nil:
			delay = w.cannotSpawn(s, err)
		default:
			return // s is taken away
		}
		again := time.NewTimer(delay)
		select {
		case <-s.left:
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// attend returns the worker of s when it is gone, which may be another one than
// it was; nil when s is taken away first.
func (w *workers) attend(s *keeper, p *process) *process {
	for {
		select {
		case <-s.left:
			return nil
		case <-p.exited:
			return p
		case <-s.alarm:
			p = w.replace(s, p)
		}
	}
}

// spawn starts a worker for s with the newest snapshot. What changes from now on
// reaches it as orders. It returns neither a process nor an error when s is taken
// away.
func (w *workers) spawn(s *keeper) (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if closed(s.left) {
		return nil, nil
	}
	p, sh, err := w.start(s, s.slot)
	if err != nil {
		return nil, err
	}
	s.process, s.share, s.state = p, sh, Starting
	if s.fault != nil {
		s.restarts++
		w.Board.Control().WorkerRestarts.Add(1)
		w.Log.Info("worker started", "worker", s.place, "pid", p.pid())
	}
	return p, nil
}

// start starts a process for s in a slot, which nobody writes to.
func (w *workers) start(s *keeper, slot int) (*process, plan.Seat, error) {
	shares, files := w.shares()
	sh := shares[s.place]
	if slot != s.slot {
		sh.Slots = slices.Clone(sh.Slots)
		sh.Slots[s.place] = slot
	}
	counters := w.Board.Loop(slot)
	// From here on an ID of this snapshot is in use there, also while the process
	// has not got as far as to say so itself.
	counters.OldestConfig.Set(w.snapshot.Number)
	p, err := startProcess(processOptions{
		place:     s.place,
		slot:      slot,
		boardFile: w.BoardFile,
		exchanges: func() int { return int(counters.Exchanges.Load()) },
		heard:     w.heard,
		passOn:    w.relay,
		returned:  w.comeBack,
	}, outgoing{order: order{Start: &startOrder{Slot: slot, Share: sh}}, files: files[s.place]})
	if err != nil {
		counters.OldestConfig.Set(0)
		return nil, plan.Seat{}, err
	}
	return p, sh, nil
}

// reap tidies up behind the worker of s, which is gone, and returns how long to
// wait with the next one.
func (w *workers) reap(s *keeper, p *process) (delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if closed(s.left) {
		return 0 // who took it away has the process
	}
	delay = backOff(s.deaths.note(p.age()))
	w.logDeath(p, "restart_in", delay)
	w.Board.TakeOver(s.slot)
	s.process, s.state, s.fault = nil, Waiting, p.cause()
	w.tell()
	return delay
}

// logDeath tells why a process, which has exited, is gone.
func (w *workers) logDeath(p *process, more ...any) {
	w.Log.Error("worker died", append([]any{"worker", p.o.place, "pid", p.pid(), "cause", p.cause(),
		"age", p.age(), "cut", p.cut}, more...)...)
}

// cannotSpawn is bury for a worker that could not be started.
func (w *workers) cannotSpawn(s *keeper, err error) (delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delay = backOff(s.deaths.note(0))
	w.Log.Error("worker cannot be started", "worker", s.place, "cause", err, "restart_in", delay)
	s.state, s.fault = Waiting, err
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
	for _, s := range w.active {
		tooMany := s.panics.note(now, w.Board.Loop(s.slot).Panics.Load())
		if tooMany && s.state == Serving && !slices.Contains(w.retiring, s.predecessor) {
			offer(s.alarm, struct{}{})
		}
	}
}

// replace starts a worker in a new slot with the sockets of old, the worker of s,
// and when it serves has old retire. It returns the worker that s has then.
func (w *workers) replace(s *keeper, old *process) *process {
	p, err := w.startBeside(s)
	if p == nil {
		if err != nil {
			w.Log.Error("worker cannot be replaced", "worker", s.place, "pid", old.pid(), "cause", err)
		}
		return old
	}
	select {
	case <-p.serving:
	case <-p.exited:
	case <-old.exited:
	case <-s.left:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.serves() || closed(old.exited) || closed(s.left) {
		w.retire(p)
		return old
	}
	w.Log.Error("worker panicked too often, replaced", "worker", s.place, "pid", old.pid(),
		"slot", old.o.slot, "by_pid", p.pid(), "by_slot", p.o.slot)
	w.seat(s, p, old)
	return p
}

// startBeside starts a second process for s. It returns neither a process nor an
// error when s is taken away.
func (w *workers) startBeside(s *keeper) (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if closed(s.left) {
		return nil, nil
	}
	slot, err := w.Slots.Claim()
	if err != nil {
		return nil, err
	}
	p, _, err := w.start(s, slot)
	if err != nil {
		w.Slots.Release(slot)
		return nil, err
	}
	return p, nil
}

// seat gives s the process p in the place of old.
func (w *workers) seat(s *keeper, p, old *process) {
	s.process, s.slot, s.predecessor = p, p.o.slot, old
	s.panics = panicWatch{}
	s.panics.note(time.Now(), w.Board.Loop(s.slot).Panics.Load())
	s.restarts++
	w.Board.Control().WorkerRestarts.Add(1)
	w.retire(old)
	s.share = plan.Seat{} // it began with what was the newest then
	w.deal()
}
