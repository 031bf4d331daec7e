// Package history keeps what lb, its pools and its backends did during the last ten
// minutes, for the dashboard and `lb top`. It reads the board every five seconds and keeps
// differences. What it keeps goes by the names of pools and backends, not by their IDs on
// the board, which others get. It does not know what runs the loops.
//
// A pool needs 4 KB and a backend 2 KB once the ten minutes are full: 2 MB for 1,000
// backends. Of more than backendsMax backends only the first have a history.
package history

import (
	"context"
	"sync"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
)

const (
	// every is the time from one point to the next, and points how many are kept.
	every  = 5 * time.Second
	points = 120
	// backendsMax is how many backends have a history.
	backendsMax = 10_000
)

// Options say what is read.
type Options struct {
	Board *board.Board
	// View returns the configuration in use. Everything in it is claimed on the board.
	View func() View
}

// View is a configuration, and where its pools and backends are on the board. Nothing
// changes it.
type View struct {
	Config *config.Config
	IDs    [][]int // of the backends, by pool
	// Series of the pools and, with metrics.per_backend, of the backends; -1, or an end
	// before its place, for none.
	Series        []int
	BackendSeries [][]int
}

// Sampler reads a board and keeps its history. Any goroutine may call History.
type Sampler struct {
	o    Options
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex // guards what follows
	last     time.Time  // of the last look; its time of day and its monotonic time
	started  bool       // there was a look
	view     View       // of the last look
	total    course
	times    board.HistogramSum // of all pools, since the last look
	requests uint64             // values of the last look
	errors   uint64
	pools    map[string]*pool
}

// pool is the history of a pool, and what was read last.
type pool struct {
	course
	series   int // whose times these are
	times    board.HistogramSum
	read     bool // there are such times
	backends map[string]*backend
}

// average is what a series has counted of the time to the first byte.
type average struct {
	series       int
	count, nanos uint64
}

// backend is the history of a backend, and what was read last. Another ID means that the
// backend was gone and has come back, with other counters.
type backend struct {
	course
	id         int
	firstByte  average
	answered   uint64
	errors     uint64 // answers of 5xx and failed attempts
	replies5xx uint64
	own        uint64 // replies of 5xx that lb made itself for the pool
}

// Start begins to read the board, which has to stay until Close has returned.
func Start(o Options) *Sampler {
	s := New(o)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.Look(time.Now())
	s.done.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				s.Look(time.Now())
			case <-ctx.Done():
				return
			}
		}
	})
	return s
}

// New returns a Sampler that Look alone has read the board.
func New(o Options) *Sampler {
	return &Sampler{o: o, pools: map[string]*pool{}}
}

// Close ends the reading. It may be called again, and for nil. What was kept stays.
func (s *Sampler) Close() {
	if s != nil && s.stop != nil {
		s.stop()
		s.done.Wait()
	}
}

// Look reads the board once, at now. The first look, and the first at a pool or a backend,
// makes no point: there is nothing yet to compare with.
func (s *Sampler) Look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seconds := now.Sub(s.last).Seconds()
	if s.started && seconds <= 0 {
		return
	}
	s.view = s.o.View()
	s.times = board.HistogramSum{}
	pools, room := make(map[string]*pool, len(s.view.Config.Pools)), backendsMax
	for i := range s.view.Config.Pools {
		name := s.view.Config.Pools[i].Name
		p := s.pools[name]
		fresh := p == nil
		if fresh {
			p = &pool{series: -1, backends: map[string]*backend{}}
		}
		pools[name] = p
		s.lookAtPool(p, i, seconds, fresh, &room)
	}
	s.pools = pools // without those that the configuration no longer has
	t := s.o.Board.Totals()
	if s.started {
		s.total.add(values{
			rate: since(t.Requests, s.requests) / seconds, errors: since(t.Replies[5], s.errors) / seconds, inFlight: t.Exchanges,
			p50: milliseconds(s.times.Quantile(0.5)), p99: milliseconds(s.times.Quantile(0.99)),
		})
	}
	s.requests, s.errors = t.Requests, t.Replies[5]
	s.last, s.started = now, true
}

// lookAtPool reads the pool at index i of the view, and its backends. fresh is set if it
// is not known yet.
func (s *Sampler) lookAtPool(p *pool, i int, seconds float64, fresh bool, room *int) {
	v := values{}
	backends := make(map[string]*backend, len(p.backends))
	for j := range s.view.Config.Pools[i].Backends {
		if *room--; *room < 0 {
			break
		}
		address := s.view.Config.Pools[i].Backends[j].String()
		b := p.backends[address]
		if b == nil {
			b = &backend{id: -1, firstByte: average{series: -1}}
		}
		backends[address] = b
		got := s.lookAtBackend(b, i, j, seconds)
		v.rate += got.rate
		v.errors += got.errors5xx
		v.inFlight += got.inFlight
	}
	p.backends = backends
	if times, ok := s.timesOf(p, i); ok {
		v.rate = float64(times.Count()) / seconds
		v.p50, v.p99 = milliseconds(times.Quantile(0.5)), milliseconds(times.Quantile(0.99))
		add(&s.times, times)
	}
	if !fresh {
		p.add(v)
	}
}

// timesOf returns the times of a pool's requests since the last look; ok is false if there
// are none to compare with.
func (s *Sampler) timesOf(p *pool, i int) (times *board.HistogramSum, ok bool) {
	id := at(s.view.Series, i)
	if id < 0 {
		p.series, p.read = -1, false
		return nil, false
	}
	now := s.o.Board.SeriesTotals(id).Total
	was := p.times
	ok = p.read && p.series == id
	p.times, p.series, p.read = now, id, true
	if !ok {
		return nil, false
	}
	passed := now.Minus(&was)
	return &passed, true
}

// at returns list[i], or -1 if the list ends before.
func at(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return -1
}

// firstByteOf returns the time to the first byte of the backend with these indexes, in
// milliseconds: the average since the last look, if it has a series, else what the strategy
// knows, which only that by time does. 0 means that it is not known.
func (s *Sampler) firstByteOf(last *average, i, j int) float64 {
	series := -1
	if i < len(s.view.BackendSeries) {
		series = at(s.view.BackendSeries[i], j)
	}
	was := *last
	if *last = (average{series: series}); series < 0 {
		return milliseconds(time.Duration(s.o.Board.State(s.view.IDs[i][j]).TTFB.Load()))
	}
	times := &s.o.Board.SeriesTotals(series).FirstByte
	last.count, last.nanos = times.Count(), times.Nanos
	if was.series != series || last.count <= was.count {
		return 0
	}
	return milliseconds(time.Duration((last.nanos - was.nanos) / (last.count - was.count)))
}

// lookAtBackend reads the backend with these indexes, and returns its values since the last
// look; they are 0 at the first.
func (s *Sampler) lookAtBackend(b *backend, i, j int, seconds float64) values {
	id := s.view.IDs[i][j]
	t, state := s.o.Board.BackendTotals(id), s.o.Board.State(id)
	now := *b
	now.id, now.answered, now.own = id, t.Requests(), state.Own[1].Load()
	// An answer of 5xx that was asked for again is no reply, but a fault.
	bad := max(t.Replies[5-2], state.StatusFaults.Load())
	now.errors = bad + t.ConnectFaults + t.ResetFaults + t.TimeoutFaults + t.BadAnswers + state.FaultsInTLS()
	v := values{inFlight: t.InFlight, firstByte: s.firstByteOf(&now.firstByte, i, j)}
	known := b.id == id
	if known {
		v.rate = since(now.answered, b.answered) / seconds
		v.errors = since(now.errors, b.errors) / seconds
		v.errors5xx = (since(t.Replies[5-2], b.replies5xx) + since(now.own, b.own)) / seconds
	}
	now.replies5xx = t.Replies[5-2]
	*b = now
	if known {
		b.add(v)
	}
	return v
}

// since returns the difference of two values of a counter, or 0 if it began again.
func since(now, before uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

// History returns what was kept, in the order of the configuration.
func (s *Sampler) History() api.History {
	if s == nil {
		return api.History{Seconds: every.Seconds(), Pools: []api.PoolHistory{}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := api.History{Seconds: every.Seconds(), Total: s.total.out(ofTotal), Pools: []api.PoolHistory{}}
	if s.total.n > 0 {
		h.At = s.last.Round(0)
	}
	if s.view.Config == nil {
		return h
	}
	for i := range s.view.Config.Pools {
		from := &s.view.Config.Pools[i]
		p := s.pools[from.Name]
		out := api.PoolHistory{Name: from.Name, Course: p.out(ofTotal), Backends: []api.BackendHistory{}}
		for j := range from.Backends {
			address := from.Backends[j].String()
			if b := p.backends[address]; b != nil {
				out.Backends = append(out.Backends, api.BackendHistory{Address: address, Course: b.out(ofBackend)})
			}
		}
		h.Pools = append(h.Pools, out)
	}
	return h
}
