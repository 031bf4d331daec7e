package crowd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"lb/board"
	"lb/loop"
	"lb/loop/looptest"
	"lb/loop/tick"
)

// world is some loops on one board, each with its crowd and its clients.
type world struct {
	t     *testing.T
	board *board.Board
	nodes []*node
	ended []*client // those that have made room, in order
}

// node is one loop.
type node struct {
	w        *world
	k        *looptest.Kernel
	l        *loop.Loop
	c        *Crowd
	slot     int
	listener int
	open     []*client
}

// client is a conn that was accepted.
type client struct {
	loop.Conn
	n     *node
	link  Link
	since tick.Instant // idle; 0: it is busy
}

func newWorld(t *testing.T, loops, limit, each int) *world {
	w := &world{t: t, board: board.New(loops, 0)}
	for slot := range loops {
		n := &node{w: w, k: looptest.New(uint64(slot)), slot: slot}
		n.l = loop.New(n.k, loop.Options{})
		n.c = New(n.l, w.board, slot)
		n.c.Use(limit, each)
		n.listener = n.k.Listen()
		if err := n.l.Listen(n.listener, n); err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, n)
	}
	return w
}

// Accepted implements loop.Acceptor.
func (n *node) Accepted(fd int, _ netip.AddrPort) {
	c := &client{n: n}
	if err := n.l.Adopt(&c.Conn, c, fd); err != nil {
		n.w.t.Fatal(err)
	}
	n.w.board.Loop(n.slot).ClientConns.Add(1)
	n.open = append(n.open, c)
}

func (c *client) Ready()               {}
func (c *client) Panicked(any, []byte) { c.n.w.t.Error("panic") }

// rest makes c idle.
func (c *client) rest() {
	c.since = c.n.l.Now()
	c.n.c.Idle(&c.link, c, true)
}

// MakeRoom implements Member.
func (c *client) MakeRoom() bool {
	c.n.w.ended = append(c.n.w.ended, c)
	c.close()
	return true
}

func (c *client) close() {
	n := c.n
	if c.link.Listed() {
		n.c.Busy(&c.link)
	}
	for i, other := range n.open {
		if other == c {
			n.open = append(n.open[:i], n.open[i+1:]...)
			break
		}
	}
	c.Close(false)
	n.w.board.Loop(n.slot).ClientConns.Sub(1)
	n.c.Left(0)
}

// pass lets time pass for all loops, which hear their bells.
func (w *world) pass(d time.Duration) {
	for ; d > 0; d -= time.Millisecond {
		for _, n := range w.nodes {
			n.k.Pass(n.l, time.Millisecond)
			if w.board.AwaitBell(n.slot, 0) {
				n.l.Post(n.c.Rung)
				n.l.Turn(false)
			}
		}
	}
}

func (w *world) connect(slot int) {
	n := w.nodes[slot]
	n.k.Connect(n.listener, netip.MustParseAddrPort("192.0.2.1:1"))
}

func (w *world) count() (all int) {
	for _, n := range w.nodes {
		all += len(n.open)
	}
	return all
}

// TestOneNumber: one loop may have all conns; and a place that any loop makes goes to a client
// that waits at any other, soon.
func TestOneNumber(t *testing.T) {
	w := newWorld(t, 3, 5, 0)
	for range 7 {
		w.connect(1)
	}
	w.connect(2)
	w.pass(20 * time.Millisecond)
	if len(w.nodes[1].open) != 5 || w.count() != 5 {
		t.Fatalf("%d of 5 conns, %d in all", len(w.nodes[1].open), w.count())
	}
	for i := range 3 {
		w.nodes[1].open[0].close()
		w.pass(5 * time.Millisecond)
		if w.count() != 5 {
			t.Errorf("%d conns after %d have ended", w.count(), i+1)
		}
	}
	if len(w.nodes[2].open) != 1 || w.nodes[2].l.Timers() != 0 || w.board.Loop(2).Knocking.Load() != 0 {
		t.Errorf("%d conns of the other loop, %d timers", len(w.nodes[2].open), w.nodes[2].l.Timers())
	}
}

// TestOldestMakesRoom: the conn that has been idle longest makes room, on whichever loop it is;
// busy ones stay.
func TestOldestMakesRoom(t *testing.T) {
	w := newWorld(t, 3, 6, 0)
	for slot := range 3 {
		w.connect(slot)
		w.connect(slot)
		w.pass(5 * time.Millisecond)
	}
	order := []*client{w.nodes[1].open[0], w.nodes[0].open[1], w.nodes[1].open[1], w.nodes[2].open[0]}
	for _, c := range order {
		c.rest()
		w.pass(2 * time.Millisecond)
	}
	for range order {
		w.connect(2)
		w.pass(10 * time.Millisecond)
	}
	if len(w.ended) != len(order) || w.count() != 6 {
		t.Fatalf("%d have made room, %d conns", len(w.ended), w.count())
	}
	for i, c := range order {
		if w.ended[i] != c {
			t.Errorf("the one that has made room as number %d was idle since %v", i, w.ended[i].since)
		}
	}
	w.connect(0)
	w.pass(100 * time.Millisecond)
	if w.count() != 6 || len(w.ended) != len(order) {
		t.Error("a busy conn has made room, or one too many was let in")
	}
}

// TestStuckLoop: a loop that does not hear its bell does not keep others from making room.
func TestStuckLoop(t *testing.T) {
	w := newWorld(t, 2, 2, 0)
	w.connect(0)
	w.connect(1)
	w.pass(5 * time.Millisecond)
	w.nodes[0].open[0].rest()
	w.pass(5 * time.Millisecond)
	w.nodes[1].open[0].rest()
	stuck := w.nodes[0]
	w.nodes = w.nodes[1:]
	stuck.slot = -1
	n := w.nodes[0]
	n.k.Connect(n.listener, netip.MustParseAddrPort("192.0.2.1:1"))
	w.pass(100 * time.Millisecond)
	if len(w.ended) != 1 || w.ended[0].n != n || len(n.open) != 1 {
		t.Errorf("%d have made room, %d conns", len(w.ended), len(n.open))
	}
}

// TestFresh: a client that has sent nothing yet makes room after a second, not before.
func TestFresh(t *testing.T) {
	w := newWorld(t, 1, 1, 0)
	n := w.nodes[0]
	w.connect(0)
	w.pass(time.Millisecond)
	n.c.Idle(&n.open[0].link, n.open[0], false)
	w.connect(0)
	w.pass(grace - 50*time.Millisecond)
	if len(w.ended) != 0 {
		t.Error("it has made room at once")
	}
	w.pass(150 * time.Millisecond)
	if len(w.ended) != 1 || w.count() != 1 {
		t.Errorf("%d have made room", len(w.ended))
	}
}

// TestUse: without the limit everyone is let in, and nothing is left of it.
func TestUse(t *testing.T) {
	w := newWorld(t, 2, 1, 0)
	w.connect(0)
	w.connect(1)
	w.pass(10 * time.Millisecond)
	if w.count() != 1 {
		t.Fatalf("%d conns of 1", w.count())
	}
	for _, n := range w.nodes {
		for _, c := range n.open {
			c.rest()
		}
		n.c.Use(0, 0)
	}
	w.pass(10 * time.Millisecond)
	if w.count() != 2 || w.board.Totals().Knocking != 0 || w.board.Totals().IdleSince != 0 {
		t.Errorf("%d conns, %d knock", w.count(), w.board.Totals().Knocking)
	}
	if !w.nodes[0].c.Use(1, 0) || w.nodes[0].c.Use(2, 0) {
		t.Error("idle conns have to be listed when the limit begins, and then alone")
	}
}

// TestCrowd: whatever clients do, at whichever loop, there are never more than the limit, and
// none waits while there is room, or an idle conn that could make some.
func TestCrowd(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		loops, limit := 1+rng.IntN(4), 1+rng.IntN(8)
		w := newWorld(t, loops, limit, 0)
		asked := 0
		var gone int
		for range 300 {
			n := w.nodes[rng.IntN(loops)]
			switch k := rng.IntN(10); {
			case k < 4:
				w.connect(n.slot)
				asked++
			case len(n.open) == 0:
			case k < 6:
				n.open[rng.IntN(len(n.open))].close()
				gone++
			case k < 8:
				if c := n.open[rng.IntN(len(n.open))]; !c.link.Listed() {
					c.rest()
				}
			default:
				if c := n.open[rng.IntN(len(n.open))]; c.link.Listed() {
					n.c.Busy(&c.link)
				}
			}
			w.pass(time.Duration(rng.IntN(3)) * time.Millisecond)
			if w.count() > limit || w.board.Clients() != w.count() {
				t.Fatalf("seed %d: %d conns of %d, %d on the board", seed, w.count(), limit, w.board.Clients())
			}
		}
		w.pass(200 * time.Millisecond)
		idle := 0
		for _, n := range w.nodes {
			for _, c := range n.open {
				if c.link.Listed() {
					idle++
				}
			}
		}
		if waiting := asked - gone - len(w.ended) - w.count(); waiting > 0 && (w.count() < limit || idle > 0) {
			t.Fatalf("seed %d: %d wait, with %d conns of %d, %d of them idle", seed, waiting, w.count(), limit, idle)
		}
	}
}

// TestAdmit: conns of one address are counted over all loops, also those of a loop that has
// ended, until its slot is taken over.
func TestAdmit(t *testing.T) {
	w := newWorld(t, 2, 0, 3)
	addr := netip.MustParseAddr("2001:db8::1")
	a, b := w.nodes[0].c, w.nodes[1].c
	key, _ := a.Admit(addr)
	b.Admit(addr)
	b.Admit(netip.MustParseAddr("2001:db8::2"))
	if _, v := a.Admit(addr); v != Excess {
		t.Error("one too many is let in")
	}
	if _, v := a.Admit(netip.MustParseAddr("2001:db8:0:1::1")); v != Admitted {
		t.Error("another client is not let in")
	}
	if k, v := a.Admit(netip.Addr{}); k != 0 || v != Admitted {
		t.Error("a unix socket is counted")
	}
	a.Left(key)
	if _, v := b.Admit(addr); v != Admitted {
		t.Error("the place of one that has left is not to be had")
	}
	w.board.TakeOver(1)
	for i := range 3 {
		if _, v := a.Admit(addr); v != Admitted {
			t.Errorf("conn %d is not let in after the other loop has ended", i)
		}
	}
	var none *Crowd
	if k, v := none.Admit(addr); k != 0 || v != Admitted || none.Near() {
		t.Error("without limits something is counted")
	}
	none.Left(0)
	none.Rung()
}

// TestVerdicts: each has words, a count, and an example with the address.
func TestVerdicts(t *testing.T) {
	b := board.New(1, 0)
	for _, v := range []Verdict{Excess, Denied} {
		v.Count(b.Loop(0), b.Refusals(0), 5, netip.MustParseAddr("192.0.2.7"))
	}
	v := Denied
	v.Count(b.Loop(0), b.Refusals(0), 6, netip.Addr{})
	n := 0
	b.Refusals(0).Each(func(r board.Refusal) {
		n++
		if why, ok := board.OfConn(r.Kind); !ok || r.Text != texts[why] || !bytes.Contains([]byte(fmt.Sprint(r.Client)), []byte("192.0.2.7")) {
			t.Errorf("%+v", r)
		}
	})
	if l := b.Totals(); n != 2 || l.Excess != 1 || l.Denied != 2 {
		t.Errorf("%d kinds, %d and %d", n, l.Excess, l.Denied)
	}
}
