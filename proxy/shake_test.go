package proxy

import (
	"bytes"
	"testing"
	"time"

	"lb/board"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/loop/looptest"
	"lb/proxy/h1"
)

// halfHello begins a ClientHello that never ends. It is not whole, so no thread is asked,
// and all that follows is decided by the simulated clock.
var halfHello = append([]byte{handshakeByte, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, bytes.Repeat([]byte{7}, 180)...)

// newShakeRig returns a rig on the fake kernel whose listener is for TLS.
func newShakeRig(t testing.TB) *rig {
	cfg := rigConfig(1)
	cfg.Listeners = tlsConfig().Listeners
	o := rigOptions(cfg)
	leaf := testkit.NewCA(t, "ca").Issue(t, testkit.Leaf{Names: tlsRigNames})
	set, err := tlsconf.Build(cfg, &tlsconf.Secrets{Certs: []tlsconf.Cert{{Chain: leaf.Cert, Key: leaf.Key}}})
	if err != nil {
		t.Fatal(err)
	}
	o.Snapshot.TLS = set
	r := newRigOn(t, 1, o, false)
	t.Cleanup(r.p.Close)
	return r
}

func (r *rig) handshakes() [board.HandshakeEnds]uint64 { return r.board.Totals().Handshakes }

// TestHandshakeTimeout: the deadline counts from the accept, and bytes do not move it.
func TestHandshakeTimeout(t *testing.T) {
	for _, parts := range []int{0, 1, 3} {
		r := newShakeRig(t)
		client := r.k.Connect(r.listener, rigClient)
		for i := range 9 {
			r.pass(time.Second)
			if i < parts {
				client.Send(halfHello[i*60 : (i+1)*60])
			}
		}
		r.settle()
		if client.Ended() || r.p.shared.Clients != 1 || r.p.counters.ClientConns.Load() != 1 || r.p.counters.Accepted.Load() != 1 {
			t.Errorf("%d parts: ended %t after 9 s, %d clients", parts, client.Ended(), r.p.shared.Clients)
		}
		r.pass(2 * time.Second)
		if !client.Ended() && !client.WasReset() || r.handshakes() != [board.HandshakeEnds]uint64{board.HandshakeLate: 1} {
			t.Errorf("%d parts: open after 11 s, handshakes %v", parts, r.handshakes())
		}
		if left := r.leftovers(); len(left) > 0 {
			t.Errorf("%d parts: left over: %q", parts, left)
		}
	}
}

// TestStalledHandshakes: 2,000 clients that stop in their ClientHello cost little memory and
// nothing else. A drain waits for those that have begun, and only a moment for the others.
func TestStalledHandshakes(t *testing.T) {
	r := newShakeRig(t)
	var clients []*looptest.Peer
	for range 2000 {
		c := r.k.Connect(r.listener, rigClient)
		c.Send(halfHello)
		clients = append(clients, c)
	}
	silent := r.k.Connect(r.listener, rigClient)
	r.settle()
	if r.p.shared.Clients != 2001 {
		t.Errorf("%d clients", r.p.shared.Clients)
	}
	held := 0
	for _, s := range [...]int{r.p.arena.Out(), r.p.arena.Free()} {
		held += s
	}
	t.Logf("%d slabs out, %d bytes free", r.p.arena.Out(), r.p.arena.Free())
	drained := 0
	r.l.Post(func() { r.p.Drain(func() { drained++ }) })
	r.pass(2 * time.Second)
	if !silent.Ended() || clients[0].Ended() || drained != 0 {
		t.Errorf("in a drain: silent one ended %t, stalled one %t, drained %d", silent.Ended(), clients[0].Ended(), drained)
	}
	r.pass(9 * time.Second)
	if drained != 1 || r.handshakes() != [board.HandshakeEnds]uint64{board.HandshakeLate: 2000} {
		t.Errorf("drained %d times, handshakes %v", drained, r.handshakes())
	}
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestCutHandshakes: a cut ends handshakes, and none of them counts as a request.
func TestCutHandshakes(t *testing.T) {
	r := newShakeRig(t)
	for i := range 3 {
		r.k.Connect(r.listener, rigClient).Send(halfHello[:100*min(i, 1)])
	}
	r.settle()
	cut := -1
	r.l.Post(func() { cut = r.p.Cut() })
	r.settle()
	if left := r.leftovers(); cut != 0 || len(left) > 0 {
		t.Errorf("%d cut off, left over: %q", cut, left)
	}
}

// TestPanicInHandshake: a panic costs the conn that it is in, and no other.
func TestPanicInHandshake(t *testing.T) {
	r := newShakeRig(t)
	other := r.k.Connect(r.listener, rigClient)
	other.Send(halfHello[:50])
	r.settle()
	bad := r.k.Connect(r.listener, rigClient)
	bad.Send(halfHello[:50])
	r.l.Turn(false) // takes it
	r.calls.panics = true
	r.settle()
	if !bad.WasReset() || other.Ended() || other.WasReset() || r.p.counters.Panics.Load() != 1 || r.p.shared.Clients != 1 {
		t.Errorf("bad one reset %t, other one ended %t, %d panics, %d clients",
			bad.WasReset(), other.Ended(), r.p.counters.Panics.Load(), r.p.shared.Clients)
	}
	other.Send([]byte("x"))
	other.Close()
	r.settle()
	r.p.counters.Panics.Sub(1)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestPlainAtOnceInADrain: plain HTTP that comes at a TLS listener in a drain gets its
// answer, and the drain ends.
func TestPlainAtOnceInADrain(t *testing.T) {
	r := newShakeRig(t)
	client := r.k.Connect(r.listener, rigClient)
	r.settle()
	drained := 0
	r.l.Post(func() { r.p.Drain(func() { drained++ }) })
	client.Send([]byte(ask))
	r.settle()
	if !bytes.Contains(client.Received(), []byte("400 Bad Request: this port speaks HTTPS")) {
		t.Errorf("%q", client.Received())
	}
	client.Close()
	r.pass(h1.LingerTimeout)
	if left := r.leftovers(); drained != 1 || len(left) > 0 {
		t.Errorf("drained %d times, left over: %q", drained, left)
	}
}
