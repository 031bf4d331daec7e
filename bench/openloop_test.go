package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
	"lb/loop/tick"
)

// atLeast counts the answers that took d or longer.
func atLeast(r *Result, d time.Duration) (n int64) {
	for _, bar := range r.Latency.Distribution() {
		if bar.From >= int64(d) {
			n += bar.Count
		}
	}
	return n
}

// staller answers at once, except for one stall: from request number n on it answers
// nothing for d.
func staller(n int64, d time.Duration) func(*peer) {
	var count atomic.Int64
	var gate sync.RWMutex
	return func(p *peer) {
		for {
			if _, more := p.request(); !more {
				return
			}
			if count.Add(1) == n {
				gate.Lock()
				<-time.After(d)
				gate.Unlock()
			}
			gate.RLock()
			said := p.say(ok(""))
			gate.RUnlock()
			if !said {
				return
			}
		}
	}
}

// TestStallShows is the purpose of an open loop: a stall of 200 ms shows in all
// requests that were due during it, whether a conn was free for them or not.
func TestStallShows(t *testing.T) {
	const rate, conns, total, stall = 1000, 4, 350, 200 * time.Millisecond
	t.Run("open", func(t *testing.T) {
		for name, o := range map[string]Options{
			"plain":     {},
			"two loops": {Loops: 2},
			"pipelined": {Pipeline: 3},
			"new conns": {NewConnPerRequest: true},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o.URL, o.Conns, o.Rate, o.Requests = serve(t, staller(100, stall)), conns, rate, total
				r := finished(t, o)
				if r.Answers != total || r.Errors.Total() > 0 {
					t.Fatalf("%d answers, %+v", r.Answers, r.Errors)
				}
				// Requests due in the first half of the stall wait at least for its second
				// half. Answers of other conns may overlap the start of the stall.
				const half = stall / 2
				want := int64(rate*half.Seconds()) - conns*int64(max(o.Pipeline, 1)) - 1
				if n := atLeast(r, half); n < want {
					t.Errorf("%d answers took %v or longer, want %d", n, half, want)
				}
				if r.Latency.Max() < int64(stall*9/10) {
					t.Errorf("the longest latency is %v, in a stall of %v", time.Duration(r.Latency.Max()), stall)
				}
				if r.Backlog.Waited < want || r.Backlog.Max < want || r.Backlog.Unsent != 0 {
					t.Errorf("backlog %+v, want about 190", r.Backlog)
				}
			})
		}
	})
	// A closed loop asks nothing during the stall, and hardly notices.
	n := int64(math.MaxInt64)
	for range 5 { // a busy machine makes more answers late, but not every time
		r := finished(t, Options{URL: serve(t, staller(100, stall)), Conns: conns, Requests: 500})
		// Outstanding requests take as long as the stall, and on a busy machine some
		// more of the 500. At the rate of the open loop it was 95 at least.
		if n = min(n, atLeast(r, stall/2)); n <= 10*conns {
			break
		}
	}
	if n > 10*conns {
		t.Errorf("closed loop: %d answers took long, want about %d", n, conns)
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	t.Parallel()
	for i, o := range []Options{
		{Rate: 2000, Requests: 400},
		{Rate: 2000, Requests: 401, Loops: 3, Conns: 10},
		{Rate: 2000, Duration: 200 * time.Millisecond, Loops: 2, Conns: 10},
		{Rate: 20_000, Requests: 4000, Loops: 2, Conns: 10, Pipeline: 4},
		{Rate: 1000, Requests: 200, NewConnPerRequest: true, Conns: 10},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			o.URL = serve(t, func(p *peer) {
				for {
					if _, more := p.request(); !more {
						return
					}
					asked.Add(1)
					p.say(ok(""))
				}
			})
			want := o.Requests
			if want == 0 {
				want = int64(o.Rate * o.Duration.Seconds())
			}
			r := finished(t, o)
			if r.Answers != want || asked.Load() != want || r.Errors.Total() > 0 {
				t.Errorf("%d answers, %d asked, %+v; want %d", r.Answers, asked.Load(), r.Errors, want)
			}
			if took := time.Duration(float64(want-1) / o.Rate * 1e9); r.Duration < took {
				t.Errorf("%d requests at %v per second in %v, want %v at least", want, o.Rate, r.Duration, took)
			}
		})
	}
}

// TestUnsent has a server that answers nothing. Requests without a conn are given up
// Timeout after the end, and counted.
func TestUnsent(t *testing.T) {
	t.Parallel()
	url := serve(t, func(p *peer) { p.wait() })
	r := finished(t, Options{URL: url, Conns: 2, Requests: 50, Rate: 1000, Timeout: 100 * time.Millisecond})
	if r.Requests+r.Backlog.Unsent != 50 || r.Errors.Timeout != r.Requests || r.Backlog.Unsent < 40 {
		t.Errorf("%d requests, %+v, %+v", r.Requests, r.Errors, r.Backlog)
	}
}

func TestSchedule(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		s := schedule{origin: tick.Instant(rnd.Int64N(1e15) + 1), step: rnd.Float64() * 1e7 * rnd.Float64(), end: 1 << 62}
		s.step = max(s.step, 10)
		k := rnd.Int64N(1e9)
		at := s.at(k)
		if got := s.before(at); got > k || k > 0 && s.at(k-1) < at && got != k {
			t.Fatalf("%+v: %d are before %d, which is when number %d is", s, got, at, k)
		}
		if got := s.due(at); got <= k || s.at(got) <= at {
			t.Fatalf("%+v: %d are due when number %d is", s, got, k)
		}
		if s.due(s.origin-1) != 0 || s.due(s.origin) < 1 {
			t.Fatalf("%+v: %d are due at the origin", s, s.due(s.origin))
		}
	}
}

// TestSchedulesOfLoops: the schedules of all loops together are one schedule.
func TestSchedulesOfLoops(t *testing.T) {
	o := Options{Rate: 1000, Requests: 100, Warmup: 50 * time.Millisecond}
	for _, loops := range []int{1, 2, 3, 7} {
		var all []tick.Instant
		warm := int64(0)
		for i := range loops {
			s := newSchedule(&o, i, loops, 1)
			for k := range s.end {
				all = append(all, s.at(k))
			}
			warm += s.warm
		}
		slices.Sort(all)
		if len(all) != 150 || warm != 50 {
			t.Fatalf("%d loops: %d requests, %d to warm up; want 150, 50", loops, len(all), warm)
		}
		for k, at := range all {
			if off := at.Sub(1) - time.Duration(k)*time.Millisecond; off.Abs() > time.Microsecond {
				t.Errorf("%d loops: number %d is %v late", loops, k, off)
			}
		}
	}
}

// TestPacer wants the pacer to be more precise than the loop's own timers, which are
// late by 0 to 8 ms; of those a quarter would be late by at most 2 ms. One good run
// of many is enough, because a busy machine delays any pacer.
func TestPacer(t *testing.T) {
	url := serve(t, serveAll(ok("")))
	quarter := time.Duration(0)
	for end := time.Now().Add(testkit.Patience); time.Now().Before(end); {
		r := finished(t, Options{URL: url, Conns: 4, Rate: 500, Requests: 200})
		if quarter = r.Latency.At(.25); quarter <= time.Millisecond {
			return
		}
	}
	t.Errorf("only a quarter of the answers took %v or less", quarter)
}
