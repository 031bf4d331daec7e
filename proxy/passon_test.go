package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/looptest"
	"lb/proxy/h1"
	"lb/proxy/spread"
)

// TestPassOn: a conn that was passed on no longer belongs to this loop; a conn that the
// other loop refuses stays; and a conn from another loop may be passed on again, but not
// forever.
func TestPassOn(t *testing.T) {
	var passed []int
	taken := true
	o := rigOptions(rigConfig(1))
	o.Board = board.New(8, rigBackendsMax)
	o.Slot, o.Snapshot.Loops, o.Snapshot.Slots = 2, 3, []int{2, 5, 7}
	address := o.Snapshot.Config.Listening()[0].Address
	o.PassOn = func(slot int, at string, fd int, peer netip.AddrPort) bool {
		if peer != rigClient || at != address {
			t.Errorf("from %v, accepted at %q", peer, at)
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
	r.pass(time.Second) // until it is no longer counted
	connect(1)
	if !slices.Equal(passed, []int{5}) || r.p.shared.Clients != 5 {
		t.Errorf("passed to %v, which do not want it, %d kept; want 5 and 5", passed, r.p.shared.Clients)
	}
	taken, passed = true, nil
	var peers []*looptest.Peer
	for range spread.KeepsOne {
		peers = append(peers, r.k.Connect(r.listener, rigClient))
		fd, from, err := r.k.Accept(r.listener)
		if err != nil || fd < 0 {
			t.Fatal(fd, err)
		}
		r.pass(time.Second) // until those before are no longer counted
		r.l.Post(func() { r.p.Passed(address, fd, from) })
	}
	r.settle()
	if len(passed) != spread.KeepsOne-1 || r.p.shared.Clients != 6 {
		t.Errorf("%d of %d passed on again, %d open; want all but one, and 6", len(passed), spread.KeepsOne, r.p.shared.Clients)
	}
	passed = nil
	peers[spread.KeepsOne-1].Send([]byte(ask))
	r.settle()
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	if len(peers[spread.KeepsOne-1].Received()) == 0 {
		t.Error("the one that stayed is not answered")
	}
	r.reload(rigConfig(1)) // to a single loop
	s := r.snapshot
	s.Number, s.Loops, s.Slots = s.Number+1, 1, []int{2}
	r.l.Post(func() { r.p.Reload(s) })
	connect(1)
	if len(passed) != 0 || r.p.shared.Clients != 7 {
		t.Errorf("a lone loop passes on to %v", passed)
	}
}

// TestPassedInADrain: a conn that another loop passes on to a draining loop is answered,
// like those that the loop had accepted itself just before.
func TestPassedInADrain(t *testing.T) {
	for _, asks := range []bool{true, false} {
		r := newRig(t, 1, rigConfig(1), false)
		stays := r.k.Connect(r.listener, rigClient)
		stays.Send([]byte(ask))
		fd, _, _ := r.k.Accept(r.listener)
		r.l.Post(func() { r.p.Passed("", fd, rigClient) })
		r.settle()
		drained := 0
		r.l.Post(func() { r.p.Drain(func() { drained++ }) })
		r.settle()
		late := r.k.Connect(r.listener, rigClient)
		fd, _, _ = r.k.Accept(r.listener)
		r.l.Post(func() { r.p.Passed("", fd, rigClient) })
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

// TestDoors: what a conn is follows from the configuration at its accept, also if another
// loop has accepted it. A door whose address is no longer there stays what it was.
func TestDoors(t *testing.T) {
	cfg := rigConfig(1)
	cfg.Listeners = []config.Listener{{Address: ":1"}, {Address: ":2", RedirectHTTPS: true}, {Address: ":3", TLS: true}}
	r := newRig(t, 1, cfg, false)
	early := r.p.Door(":4") // before its configuration
	want := func(address, answer string) {
		t.Helper()
		for _, passed := range []bool{false, true} {
			client := r.k.Connect(r.listener, rigClient)
			client.Send([]byte(ask))
			fd, _, _ := r.k.Accept(r.listener)
			r.l.Post(func() {
				if passed {
					r.p.Passed(address, fd, rigClient)
				} else {
					r.p.Door(address).Accepted(fd, rigClient)
				}
			})
			r.settle()
			if b := r.servers[0].Accept(); b != nil {
				b.Send([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
				r.settle()
			}
			if got := string(client.Received()); !strings.Contains(got, answer) {
				t.Errorf("%s, passed %t: %q, want %q", address, passed, got, answer)
			}
			client.Close()
			r.pass(h1.LingerTimeout)
		}
	}
	const plain, redirected, wrong = "HTTP/1.1 204", "HTTP/1.1 308", "speaks HTTPS"
	want(":1", plain)
	want(":2", redirected)
	want(":3", wrong)
	want(":4", plain)
	cfg = rigConfig(1)
	cfg.Listeners = []config.Listener{{Address: ":1", TLS: true}, {Address: ":2"}, {Address: ":4", RedirectHTTPS: true}}
	r.reload(cfg)
	r.settle()
	want(":1", wrong)
	want(":2", plain)
	want(":3", wrong) // it is gone
	want(":4", redirected)
	if r.p.Door(":4") != early {
		t.Error("another door for the same address")
	}
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
