package proxy

import (
	"testing"
	"time"

	"lb/board"
	"lb/loop/looptest"
	"lb/proxy/h1"
)

const countedRequest, countedAnswer = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"

// countedExchanges runs a few exchanges with known outcomes: four of client and one of bad.
// up is the number of bytes to a backend for one of client's.
func countedExchanges(r *rig) (client, bad *looptest.Peer, up int) {
	ask := func(client *looptest.Peer) {
		client.Send([]byte(countedRequest))
		r.settle()
	}
	client = r.k.Connect(r.listener, rigClient)
	ask(client)
	first := r.servers[0].Accept()
	up = len(first.Received())
	first.Send([]byte(countedAnswer))
	r.settle()

	r.servers[1].Refuse = true
	ask(client) // refused by the second backend, so it goes to the first, on a new conn
	r.servers[0].Accept().Send([]byte("nonsense\r\n"))
	r.settle() // 502

	ask(client)                                         // to the first again, on its idle conn
	r.pass(r.p.now.cfg.Timeouts.Response + time.Second) // 504

	r.servers[1].Refuse = false
	ask(client)
	second := r.servers[1].Accept()
	second.Send([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
	r.settle()
	client.Reset()
	r.settle()

	bad = r.k.Connect(r.listener, rigClient)
	bad.Send([]byte("nonsense\r\n"))
	r.settle()
	bad.Close()
	r.settle()
	return client, bad, up
}

// TestCounters: the counters of the board after a few exchanges with known outcomes.
func TestCounters(t *testing.T) {
	cfg := rigConfig(2)
	cfg.Retry.On.Timeout = false
	r := newRig(t, 1, cfg, false)
	client, bad, up := countedExchanges(r)
	c, a, b := r.p.counters, r.p.now.pools[0].targets[0].Slot, r.p.now.pools[0].targets[1].Slot
	for _, tc := range []struct {
		name string
		got  *board.Counter
		want int
	}{
		{"Accepted", &c.Accepted, 2},
		{"Requests", &c.Requests, 4},
		{"Replies 2xx", &c.Replies[2], 1},
		{"Replies 4xx", &c.Replies[4], 2},
		{"Replies 5xx", &c.Replies[5], 2},
		{"OwnReplies 4xx", &c.OwnReplies[4], 1},
		{"OwnReplies 5xx", &c.OwnReplies[5], 2},
		{"Retries", &c.Retries, 1},
		{"ClientAborts", &c.ClientAborts, 1},
		{"BytesFromClient", &c.BytesFromClient, 4*len(countedRequest) + len("nonsense\r\n")},
		{"BytesToClient", &c.BytesToClient, len(client.Received()) + len(bad.Received())},
		{"BytesToBackend", &c.BytesToBackend, 4 * up},
		{"attempts at a", &a.Attempts, 3},
		{"conns to a", &a.Conns, 2},
		{"replies of a", &a.Replies[2], 1},
		{"bad answers of a", &a.BadAnswers, 1},
		{"timeouts of a", &a.TimeoutFaults, 1},
		{"resets of a", &a.ResetFaults, 0},
		{"bytes to a", &a.BytesTo, 3 * up},
		{"bytes from a", &a.BytesFrom, len(countedAnswer) + len("nonsense\r\n")},
		{"attempts at b", &b.Attempts, 2},
		{"refused by b", &b.ConnectFaults, 1},
		{"resets of b", &b.ResetFaults, 0},
		{"replies of b", &b.Replies[0], 1},
		{"own 5xx of no pool", &c.PoolLess[5], 0},
		{"own 4xx of no pool", &c.PoolLess[4], 1},
	} {
		if got := int(tc.got.Load()); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	if n := r.p.now.pools[0].targets[0].State.Own[5-4].Load(); n != 2 {
		t.Errorf("own 5xx of the pool: %d, want 2", n)
	}
	if up == 0 || len(client.Received()) == 0 {
		t.Error("nothing went through")
	}
	r.pass(r.p.now.cfg.Timeouts.BackendIdle + h1.LingerTimeout)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
