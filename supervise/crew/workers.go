package crew

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lb/admin/api"
	"lb/internal/tlsconf"
	"lb/supervise/asking"
	"lb/supervise/engine"
	"lb/supervise/listen"
	"lb/supervise/plan"
)

// workers are the loops of mp: processes with one loop each, replaced when they
// die.
type workers struct {
	Options
	keepers  sync.WaitGroup // one for each seat
	watchers sync.WaitGroup // the watch over panics, and one for each retiring worker
	asked    asking.Book

	mu       sync.Mutex // guards what follows and the keepers; its holder waits for no worker
	ending   chan struct{}
	news     chan struct{} // closed, and made again, when a worker has made progress
	snapshot *plan.Snapshot
	sockets  []*listen.Set
	numbers  socketNumbers
	pings    uint64
	active   []*keeper // by place
	retiring []*process
	unplaced []engine.Passed // conns for which no worker is up; the next one gets them
}

// startWorkers is Start for mp.
func startWorkers(c Options, s *plan.Snapshot, sets []*listen.Set, n int) (*workers, error) {
	w := &workers{Options: c, ending: make(chan struct{}), news: make(chan struct{})}
	err := w.resize(s, sets, n)
	if err == nil {
		err = w.wait(readyTimeout, w.begun)
	}
	if err != nil {
		now := make(chan struct{})
		close(now)
		w.Finish(0, now)
		return nil, err
	}
	w.watchers.Go(w.watchPanics)
	return w, nil
}

// begun returns what the start waits for. fatal is set if a worker has died.
func (w *workers) begun() (missing []error, fatal error) {
	for _, k := range w.active {
		switch {
		case k.fault != nil:
			return nil, fmt.Errorf("worker %d: %w", k.place, k.fault)
		case k.state != Serving:
			missing = append(missing, fmt.Errorf("worker %d does not serve after %v", k.place, readyTimeout))
		}
	}
	return missing, nil
}

// Apply implements Crew.
func (w *workers) Apply(s *plan.Snapshot, sets []*listen.Set, n int) error {
	err := w.resize(s, sets, n)
	return errors.Join(err, w.wait(applyTimeout, func() ([]error, error) { return w.lagging(s.Number), nil }))
}

// lagging returns the workers that have not taken up the snapshot of this number. The
// next worker of a seat begins with the newest one.
func (w *workers) lagging(number uint64) (missing []error) {
	for _, k := range w.active {
		switch p := k.process; {
		case p == nil && k.fault != nil:
			missing = append(missing, fmt.Errorf("worker %d is down, and waits to be started again: %w", k.place, k.fault))
		case p == nil:
			missing = append(missing, fmt.Errorf("worker %d is not started after %v", k.place, applyTimeout))
		case p.applied.Load() < number:
			missing = append(missing, fmt.Errorf("worker %d (pid %d, %s) has not taken up configuration %d after %v",
				k.place, p.pid(), k.state, number, applyTimeout))
		}
	}
	for _, p := range w.retiring {
		if p.applied.Load() < number && !closed(p.exited) {
			missing = append(missing, fmt.Errorf("retiring worker with pid %d has not taken up configuration %d after %v",
				p.pid(), number, applyTimeout))
		}
	}
	return missing
}

// wait returns when nothing is missing, with what is missing after timeout, or at
// once with what is fatal. look is called with the mutex held.
func (w *workers) wait(timeout time.Duration, look func() (missing []error, fatal error)) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		w.mu.Lock()
		missing, fatal := look()
		news := w.news
		w.mu.Unlock()
		if fatal != nil || len(missing) == 0 {
			return fatal
		}
		select {
		case <-news:
		case <-late.C:
			return errors.Join(missing...)
		}
	}
}

// progressed is called when a worker has made progress.
func (w *workers) progressed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	back := false
	for _, k := range w.active {
		if k.process != nil && k.process.serves() {
			back = back || k.orphaned()
			k.state = Serving
		}
	}
	if back {
		w.deal() // those who served its sockets leave them to it
	}
	for len(w.unplaced) > 0 && w.passToAny(w.unplaced[0]) {
		w.unplaced = w.unplaced[1:]
	}
	w.tell()
}

// tell makes every wait look again.
func (w *workers) tell() {
	close(w.news)
	w.news = make(chan struct{})
}

// resize gives all workers s, with n of them in use, or fewer after an error.
func (w *workers) resize(s *plan.Snapshot, sets []*listen.Set, n int) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot, w.sockets = s, sets
	leave := w.active[min(n, len(w.active)):]
	w.active = slices.Clone(w.active[:len(w.active)-len(leave)])
	var come []*keeper
	for len(w.active) < n && err == nil {
		var one *keeper
		if one, err = w.newKeeper(len(w.active)); err == nil {
			w.active, come = append(w.active, one), append(come, one)
		}
	}
	for _, one := range leave {
		w.dismiss(one)
	}
	w.deal()
	for _, one := range come {
		w.keepers.Go(func() { w.keep(one) })
	}
	return err
}

func (w *workers) newKeeper(place int) (*keeper, error) {
	slot, err := w.Slots.Claim()
	if err != nil {
		return nil, fmt.Errorf("worker %d: %w", place, err)
	}
	k := &keeper{
		place:     place,
		slot:      slot,
		state:     Starting,
		dismissed: make(chan struct{}),
		alarm:     make(chan struct{}, 1),
	}
	k.panics.note(time.Now(), w.Board.Loop(slot).Panics.Load())
	return k, nil
}

// deal gives every worker that is up its seat in the newest snapshot.
func (w *workers) deal() {
	seats, hands := w.seats()
	for i, k := range w.active {
		if k.process != nil && !k.seat.Equal(seats[i]) {
			k.seat = seats[i]
			k.process.apply(seats[i], hands[i].files)
		}
	}
	for _, p := range w.retiring {
		p.apply(w.retiringSeat(p), nil)
	}
}

// retiringSeat returns the seat of a worker that retires.
func (w *workers) retiringSeat(p *process) plan.Seat {
	n := len(w.active)
	return plan.Seat{Snapshot: w.snapshot, Place: n, Loops: n + 1, Slots: append(w.activeSlots(), p.o.slot)}
}

// seats returns what the workers are to be given, by place. Every socket has its worker,
// whether the worker is up or not, and another one while it is not.
func (w *workers) seats() (seats []plan.Seat, hands []hand) {
	n, slots := len(w.active), w.activeSlots()
	hands = deal(w.snapshot, w.sockets, n)
	w.adopt(hands)
	numbers := w.numbers.deal(hands)
	for place := range n {
		seats = append(seats, plan.Seat{
			Snapshot:  w.snapshot,
			Place:     place,
			Loops:     n,
			Slots:     slots,
			Sockets:   numbers[place],
			Listeners: hands[place].listeners,
		})
	}
	return seats, hands
}

// adopt adds the sockets of each worker that is down to those of one that serves: what the
// system puts into their queues meanwhile does not wait. Seats whose first worker is not
// up yet are left out, because that will not take long.
func (w *workers) adopt(hands []hand) {
	var living []int
	for place, k := range w.active {
		if k.state == Serving {
			living = append(living, place)
		}
	}
	if len(living) == 0 {
		return
	}
	for place, k := range w.active {
		if !k.orphaned() {
			continue
		}
		to := &hands[living[place%len(living)]]
		for i, f := range hands[place].files {
			if !slices.Contains(to.files, f) { // else it is of a shared set
				to.add(f, hands[place].listeners[i])
			}
		}
	}
}

func (w *workers) activeSlots() []int {
	slots := make([]int, len(w.active))
	for i, k := range w.active {
		slots[i] = k.slot
	}
	return slots
}

// dismiss takes a seat away. Its worker finishes what it has, without haste, and
// the conns that wait in its sockets, which may belong to an address that is left.
func (w *workers) dismiss(k *keeper) {
	close(k.dismissed)
	if k.process == nil {
		w.Slots.Release(k.slot)
		return
	}
	w.retire(k.process)
}

// retire has a worker that no longer has a seat finish what it has.
func (w *workers) retire(p *process) {
	w.retiring = append(w.retiring, p)
	p.order(order{Retire: true})
	w.watchers.Go(func() {
		<-p.exited
		if !p.gone {
			w.logDeath(p, "retiring", true)
		}
		w.Slots.Release(p.o.slot)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.retiring = slices.DeleteFunc(w.retiring, func(other *process) bool { return other == p })
		w.tell()
	})
}

// Change implements Crew. A worker that has not read the last changes yet gets all of s.
func (w *workers) Change(s *plan.Snapshot, d *plan.Delta) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot = s // for workers that start later
	late := false
	for _, k := range w.active {
		switch {
		case k.process == nil:
		case k.seat.Snapshot == nil || k.seat.Snapshot.Number != d.From || k.process.outbox.late():
			late = true
		default:
			k.process.order(order{Change: d})
			k.seat.Snapshot = s
		}
	}
	if late {
		w.deal() // also to those that retire
		return
	}
	for _, p := range w.retiring {
		if p.outbox.late() {
			p.apply(w.retiringSeat(p), nil)
		} else {
			p.order(order{Change: d})
		}
	}
}

// SetSecrets gives every worker, and every later one, other secrets.
func (w *workers) SetSecrets(secrets *tlsconf.Secrets) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot = w.snapshot.WithSecrets(secrets) // for workers that start later
	for _, p := range w.processes() {
		p.order(order{Secrets: secrets})
	}
}

// SetLogLevel gives every worker, and every later one, another level of its log.
func (w *workers) SetLogLevel(level string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot = w.snapshot.WithLogLevel(level) // for workers that start later
	for _, p := range w.processes() {
		p.order(order{LogLevel: level})
	}
}

// processes returns every process that is up.
func (w *workers) processes() (list []*process) {
	for _, k := range w.active {
		if k.process != nil {
			list = append(list, k.process)
		}
	}
	return append(list, w.retiring...)
}

// relay passes a conn that one worker has accepted on to the worker of slot, or
// back if that worker takes none.
func (w *workers) relay(from *process, slot int, c engine.Passed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	back := false
	for _, k := range w.active {
		if k.slot == slot && k.process != nil && k.process.pass(c, false) {
			return
		}
		back = back || k.process == from // a retiring worker takes no conn back
	}
	if back && from.pass(c, true) || w.passToAny(c) || from.pass(c, true) {
		return
	}
	w.place(c)
}

// comeBack places conns that did not reach a worker.
func (w *workers) comeBack(conns []engine.Passed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		w.place(c)
	}
}

// place passes c on to any worker, or has it wait for the next one.
func (w *workers) place(c engine.Passed) {
	switch {
	case w.passToAny(c):
	case closed(w.ending):
		c.Close()
	default:
		w.unplaced = append(w.unplaced, c)
	}
}

// passToAny passes c on to the worker with the fewest conns that takes it, and
// returns false if no worker does.
func (w *workers) passToAny(c engine.Passed) bool {
	conns := func(k *keeper) uint64 { return w.Board.Loop(k.slot).ClientConns.Load() }
	byConns := slices.SortedFunc(slices.Values(w.active), func(a, b *keeper) int { return cmp.Compare(conns(a), conns(b)) })
	for _, k := range byConns {
		if k.process != nil && k.process.pass(c, true) {
			return true
		}
	}
	return false
}

// Loops implements Crew.
func (w *workers) Loops() (list []Loop) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.active {
		one := Loop{Slot: k.slot, Place: k.place, Restarts: k.restarts, State: k.state}
		if k.process != nil {
			one.PID, one.Since = k.process.pid(), k.process.started
		}
		list = append(list, one)
	}
	for _, p := range w.retiring {
		list = append(list, Loop{Slot: p.o.slot, PID: p.pid(), Since: p.started, State: Retiring})
	}
	return list
}

// Ping implements Crew.
func (w *workers) Ping(timeout time.Duration) error {
	w.mu.Lock()
	w.pings++
	number, asked := w.pings, map[*process]int{}
	for _, k := range w.active {
		if k.state == Serving {
			asked[k.process] = k.place
			k.process.order(order{Ping: number})
		}
	}
	w.mu.Unlock()
	return w.wait(timeout, func() (missing []error, _ error) {
		for p, place := range asked {
			if p.ponged.Load() < number && !closed(p.exited) {
				missing = append(missing, fmt.Errorf("worker %d (pid %d) does not turn after %v", place, p.pid(), timeout))
			}
		}
		return missing, nil
	})
}

// Explain implements Crew.
func (w *workers) Explain(ask api.ExplainAsk) (api.Explained, error) {
	w.mu.Lock()
	i := slices.IndexFunc(w.active, func(k *keeper) bool { return k.state == Serving })
	if i < 0 {
		w.mu.Unlock()
		return api.Explained{}, errors.New("no worker serves now; lb status has more")
	}
	p := w.active[i].process
	w.mu.Unlock()
	return w.asked.Ask(ask, workerName(i)[len("lb: "):], p.exited, func(q asking.Question) { p.order(order{Explain: &q}) })
}

// Running implements Crew.
func (w *workers) Running() (n int, restarts uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.active {
		if k.state == Serving {
			n++
		}
	}
	return n, w.Board.Control().WorkerRestarts.Load()
}

// Finish implements Crew.
func (w *workers) Finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	w.mu.Lock()
	close(w.ending)
	for _, c := range w.unplaced {
		w.place(c)
	}
	w.unplaced = nil
	for _, k := range w.active {
		close(k.dismissed)
	}
	w.mu.Unlock()
	w.keepers.Wait()

	w.mu.Lock()
	all, retiring := w.processes(), slices.Clone(w.retiring)
	w.mu.Unlock()
	var running sync.WaitGroup
	for _, p := range all {
		running.Go(func() { p.finish(timeout, now) })
	}
	running.Wait()
	w.watchers.Wait()
	for _, p := range all {
		cut += p.cut
		if !p.gone && !slices.Contains(retiring, p) { // else it is in the log already
			w.logDeath(p)
		}
	}
	for _, k := range w.active {
		w.Slots.Release(k.slot)
	}
	return cut
}
