package h1

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
)

// rig is a server on a fake kernel. Its host answers every request itself.
type rig struct {
	k        *looptest.Kernel
	l        *loop.Loop
	s        *Server
	listener int

	how    front.Ending // how the next exchange ends
	silent bool         // exchanges do not answer
	leases int
	begun  int
	ends   []string // the methods of front.Exchange that were called instead of Run
	closed int
	panics int
}

var client = netip.MustParseAddrPort("192.0.2.1:1000")

const ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func newRig(t *testing.T) *rig {
	r := &rig{k: looptest.New(1)}
	r.l = loop.New(r.k, loop.Options{})
	r.s = New(&front.Shared{
		Loop: r.l, Arena: arena.New(lane.SlabBytes, lane.LargeBytes(limits.HeadBytes, 0)),
		Counters: board.New(1, 1).Loop(0), Host: r, IdleTimeout: time.Minute, HeadTimeout: 10 * time.Second,
	})
	r.listener = r.k.Listen()
	if err := r.l.Listen(r.listener, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Accepted implements loop.Acceptor.
func (r *rig) Accepted(fd int, peer netip.AddrPort) { r.s.Open(fd, peer, front.Plain, 0) }

// connect returns a client that has sent b.
func (r *rig) connect(b string) *looptest.Peer {
	p := r.k.Connect(r.listener, client)
	p.Send([]byte(b))
	r.turn()
	return p
}

func (r *rig) turn() {
	for range 20 {
		r.l.Turn(false)
	}
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.k.Pass(r.l, d)
	r.turn()
}

// check reports everything that was begun and has not ended.
func (r *rig) check(t *testing.T) {
	t.Helper()
	if r.leases != r.begun || r.s.Clients != 0 || r.l.Conns() != 0 || r.s.Arena.Out() != 0 || r.l.Timers() != 0 || r.s.open != nil {
		t.Errorf("%d leases, %d begun; %d clients, %d conns, %d slabs, %d timers are left",
			r.leases, r.begun, r.s.Clients, r.l.Conns(), r.s.Arena.Out(), r.l.Timers())
	}
	if m := r.k.Misuses(); len(m) > 0 {
		t.Error(m)
	}
}

type lease struct{}

func (lease) Limits() *httpparse.Limits  { return &limits }
func (lease) HeadTimeout() time.Duration { return 10 * time.Second }

// Lease implements front.Host.
func (r *rig) Lease() front.Lease {
	r.leases++
	return lease{}
}

// Return implements front.Host.
func (r *rig) Return(front.Lease) { r.leases-- }

// Panicked implements front.Host.
func (r *rig) Panicked(any, []byte) { r.panics++ }

// Closed implements front.Host.
func (r *rig) Closed() { r.closed++ }

// Begin implements front.Host.
func (r *rig) Begin(f front.Front, l front.Lease, in *lane.Inbox, peer *front.Peer, req *httpparse.Request, since tick.Instant) front.Exchange {
	r.begun++
	return &exchange{r, f, in, req, peer}
}

// exchange answers with 204, and ends in the way that its rig says.
type exchange struct {
	r   *rig
	f   front.Front
	in  *lane.Inbox
	req *httpparse.Request

	peer *front.Peer
}

func (x *exchange) Run() bool {
	if x.r.silent {
		return false
	}
	x.in.Take(int(x.req.HeadLen))
	return x.answer(204)
}

func (x *exchange) answer(code int) bool {
	var ln lane.Lane
	a := x.r.s.Arena
	reply := front.Reply{Code: code, Phrase: []byte("P"), Length: -1, Keep: x.r.how == front.Keep && !x.r.s.Draining}
	how := x.r.how
	if how == front.Keep && !reply.Keep {
		how = front.Close
	}
	head := x.f.AppendHead(ln.Restart(a, 100), &reply)
	ln.SetHead(head, len(head))
	x.f.Flush(&ln, nil)
	ln.Release(a)
	x.peer.Served = x.peer.Served || how == front.Keep
	x.f.End(how)
	return true
}

func (x *exchange) end(why string) {
	x.r.ends = append(x.r.ends, why)
	x.f.End(front.Abort)
}

func (x *exchange) Expired() bool                 { x.end("expired"); return true }
func (x *exchange) BadHead(httpparse.Reason) bool { x.r.how = front.Unread; return x.answer(400) }
func (x *exchange) LateHead() bool                { return x.answer(408) }
func (x *exchange) Gone()                         { x.end("gone") }
func (x *exchange) Cut()                          { x.end("cut") }
func (x *exchange) Abandon()                      { x.r.ends = append(x.r.ends, "abandoned") }
