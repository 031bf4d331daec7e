package bench

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"lb/arena"
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/loop"
	"lb/loop/tick"
	"lb/loop/tlsconn"
)

const (
	readBytes    = 128 << 10 // size of the buffer that all conns of a loop read into
	slabBytes    = 4 << 10   // size of a slab for an incomplete head
	readsMax     = 8         // reads of one conn before others have their turn
	connectPause = 10 * time.Millisecond
	pumpGap      = 20 * time.Microsecond // the least time between two wake-ups of an open loop
	publishGap   = 50 * time.Millisecond // time between two updates of the progress
)

// worker is one loop with its share of the conns and of the counts. All of it but
// shown belongs to the loop's goroutine while the loop runs.
type worker struct {
	run      *run
	index    int
	options  *Options
	request  *request
	open     bool // an open loop, at a rate
	loop     *loop.Loop
	kernel   loop.Kernel
	slabs    *arena.Arena
	buf      []byte
	response httpparse.ResponseParser
	trailers httpparse.Trailers

	conns       []*conn
	working     int          // conns that are not retired
	unsettled   int          // conns whose first attempt to connect has not ended
	outstanding int          // requests
	claimed     int64        // requests claimed from the run and not started
	from, until tick.Instant // requests started between them are counted
	stamp       tick.Instant // when the answers being handled were read; 0: none yet
	last        tick.Instant // when the last counted request ended
	counting    bool
	timeUp      bool // the duration ended the run
	ended       bool
	wasCut      bool

	schedule    schedule // this and the next three are for an open loop
	first, tail *conn    // the free list: conns with room, the least recently used first
	pacer       pacer
	giveUp      loop.Timer

	answers, bytesRead, bytesSent int64
	connects, unfinished          int64
	errors                        Errors
	status                        [10]int64 // by first digit
	latency                       Latency

	shakes shakes // handshakes, for https

	h2shared *h2.Shared // for HTTP/2
	text     []byte     // space for a head

	publisher loop.Timer
	shown     struct{ requests, errors atomic.Int64 }
}

// newWorker returns the worker for every n-th conn, from index on.
func newWorker(r *run, index, n int) (*worker, error) {
	kernel, err := loop.NewKernel()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	w := &worker{
		run: r, index: index, options: &r.options, request: r.request, open: r.options.Rate > 0,
		kernel: kernel, slabs: arena.New(slabBytes, readBytes), buf: make([]byte, readBytes),
		latency: NewLatency(), until: math.MaxInt64,
	}
	secure := r.tlsConfig()
	w.loop = loop.New(kernel, loop.Options{OnPanic: w.panicked})
	for i := index; i < r.options.Conns; i += n {
		c := &conn{
			worker: w, addr: &r.addrs[i%len(r.addrs)], starts: make([]tick.Instant, max(r.options.Pipeline, r.options.Streams)),
			secure: ofConn(secure, r.options.Resume),
		}
		if r.h2 != nil {
			c.multi = &multi{c: c}
		}
		w.conns = append(w.conns, c)
	}
	if r.h2 != nil {
		w.h2shared, w.text = newH2Shared(), make([]byte, 0, answerLimits.HeadBytes)
	}
	w.working = len(w.conns)
	w.loop.Post(w.start)
	return w, nil
}

// work runs the loop to its end.
func (w *worker) work() {
	w.loop.Run()
	w.shakes.close()
}

// start is the first function that the loop runs.
func (w *worker) start() {
	if w.request.url.Scheme == "https" {
		w.shakes.shaker = tlsconn.NewShaker(w.loop, w.slabs)
	}
	if w.run.options.Progress != nil {
		w.Expired()
	}
	if w.open {
		w.startOpen()
		return
	}
	w.begin(w.kernel.Now())
	for _, c := range w.conns {
		c.begin()
	}
}

// begin sets the start and the end of the run.
func (w *worker) begin(now tick.Instant) {
	w.from = now.Add(w.options.Warmup)
	w.last = w.from
	if w.options.Duration > 0 {
		w.until = w.from.Add(w.options.Duration)
	}
}

// claim claims one request of a closed loop, to be started now. ok is false if none
// is left; start is 0 during the warm-up.
func (w *worker) claim(now tick.Instant) (start tick.Instant, ok bool) {
	switch {
	case now < w.from:
		return 0, true
	case now >= w.until:
		w.timeUp = true
		return 0, false
	case w.claimed == 0:
		if w.claimed = w.run.claim(); w.claimed == 0 {
			return 0, false
		}
	}
	w.claimed--
	w.counting = true
	return now, true
}

// retired counts a conn of a closed loop without further requests. The last one
// stops the loop.
func (w *worker) retired() {
	if w.working--; w.working == 0 {
		w.stop()
	}
}

// stop ends the loop, which closes every conn.
func (w *worker) stop() {
	w.ended = true
	w.pacer.stop()
	w.loop.Stop()
}

func (w *worker) received(n int) {
	if w.counting {
		w.bytesRead += int64(n)
	}
}

func (w *worker) sent(n int) {
	if w.counting {
		w.bytesSent += int64(n)
	}
}

// answered counts a complete answer that was read at stamp.
func (w *worker) answered(start tick.Instant, a *answer) {
	if start == 0 {
		return
	}
	w.last = w.stamp
	w.answers++
	w.status[a.code/100]++
	w.latency.RecordValue(int64(min(w.stamp.Sub(start), latencyMax))) // within the range, so it cannot fail
	switch {
	case a.code < 200 || a.code >= 400:
		w.errors.Status++
	case w.options.Verify && !w.run.reference.match(a.body):
		w.errors.Verify++
	}
}

// failed counts a request without an answer.
func (w *worker) failed(start tick.Instant, kind *int64) {
	if start != 0 {
		*kind++
		w.last = w.kernel.Now()
	}
}

// cut ends the run at once.
func (w *worker) cut() {
	if w.ended {
		return
	}
	for _, c := range w.conns {
		for c.n > 0 {
			if c.pop() != 0 {
				w.unfinished++
			}
		}
	}
	now := w.kernel.Now()
	if w.from == 0 { // the run has not begun
		w.from = now
	}
	w.last, w.wasCut = max(w.from, now), true
	w.stop()
}

// Expired publishes the progress of the worker.
func (w *worker) Expired() {
	w.shown.requests.Store(w.answers + w.errors.answerless())
	w.shown.errors.Store(w.errors.Total())
	w.loop.Arm(&w.publisher, w, w.loop.Now().Add(publishGap))
}

// fail ends the whole run with an error that is not the server's.
func (w *worker) fail(err error) {
	w.run.cancel(fmt.Errorf("bench: %w", err))
	w.stop()
}

func (w *worker) panicked(value any, stack []byte) {
	w.fail(fmt.Errorf("panic: %v\n%s", value, stack))
}

// end returns when the counted part of the run ended. A run for a duration lasts
// that long, even if the last answer came earlier.
func (w *worker) end() tick.Instant {
	if w.timeUp && !w.wasCut {
		return max(w.last, w.until)
	}
	return w.last
}
