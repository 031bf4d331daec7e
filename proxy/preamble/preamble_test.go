package preamble

import (
	"net/netip"
	"testing"
	"time"

	"lb/arena"
	"lb/board"
	"lb/httpparse"
	"lb/loop"
	"lb/loop/looptest"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxyproto"
)

var (
	balancer = netip.MustParseAddrPort("10.0.0.9:1")
	client   = netip.MustParseAddrPort("192.0.2.1:5555")
)

// rig is a Server on the fake kernel.
type rig struct {
	k        *looptest.Kernel
	l        *loop.Loop
	s        *Server
	b        *board.Board
	listener int
	came     []front.Arrival
	rest     []string
	conns    []*loop.Conn
	closed   int
}

func newRig(t *testing.T) *rig {
	k := looptest.New(1)
	r := &rig{k: k, l: loop.New(k, loop.Options{OnPanic: func(value any, stack []byte) { t.Errorf("panic: %v\n%s", value, stack) }}), b: board.New(1, 1)}
	r.s = &Server{Shared: &front.Shared{Loop: r.l, Arena: arena.New(1<<10, 80<<10), Counters: r.b.Loop(0), Refusals: r.b.Refusals(0), Host: r},
		Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, Timeout: time.Second}
	r.listener = k.Listen()
	if err := r.l.Listen(r.listener, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) Accepted(fd int, peer netip.AddrPort) { r.s.Open(fd, peer, r) }

func (r *rig) Arrived(conn *loop.Conn, from front.Arrival, in lane.Inbox) {
	r.came, r.rest = append(r.came, from), append(r.rest, string(in.Bytes()))
	in.Release(r.s.Arena)
	var c loop.Conn
	r.l.Move(conn, &c, r)
	r.conns = append(r.conns, &c)
}

func (r *rig) Ready()             {}
func (r *rig) Closed()            { r.closed++ }
func (r *rig) Lease() front.Lease { return nil }
func (r *rig) Return(front.Lease) {}
func (r *rig) Begin(front.Front, front.Lease, *lane.Inbox, *front.Peer, *httpparse.Request, tick.Instant) front.Exchange {
	return nil
}
func (r *rig) Panicked(any, []byte) {}

// turn lets d pass.
func (r *rig) turn(d time.Duration) {
	for range 5 {
		r.l.Turn(false)
	}
	r.k.Pass(r.l, d)
	for range 5 {
		r.l.Turn(false)
	}
}

func (r *rig) want(t *testing.T, why board.Preamble, n uint64) {
	t.Helper()
	if got := r.b.Totals().Preambles[why]; got != n {
		t.Errorf("%d conns were refused for reason %d, want %d", got, why, n)
	}
}

// TestArrived: the address, what else the header says, and what follows it, however it is cut.
func TestArrived(t *testing.T) {
	tlvs := proxyproto.AppendTLV(nil, proxyproto.Authority, []byte("a.example"))
	text := proxyproto.V2.Append(nil, client, looptest.Local, tlvs)
	whole := string(text) + "GET"
	for cut := range len(whole) + 1 {
		r := newRig(t)
		p := r.k.Connect(r.listener, balancer)
		p.Send([]byte(whole[:cut]))
		r.turn(time.Millisecond)
		p.Send([]byte(whole[cut:]))
		r.turn(time.Millisecond)
		if len(r.came) != 1 || r.came[0].Addr != client || r.came[0].Proxy.Sender != balancer.Addr() || r.came[0].Proxy.Destination != looptest.Local ||
			proxyproto.Fact(r.came[0].Proxy.Facts, proxyproto.FactAuthority) != "a.example" || cut >= len(whole) && r.rest[0] != "GET" {
			t.Fatalf("cut at %d: %+v, %q", cut, r.came, r.rest)
		}
		if r.s.Clients != 1 || r.s.Arena.Out() != 0 || r.s.open != nil {
			t.Fatalf("cut at %d: %d clients, %d slabs", cut, r.s.Clients, r.s.Arena.Out())
		}
	}
}

// TestOwn: a conn of the sender itself keeps its address, and so does one on a unix socket; a
// client of a unix socket has none.
func TestOwn(t *testing.T) {
	none := netip.AddrPort{}
	for _, tc := range []struct {
		from, want netip.AddrPort
		text       string
	}{
		{balancer, balancer, "PROXY UNKNOWN\r\n"},
		{balancer, balancer, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"},
		{none, none, "PROXY UNKNOWN\r\n"},
		{none, client, string(proxyproto.V1.Append(nil, client, looptest.Local, nil))},
		{balancer, none, "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + string(make([]byte, 216))},
	} {
		r := newRig(t)
		r.k.Connect(r.listener, tc.from).Send([]byte(tc.text))
		r.turn(time.Millisecond)
		if len(r.came) != 1 || r.came[0].Addr != tc.want {
			t.Errorf("%q from %v: %+v, want %v", tc.text, tc.from, r.came, tc.want)
		}
	}
}

// TestRefused: each reason counts by itself, and one that says nothing does not count.
func TestRefused(t *testing.T) {
	r := newRig(t)
	stranger := netip.MustParseAddrPort("10.0.1.9:1")
	untrusted, silent, gone := r.k.Connect(r.listener, stranger), r.k.Connect(r.listener, balancer), r.k.Connect(r.listener, balancer)
	malformed, cut := r.k.Connect(r.listener, balancer), r.k.Connect(r.listener, balancer)
	untrusted.Send(proxyproto.V1.Append(nil, client, looptest.Local, nil))
	malformed.Send([]byte("GET / HTTP/1.1\r\n"))
	cut.Send([]byte("PROXY "))
	r.turn(time.Millisecond)
	gone.Close()
	cut.Close()
	r.turn(time.Millisecond)
	r.want(t, board.PreambleUntrusted, 1)
	r.want(t, board.PreambleMalformed, 1)
	r.want(t, board.PreambleCut, 1)
	r.want(t, board.PreambleLate, 0)
	r.turn(900 * time.Millisecond)
	silent.Send([]byte("PROXY")) // does not move the deadline
	r.turn(50 * time.Millisecond)
	r.want(t, board.PreambleLate, 0)
	r.turn(100 * time.Millisecond)
	r.want(t, board.PreambleLate, 1)
	if r.s.Clients != 0 || r.closed != 5 || r.s.Arena.Out() != 0 || r.l.Conns() != 0 || r.b.Totals().ClientConns != 0 {
		t.Errorf("%d clients, %d closed, %d slabs, %d conns", r.s.Clients, r.closed, r.s.Arena.Out(), r.l.Conns())
	}
	var why []string
	r.b.Refusals(0).Each(func(f board.Refusal) { why = append(why, f.Client+" "+f.Text) })
	if len(why) != 4 || why[0] != "10.0.1.9 its address is not in trusted_proxies" {
		t.Errorf("%q", why)
	}
}

// TestDrain: in a drain, a conn without a byte has a second; one that has begun has its time.
func TestDrain(t *testing.T) {
	r := newRig(t)
	r.s.Timeout = time.Minute
	r.k.Connect(r.listener, balancer)
	begun := r.k.Connect(r.listener, balancer)
	begun.Send([]byte("PROXY UNK"))
	r.turn(time.Millisecond)
	r.s.Draining = true
	r.s.Drain()
	r.turn(2 * time.Second)
	if r.s.Clients != 1 {
		t.Errorf("%d clients", r.s.Clients)
	}
	begun.Send([]byte("NOWN\r\n"))
	r.turn(time.Millisecond)
	if len(r.came) != 1 {
		t.Error("a conn that had begun was not served")
	}
	r.k.Connect(r.listener, balancer)
	r.turn(time.Millisecond)
	if r.s.Cut(); r.s.open != nil || r.s.Clients != 1 {
		t.Errorf("%d clients after Cut", r.s.Clients)
	}
}

// TestWaitingIsCheap: a conn whose header has begun keeps no more than a fitted slab.
func TestWaitingIsCheap(t *testing.T) {
	r := newRig(t)
	p := r.k.Connect(r.listener, balancer)
	r.turn(time.Millisecond)
	if r.s.Arena.Out() != 0 {
		t.Error("a silent conn has a slab")
	}
	p.Send([]byte("PROXY "))
	r.turn(time.Millisecond)
	if in := r.s.open.in; in.Slab == nil || len(in.Slab.B) > 512 {
		t.Errorf("%d bytes for six", len(in.Slab.B))
	}
}
