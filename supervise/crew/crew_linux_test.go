package crew

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/config"
	"lb/internal/ipc"
	"lb/internal/testkit"
	"lb/supervise/listen"
	"lb/supervise/plan"
	"lb/supervise/slots"
	"lb/supervise/supervisetest"
)

// rig is a crew with what it needs.
type rig struct {
	t    *testing.T
	crew Crew
	Options
	cfg  *config.Config
	ls   *listen.Set    // of the one listener
	ids  map[string]int // by backend
	last *plan.Snapshot
	log  *testkit.Log
	done bool
}

// newRig starts a crew of n loops on that many sockets. At the end of the test nothing of
// it may be left.
func newRig(t *testing.T, cfg *config.Config, n, sockets int) *rig {
	t.Helper()
	warmUp.Do(func() { // Go has descriptors of its own, from the first use of its poller on
		c, f, err := ipc.Pair()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		f.Close()
	})
	fds := testkit.OpenFDs()
	b, f, err := board.Create(board.Room(board.Size{Loops: n, Backends: 16, Series: 4}))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, cfg: cfg, ids: map[string]int{}, log: &testkit.Log{}}
	r.Options = Options{
		Log:       slog.New(slog.NewTextHandler(r.log, nil)),
		Board:     b,
		BoardFile: f,
		Slots:     slots.New(b, f),
		Limit:     4096,
	}
	r.ls = openSockets(t, sockets)
	if r.crew, err = Start(r.Options, r.next(), []*listen.Set{r.ls}, n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !r.done {
			now := make(chan struct{})
			close(now)
			r.finish(0, now)
		}
		for slot := range b.Loops() {
			l := b.Loop(slot)
			if held := l.ClientConns.Load() + l.Exchanges.Load() + l.OldestConfig.Load(); held != 0 {
				t.Errorf("slot %d: a gauge is at %d at the end", slot, held)
			}
		}
		f.Close()
		b.Close()
		testkit.Until(t, "descriptors to be closed", func() bool { return testkit.OpenFDs() <= fds })
		if left := supervisetest.ChildrenOf(t, os.Getpid()); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
	})
	return r
}

var warmUp sync.Once

// openSockets returns n listening sockets at a free port.
func openSockets(t *testing.T, n int) *listen.Set {
	t.Helper()
	a, err := listen.Resolve(t.Context(), net.DefaultResolver, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ls, err := a.Open(t.Context(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

// next returns r.cfg as the next snapshot.
func (r *rig) next() *plan.Snapshot {
	cfg := *r.cfg
	cfg.Pools = slices.Clone(cfg.Pools) // the test changes its own while loops read these
	s := &plan.Snapshot{Config: &cfg, Number: 1}
	if r.last != nil {
		s.Number = r.last.Number + 1
	}
	for _, p := range cfg.Pools {
		var ids []int
		for _, b := range p.Backends {
			id, known := r.ids[b.String()]
			if !known {
				id = len(r.ids)
				r.ids[b.String()] = id
				r.Board.ClaimBackend(id)
			}
			ids = append(ids, id)
		}
		s.IDs = append(s.IDs, ids)
	}
	r.last = s
	return s
}

// offer gives the crew r.cfg with n loops.
func (r *rig) offer(n int) error { return r.crew.Apply(r.next(), []*listen.Set{r.ls}, n) }

// apply gives the crew r.cfg with n loops, which have to take it up. It tries again while
// they are too busy.
func (r *rig) apply(n int) {
	r.t.Helper()
	if err := listen.Grow([]*listen.Set{r.ls}, n); err != nil {
		r.t.Fatal(err)
	}
	testkit.Until(r.t, "all loops to take it up", func() bool {
		err := r.offer(n)
		if err != nil && !strings.Contains(err.Error(), supervisetest.TooBusy) {
			r.t.Fatal(err)
		}
		return err == nil
	})
}

func (r *rig) finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	r.done = true
	r.ls.Close()
	return r.crew.Finish(timeout, now)
}

// states returns the state of every loop, by place.
func (r *rig) states() string {
	var list []string
	for _, s := range r.crew.Loops() {
		list = append(list, string(s.State))
	}
	return strings.Join(list, " ")
}

// conn is a client conn that stays open.
type conn struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

func newConn(t *testing.T, c net.Conn) *conn {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testkit.Patience))
	return &conn{t, c, bufio.NewReader(c)}
}

func (r *rig) dial() *conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.ls.Addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return newConn(r.t, c)
}

func (c *conn) ask() {
	c.t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// want reads an answer with body.
func (c *conn) want(body string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || string(b) != body {
		c.t.Fatalf("got %d %q, %v; want 200 %q", resp.StatusCode, b, err, body)
	}
}

// Every loop uses the snapshot that was applied last. The conns of clients and running
// exchanges stay.
func TestApply(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		one, two, slow := supervisetest.HelloBackend(t, "one"), supervisetest.HelloBackend(t, "two"), supervisetest.AddSlowBackend(t, cfg)
		r := newRig(t, cfg, 2, 2)
		running := slow.GetLater(t, r.ls.Addr)
		first, second := cfg.Pools[0], cfg.Pools[0]
		first.Backends, second.Backends = supervisetest.BackendsAt(t, one.URL), supervisetest.BackendsAt(t, two.URL)
		cfg.Pools = []config.Pool{first}
		r.apply(2)
		conns := []*conn{r.dial(), r.dial(), r.dial(), r.dial()}
		for round := range 20 {
			cfg.Pools = []config.Pool{first}
			want := "one"
			if round%2 == 0 {
				cfg.Pools, want = []config.Pool{second}, "two"
			}
			r.apply(2)
			for _, c := range conns {
				c.ask()
				c.want(want)
			}
			supervisetest.Get(r.ls.Addr).Want(t, want)
		}
		if got := r.Board.OldestConfig(); got != 1 {
			t.Errorf("the oldest configuration in use is %d, want 1, of the exchange that still waits", got)
		}
		close(slow.Release)
		(<-running).Want(t, "late")
		testkit.Until(t, "the first configuration to be let go", func() bool { return r.Board.OldestConfig() == r.last.Number })
	})
}

// allHaveWork reports whether an exchange is running in every loop that serves.
func (r *rig) allHaveWork() bool {
	return !slices.ContainsFunc(r.crew.Loops(), func(s Loop) bool {
		return s.State == Serving && r.Board.Loop(s.Slot).Exchanges.Load() == 0
	})
}

// Loops come and go while conns come as fast as they can, and none is lost. Exchanges in a
// loop that goes run to their end.
func TestMoreAndFewerLoops(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		r := newRig(t, cfg, 3, 3)
		var running []<-chan supervisetest.Answer
		for !r.allHaveWork() {
			running = append(running, slow.GetLater(t, r.ls.Addr))
		}
		cfg.Pools[0].Backends = supervisetest.BackendsAt(t, supervisetest.HelloBackend(t, "well").URL)
		r.apply(3)
		stop := supervisetest.Asking(t, r.ls.Addr, "well")
		defer stop()
		for _, n := range []int{1, 4, 2, 3, 1} {
			r.apply(n)
			testkit.Until(t, "loops to serve", func() bool { got, _ := r.crew.Running(); return got == n })
			for range 20 {
				supervisetest.Get(r.ls.Addr).Want(t, "well")
			}
		}
		testkit.Until(t, "all to leave but the one that serves, and the first two that retired with what they have", func() bool {
			return r.states() == "serving retiring retiring"
		})
		close(slow.Release)
		for _, a := range running {
			(<-a).Want(t, "late")
		}
		testkit.Until(t, "retiring loops to end", func() bool { return r.states() == "serving" })
		if n := stop(); n == 0 {
			t.Error("nobody has asked meanwhile")
		}
		now := make(chan struct{})
		if cut := r.finish(testkit.Patience, now); cut != 0 {
			t.Errorf("%d exchanges were cut off", cut)
		}
	})
}

// Exchanges in retiring loops count at the end, too.
func TestCutOfRetiring(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		r := newRig(t, cfg, 2, 2)
		var running []<-chan supervisetest.Answer
		for range 16 {
			running = append(running, slow.GetLater(t, r.ls.Addr))
		}
		r.apply(1)
		if got := r.states(); got != "serving retiring" {
			t.Fatalf("states: %s", got)
		}
		if cut := r.finish(0, nil); cut != 16 {
			t.Errorf("%d exchanges were cut off, want 16", cut)
		}
		for _, a := range running {
			supervisetest.WantCut(t, a)
		}
	})
}

// A loop that panics too often is replaced by one in another slot. Its exchanges go on,
// and no client is refused.
func TestPanicsReplaced(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		r := newRig(t, cfg, 1, 1)
		a := slow.GetLater(t, r.ls.Addr)
		cfg.Pools[0].Backends = supervisetest.BackendsAt(t, supervisetest.HelloBackend(t, "well").URL)
		r.apply(1)
		stop := supervisetest.Asking(t, r.ls.Addr, "well")
		defer stop()
		before := r.crew.Loops()[0]
		if threads, ok := r.crew.(*threads); ok {
			panicOften(threads.active[0].engine)
		} else {
			supervisetest.Kill(t, before.PID, syscall.SIGUSR1)
		}
		testkit.Until(t, "a successor", func() bool { return r.states() == "serving retiring" })
		after := r.crew.Loops()
		if after[0].Slot == before.Slot || after[1].Slot != before.Slot || after[0].Restarts != 1 {
			t.Errorf("%+v became %+v", before, after)
		}
		for range 10 {
			supervisetest.Get(r.ls.Addr).Want(t, "well")
		}
		r.apply(1)
		close(slow.Release)
		(<-a).Want(t, "late")
		testkit.Until(t, "the old loop to end", func() bool { return r.states() == "serving" })
		if got := r.Board.Totals().Panics; got != panicsAtOnce {
			t.Errorf("%d panics on the board, want %d", got, panicsAtOnce)
		}
		stop()
		if got := strings.Count(r.log.String(), "panicked too often, replaced"); got != 1 {
			t.Errorf("%d replacements in the log, want 1:\n%s", got, r.log.String())
		}
	})
}

// conns returns how many each loop has.
func (r *rig) conns() (each []int, all int) {
	for _, s := range r.crew.Loops() {
		n := int(r.Board.Loop(s.Slot).ClientConns.Load())
		each, all = append(each, n), all+n
	}
	return each, all
}

// Conns that all come to one loop are passed on to the others and work there. Package
// proxy decides how many.
func TestPassOn(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
		const loops, conns = 4, 48
		r := newRig(t, cfg, loops, 1) // only the first has a socket
		var open []*conn
		for i := range conns {
			open = append(open, r.dial())
			testkit.Until(t, "the conn to be taken", func() bool { _, all := r.conns(); return all == i+1 })
		}
		if each, _ := r.conns(); slices.Min(each) < conns/loops/3 {
			t.Errorf("the loops have %v conns, want some in each", each)
		}
		for range 2 {
			for _, c := range open {
				c.ask()
			}
			for _, c := range open {
				c.want("well")
			}
		}
	})
}

// Ping names the loops that do not turn.
func TestPing(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		r := newRig(t, cfg, 2, 2)
		if err := r.crew.Ping(testkit.Patience); err != nil {
			t.Fatal(err)
		}
		name, goOn := "loop 1 ", func() { supervisetest.Kill(t, r.crew.Loops()[1].PID, syscall.SIGCONT) }
		if threads, ok := r.crew.(*threads); ok {
			begun, end := make(chan struct{}), make(chan struct{})
			threads.active[1].engine.Ping(func() { close(begun); <-end })
			<-begun
			goOn = func() { close(end) }
		} else {
			pid := r.crew.Loops()[1].PID
			supervisetest.Kill(t, pid, syscall.SIGSTOP)
			testkit.Until(t, "the worker to stand still", func() bool { return supervisetest.Stopped(t, pid) })
			name = "worker 1 "
		}
		var err error
		testkit.Until(t, "the other one to answer in time", func() bool { // on a busy machine it may be late, too
			err = r.crew.Ping(time.Second)
			return err == nil || !strings.Contains(err.Error(), "0 (")
		})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a ping of one loop of two that stands still: %v", err)
		}
		goOn()
		if err := r.crew.Ping(testkit.Patience); err != nil {
			t.Errorf("when it goes on again: %v", err)
		}
	})
}

// Another process has made a listening socket block, for all processes that hold it.
// The next Apply mends that, and a drain does not hang in it.
func TestBlockingSocket(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
		r := newRig(t, cfg, 2, 2)
		block := func() {
			for _, f := range r.ls.Deal(1)[0] {
				if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		block()
		r.apply(2)
		for _, f := range r.ls.Deal(1)[0] {
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("flags %#x, %v; want O_NONBLOCK", flags, err)
			}
		}
		block()
		if cut := r.finish(testkit.Patience, nil); cut != 0 {
			t.Errorf("%d exchanges were cut off", cut)
		}
	})
}

// Nothing is left of a crew that cannot begin; newRig checks that.
func TestCannotBegin(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		r := newRig(t, cfg, 1, 1)
		goroutines := runtime.NumGoroutine()
		unusable := openSockets(t, 2)
		defer unusable.Close()
		unusable.Deal(1)[0][1].Close()
		if c, err := Start(r.Options, r.last, []*listen.Set{unusable}, 2); err == nil || c != nil {
			t.Fatalf("began with a socket that is closed: %v, %v", c, err)
		}
		testkit.Until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
}

// A client that has connected before the drain is answered, also if no loop has accepted
// it yet: to close a listening socket resets what is in its queue.
func TestDrainAcceptsTheQueue(t *testing.T) {
	cfg := supervisetest.Config(config.MT)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	r := newRig(t, cfg, 1, 1)
	e := r.crew.(*threads).active[0].engine
	busy, begun := make(chan struct{}), make(chan struct{})
	e.Ping(func() { close(begun); <-busy })
	<-begun
	c := r.dial()
	c.ask()
	r.ls.Close()
	e.Drain()
	close(busy) // the next turn drains before it would accept
	c.want("well")
	testkit.Wait(t, e.Drained(), "the drain to end")
}

// A client that has connected before its loop is taken away is answered, also if the address
// changes with that and nobody else has the socket.
func TestRetireAcceptsTheQueue(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
		r := newRig(t, cfg, 2, 2)
		goOn := r.freeze()
		var conns []*conn
		for range 16 {
			c := r.dial()
			c.ask()
			conns = append(conns, c)
		}
		other := openSockets(t, 1)
		r.ls.Leave()
		r.ls = other
		if err := r.offer(1); err == nil {
			t.Error("loops that stand still have taken up a snapshot")
		}
		goOn()
		for _, c := range conns {
			c.want("well")
		}
		for _, c := range conns {
			c.Close()
		}
	})
}

// freeze has all loops stand still until goOn is called.
func (r *rig) freeze() (goOn func()) {
	r.t.Helper()
	if threads, ok := r.crew.(*threads); ok {
		end := make(chan struct{})
		for _, th := range threads.active {
			begun := make(chan struct{})
			th.engine.Ping(func() { close(begun); <-end })
			<-begun
		}
		return func() { close(end) }
	}
	seats := r.crew.Loops()
	for _, s := range seats {
		supervisetest.Kill(r.t, s.PID, syscall.SIGSTOP)
		testkit.Until(r.t, "the worker to stand still", func() bool { return supervisetest.Stopped(r.t, s.PID) })
	}
	return func() {
		for _, s := range seats {
			supervisetest.Kill(r.t, s.PID, syscall.SIGCONT)
		}
	}
}
