package crew

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"lb/supervise/engine"
	"lb/supervise/listen"
	"lb/supervise/plan"
)

// workers are the loops of mp: processes with one loop each, replaced when they
// die.
type workers struct {
	Options
	keepers  sync.WaitGroup // one for each seat
	watchers sync.WaitGroup // the watch over panics, and who waits for a retiring worker

	mu       sync.Mutex // guards what follows and the seats; nobody waits for a worker under it
	ending   chan struct{}
	news     chan struct{} // closed, and made again, when a worker has got on
	snapshot *plan.Snapshot
	sockets  *listen.Set
	numbers  socketNumbers
	pings    uint64
	active   []*keeper // by place
	retiring []*process
	unplaced []engine.Passed // conns for which no worker is up; the next one has them
}

// keeper is the place of one worker. Its slot on the board and its sockets stay
// when a worker dies and is replaced. The mutex of workers guards it.
type keeper struct {
	place       int
	slot        int
	process     *process  // nil: it died, or was not started yet
	share       plan.Seat // what the process was given last
	state       State
	left        chan struct{} // closed: it has no keeper any more
	alarm       chan struct{} // has a value when its worker panics too often
	deaths      deaths
	fault       error // why the last worker died; nil: none did
	panics      panicWatch
	restarts    int
	predecessor *process // that panicked too often; nil: none did
}

// startWorkers is startCrew for mp.
func startWorkers(c Options, s *plan.Snapshot, ls *listen.Set, n int) (*workers, error) {
	w := &workers{Options: c, ending: make(chan struct{}), news: make(chan struct{})}
	err := w.resize(s, ls, n)
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

// begun returns what the start waits for; fatal is set when a worker has died.
func (w *workers) begun() (missing []error, fatal error) {
	for _, s := range w.active {
		switch {
		case s.fault != nil:
			return nil, fmt.Errorf("worker %d: %w", s.place, s.fault)
		case s.state != Serving:
			missing = append(missing, fmt.Errorf("worker %d does not serve after %v", s.place, readyTimeout))
		}
	}
	return missing, nil
}

func (w *workers) Apply(s *plan.Snapshot, ls *listen.Set, n int) error {
	err := w.resize(s, ls, n)
	return errors.Join(err, w.wait(applyTimeout, func() ([]error, error) { return w.behind(s.Number), nil }))
}

// behind returns which workers have not taken up the snapshot of this number.
// A successor has begun with the newest one.
func (w *workers) behind(number uint64) (missing []error) {
	for _, s := range w.active {
		switch p := s.process; {
		case p == nil && s.fault != nil:
			missing = append(missing, fmt.Errorf("worker %d is down, and waits to be started again: %w", s.place, s.fault))
		case p == nil:
			missing = append(missing, fmt.Errorf("worker %d is not started after %v", s.place, applyTimeout))
		case p.applied.Load() < number:
			missing = append(missing, fmt.Errorf("worker %d (pid %d, %s) has not taken up configuration %d after %v",
				s.place, p.pid(), s.state, number, applyTimeout))
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

// wait returns when nothing is missing any more, or what still is after timeout,
// or at once what is fatal. look is called with the mutex held.
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

// heard is called when a worker has got on.
func (w *workers) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.active {
		if s.process != nil && s.process.serves() {
			s.state = Serving
		}
	}
	for len(w.unplaced) > 0 && w.passToAny(w.unplaced[0]) {
		w.unplaced = w.unplaced[1:]
	}
	w.tell()
}

// tell has all who wait look again.
func (w *workers) tell() {
	close(w.news)
	w.news = make(chan struct{})
}

// resize gives all workers s, with n of them at work, or fewer after an error.
func (w *workers) resize(s *plan.Snapshot, ls *listen.Set, n int) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot, w.sockets = s, ls
	leave := w.active[min(n, len(w.active)):]
	w.active = slices.Clone(w.active[:len(w.active)-len(leave)])
	var come []*keeper
	for len(w.active) < n && err == nil {
		var one *keeper
		if one, err = w.newSeat(len(w.active)); err == nil {
			w.active, come = append(w.active, one), append(come, one)
		}
	}
	for _, one := range leave {
		w.leave(one)
	}
	w.deal()
	for _, one := range come {
		w.keepers.Go(func() { w.keep(one) })
	}
	return err
}

func (w *workers) newSeat(place int) (*keeper, error) {
	slot, err := w.Slots.Claim()
	if err != nil {
		return nil, fmt.Errorf("worker %d: %w", place, err)
	}
	s := &keeper{
		place: place,
		slot:  slot,
		state: Starting,
		left:  make(chan struct{}),
		alarm: make(chan struct{}, 1),
	}
	s.panics.note(time.Now(), w.Board.Loop(slot).Panics.Load())
	return s, nil
}

// deal gives every worker that is up its share of the snapshot.
func (w *workers) deal() {
	shares, files := w.shares()
	for i, s := range w.active {
		if s.process != nil && !s.share.Equal(shares[i]) {
			s.share = shares[i]
			s.process.apply(shares[i], files[i])
		}
	}
	n, slots := len(w.active), w.activeSlots()
	for _, p := range w.retiring {
		slots := append(slices.Clone(slots), p.o.slot)
		p.apply(plan.Seat{Snapshot: w.snapshot, Place: n, Loops: n + 1, Slots: slots}, nil)
	}
}

// shares returns what the workers are to be given, by place. Every socket has its
// worker, whether that is up or not.
func (w *workers) shares() (shares []plan.Seat, files [][]*os.File) {
	n, slots := len(w.active), w.activeSlots()
	files = w.sockets.Deal(n)
	numbers := w.numbers.deal(files)
	for place := range n {
		shares = append(shares, plan.Seat{
			Snapshot: w.snapshot,
			Place:    place,
			Loops:    n,
			Slots:    slots,
			Sockets:  numbers[place],
		})
	}
	return shares, files
}

func (w *workers) activeSlots() []int {
	slots := make([]int, len(w.active))
	for i, s := range w.active {
		slots[i] = s.slot
	}
	return slots
}

// leave takes a seat away. Its worker finishes what it has, without haste, and
// who waits in its sockets: they may be of an address that is left.
func (w *workers) leave(s *keeper) {
	close(s.left)
	if s.process == nil {
		w.Slots.Release(s.slot)
		return
	}
	w.retire(s.process)
}

// retire has a worker that has no seat any more finish what it has.
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

// SetAddrs tells every worker, and every later one, new addresses of a backend.
func (w *workers) SetAddrs(id int, addrs []plan.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot = w.snapshot.WithAddrs(id, addrs) // for those that start later
	for _, p := range w.processes() {
		p.order(order{Addrs: &addrsOrder{ID: id, Addrs: addrs}})
	}
}

// processes returns every process that is up.
func (w *workers) processes() (list []*process) {
	for _, s := range w.active {
		if s.process != nil {
			list = append(list, s.process)
		}
	}
	return append(list, w.retiring...)
}

// relay passes a conn that one worker has accepted on to the worker of slot. If
// that takes none it goes back.
func (w *workers) relay(from *process, slot int, c engine.Passed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	back := false
	for _, s := range w.active {
		if s.slot == slot && s.process != nil && s.process.pass(c, false) {
			return
		}
		back = back || s.process == from // else it retires, and waits for its last clients already
	}
	if back && from.pass(c, true) || w.passToAny(c) || from.pass(c, true) {
		return
	}
	w.place(c)
}

// comeBack finds new takers for conns that did not reach a worker.
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

// passToAny passes c on to the worker with the fewest conns that takes it. False:
// none does.
func (w *workers) passToAny(c engine.Passed) bool {
	conns := func(s *keeper) uint64 { return w.Board.Loop(s.slot).ClientConns.Load() }
	byConns := slices.SortedFunc(slices.Values(w.active), func(a, b *keeper) int { return cmp.Compare(conns(a), conns(b)) })
	for _, s := range byConns {
		if s.process != nil && s.process.pass(c, true) {
			return true
		}
	}
	return false
}

func (w *workers) Loops() (list []Loop) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.active {
		one := Loop{Slot: s.slot, Restarts: s.restarts, State: s.state}
		if s.process != nil {
			one.PID, one.Since = s.process.pid(), s.process.started
		}
		list = append(list, one)
	}
	for _, p := range w.retiring {
		list = append(list, Loop{Slot: p.o.slot, PID: p.pid(), Since: p.started, State: Retiring})
	}
	return list
}

func (w *workers) Ping(timeout time.Duration) error {
	w.mu.Lock()
	w.pings++
	number, asked := w.pings, map[*process]int{}
	for _, s := range w.active {
		if s.state == Serving {
			asked[s.process] = s.place
			s.process.order(order{Ping: number})
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

func (w *workers) Running() (n int, restarts uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.active {
		if s.state == Serving {
			n++
		}
	}
	return n, w.Board.Control().WorkerRestarts.Load()
}

func (w *workers) Finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	w.mu.Lock()
	close(w.ending)
	for _, c := range w.unplaced {
		w.place(c)
	}
	w.unplaced = nil
	for _, s := range w.active {
		close(s.left)
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
		if !p.gone && !slices.Contains(retiring, p) { // else it is told already
			w.logDeath(p)
		}
	}
	for _, s := range w.active {
		w.Slots.Release(s.slot)
	}
	return cut
}
