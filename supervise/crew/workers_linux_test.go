package crew

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/internal/ipc"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/supervise/engine"
	"lb/supervise/listen"
	"lb/supervise/plan"
	"lb/supervise/slots"
	"lb/supervise/supervisetest"
)

// freeze stops a worker's process.
func freeze(t *testing.T, pid int) {
	t.Helper()
	supervisetest.Kill(t, pid, syscall.SIGSTOP)
	testkit.Until(t, "the worker to stand still", func() bool { return supervisetest.Stopped(t, pid) })
}

// serving waits until n workers serve.
func (r *rig) serving(n int) {
	r.t.Helper()
	testkit.Until(r.t, "the workers to serve", func() bool { got, _ := r.crew.Running(); return got == n })
}

// A worker that does not take up a snapshot is named, in bounded time, and takes it up
// later.
func TestApplyToFrozenWorker(t *testing.T) {
	testkit.Long(t)
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "one").URL)
	r := newRig(t, cfg, 2, 2)
	frozen := r.crew.Loops()[1]
	freeze(t, frozen.PID)
	cfg.Pools[0].Backends = supervisetest.BackendsAt(t, supervisetest.HelloBackend(t, "two").URL)
	var err error
	var took time.Duration
	testkit.Until(t, "worker 0 to take it up in time", func() bool { // on a busy machine it may be late, too
		begun := time.Now()
		err = r.offer(2)
		took = time.Since(begun)
		return err == nil || !strings.Contains(err.Error(), "worker 0")
	})
	if err == nil || !strings.Contains(err.Error(), "worker 1 (pid ") {
		t.Errorf("apply: %v; want an error that names worker 1 alone", err)
	}
	if took < applyTimeout || took > testkit.Patience/2 {
		t.Errorf("apply took %v, want about %v", took, applyTimeout)
	}
	r.offer(2)
	if got := r.Board.OldestConfig(); got != 1 {
		t.Errorf("the oldest configuration in use is %d, want 1", got)
	}
	supervisetest.Kill(t, frozen.PID, syscall.SIGCONT)
	testkit.Until(t, "the worker to take it up", func() bool { return r.Board.OldestConfig() == r.last.Number })
	for range 10 {
		supervisetest.Get(r.ls.Addr).Want(t, "two")
	}
}

// If a worker dies before it has acknowledged a snapshot, apply waits for its successor,
// which begins with that snapshot, and no longer.
func TestApplyWhileWorkerDies(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "one").URL)
	r := newRig(t, cfg, 1, 1)
	frozen := r.crew.Loops()[0].PID
	freeze(t, frozen)
	cfg.Pools[0].Backends = supervisetest.BackendsAt(t, supervisetest.HelloBackend(t, "two").URL)
	w := r.crew.(*workers)
	if err := w.resize(r.next(), []*listen.Set{r.ls}, 1); err != nil {
		t.Fatal(err)
	}
	supervisetest.Kill(t, frozen, syscall.SIGKILL)
	err := w.wait(testkit.Patience, func() ([]error, error) { return w.lagging(r.last.Number), nil })
	if err != nil {
		t.Fatal(err)
	}
	supervisetest.Get(r.ls.Addr).Want(t, "two")
	if got := r.Board.OldestConfig(); got != r.last.Number {
		t.Errorf("the oldest configuration in use is %d, want %d", got, r.last.Number)
	}
}

// dieYoung kills the worker at a place n times within a short time, so that the next one
// has to wait.
func (r *rig) dieYoung(place, times int) {
	r.t.Helper()
	w := r.crew.(*workers)
	w.mu.Lock()
	s := w.active[place]
	s.deaths = deaths(times - 1)
	w.mu.Unlock()
	supervisetest.Kill(r.t, r.crew.Loops()[place].PID, syscall.SIGKILL)
	testkit.Until(r.t, "the worker to be down", func() bool { return r.crew.Loops()[place].State == Waiting })
}

// If a snapshot comes while a seat waits for its next worker, that worker begins with it,
// and apply names the seat. The other worker serves its socket meanwhile.
func TestApplyWhileSeatWaits(t *testing.T) {
	testkit.Long(t)
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "one").URL)
	r := newRig(t, cfg, 2, 2)
	r.dieYoung(0, 20) // 5 s
	cfg.Pools[0].Backends = supervisetest.BackendsAt(t, supervisetest.HelloBackend(t, "two").URL)
	err := r.offer(2)
	if err == nil || !strings.Contains(err.Error(), "worker 0 is down") || !strings.Contains(err.Error(), "killed") {
		t.Errorf("apply: %v; want an error that names worker 0 and why it died", err)
	}
	conns := r.Board.Loop(r.crew.Loops()[1].Slot).Accepted.Load()
	// The system gives the socket of worker 0 some of them. On a slow machine there are fewer
	// before it is up again, which may take the last one.
	asked := uint64(0)
	for ; asked < 40 && r.states() == "waiting serving"; asked++ {
		supervisetest.Get(r.ls.Addr).Want(t, "two")
	}
	down := r.states() == "waiting serving"
	if got := r.Board.Loop(r.crew.Loops()[1].Slot).Accepted.Load() - conns; got != asked && (down || got+1 != asked) {
		t.Errorf("worker 1 has accepted %d of %d, %s; want all of them while worker 0 is down", got, asked, r.states())
	}
	testkit.Until(t, "the successor", func() bool { return r.states() == "serving serving" })
	for r.Board.Loop(r.crew.Loops()[0].Slot).Accepted.Load() == 0 {
		supervisetest.Get(r.ls.Addr).Want(t, "two")
	}
}

// A seat that waits for a worker can be taken away, and lb can end.
func TestSeatThatWaitsEnds(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 3, 3)
	r.dieYoung(2, 20)
	r.apply(2)
	if got := r.states(); got != "serving serving" {
		t.Errorf("states: %s", got)
	}
	r.dieYoung(0, 20)
	if cut := r.finish(testkit.Patience, nil); cut != 0 {
		t.Errorf("%d exchanges were cut off", cut)
	}
}

// The conns of other workers stay when a worker is killed.
func TestKillCostsOnlyItsOwn(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 2, 2)
	seats := r.crew.Loops()
	conns := func(i int) int { return int(r.Board.Loop(seats[i].Slot).ClientConns.Load()) }
	theirs := map[int][]*conn{}
	for len(theirs[0]) == 0 || len(theirs[1]) == 0 {
		before := conns(1)
		c := r.dial()
		c.ask()
		c.want("well")
		of := conns(1) - before
		theirs[of] = append(theirs[of], c)
	}
	supervisetest.Kill(t, seats[0].PID, syscall.SIGKILL)
	for _, c := range theirs[0] {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a conn of the killed worker goes on")
		}
	}
	testkit.Until(t, "a successor", func() bool { return r.crew.Loops()[0].Restarts == 1 })
	r.serving(2)
	for _, c := range theirs[1] {
		c.ask()
		c.want("well")
	}
	if got, want := conns(1), len(theirs[1]); got != want || conns(0) != 0 {
		t.Errorf("%d and %d conns, want none and %d", conns(0), got, want)
	}
	if after := r.crew.Loops(); after[0].Slot != seats[0].Slot || after[0].Restarts != 1 || after[1] != seats[1] {
		t.Errorf("%+v became %+v", seats, after)
	}
}

// A retiring worker that is killed gives its slot back, and is not replaced.
func TestRetiringWorkerKilled(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	slow := supervisetest.AddSlowBackend(t, cfg)
	r := newRig(t, cfg, 2, 2)
	var running []<-chan supervisetest.Answer
	for !r.allHaveWork() {
		running = append(running, slow.GetLater(t, r.ls.Addr))
	}
	r.apply(1)
	retiring := r.crew.Loops()[1]
	supervisetest.Kill(t, retiring.PID, syscall.SIGKILL)
	testkit.Until(t, "the worker to be gone", func() bool { return r.states() == "serving" })
	if got := r.Board.Loop(retiring.Slot).Exchanges.Load(); got != 0 {
		t.Errorf("its slot has %d exchanges running", got)
	}
	close(slow.Release)
	whole := 0
	for _, a := range running {
		if got := <-a; got.Status == 200 && got.Body == "late" {
			whole++
		}
	}
	if whole == 0 || whole == len(running) {
		t.Errorf("%d of %d answered, want those of the other worker", whole, len(running))
	}
	if !strings.Contains(r.log.String(), "retiring=true") {
		t.Errorf("want its death in the log:\n%s", r.log.String())
	}
}

// Workers die while their number goes up and down. In the end all is in order.
func TestWorkersDieWhileTheirNumberChanges(t *testing.T) {
	testkit.Long(t)
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 2, 2)
	seed := rand.Uint64()
	chance := rand.New(rand.NewPCG(seed, 0))
	n := 0
	for range 8 {
		for _, s := range r.crew.Loops() {
			if s.PID != 0 && chance.IntN(2) == 0 {
				syscall.Kill(s.PID, syscall.SIGKILL)
			}
		}
		n = 1 + chance.IntN(4)
		if err := listen.Grow([]*listen.Set{r.ls}, n); err != nil {
			t.Fatal(err)
		}
		if err := r.offer(n); err != nil && !strings.Contains(err.Error(), "worker ") {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	testkit.Until(t, "the workers to serve", func() bool { return r.states() == strings.TrimSpace(strings.Repeat("serving ", n)) })
	for range 20 {
		supervisetest.Get(r.ls.Addr).Want(t, "well")
	}
}

// tcpPair is a client's end of a conn and the other, as a loop accepts it.
func tcpPair(t *testing.T) (client net.Conn, server engine.Passed) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := ipc.Dup(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return client, engine.Passed{FD: fd, Peer: netip.MustParseAddrPort(c.RemoteAddr().String())}
}

// A conn that is passed on reaches a loop that serves, whatever happens to the loop that it
// was meant for.
func TestRelay(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 2, 2)
	w := r.crew.(*workers)
	seats := r.crew.Loops()
	from := w.active[0].process
	retired := &process{serving: make(chan struct{}), outbox: newOutbox()}
	accepted := func(i int) uint64 { return r.Board.Loop(seats[i].Slot).ClientConns.Load() }
	for name, tc := range map[string]struct {
		from  *process
		slot  int
		taker int // -1: either
	}{
		"to the loop it is meant for":              {from, seats[1].Slot, 1},
		"to a slot that nobody has: back":          {from, 63, 0},
		"the same, from one that no longer serves": {retired, 63, -1},
		"from one that no longer serves":           {retired, seats[1].Slot, 1},
		"back to itself, if that is what it says":  {from, seats[0].Slot, 0},
	} {
		before := []uint64{accepted(0), accepted(1)}
		client, c := tcpPair(t)
		w.relay(tc.from, tc.slot, c)
		testkit.Until(t, name, func() bool {
			return tc.taker != 1 && accepted(0) == before[0]+1 || tc.taker != 0 && accepted(1) == before[1]+1
		})
		asked := newConn(t, client)
		asked.ask()
		asked.want("well")
	}
	testkit.Until(t, "all to have arrived", func() bool { return from.passing.Load()+w.active[1].process.passing.Load() == 0 })
}

// A worker that takes no conns gets only a bounded number of them, and those that have not
// reached it when it dies go to other workers.
func TestRelayToFrozenWorker(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 2, 2)
	w := r.crew.(*workers)
	from, to := w.active[0].process, w.active[1].process
	freeze(t, to.pid())
	var clients []net.Conn
	for range 2 * engine.PassesMax {
		client, c := tcpPair(t)
		clients = append(clients, client)
		defer client.Close()
		w.relay(from, to.o.slot, c)
	}
	testkit.Until(t, "the rest to come back", func() bool {
		return r.Board.Loop(from.o.slot).ClientConns.Load() == engine.PassesMax
	})
	served := 0
	for _, c := range clients[engine.PassesMax:] {
		asked := newConn(t, c)
		asked.ask()
		asked.want("well")
		served++
	}
	if served != engine.PassesMax {
		t.Errorf("%d served by the other worker, want %d", served, engine.PassesMax)
	}
	supervisetest.Kill(t, to.pid(), syscall.SIGKILL)
	for _, c := range clients[:engine.PassesMax] {
		asked := newConn(t, c)
		asked.ask()
		asked.want("well")
	}
	r.serving(2)
	supervisetest.Get(r.ls.Addr).Want(t, "well")
}

// A conn that did not reach a worker before it died goes to another one.
func TestComeBack(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 1, 1)
	b := newOutbox()
	client, c := tcpPair(t)
	b.put(outgoing{order: order{Ping: 1}})
	b.put(outgoing{order: order{Pass: &passOrder{Peer: c.Peer}}, conn: c})
	r.crew.(*workers).comeBack(b.close())
	asked := newConn(t, client)
	asked.ask()
	asked.want("well")
	if b.put(outgoing{order: order{Drain: true}}) {
		t.Error("an outbox that is closed takes an order")
	}
}

// A conn for which no worker is up waits for the next one.
func TestUnplacedAlone(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 1, 1)
	w := r.crew.(*workers)
	w.mu.Lock()
	p := w.active[0].process
	w.mu.Unlock()
	client, c := tcpPair(t)
	supervisetest.Kill(t, p.pid(), syscall.SIGKILL)
	testkit.Until(t, "it to be gone", func() bool { return closed(p.exited) })
	w.relay(p, p.o.slot, c)
	asked := newConn(t, client)
	asked.ask()
	asked.want("well")
}

// A worker answers every conn that was passed to it before it leaves.
func TestPassToLeavingWorker(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 2, 2)
	to := r.crew.(*workers).active[1].process
	applied := make(chan error, 1)
	go func() { applied <- r.offer(1) }()
	for passed := true; passed; {
		var answers []*conn
		for range 5 {
			client, c := tcpPair(t)
			asked := newConn(t, client)
			asked.ask()
			if passed = to.pass(c, true); !passed {
				c.Close()
				break
			}
			answers = append(answers, asked)
		}
		for _, asked := range answers {
			asked.want("well")
		}
	}
	if err := <-applied; err != nil && !strings.Contains(err.Error(), supervisetest.TooBusy) {
		t.Error(err)
	}
	testkit.Until(t, "it to leave", func() bool { return closed(to.exited) })
	supervisetest.Get(r.ls.Addr).Want(t, "well")
}

// Of orders that make each other void only the last is sent.
func TestOutbox(t *testing.T) {
	b := newOutbox()
	apply := func(number uint64) order { return order{Apply: &plan.Seat{Snapshot: &plan.Snapshot{Number: number}}} }
	change := func(number uint64) order { return order{Change: &plan.Delta{Number: number}} }
	start, pass := order{Start: &startOrder{}}, order{Pass: &passOrder{}}
	third := change(3)
	secrets := func() order { return order{Secrets: &tlsconf.Secrets{}} }
	newest := secrets()
	for _, o := range []order{start, secrets(), change(1), apply(1), secrets(), pass, {Ping: 1}, change(2), apply(2), pass, third,
		secrets(), {Ping: 2}, newest, change(4), {Drain: true}} {
		b.put(outgoing{order: o})
	}
	var got []order
	for o, ok := b.next(); ok; o, ok = b.next() {
		got = append(got, o.order)
	}
	want := []order{start, pass, apply(2), pass, third, {Ping: 2}, newest, change(4), {Drain: true}}
	same := slices.EqualFunc(got, want, func(a, b order) bool {
		switch {
		case a.Apply != nil && b.Apply != nil:
			return a.Apply.Snapshot.Number == b.Apply.Snapshot.Number
		case a.Change != nil && b.Change != nil:
			return a.Change.Number == b.Change.Number
		}
		return a == b
	})
	if !same {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// Variables that are meant for the supervisor do not reach workers.
func TestWorkerEnviron(t *testing.T) {
	env := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=1", "LISTEN_PID=7", "LISTEN_FDNAMES=a=b",
		"WATCHDOG_USEC=1", "WATCHDOG_PID=7", ipc.UpgradeEnv + "=3", "GOMAXPROCS=2", "LISTEN=no"}
	got := workerEnviron(env)
	if want := []string{"PATH=/bin", "GOMAXPROCS=2", "LISTEN=no", ipc.WorkerEnv + "=1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if env[1] != "NOTIFY_SOCKET=/run/x" {
		t.Errorf("our own environment was changed: %v", env)
	}
}

// A slot that a process of another lb holds is neither given out nor are its gauges
// changed until that process is gone.
func TestSlotBook(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 2, 2) // its workers are other processes
	theirs := []int{r.crew.Loops()[0].Slot, r.crew.Loops()[1].Slot}
	book := slots.New(r.Board, r.BoardFile)
	r.dial().ask() // its conn stays open
	testkit.Until(t, "the conn to be taken", func() bool { return r.Board.Totals().ClientConns == 1 })
	own, err := book.Claim()
	if err != nil || slices.Contains(theirs, own) {
		t.Fatalf("slot %d, %v, want one that is not in %v", own, err, theirs)
	}
	other, err := book.Claim()
	if err != nil || other == own || slices.Contains(theirs, other) {
		t.Fatalf("slot %d, %v, want one that is not in %v", other, err, append(theirs, own))
	}
	gauge := &r.Board.Loop(own).ClientConns
	gauge.Add(5)
	book.Sweep()
	if got := r.Board.Totals().ClientConns; got != 6 {
		t.Errorf("%d conns after slots of live workers were left alone, want 6", got)
	}
	book.Release(own)
	if got := gauge.Load(); got != 0 {
		t.Errorf("%d conns in a slot that was given back", got)
	}
	if again, err := book.Claim(); err != nil || again != own {
		t.Errorf("slot %d, %v, want %d again", again, err, own)
	}
	book.Release(own)
	book.Release(other)
	w := r.crew.(*workers)
	w.mu.Lock() // as if the supervisor were gone with its workers: no process tidies up
	pid := w.active[0].process.pid()
	supervisetest.Kill(t, pid, syscall.SIGKILL)
	testkit.Until(t, "the worker to be gone", func() bool { return supervisetest.Ended(pid) })
	leftover := &r.Board.Loop(w.active[0].slot).ClientConns
	leftover.Set(7)
	testkit.Until(t, "the gauges of its slot to be set to zero", func() bool {
		book.Sweep() // it does so when the last thread of the worker has ended
		return leftover.Load() == 0
	})
	w.mu.Unlock()
	r.serving(2)
}

// A full board is an error that says so, and running workers go on.
func TestNoSlotLeft(t *testing.T) {
	cfg := supervisetest.Config(config.MT)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 1, 1)
	n := r.Board.LoopsRoom() + 1
	if err := r.offer(n); !errors.Is(err, slots.ErrNone) {
		t.Fatalf("%d loops in a board with room for %d: %v", n, n-1, err)
	}
	if got, _ := r.crew.Running(); got != n-1 {
		t.Errorf("%d loops, want %d", got, n-1)
	}
	r.apply(1)
	supervisetest.Get(r.ls.Addr).Want(t, "well")
}
