package engine

import (
	"sync"
	"time"

	"lb/config"
)

// bellEvery is how long a thread waits for the bell until it looks whether the loop has ended.
const bellEvery = time.Second

// bell has the loop look at the board after other loops have rung its bell there.
type bell struct {
	once sync.Once
	done sync.WaitGroup
}

// hear begins to wait for the bell, if cfg has a limit over all loops for which loops have to
// ask each other. That goes on until the loop ends.
func (e *Engine) hear(cfg *config.Config) {
	if !asks(cfg) {
		return
	}
	e.bell.once.Do(func() {
		e.bell.done.Go(func() {
			for {
				rung := e.o.Board.AwaitBell(e.o.Slot, bellEvery)
				select {
				case <-e.whenEnded:
					return
				default:
				}
				if rung {
					e.loop.Post(e.proxy.Rung)
				}
			}
		})
	})
}

// deaf returns when the bell is not waited for any longer. The loop has ended.
func (e *Engine) deaf() {
	e.bell.once.Do(func() {})
	e.o.Board.Ring(e.o.Slot)
	e.bell.done.Wait()
}

// asks reports whether loops have to ask each other for room under cfg.
func asks(cfg *config.Config) bool {
	if cfg.Limits.Connections > 0 {
		return true
	}
	for i := range cfg.Pools {
		for j := range cfg.Pools[i].Backends {
			if cfg.Pools[i].Backends[j].MaxConnections > 0 {
				return true
			}
		}
	}
	return false
}
