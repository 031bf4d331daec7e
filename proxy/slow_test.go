package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"lb/loop/looptest"
	"lb/proxy/record"
)

// longBody is more, in bytes, than all buffers between two sides take.
const longBody = 4 << 20

// TestASlowReaderHoldsNextToNothing: what a client does not take stays with the backend.
// The client is to blame for the rest, and an answer goes on when it reads again.
func TestASlowReaderHoldsNextToNothing(t *testing.T) {
	for _, reads := range []bool{true, false} {
		r := newRig(t, 1, rigConfig(1), false)
		client := r.k.Connect(r.listener, rigClient)
		client.Pause()
		client.Send([]byte(countedRequest))
		r.settle()
		backend := r.servers[0].Accept()
		backend.Send(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", longBody))
		backend.Send(bytes.Repeat([]byte("x"), longBody))
		r.settle()
		if out, left := r.p.arena.Out(), backend.Unsent(); out > 1 || left < longBody/2 {
			t.Errorf("%d slabs out, %d bytes left with the backend", out, left)
		}
		if reads {
			client.Resume()
			r.settle()
		} else {
			r.pass(r.p.now.cfg.Timeouts.ClientWrite + time.Second)
		}
		if whole := strings.HasSuffix(string(client.Received()), strings.Repeat("x", longBody)); whole != reads {
			t.Errorf("reads %t: the answer is whole: %t", reads, whole)
		}
		if n := r.p.counters.Exchanges.Load(); n != 0 {
			t.Fatalf("reads %t: %d exchanges are left", reads, n)
		}
		if f := r.rec.records[0].Fault; !reads && f.Side != record.ClientSide {
			t.Errorf("blamed: %+v, want the client", f)
		}
		wantNothing(t, r, client)
	}
}

// TestASlowTakerHoldsNextToNothing is the same for an upload.
func TestASlowTakerHoldsNextToNothing(t *testing.T) {
	for _, reads := range []bool{true, false} {
		r := newRig(t, 1, rigConfig(1), false)
		var backend *looptest.Peer
		r.onEveryConnect(func(_ int, p *looptest.Peer) { backend = p; p.Pause() })
		client := r.k.Connect(r.listener, rigClient)
		client.Send(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", longBody))
		client.Send(bytes.Repeat([]byte("x"), longBody))
		r.settle()
		if out, left := r.p.arena.Out(), client.Unsent(); out > 2 || left < longBody/2 {
			t.Errorf("%d slabs out, %d bytes left with the client", out, left)
		}
		want := "504"
		if reads {
			want = "204"
			backend.Resume()
			r.settle()
			if !strings.HasSuffix(string(backend.Received()), strings.Repeat("x", longBody)) {
				t.Error("the upload is not whole")
			}
			backend.Send([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
			r.settle()
		} else {
			r.pass(r.p.now.cfg.Timeouts.BackendWrite + time.Second)
		}
		if got := string(client.Received()); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("the client got %q, want %s", got, want)
		}
		wantNothing(t, r, client)
	}
}

// wantNothing closes the client, and checks that nothing is left of it.
func wantNothing(t *testing.T, r *rig, client *looptest.Peer) {
	t.Helper()
	client.Close()
	r.settle()
	r.pass(2 * time.Minute)
	for _, left := range r.leftovers() {
		t.Errorf("left over: %s", left)
	}
}
