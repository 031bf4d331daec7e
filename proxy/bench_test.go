package proxy

import (
	"fmt"
	"strings"
	"testing"

	"lb/config"
)

// BenchmarkExchange measures lb itself: a whole exchange over conns that are kept, on a
// kernel that does nothing. Bytes are those of the bodies.
func BenchmarkExchange(b *testing.B) {
	for _, tc := range exchanges {
		b.Run(tc.name, func(b *testing.B) {
			s := newSteady(b, rigConfig(1), tc.request, tc.response)
			b.ReportAllocs()
			if tc.bytes > 0 {
				b.SetBytes(tc.bytes)
			}
			for b.Loop() {
				s.exchange()
				s.check(b)
			}
		})
	}
}

// BenchmarkRoutes is BenchmarkExchange with many routes, each request taking another one.
// 10,000 routes may cost at most twice as much as 10.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{0, 10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			cfg := rigConfig(1)
			for i := range n {
				cfg.Routes = append(cfg.Routes, config.Route{Host: routeHost(i), Path: routePath(i)})
			}
			requests := make([]string, 1024)
			for i := range requests {
				at := i * max(1, n/len(requests)) % max(1, n)
				requests[i] = strings.Replace(get, "www.example.com", routeHost(at), 1)
				requests[i] = strings.Replace(requests[i], "/some/path", routePath(at)+"/path", 1)
			}
			s := newSteady(b, cfg, requests[0], exchanges[0].response)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.request = requests[i%len(requests)]
				s.exchange()
				i++
			}
			if up, _ := s.sunk(); up != s.up {
				b.Errorf("%d bytes up, want %d", up, s.up)
			}
		})
	}
}

// routeHost and routePath are the host and path of route i, all equally long.
func routeHost(i int) string { return fmt.Sprintf("h%04d.example", i%1000) }
func routePath(i int) string { return fmt.Sprintf("/app%05d", i) }
