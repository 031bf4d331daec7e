package bench

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lb/httpparse/h2"
	"lb/loop"
	"lb/loop/tick"
)

// batchMax is the most requests that a loop claims at once.
const batchMax = 64

// run is the state that the workers of one Run share.
type run struct {
	options   Options
	request   *request
	h2        *h2.Options // nil: HTTP/1.1
	addrs     []loop.Addr
	workers   []*worker
	reference reference
	cancel    context.CancelCauseFunc
	batch     int64
	left      atomic.Int64 // requests of a closed loop that no worker has claimed
}

// Run sends requests as o describes until the run is over or ctx ends. The end of
// ctx cuts off outstanding requests; Run then returns what it has measured so far,
// without an error. It returns an error only if o cannot be run at all; failed
// requests are counted. A run for a duration may last up to Timeout longer, for
// the answers to requests it has started.
func Run(ctx context.Context, o Options) (*Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{options: o}
	if r.request, err = newRequest(&o); err != nil {
		return nil, err
	}
	if r.addrs, err = addresses(ctx, &o, r.request.url); err != nil {
		return nil, err
	}
	if o.HTTP2 {
		r.h2 = r.h2Options()
	}
	if o.Want != nil {
		r.reference.first.Store(o.Want)
	}
	r.left.Store(math.MaxInt64)
	if o.Requests > 0 {
		r.left.Store(o.Requests)
	}
	r.batch = min(max(o.Requests/int64(8*o.Conns), 1), batchMax)
	for i := range o.Loops {
		w, err := newWorker(r, i, o.Loops)
		if err != nil {
			r.abandon()
			return nil, err
		}
		r.workers = append(r.workers, w)
	}
	return r.do(ctx)
}

// claim claims a batch of the requests that are left and returns its size.
func (r *run) claim() int64 {
	if r.options.Requests == 0 {
		return math.MaxInt64
	}
	for {
		left := r.left.Load()
		n := min(left, r.batch)
		if n == 0 || r.left.CompareAndSwap(left, left-n) {
			return n
		}
	}
}

// abandon closes workers that have not run.
func (r *run) abandon() {
	for _, w := range r.workers {
		w.ended = true
		w.loop.Close()
	}
}

// do runs the workers to their end.
func (r *run) do(parent context.Context) (*Result, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	r.cancel = cancel
	before, begun := cpuTime(), time.Now()
	var loops, helpers sync.WaitGroup
	for _, w := range r.workers {
		loops.Go(w.work)
	}
	done := make(chan struct{})
	helpers.Go(func() {
		select {
		case <-ctx.Done():
			for _, w := range r.workers {
				w.loop.Post(w.cut)
			}
		case <-done:
		}
	})
	if r.options.Progress != nil {
		helpers.Go(func() { r.report(begun, done) })
	}
	loops.Wait()
	close(done)
	helpers.Wait()
	if ctx.Err() != nil && parent.Err() == nil { // a worker has cancelled ctx
		return nil, context.Cause(ctx)
	}
	result := r.merge()
	after := cpuTime()
	result.CPU = CPU{User: after.User - before.User, System: after.System - before.System}
	return result, nil
}

// report calls Progress with the state of the workers, until done is closed.
func (r *run) report(begun time.Time, done <-chan struct{}) {
	ticker := time.NewTicker(publishGap)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		p := Progress{Elapsed: time.Since(begun) - r.options.Warmup}
		for _, w := range r.workers {
			p.Requests += w.shown.requests.Load()
			p.Errors += w.shown.errors.Load()
		}
		if n := r.options.Requests; n > 0 {
			p.Share = float64(p.Requests) / float64(n)
		}
		if d := r.options.Duration; d > 0 {
			p.Share = max(p.Share, float64(p.Elapsed)/float64(d))
		}
		p.Share = min(p.Share, 1)
		r.options.Progress(p)
	}
}

// merge adds up the counts of the workers.
func (r *run) merge() *Result {
	out := &Result{Latency: NewLatency()}
	from, end := r.workers[0].from, tick.Instant(0)
	for _, w := range r.workers {
		out.Answers += w.answers
		out.Unfinished += w.unfinished
		out.Errors.add(&w.errors)
		out.Status.add(&w.status)
		out.BytesRead += w.bytesRead
		out.BytesSent += w.bytesSent
		out.Connects += w.connects
		out.Backlog.add(&w.schedule.backlog)
		out.Latency.Merge(w.latency.Histogram)
		if r.request.url.Scheme == "https" {
			if out.TLS == nil {
				out.TLS = &TLS{}
			}
			out.TLS.add(&w.shakes.TLS)
		}
		out.Cut = out.Cut || w.wasCut
		from, end = min(from, w.from), max(end, w.end())
	}
	out.Requests = out.Answers + out.Errors.answerless()
	if out.Duration = max(end.Sub(from), 0); out.Duration > 0 {
		out.Throughput = float64(out.Answers) / out.Duration.Seconds()
	}
	return out
}

// cpuTime returns the CPU time that this process has used so far.
func cpuTime() CPU {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return CPU{} // cannot fail for the own process
	}
	return CPU{User: time.Duration(u.Utime.Nano()), System: time.Duration(u.Stime.Nano())}
}
