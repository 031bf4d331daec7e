package upstream_test

import (
	"fmt"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/upstream"
)

// conn stands for a conn to a backend.
type conn struct{}

// A pool of two backends, one of which refuses every connection.
func Example() {
	cfg := config.NewPool("web")
	cfg.Backends = []config.Backend{{Host: "10.0.0.1", Port: 80}, {Host: "10.0.0.2", Port: 80}}

	shared := board.New(1, len(cfg.Backends))
	var backends []*upstream.Backend[*conn]
	for id, b := range cfg.Backends {
		backends = append(backends, upstream.NewBackend[*conn](shared, 0, id, b.String()))
	}
	pool := upstream.NewPool(cfg, shared, backends, upstream.Seat{Loops: 1})

	now := tick.Instant(time.Second)
	for range 8 {
		i, why := pool.Pick(upstream.Ask{}, now)
		if why != upstream.Picked {
			fmt.Println("no backend")
			break
		}
		fmt.Println("try", backends[i].Name)
		pool.Release(i)
		if i == 0 {
			pool.Succeeded(i, 5*time.Millisecond, now)
		} else if c, ejected := pool.Failed(i, upstream.Fault{Why: board.ReasonConnect, Own: true}, now); ejected {
			fmt.Println(c.Name, "is ejected for", c.For)
		}
	}
	// Output:
	// try 10.0.0.1:80
	// try 10.0.0.2:80
	// try 10.0.0.1:80
	// try 10.0.0.2:80
	// try 10.0.0.1:80
	// try 10.0.0.2:80
	// 10.0.0.2:80 is ejected for 10s
	// try 10.0.0.1:80
	// try 10.0.0.1:80
}
