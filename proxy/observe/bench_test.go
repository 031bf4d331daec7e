package observe

import (
	"fmt"
	"testing"

	"lb/config"
)

// BenchmarkRecord takes a good exchange with a conn that idled, as almost all are.
func BenchmarkRecord(b *testing.B) {
	for name, path := range map[string]string{"off": "", "json": "-"} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(c *config.Config) { c.AccessLog.Path = path })
			rec := r.exchange(get)
			r.try(rec, "a:1", false, 0)
			r.answer(rec, 200)
			ring := r.board.LogRing(0)
			b.ReportAllocs()
			for b.Loop() {
				r.ob.Record(rec)
				if path != "" {
					first, rest := ring.Pending()
					ring.Consume(len(first) + len(rest))
				}
			}
		})
	}
}

// BenchmarkFault takes an exchange that has failed, as they come in masses when a backend of a
// large pool is gone.
func BenchmarkFault(b *testing.B) {
	for _, backends := range []int{4, 1000} {
		b.Run(fmt.Sprint(backends), func(b *testing.B) {
			r := newRig(b, func(c *config.Config) {
				c.AccessLog.Path = ""
				for i := 4; i < backends; i++ {
					c.Pools[1].Backends = append(c.Pools[1].Backends, config.Backend{Host: fmt.Sprint("10.0.0.", i), Port: 80})
				}
			})
			for range backends - 4 {
				r.ob.facts.IDs[1] = append(r.ob.facts.IDs[1], 4)
			}
			rec := r.exchange(get)
			r.try(rec, "a:1", true, 0)
			r.fail(rec, refused, 502)
			b.ReportAllocs()
			for b.Loop() {
				r.ob.Record(rec)
			}
		})
	}
}
