package crew

import (
	"testing"
	"time"

	"lb/internal/testkit"
)

// A worker that reports something twice, or too early, ends only itself.
func TestWorkerTalksNonsense(t *testing.T) {
	p := &process{
		o:       processOptions{progressed: func() {}},
		outbox:  newOutbox(),
		late:    time.AfterFunc(testkit.Patience, func() {}),
		serving: make(chan struct{}),
	}
	for range 2 {
		p.hear(report{Ready: true, Applied: 7}, nil)
		p.hear(report{Took: true}, nil)
		p.hear(report{Pong: 9}, nil)
		p.hear(report{Pong: 8, Applied: 6}, nil)
		p.hear(report{Pass: &passReport{Slot: -1}}, nil)
		p.hear(report{}, nil)
	}
	if !closed(p.serving) || p.passing.Load() != 0 || p.ponged.Load() != 9 || p.applied.Load() != 7 {
		t.Errorf("serving %v, %d conns on their way, pong %d, configuration %d",
			closed(p.serving), p.passing.Load(), p.ponged.Load(), p.applied.Load())
	}
}
