package proxy

import (
	"strings"
	"testing"
	"time"

	"lb/config"
)

// lackingRig returns a rig with a new client's rules of reuse and its first client's
// request at the backend.
func lackingRig(t *testing.T) (r *rig) {
	t.Helper()
	cfg := rigConfig(1)
	cfg.Pools[0].Reuse = config.ReuseSafe
	return newRig(t, 1, cfg, false)
}

// TestMakesDo: a conn that has not rested is used if there is no descriptor for another,
// and so is one that becomes idle a moment later.
func TestMakesDo(t *testing.T) {
	for _, idle := range []bool{true, false} {
		r := lackingRig(t)
		first := r.k.Connect(r.listener, rigClient)
		first.Send([]byte(ask))
		r.settle()
		peer := r.servers[0].Accept()
		peer.Recv()
		second := r.k.Connect(r.listener, rigClient)
		r.settle()
		r.k.Faults.FDMax = r.k.OpenFDs()
		if idle {
			peer.Send([]byte(answer))
			r.settle()
		}
		second.Send([]byte(ask))
		r.settle()
		if !idle {
			peer.Send([]byte(answer))
			r.settle()
			r.pass(40 * time.Millisecond)
		}
		if other := r.servers[0].Accept(); other != nil {
			t.Fatal("a second conn, for which there is no descriptor")
		}
		peer.Send([]byte(answer))
		r.settle()
		if got := string(second.Recv()); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("idle %v: the second client got %q", idle, got)
		}
		if k := &r.rec.records[1]; !k.Reused || k.Connected != 0 {
			t.Errorf("idle %v: a record of a new conn: %v", idle, k)
		}
	}
}

// TestLack: without a descriptor for a while the answer is 503, and no backend is blamed.
func TestLack(t *testing.T) {
	r := lackingRig(t)
	client := r.k.Connect(r.listener, rigClient)
	r.settle()
	r.k.Faults.FDMax = r.k.OpenFDs()
	client.Send([]byte(ask))
	r.settle()
	if got := client.Recv(); len(got) > 0 {
		t.Errorf("answered %q at once: there may be room soon", got)
	}
	r.pass(100 * time.Millisecond)
	if got := string(client.Recv()); !strings.HasPrefix(got, "HTTP/1.1 503") {
		t.Errorf("answered %q", got)
	}
	if s := r.p.now.pools[0].targets[0]; s.Slot.ConnectFaults.Load() != 0 || s.State.Faults.Load() != 0 {
		t.Error("the backend is blamed")
	}
}
