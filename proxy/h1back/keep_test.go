package h1back

import (
	"net/netip"
	"testing"
	"time"

	"lb/arena"
	"lb/board"
	"lb/loop"
	"lb/loop/looptest"
	"lb/proxy/back"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxyproto"
)

// TestKeepAfterClient: the conn of a client that has gone meanwhile is not kept, and does not
// count as idle, which would leave less room under idle_max and max_connections for good.
func TestKeepAfterClient(t *testing.T) {
	k := looptest.New(1)
	addr := loop.Addr{IP: netip.MustParseAddrPort("192.0.2.1:80")}
	k.Serve(addr)
	l, b := loop.New(k, loop.Options{}), board.New(1, 1)
	s := &Conns{Shared: &back.Shared{IdleTimeout: time.Minute, Silence: time.Minute,
		Shared: &front.Shared{Loop: l, Arena: arena.New(lane.SlabBytes, lane.SlabBytes), Counters: b.Loop(0)}}}
	target := NewTarget(b, 0, 0, "backend", addr)
	target.Stock.Use(0, 1)
	target.Manner.Proxy = proxyproto.V1
	for _, stays := range [...]bool{false, false, true} {
		var peer front.Peer
		c, err := s.Dial(&target, nil, &Ask{Hello: []byte("PROXY UNKNOWN\r\n"), Peer: &peer})
		if err != nil {
			t.Fatal(err)
		}
		if !stays {
			peer.Leave()
		}
		if kept := c.Keep(false); kept != stays {
			t.Errorf("client stays: %t, but kept: %t", stays, kept)
		}
		if want := map[bool]uint64{true: 1}[stays]; b.Idle(0) != want {
			t.Errorf("client stays: %t, but %d idle conns", stays, b.Idle(0))
		}
		c.Drop()
		if b.Idle(0) != 0 || len(peer.Keeps().All()) != 0 {
			t.Errorf("%d idle conns after the end, %d are kept", b.Idle(0), len(peer.Keeps().All()))
		}
	}
}
