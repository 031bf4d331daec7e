package observe

import (
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
