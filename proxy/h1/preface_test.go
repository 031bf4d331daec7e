package h1

import (
	"testing"

	"lb/loop"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// taker is the server of HTTP/2 that conns are handed over to.
type taker struct {
	loop.Conn
	r    *rig
	text string // what had been read, and comes
	peer front.Peer
}

func (h *taker) take(conn *loop.Conn, peer *front.Peer, in lane.Inbox) {
	h.r.l.Move(conn, &h.Conn, h)
	h.text, h.peer = string(in.Bytes()), *peer
	in.Release(h.r.s.Arena)
	h.Again()
}

// Ready implements loop.Handler.
func (h *taker) Ready() {
	var b [100]byte
	n, _ := h.Read(b[:])
	h.text += string(b[:n])
}

func (h *taker) Panicked(any, []byte) {}

// TestPreface: the preface of HTTP/2, in whatever pieces it comes, hands the conn over.
func TestPreface(t *testing.T) {
	const all = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes"
	for cut := range len(all) {
		r := newRig(t)
		h := &taker{r: r}
		r.s.HTTP2 = h.take
		p := r.connect(all[:cut])
		p.Send([]byte(all[cut:]))
		r.turn()
		if h.text != all || h.peer.Way != front.Plain || r.leases != 0 || r.begun != 0 || r.s.Clients != 1 || r.s.open != nil {
			t.Fatalf("cut at %d: handed over %q, %d leases, %d clients", cut, h.text, r.leases, r.s.Clients)
		}
		h.Close(false)
		r.s.Clients--
		r.turn()
		r.check(t)
	}
}

// TestNoPreface: what only looks like a preface, or comes too late, or where HTTP/2 is not
// spoken, is a bad request of HTTP/1.
func TestNoPreface(t *testing.T) {
	for _, tc := range []struct {
		in      string
		off     bool // no HTTP/2
		answers int
	}{
		{"PRI * HTTP/2.0\r\n\r\n", true, 1},
		{"PRI / HTTP/2.0\r\n\r\n", false, 1},
		{ask + "PRI * HTTP/2.0\r\n\r\n", false, 2},
		{"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", false, 1},
	} {
		r := newRig(t)
		h := &taker{r: r}
		if !tc.off {
			r.s.HTTP2 = h.take
		}
		r.how = front.Keep
		p := r.connect(tc.in)
		if n := r.begun; n != tc.answers || h.IsOpen() {
			t.Errorf("%q: %d exchanges, handed over: %t", tc.in, n, h.IsOpen())
		}
		p.Close()
		r.pass(LingerTimeout)
		r.check(t)
	}
}
