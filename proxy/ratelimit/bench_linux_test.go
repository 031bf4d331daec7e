package ratelimit

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"lb/board"
	"lb/config/access"
	"lb/config/match"
	"lb/loop/tick"
	"lb/proxy/front"
)

// BenchmarkAdmit is what a limit costs each request, on a board in shared memory: of one
// client, and of as many as fill the table.
func BenchmarkAdmit(b *testing.B) {
	shared, f, err := board.Create(board.Room(board.Size{Loops: 1, Backends: 1}))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	shared.ClaimLoop(0)
	for _, clients := range []int{1, 1 << 20} {
		for name, l := range map[string]access.RateLimit{
			"all":  {Key: access.KeyClientIP},
			"path": {Key: access.KeyClientIP, Match: match.Conditions{Path: "/api"}},
		} {
			b.Run(fmt.Sprintf("clients=%d/%s", clients, name), func(b *testing.B) { benchAdmit(b, shared, clients, l) })
		}
	}
}

// benchNow is the time of benchmarks: each goes on where the one before it has ended.
var benchNow = start

func benchAdmit(b *testing.B, shared *board.Board, clients int, l access.RateLimit) {
	l.Rate, l.Burst = access.Rate{Count: 1_000_000, Per: time.Second}, 1_000_000
	s, r, now := New(limited(l), shared, 0), asking(b, "10.0.0.1", "GET /api/v1/users?id=7", ""), benchNow
	defer func() { benchNow = now.Add(time.Minute) }()
	peers := make([]front.Peer, min(clients, 1<<18)) // those that ask again; the others fill the table
	r.Peer = new(front.Peer)
	for i := range clients {
		if i < len(peers) {
			r.Peer = &peers[i]
		}
		r.Peer.Set(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1), front.Plain)
		s.Admit(r, now)
	}
	at := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		at = at*1664525 + 1013904223
		r.Peer = &peers[at>>8&uint32(len(peers)-1)]
		if now += tick.Instant(time.Microsecond); s.Admit(r, now) != nil {
			b.Fatal("refused")
		}
	}
}

// TestMillion: a million clients take no more memory than the table has.
func TestMillion(t *testing.T) {
	shared, f, err := board.Create(board.Room(board.Size{Loops: 1, Backends: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer shared.Close()
	shared.ClaimLoop(0)
	s, r := New(limited(access.RateLimit{Key: access.KeyClientIP, Rate: access.Rate{Count: 100, Per: time.Second}, Burst: 200}), shared, 0), asking(t, "10.0.0.1", "GET /", "")
	now, begun := start, time.Now()
	for i := range 1_000_000 {
		r.Peer.Set(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1), front.Plain)
		now += tick.Instant(10 * time.Microsecond) // 100,000 requests a second
		if s.Admit(r, now) != nil {
			t.Fatal("the first request of a client is refused")
		}
	}
	took := time.Since(begun)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	bytes := info.Sys().(*syscall.Stat_t).Blocks * 512
	t.Logf("%d bytes of memory, %d states lost, %v a request", bytes, shared.Buckets().Lost(), took/1_000_000)
	if bytes > 17<<20 || shared.Buckets().Lost() > 0 {
		t.Errorf("%d bytes of memory, want those of the table, 16 MiB; %d states lost, want none", bytes, shared.Buckets().Lost())
	}
}
