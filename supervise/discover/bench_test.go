package discover

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"lb/config"
)

// chorus is the sources of many pools, by the name of the pool.
type chorus map[string]*fakeSource

func (c chorus) make(p config.Pool) (Source, error) { return c[p.Name], nil }

// BenchmarkChange is a change of one of 10,000 backends in 100 pools, as it reaches the
// desk.
func BenchmarkChange(b *testing.B) {
	sources := chorus{}
	cfg := &config.Config{}
	for i := range 100 {
		name := fmt.Sprint("pool", i)
		sources[name] = &fakeSource{begun: make(chan struct{})}
		cfg.Pools = append(cfg.Pools, config.Pool{Name: name, Discover: "file:///" + name})
	}
	h := New(Options{Log: slog.New(slog.DiscardHandler), Make: sources.make})
	defer h.Close()
	h.Follow(cfg)
	list := func(i, last int) (list []config.Backend) {
		for j := range 99 {
			list = append(list, config.Backend{Host: fmt.Sprintf("10.%d.0.%d", i, j), Port: 80})
		}
		return append(list, config.Backend{Host: fmt.Sprintf("10.%d.1.%d", i, last), Port: 80})
	}
	for i := range 100 {
		s := sources[fmt.Sprint("pool", i)]
		<-s.begun
		s.report(list(i, 0), nil)
	}
	h.Await(context.Background())
	h.Effective(cfg)
	n := 0
	for b.Loop() {
		n++
		i := n % 100
		sources[fmt.Sprint("pool", i)].report(list(i, n%200+1), nil)
		h.tell()
		h.Effective(cfg)
	}
}
