//go:build darwin || freebsd

package bench

import "time"

// pacer wakes a loop for the next request of its schedule. The loop's own timers
// are made for timeouts and late by milliseconds; the runtime's timers are precise
// on systems with kqueue.
type pacer struct{ timer *time.Timer }

func (p *pacer) open(w *worker) error {
	pump := func() { w.pump(w.kernel.Now()) }
	p.timer = time.AfterFunc(time.Hour, func() { w.loop.Post(pump) })
	return nil
}

// arm wakes the loop once, after d, which is above zero.
func (p *pacer) arm(d time.Duration) { p.timer.Reset(d) }

func (p *pacer) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
