package proxy

import (
	"testing"
	"time"

	"lb/config"
)

// TestAStandstillIsNoLatencyOfABackend: least_time does not count an answer that waited
// in the socket for lb.
func TestAStandstillIsNoLatencyOfABackend(t *testing.T) {
	cfg := rigConfig(1)
	cfg.Pools[0].Strategy = config.LeastTime
	r := newRig(t, 1, cfg, false)
	client := r.k.Connect(r.listener, rigClient)
	ask := func(stop time.Duration) uint64 {
		client.Send([]byte(countedRequest))
		r.settle()
		r.servers[0].Accept().Send([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
		r.k.Advance(stop)
		r.settle()
		return r.board.State(0).TTFB.Load()
	}
	if got := ask(time.Hour); got != 0 {
		t.Errorf("%v to the first byte, though lb stood still", time.Duration(got))
	}
	if got := ask(10 * time.Millisecond); got == 0 {
		t.Error("an answer without a standstill is not measured")
	}
	client.Close()
	r.settle()
}

// TestAStandstillIsNoWaitForRoom: a request that waits in a queue waits as long as usual
// from the end of the standstill on, since lb has not looked for room meanwhile.
func TestAStandstillIsNoWaitForRoom(t *testing.T) {
	cfg := rigConfig(1)
	cfg.Pools[0].Backends[0].MaxConnections = 1
	r := newRig(t, 1, cfg, false)
	_, second := r.askTwice()
	busy := r.servers[0].Accept()
	r.k.Advance(time.Minute)
	r.pass(cfg.Timeouts.Queue - time.Second)
	if got := second.Recv(); len(got) > 0 {
		t.Fatalf("answered %q", got)
	}
	busy.Send([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
	r.settle()
	if r.servers[0].Accept() == nil {
		t.Error("it does not take the room")
	}
}
