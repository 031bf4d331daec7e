package h2

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lb/arena"
	"lb/board"
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/hpack"
	"lb/loop"
	"lb/loop/looptest"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// rig is a server on a fake kernel. Its host answers every request itself.
type rig struct {
	t        *testing.T
	k        *looptest.Kernel
	l        *loop.Loop
	s        *Server
	listener int

	silent  bool // exchanges do not answer
	panics  bool // exchanges panic
	how     front.Ending
	body    string // of answers
	read    []byte // of the bodies of requests
	leases  int
	begun   int
	closed  int
	caught  int
	ends    []string // the methods of front.Exchange that were called instead of Run
	waiting []*exchange
}

var (
	client = netip.MustParseAddrPort("192.0.2.1:1000")
	limits = httpparse.Limits{HeadBytes: 16 << 10, Fields: 50, TargetBytes: 4 << 10}
)

func newRig(t *testing.T) *rig {
	r := &rig{t: t, k: looptest.New(1)}
	r.l = loop.New(r.k, loop.Options{})
	b := board.New(1, 1)
	r.s = New(&front.Shared{
		Loop: r.l, Arena: arena.New(lane.SlabBytes, lane.LargeBytes(limits.HeadBytes, 0)),
		Counters: b.Loop(0), Refusals: b.Refusals(0), Host: r, IdleTimeout: time.Minute, HeadTimeout: 10 * time.Second,
	})
	r.s.Use(Settings{Streams: 4, HeadBytes: limits.HeadBytes, Write: 20 * time.Second})
	r.listener = r.k.Listen()
	if err := r.l.Listen(r.listener, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// bare is the handler of a conn before it is taken.
type bare struct{ loop.Conn }

func (*bare) Ready()               {}
func (*bare) Panicked(any, []byte) {}

// Accepted implements loop.Acceptor.
func (r *rig) Accepted(fd int, addr netip.AddrPort) {
	b := new(bare)
	if err := r.l.Adopt(&b.Conn, b, fd); err != nil {
		r.t.Fatal(err)
	}
	r.s.Clients++
	var peer front.Peer
	peer.Set(addr, front.Plain)
	r.s.Take(&b.Conn, &peer, lane.Inbox{})
}

func (r *rig) turn() {
	for range 50 {
		r.l.Turn(false)
	}
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.k.Pass(r.l, d)
	r.turn()
}

// check reports everything that was begun and has not ended.
func (r *rig) check() {
	r.t.Helper()
	if r.leases != r.begun || r.s.Clients != 0 || r.l.Conns() != 0 || r.s.Arena.Out() != 0 || r.l.Timers() != 0 || r.s.open != nil {
		r.t.Errorf("%d leases, %d begun; %d clients, %d conns, %d slabs, %d timers are left",
			r.leases, r.begun, r.s.Clients, r.l.Conns(), r.s.Arena.Out(), r.l.Timers())
	}
	if n := r.s.Counters.HTTP2Conns.Load(); n != 0 {
		r.t.Errorf("%d conns are counted", n)
	}
	if m := r.k.Misuses(); len(m) > 0 {
		r.t.Error(m)
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
func (r *rig) Panicked(value any, stack []byte) {
	if r.caught++; value != "a mistake" {
		r.t.Errorf("%v\n%s", value, stack)
	}
	if f := r.s.Working; f != nil {
		r.s.Working = nil
		f.Abandon()
	}
}

// Closed implements front.Host.
func (r *rig) Closed() { r.closed++ }

// Begin implements front.Host.
func (r *rig) Begin(f front.Front, _ front.Lease, in *lane.Inbox, _ *front.Peer, req *httpparse.Request, _ tick.Instant) front.Exchange {
	r.begun++
	x := &exchange{r: r, f: f, in: in, req: req}
	r.waiting = append(r.waiting, x)
	return x
}

// exchange reads its request and answers with 200 and the rig's body.
type exchange struct {
	r    *rig
	f    front.Front
	in   *lane.Inbox
	req  *httpparse.Request
	took bool
	ln   lane.Lane
	src  lane.Inbox // the rest of the body of the answer
	left string
	sent bool // the head is composed
}

func (x *exchange) Run() bool {
	switch {
	case x.r.panics:
		panic("a mistake")
	case x.r.silent:
		return false
	case x.f.Gone():
		x.end("gone")
		return true
	}
	if !x.took {
		x.in.Take(int(x.req.HeadLen))
		x.took = true
	}
	for x.req.Framing == httpparse.Stream {
		x.r.read = append(x.r.read, x.in.Bytes()...)
		x.in.Take(x.in.Len())
		section, over := x.f.Over()
		if x.r.read = append(x.r.read, section...); over {
			break
		}
		if n, err := x.f.Fill(false); n == 0 && err == nil {
			return false
		} else if err != nil {
			x.end(err.Error())
			return true
		}
	}
	return x.answer(200, x.r.body)
}

// answer sends the answer as far as it goes.
func (x *exchange) answer(code int, body string) bool {
	a := x.r.s.Arena
	if !x.sent {
		x.sent, x.left = true, body
		reply := front.Reply{Code: code, Framing: httpparse.Length, Length: int64(len(body))}
		head := x.f.AppendHead(x.ln.Restart(a, 100), &reply)
		x.ln.SetHead(head, len(head))
		x.ln.Begin(httpparse.Length, reply.To, int64(len(body)))
	}
	for !x.ln.Done() {
		if x.ln.Flushed() && !x.ln.Whole && x.src.Len() == 0 {
			n := copy(x.src.Room(a, true), x.left)
			x.src.Put(n)
			x.left = x.left[n:]
		}
		if !x.ln.Whole && x.ln.Flushed() {
			if _, bad := x.ln.Compose(a, &x.src, &limits); bad {
				panic("bad")
			}
		}
		if n, err := x.f.Flush(&x.ln, &x.src); err != nil {
			x.end(err.Error())
			return true
		} else if n == 0 && !x.ln.Flushed() {
			return false
		}
	}
	x.release()
	x.f.End(x.r.how)
	return true
}

func (x *exchange) release() {
	x.ln.Release(x.r.s.Arena)
	x.src.Release(x.r.s.Arena)
}

func (x *exchange) end(why string) {
	x.release()
	x.r.ends = append(x.r.ends, why)
	x.f.End(front.Abort)
}

func (x *exchange) Expired() bool { x.end("expired"); return true }
func (x *exchange) BadHead(r httpparse.Reason) bool {
	x.req.Framing = httpparse.None
	if r == httpparse.LongHead || r == httpparse.ManyFields {
		return x.answer(431, "")
	}
	return x.answer(400, "")
}
func (x *exchange) LateHead() bool { return x.answer(408, "") }
func (x *exchange) Gone()          { x.end("gone") }
func (x *exchange) Cut()           { x.end("cut") }
func (x *exchange) Abandon()       { x.release(); x.r.ends = append(x.r.ends, "abandoned") }

// peer is a client that speaks frames.
type peer struct {
	*looptest.Peer
	r     *rig
	shown int
	table hpack.Table
	dec   *hpack.Decoder
}

// connect returns a client that has sent its preface and SETTINGS, and acknowledged those of the server.
func (r *rig) connect(settings ...byte) *peer {
	p := &peer{Peer: r.k.Connect(r.listener, client), r: r, dec: hpack.NewDecoder(16 << 10)}
	p.table.Reset(4096)
	p.send([]byte(h2.Preface), frame(h2.Settings, 0, 0, settings), frame(h2.Settings, h2.FlagAck, 0, nil))
	return p
}

func frame(t h2.Type, flags uint8, id uint32, payload []byte) []byte {
	return append(h2.AppendHeader(nil, h2.Header{Length: len(payload), Type: t, Flags: flags, Stream: id}), payload...)
}

func (p *peer) send(frames ...[]byte) {
	p.Send(bytes.Join(frames, nil))
	p.r.turn()
}

// ask returns the HEADERS of a request; fields are "name: value".
func ask(id uint32, end bool, fields ...string) []byte {
	b := []byte{}
	for _, f := range append([]string{":method: GET", ":scheme: http", ":path: /", ":authority: a"}, fields...) {
		name, value, _ := strings.Cut(f[1:], ": ")
		b = hpack.AppendField(b, []byte(f[:1]+name), []byte(value))
	}
	flags := uint8(h2.FlagEndHeaders)
	if end {
		flags |= h2.FlagEndStream
	}
	return frame(h2.Headers, flags, id, b)
}

// got returns the frames that have come since the last call, one a line, but for those about
// the whole conn at its beginning.
func (p *peer) got() string {
	var s strings.Builder
	b := p.Received()[p.shown:]
	for len(b) >= h2.HeaderLen {
		h := h2.ParseHeader(b)
		if len(b) < h2.HeaderLen+h.Length {
			break
		}
		body := b[h2.HeaderLen : h2.HeaderLen+h.Length]
		b = b[h2.HeaderLen+h.Length:]
		p.shown += h2.HeaderLen + h.Length
		if h.Type == h2.Settings || h.Type == h2.WindowUpdate && h.Stream == 0 {
			continue
		}
		if s.WriteString(h.Type.String()); h.Type != h2.GoAway {
			fmt.Fprintf(&s, " %d", h.Stream)
		}
		switch h.Type {
		case h2.Headers:
			for p.dec.Begin(&p.table, body); p.dec.Next(); {
				fmt.Fprintf(&s, " %s=%s", p.dec.Name, p.dec.Value)
			}
		case h2.Data:
			if fmt.Fprintf(&s, " %d", len(body)); len(body) < 20 {
				fmt.Fprintf(&s, " %q", body)
			}
		case h2.RSTStream:
			fmt.Fprintf(&s, " %s", h2.Code(body[3]))
		case h2.GoAway:
			fmt.Fprintf(&s, " %d %s", h2.ParseHeader(append(make([]byte, 5), body[:4]...)).Stream, h2.Code(body[7]))
		}
		if (h.Type == h2.Headers || h.Type == h2.Data) && h.Flags&h2.FlagEndStream != 0 {
			s.WriteString(" end")
		}
		s.WriteString("\n")
	}
	return s.String()
}

// want checks the frames that have come.
func (p *peer) want(lines ...string) {
	p.r.t.Helper()
	want := ""
	if len(lines) > 0 {
		want = strings.Join(lines, "\n") + "\n"
	}
	if got := p.got(); got != want {
		p.r.t.Errorf("got\n%swant\n%s", got, want)
	}
}
