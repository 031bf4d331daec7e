// Package faultwatch has names asked for at once when connects to their addresses fail: a
// name has often moved by then, and its TTL may be long. Loops only count, on the board;
// this package reads a few words of every loop four times a second, and those of the
// backends only if a loop has failed to connect since.
package faultwatch

import (
	"context"
	"sync"
	"time"

	"lb/board"
	"lb/proxy/record"
	"lb/supervise/plan"
)

const lookEvery = 250 * time.Millisecond

// Options say what is watched.
type Options struct {
	Board *board.Board
	View  func() *plan.Snapshot // the one in use; any goroutine calls it
	Ask   func(names ...string) // it bounds how often it asks
}

// Watch reads a board until it is closed.
type Watch struct {
	o      Options
	seen   uint64         // faults of all loops
	counts map[int]uint64 // faults by backend

	stop context.CancelFunc
	done sync.WaitGroup
}

// Start begins to watch. The board has to stay until Close has returned.
func Start(o Options) *Watch {
	w := New(o)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.done.Go(func() {
		every := time.NewTicker(lookEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				w.Look()
			case <-ctx.Done():
				return
			}
		}
	})
	return w
}

// New returns a watch that Look alone drives. What is on the board already does not count.
func New(o Options) *Watch {
	w := &Watch{o: o, counts: map[int]uint64{}}
	w.seen = w.faults()
	for id := range o.Board.Backends() {
		w.counts[id] = w.faultsOf(id)
	}
	return w
}

// Close ends the watch. It may be called again, and for nil.
func (w *Watch) Close() {
	if w != nil {
		w.stop()
		w.done.Wait()
	}
}

// Look asks for the names of backends to which connects have failed since the last call.
// Only one goroutine may call it.
func (w *Watch) Look() {
	n := w.faults()
	if n == w.seen {
		return
	}
	w.seen = n
	view := w.o.View()
	var names []string
	for i, pool := range view.Config.Pools {
		for j, b := range pool.Backends {
			if b.Name == "" {
				continue
			}
			id := view.IDs[i][j]
			if n := w.faultsOf(id); n != w.counts[id] {
				w.counts[id] = n
				names = append(names, b.Name)
			}
		}
	}
	if len(names) > 0 {
		w.o.Ask(names...)
	}
}

// faults returns a count that changes when a loop fails to connect: the exchange is tried
// again, or ends with a fault.
func (w *Watch) faults() (n uint64) {
	for i := range w.o.Board.Loops() {
		l := w.o.Board.Loop(i)
		n += l.Retries.Load()
		for side := range board.FaultSides {
			for cause := range board.FaultCauses {
				n += l.Faults[board.FaultKind(uint8(side), uint8(record.Dial), uint8(cause))].Load()
			}
		}
	}
	return n
}

// faultsOf returns how often a backend refused or did not answer in time.
func (w *Watch) faultsOf(id int) (n uint64) {
	for i := range w.o.Board.Loops() {
		b := w.o.Board.Backend(i, id)
		n += b.ConnectFaults.Load() + b.TimeoutFaults.Load()
	}
	return n
}
