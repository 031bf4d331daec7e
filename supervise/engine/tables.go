package engine

import (
	"slices"
	"sync"
	"time"

	"lb/upstream"
)

// tables makes the tables of pools with the strategy hash beside the loops of a process. It
// works a bit and rests, so that it never has a core for long: loops may have no other. The
// zero tables is ready.
type tables struct {
	mu   sync.Mutex
	jobs []tableJob
	busy bool
}

// tableJob is a table that the loop of a slot has asked for.
type tableJob struct {
	slot int
	pool string
	list []upstream.Share
	take func(upstream.Table)
}

// tableRest is how long the work rests, each time after a tenth of a millisecond or two.
const tableRest = time.Millisecond

// ask has j.take called, on another goroutine, with the table of j.list. It takes the place of
// an earlier job of the same loop for the same pool.
func (b *tables) ask(j tableJob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.jobs, func(o tableJob) bool { return o.slot == j.slot && o.pool == j.pool }); i >= 0 {
		b.jobs[i] = j
	} else {
		b.jobs = append(b.jobs, j)
	}
	if !b.busy {
		b.busy = true
		go b.run()
	}
}

// run makes tables until no more are wanted.
func (b *tables) run() {
	for {
		b.mu.Lock()
		if len(b.jobs) == 0 {
			b.busy = false
			b.mu.Unlock()
			return
		}
		j := b.jobs[0]
		b.jobs = b.jobs[1:]
		b.mu.Unlock()
		t := upstream.MakeTable(j.list, func() { time.Sleep(tableRest) })
		j.take(t)
		b.mu.Lock()
		b.jobs = slices.DeleteFunc(b.jobs, func(o tableJob) bool { // also those of other loops
			if o.pool != j.pool || !slices.Equal(o.list, j.list) {
				return false
			}
			o.take(t)
			return true
		})
		b.mu.Unlock()
	}
}

// table has the table of a pool made for the loop. It is called on it.
func (e *Engine) table(pool string, list []upstream.Share, take func(upstream.Table)) {
	e.o.Sets.tables.ask(tableJob{e.o.Slot, pool, list, func(t upstream.Table) {
		e.loop.Post(func() { take(t) })
	}})
}
