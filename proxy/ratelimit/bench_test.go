package ratelimit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"lb/board"
	"lb/config/access"
	"lb/config/match"
	"lb/proxy/front"
)

// BenchmarkAdmit is what a limit costs each request: of one client, and of a million.
func BenchmarkAdmit(b *testing.B) {
	room := board.Room(board.Size{Loops: 1, Backends: 1})
	shared, f, err := board.Create(room)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	shared.ClaimLoop(0)
	for _, clients := range []int{1, 1_000_000} {
		for name, l := range map[string]access.RateLimit{
			"all":  {Key: access.KeyClientIP},
			"path": {Key: access.KeyClientIP, Match: match.Conditions{Path: "/api"}},
		} {
			b.Run(fmt.Sprintf("clients=%d/%s", clients, name), func(b *testing.B) {
				l.Rate, l.Burst = access.Rate{Count: 1_000_000, Per: time.Second}, 1_000_000
				s, r := New(limited(l), shared, 0), asking(b, "10.0.0.1", "GET /api/v1/users?id=7", "")
				peers := make([]front.Peer, min(clients, 1<<16))
				now, at := start, uint32(0)
				b.ReportAllocs()
				for b.Loop() {
					at = at*1664525 + 1013904223
					p := &peers[int(at>>8)%len(peers)]
					n := at % uint32(clients)
					p.Set(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), front.Plain)
					r.Peer = p
					now++
					if s.Admit(r, now) != nil {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}
