package proxy

import (
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/loop"
	"lb/loop/looptest"
)

// fullRig returns a rig whose first backend is a unix socket with a full accept queue.
func fullRig(t *testing.T, backends int) (*rig, *looptest.Server) {
	t.Helper()
	r := newRig(t, 1, rigConfig(backends), false)
	app := loop.Addr{Path: "/app.sock"}
	r.l.Post(func() { r.p.targets[0].Addr = app })
	v := r.k.Serve(app)
	v.Full = true
	return r, v
}

// TestFullAcceptQueue: a unix socket without room is no refusal. lb tries again until there
// is room, whatever the method, and blames no backend.
func TestFullAcceptQueue(t *testing.T) {
	r, v := fullRig(t, 1)
	client := r.k.Connect(r.listener, rigClient)
	client.Send([]byte("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"))
	r.settle()
	r.pass(2 * time.Second)
	if got := client.Recv(); len(got) > 0 {
		t.Fatalf("answered %q while there was no room", got)
	}
	v.Full = false
	r.pass(time.Second)
	peer := v.Accept()
	if peer == nil {
		t.Fatal("no conn once there is room")
	}
	peer.Send([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
	r.settle()
	if got := string(client.Recv()); !strings.HasPrefix(got, "HTTP/1.1 204") {
		t.Errorf("answered %q", got)
	}
	if s := r.p.now.pools[0].targets[0].Slot; s.ConnectFaults.Load() != 0 || s.Attempts.Load() != 1 {
		t.Errorf("%d connect faults and %d attempts, want 0 and 1", s.ConnectFaults.Load(), s.Attempts.Load())
	}
	client.Close()
	r.pass(time.Second)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestFullAcceptQueueForTooLong: after timeouts.connect the answer is 503, or another
// backend is asked. No backend is ejected for it.
func TestFullAcceptQueueForTooLong(t *testing.T) {
	for _, backends := range []int{1, 2} {
		r, _ := fullRig(t, backends)
		client := r.k.Connect(r.listener, rigClient)
		for range 5 {
			client.Send([]byte(ask))
			r.settle()
			r.pass(r.p.now.cfg.Timeouts.Connect + time.Second)
			if backends == 1 {
				if got := string(client.Recv()); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After") {
					t.Fatalf("answered %q", got)
				}
				continue
			}
			peer := r.servers[1].Accept()
			if peer == nil {
				t.Fatal("the other backend was not asked")
			}
			peer.Send([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
			r.settle()
		}
		s := r.board.State(0)
		if s.Ejections.Load() != 0 || s.Faults.Load() != 0 || board.Health(s.Health.Load()) == board.Down {
			t.Errorf("%d backends: it is blamed", backends)
		}
	}
}

// TestFullAcceptQueueLeft: a client that leaves meanwhile, a backend that is found down, and
// a reload that removes it.
func TestFullAcceptQueueLeft(t *testing.T) {
	for name, leave := range map[string]func(r *rig, client *looptest.Peer){
		"reset":  func(_ *rig, client *looptest.Peer) { client.Reset() },
		"reload": func(r *rig, client *looptest.Peer) { r.reload(withBackends(1)); r.pass(time.Minute); client.Close() },
		"cut":    func(r *rig, _ *looptest.Peer) { r.l.Post(func() { r.p.Cut() }) },
	} {
		r, _ := fullRig(t, 1)
		client := r.k.Connect(r.listener, rigClient)
		client.Send([]byte(ask))
		r.pass(time.Second)
		leave(r, client)
		r.pass(time.Second)
		if left := r.leftovers(); len(left) > 0 {
			t.Errorf("%s: left over: %q", name, left)
		}
	}
}

// TestFullAcceptQueueDown: a request that knocks at a backend which is found down is asked
// elsewhere.
func TestFullAcceptQueueDown(t *testing.T) {
	r, _ := fullRig(t, 2)
	r.k.Connect(r.listener, rigClient).Send([]byte(ask))
	r.pass(100 * time.Millisecond)
	r.board.State(0).Health.Store(uint64(board.Down))
	r.board.Changed()
	r.pass(300 * time.Millisecond)
	if r.servers[1].Accept() == nil {
		t.Error("the other backend was not asked")
	}
}

// TestFullAcceptQueueThenQueue: a request that waits for room at another backend afterwards
// takes it at once.
func TestFullAcceptQueueThenQueue(t *testing.T) {
	cfg := rigConfig(2)
	cfg.Pools[0].Backends[1].MaxConnections = 1
	r := newRig(t, 1, cfg, false)
	app := loop.Addr{Path: "/app.sock"}
	r.l.Post(func() { r.p.targets[0].Addr = app })
	r.k.Serve(app).Full = true
	first, second := r.k.Connect(r.listener, rigClient), r.k.Connect(r.listener, rigClient)
	first.Send([]byte(ask)) // knocks at the first backend
	r.settle()
	second.Send([]byte(ask))
	r.settle()
	busy := r.servers[1].Accept()
	if busy == nil {
		t.Fatal("the other backend was not asked")
	}
	r.pass(r.p.now.cfg.Timeouts.Connect + 100*time.Millisecond)
	room := &r.p.now.pools[0].room
	if n, _ := room.Newcomers(); n != 0 || room.Len() != 1 {
		t.Fatalf("%d wait for room, %d of them at the first try; want 1 and 0", room.Len(), n)
	}
	busy.Send([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
	r.settle()
	r.pass(50 * time.Millisecond)
	if r.servers[1].Accept() == nil {
		t.Error("it does not take the room")
	}
}
