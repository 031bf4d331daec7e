package proxy

import "testing"

// BenchmarkExchange is what lb itself costs: a whole exchange over conns that
// are kept, on a kernel that does nothing. Bytes are those of the bodies.
func BenchmarkExchange(b *testing.B) {
	for _, tc := range exchanges {
		b.Run(tc.name, func(b *testing.B) {
			s := newSteady(b, tc.request, tc.response)
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
