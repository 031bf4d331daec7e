package bench

import (
	"time"

	"golang.org/x/sys/unix"

	"lb/loop"
)

// pacer wakes a loop for the next request of its schedule. The loop's own timers
// are made for timeouts and late by milliseconds; a timerfd is late by some
// microseconds.
type pacer struct {
	loop.Conn
	worker *worker
	fd     int
	spec   unix.ItimerSpec
}

func (p *pacer) open(w *worker) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return err
	}
	p.worker, p.fd = w, fd
	return w.loop.Adopt(&p.Conn, p, fd) // the loop closes fd at its end
}

// arm wakes the loop once, after d, which is above zero.
func (p *pacer) arm(d time.Duration) {
	p.spec.Value = unix.NsecToTimespec(int64(d))
	if err := unix.TimerfdSettime(p.fd, 0, &p.spec, nil); err != nil {
		p.worker.fail(err)
	}
}

func (p *pacer) stop() {}

// Ready is called when the timer expires. The timerfd need not be read, since each
// expiry is an edge of its own.
func (p *pacer) Ready() { p.worker.pump(p.worker.kernel.Now()) }

// Panicked ends the run.
func (p *pacer) Panicked(value any, stack []byte) { p.worker.panicked(value, stack) }
