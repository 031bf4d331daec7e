package proxy

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lb/board"
	"lb/loop/looptest"
	"lb/loop/tick"
)

func TestPassTo(t *testing.T) {
	for _, tc := range []struct {
		own    int
		others []int
		want   int
	}{
		{100, nil, -1},
		{3, []int{0, 0, 0}, -1}, // too few to matter
		{4, []int{0, 0, 0}, 0},
		{4, []int{1, 0, 1}, 1},
		{5, []int{1, 1, 1}, 0},
		{9, []int{5}, 0},
		{9, []int{6}, -1},   // within the margin
		{12, []int{9}, -1},  // too
		{15, []int{10}, -1}, // 12.5 is the mean: within a quarter
		{17, []int{10}, 0},
		{10, []int{10, 10, 3}, -1}, // the one that has little gets by from all that comes
		{12, []int{8, 8, 8, 7}, 3},
		{1000, []int{800, 900}, -1},
		{1200, []int{800, 700}, 1},
	} {
		if got := passTo(tc.own, tc.others); got != tc.want {
			t.Errorf("%d conns, the others %v: passed to %d, want %d", tc.own, tc.others, got, tc.want)
		}
	}
}

// evenWorld is some loops that accept what a hash gives them. They are told of
// each other by the board alone, and what is passed on takes a while.
type evenWorld struct {
	rng    *rand.Rand
	now    tick.Instant
	slots  []int
	board  *board.Board
	evens  []even
	conns  []int
	onWay  []onWay
	passed int // times that a conn was
	passes int // the most that one was
}

type onWay struct {
	to, passes int
	at         tick.Instant
}

func newEvenWorld(seed uint64, loops int) *evenWorld {
	w := &evenWorld{rng: rand.New(rand.NewPCG(seed, 'e')), now: 1, board: board.New(2*loops, 0), conns: make([]int, loops)}
	for i := range loops {
		w.slots = append(w.slots, 2*i+1)
	}
	for _, slot := range w.slots {
		w.evens = append(w.evens, newEven(w.board, slot, w.slots))
	}
	return w
}

// accept has a loop, as the hash wants it, take a conn.
func (w *evenWorld) accept(delay time.Duration) {
	w.take(w.rng.IntN(len(w.slots)), 0, delay)
}

// take has a loop take a conn that has been passed on some times, or pass it on.
func (w *evenWorld) take(i, passes int, delay time.Duration) {
	var to *neighbour
	if passes == 0 || !w.evens[i].keeps() {
		to = w.evens[i].choose(w.conns[i], w.now)
	}
	if to == nil {
		w.add(i, 1)
		return
	}
	to.passed, to.at = to.passed+1, w.now
	w.passed++
	w.passes = max(w.passes, passes+1)
	w.onWay = append(w.onWay, onWay{slices.Index(w.slots, to.slot), passes + 1, w.now.Add(time.Duration(w.rng.Int64N(int64(delay) + 1)))})
}

func (w *evenWorld) add(i, n int) {
	w.conns[i] += n
	w.board.Loop(w.slots[i]).ClientConns.Add(uint64(n))
}

// wait lets time pass, in which what is on its way comes, one after another.
func (w *evenWorld) wait(d, delay time.Duration) {
	end := w.now.Add(d)
	for len(w.onWay) > 0 {
		o := slices.MinFunc(w.onWay, func(a, b onWay) int { return cmp.Compare(a.at, b.at) })
		if o.at > end {
			break
		}
		at := slices.Index(w.onWay, o)
		w.onWay = slices.Delete(w.onWay, at, at+1)
		w.now = max(w.now, o.at)
		w.take(o.to, o.passes, delay)
	}
	w.now = end
}

// TestEven: 64 long-lived conns over 8 loops: the busiest has 1.5 times the mean at
// most, whether they come one by one or in a burst, and even if conns that are passed on
// take their time or all arrive at the same moment.
func TestEven(t *testing.T) {
	for _, tc := range []struct {
		name         string
		loops, conns int
		every, delay time.Duration
		most         float64
	}{
		{"one by one", 8, 64, 10 * time.Millisecond, 100 * time.Microsecond, 1.5},
		{"in a burst", 8, 64, 10 * time.Microsecond, time.Millisecond, 1.5},
		{"at one moment", 8, 64, 0, 5 * time.Millisecond, 1.5},
		{"at one moment, which is long over when they come", 8, 64, 0, 100 * time.Millisecond, 1.5},
		{"at one moment, many loops", 32, 256, 0, 5 * time.Millisecond, 1.5},
		{"two loops", 2, 16, time.Millisecond, time.Millisecond, 1.5},
		{"many loops", 64, 512, time.Millisecond, time.Millisecond, 1.5},
		{"many conns", 8, 5000, 10 * time.Microsecond, time.Millisecond, 1.2},
	} {
		worst, passed, passes := 0.0, 0, 0
		for seed := range uint64(200) {
			w := newEvenWorld(seed, tc.loops)
			for range tc.conns {
				w.accept(tc.delay)
				w.wait(tc.every, tc.delay)
			}
			w.wait(time.Second, tc.delay)
			if len(w.onWay) > 0 {
				t.Fatalf("%s: %d are still on their way", tc.name, len(w.onWay))
			}
			worst = max(worst, float64(slices.Max(w.conns)*tc.loops)/float64(tc.conns))
			passed, passes = passed+w.passed, max(passes, w.passes)
		}
		t.Logf("%s: the busiest has %.2f of the mean, %.1f %% are passed on, one %d times", tc.name, worst, float64(passed)/float64(200*tc.conns)*100, passes)
		if worst > tc.most {
			t.Errorf("%s: the busiest of %d loops has %.2f times the mean of %d conns", tc.name, tc.loops, worst, tc.conns)
		}
		if passes > 5 {
			t.Errorf("%s: a conn is passed on %d times", tc.name, passes)
		}
	}
}

// TestEvenLeavesTheCommonCase: with many conns that come and go the hash is even
// enough, and next to nothing is passed on.
func TestEvenLeavesTheCommonCase(t *testing.T) {
	for _, tc := range []struct {
		name                string
		loops, conns, least int
	}{
		{"a conn for each request, few at once", 8, 8, 0},
		{"many conns", 8, 4000, 3900},
	} {
		w := newEvenWorld(1, tc.loops)
		const accepts = 20_000
		for open := 0; w.passed+open < accepts; {
			w.accept(100 * time.Microsecond)
			w.wait(100*time.Microsecond, 100*time.Microsecond)
			if open++; open > tc.conns { // any one goes
				n := w.rng.IntN(tc.conns)
				for i := range w.conns {
					if n -= w.conns[i]; n < 0 && w.conns[i] > 0 {
						w.add(i, -1)
						break
					}
				}
			}
		}
		if w.passed > accepts/50 {
			t.Errorf("%s: %d of %d are passed on, want 2 %% at most", tc.name, w.passed, accepts)
		}
	}
}

// TestPassOn: what is passed on is no longer this loop's, what is not wanted there
// stays, and what comes from another loop may be passed on again, but not for ever.
func TestPassOn(t *testing.T) {
	var passed []int
	taken := true
	o := rigOptions(rigConfig(1))
	o.Board = board.New(8, rigBackendsMax)
	o.Slot, o.Snapshot.Loops, o.Snapshot.Slots = 2, 3, []int{2, 5, 7}
	o.PassOn = func(slot, fd int, peer netip.AddrPort) bool {
		if peer != rigClient {
			t.Errorf("from %v", peer)
		}
		passed = append(passed, slot)
		return taken
	}
	r := newRigOn(t, 1, o, false)
	connect := func(n int) {
		for range n {
			r.k.Connect(r.listener, rigClient)
		}
		r.settle()
	}
	o.Board.Loop(7).ClientConns.Add(1)
	connect(4)
	if len(passed) != 0 || r.p.shared.Clients != 4 {
		t.Fatalf("%v passed of the first four", passed)
	}
	connect(1)
	if !slices.Equal(passed, []int{5}) || r.p.shared.Clients != 4 || r.p.counters.Accepted.Load() != 4 {
		t.Errorf("passed to %v, %d kept, %d counted; want 5, 4 and 4", passed, r.p.shared.Clients, r.p.counters.Accepted.Load())
	}
	taken, passed = false, nil
	r.pass(time.Second) // so that it counts no more
	connect(1)
	if !slices.Equal(passed, []int{5}) || r.p.shared.Clients != 5 {
		t.Errorf("passed to %v, which do not want it, %d kept; want 5 and 5", passed, r.p.shared.Clients)
	}
	taken, passed = true, nil
	var peers []*looptest.Peer
	for range evenKeeps {
		peers = append(peers, r.k.Connect(r.listener, rigClient))
		fd, from, err := r.k.Accept(r.listener)
		if err != nil || fd < 0 {
			t.Fatal(fd, err)
		}
		r.pass(time.Second) // so that those before count no more
		r.l.Post(func() { r.p.Passed(fd, from) })
	}
	r.settle()
	if len(passed) != evenKeeps-1 || r.p.shared.Clients != 6 {
		t.Errorf("%d of %d passed on again, %d open; want all but one, and 6", len(passed), evenKeeps, r.p.shared.Clients)
	}
	passed = nil
	peers[evenKeeps-1].Send([]byte(ask))
	r.settle()
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	if len(peers[evenKeeps-1].Received()) == 0 {
		t.Error("the one that stayed is not answered")
	}
	r.reload(rigConfig(1)) // to a lone loop
	s := r.snapshot
	s.Number, s.Loops, s.Slots = s.Number+1, 1, []int{2}
	r.l.Post(func() { r.p.Reload(s) })
	connect(1)
	if len(passed) != 0 || r.p.shared.Clients != 7 {
		t.Errorf("a lone loop passes on to %v", passed)
	}
}

// TestPassedInADrain: a conn that another loop passes on to one that drains is
// answered, as those are that it had accepted itself just before.
func TestPassedInADrain(t *testing.T) {
	for _, asks := range []bool{true, false} {
		r := newRig(t, 1, rigConfig(1), false)
		stays := r.k.Connect(r.listener, rigClient)
		stays.Send([]byte(ask))
		fd, _, _ := r.k.Accept(r.listener)
		r.l.Post(func() { r.p.Passed(fd, rigClient) })
		r.settle()
		drained := 0
		r.l.Post(func() { r.p.Drain(func() { drained++ }) })
		r.settle()
		late := r.k.Connect(r.listener, rigClient)
		fd, _, _ = r.k.Accept(r.listener)
		r.l.Post(func() { r.p.Passed(fd, rigClient) })
		r.settle()
		stayed := r.servers[0].Accept()
		if asks {
			late.Send([]byte(ask))
			r.settle()
			r.servers[0].Accept().Send([]byte(answer))
			r.settle()
		}
		stayed.Send([]byte(answer))
		r.pass(2 * time.Second)
		if !stays.Ended() || !late.Ended() || (len(late.Received()) > 0) != asks || drained != 1 || r.oldest() != 0 {
			t.Errorf("asks %v: %q, ended %v and %v, drained %d times, oldest %d", asks, late.Received(), stays.Ended(), late.Ended(), drained, r.oldest())
		}
	}
}

func BenchmarkEven(b *testing.B) {
	w := newEvenWorld(1, 64)
	for i := range w.slots {
		w.add(i, 100)
	}
	for b.Loop() {
		w.evens[0].choose(w.conns[0], w.now)
	}
}
