// Package observe listens to the exchanges of one loop, and leaves on the board what is to
// be seen of them: histograms, counted faults, lines of the access log, and entries for the
// flight recorder, for traces of heads and for spans. It does not know how an exchange runs,
// nor who reads the board.
//
// All of it runs on the loop, at the end of each exchange: no system call, no lock, no
// allocation.
package observe

import (
	"bytes"
	"math"
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/proxy/accesslog"
	"lb/proxy/record"
	"lb/proxy/rewrite"
)

// Options say where an observer is.
type Options struct {
	Board *board.Board
	Slot  int                 // of the loop on the board, where the caller has claimed it
	Now   func() tick.Instant // the clock of the board; any goroutine may call it
	Wall  func() time.Time    // the time of day
}

// Facts are what an observer goes by of one configuration. They must not be changed.
type Facts struct {
	Config *config.Config
	IDs    [][]int // of the backends on the board, by pool and backend
}

// Observer listens to one loop, on which all its methods are called.
type Observer struct {
	o        Options
	counters *board.Loop
	log      *board.LogRing
	faults   *board.Ring
	taps     *board.Ring
	spans    *board.Ring

	facts  Facts
	names  [][]string        // of the backends, by pool
	format *accesslog.Format // or nil if there is no access log
	share  uint64            // a good exchange has a line if a random number is below it
	slow   time.Duration     // 0: nothing is slow
	spanOn bool
	chance rand.PCG

	recorder recorder
	tap      tap
	offset   int64        // of the time of day from the loop's clock, in nanoseconds
	offsetAt tick.Instant // when offset was computed; 0: never
	clock    accesslog.Clock

	// Memory that is used within one call.
	subject  accesslog.Subject
	request  rewrite.Request
	line     []byte
	backends []accesslog.Backend
}

// offsetFor is how long the time of day goes on by the loop's clock before it is read again:
// short beside what a clock that is being set loses meanwhile, and long beside the cost.
const offsetFor = 100 * time.Millisecond

// New returns the observer of a loop, with the configuration to begin with.
func New(o Options, f Facts) *Observer {
	ob := &Observer{
		o:        o,
		counters: o.Board.Loop(o.Slot),
		log:      o.Board.LogRing(o.Slot),
		faults:   o.Board.FaultRing(o.Slot),
		taps:     o.Board.TapRing(o.Slot),
		spans:    o.Board.SpanRing(o.Slot),
		tap:      tap{on: o.Board.Tap()},
		line:     make([]byte, 0, 3*accesslog.LineMax), // a template is cut when it is longer already
		backends: make([]accesslog.Backend, 0, accesslog.BackendsMax),
	}
	ob.chance.Seed(rand.Uint64(), rand.Uint64())
	ob.recorder.init()
	ob.Use(f)
	return ob
}

// Use makes f the configuration from now on.
func (ob *Observer) Use(f Facts) {
	log := &f.Config.AccessLog
	ob.facts, ob.format, ob.slow = f, nil, log.Slow
	if log.Path != "" {
		ob.format, _ = accesslog.Compile(log.Format) // the configuration has refused every other format
	}
	if ob.share = math.MaxUint64; log.Sample < 1 {
		ob.share = uint64(log.Sample * (1 << 63) * 2)
	}
	ob.spanOn = f.Config.Tracing.Endpoint != ""
	ob.names = make([][]string, len(f.Config.Pools))
	for i := range f.Config.Pools {
		ob.nameBackends(i)
	}
}

// Change makes f the configuration from now on, in which nothing but the backends of these
// pools has changed.
func (ob *Observer) Change(f Facts, pools []int) {
	ob.facts = f
	for _, i := range pools {
		ob.nameBackends(i)
	}
}

func (ob *Observer) nameBackends(pool int) {
	ob.names[pool] = nil
	for _, b := range ob.facts.Config.Pools[pool].Backends {
		ob.names[pool] = append(ob.names[pool], b.String())
	}
}

// Record takes an exchange that has ended. It is proxy.Options.Record.
func (ob *Observer) Record(r *record.Record) {
	p := r.Parts()
	ob.measure(r, &p)
	failed := r.Fault.Cause != record.NoCause
	if failed {
		f := &r.Fault
		ob.counters.Faults[board.FaultKind(uint8(f.Side), uint8(f.Phase), uint8(f.Cause))].Add(1)
	}
	slow := ob.isSlow(r, &p)
	kind, recorded := ob.recorder.judge(r, slow)
	logged := ob.format != nil && (failed || slow || r.Status >= 500 || ob.share == math.MaxUint64 || ob.chance.Uint64() < ob.share)
	traced := ob.spanOn && r.Trace.Sampled
	tapped := ob.tap.isOn(r.Ended)
	if !recorded && !logged && !traced && !tapped {
		return
	}
	s := ob.look(r)
	if logged {
		ob.write(s)
	}
	if recorded {
		ob.faults.Put(accesslog.AppendEntry(ob.line[:0], kind, s, ob.states(r), board.EntryMax))
	}
	if tapped && ob.tap.takes(s) {
		ob.taps.Put(accesslog.AppendEntry(ob.line[:0], accesslog.Trace, s, nil, board.EntryMax))
	}
	if traced {
		ob.spans.Put(accesslog.AppendSpan(ob.line[:0], s, board.EntryMax))
	}
	ob.subject.Record = nil // the proxy's
}

// measure counts how long the parts took, in the series of the pool and of the backend.
func (ob *Observer) measure(r *record.Record, p *record.Parts) {
	if r.Series >= 0 {
		observe(ob.o.Board.Series(ob.o.Slot, r.Series), r, p)
	}
	if r.BackendSeries >= 0 {
		observe(ob.o.Board.Series(ob.o.Slot, r.BackendSeries), r, p)
	}
}

func observe(s *board.Series, r *record.Record, p *record.Parts) {
	s.Total.Observe(p.Total)
	if r.Status > 0 && !r.Own {
		s.FirstByte.Observe(p.FirstByte)
	}
	if r.Connected > 0 {
		s.Connect.Observe(p.Connect)
	}
	if p.Queue > 0 {
		s.Queue.Observe(p.Queue)
	}
	if r.Secured > 0 {
		s.Handshake.Observe(p.TLS)
	}
}

// isSlow reports whether an exchange took longer than access_log.slow, without the times in
// which lb waited for the client. A tunnel is as slow as its beginning.
func (ob *Observer) isSlow(r *record.Record, p *record.Parts) bool {
	if p.Total < ob.slow || ob.slow <= 0 {
		return false
	}
	took := p.Total - p.Head - p.Stall
	if r.Tunnel {
		took -= p.Body
	}
	return took >= ob.slow
}

// look prepares r for being written.
func (ob *Observer) look(r *record.Record) *accesslog.Subject {
	if ob.offsetAt == 0 || r.Ended.Sub(ob.offsetAt) >= offsetFor {
		ob.offset, ob.offsetAt = ob.o.Wall().UnixNano()-int64(ob.o.Now()), r.Ended
	}
	s := &ob.subject
	s.Record, s.Clock, s.Wall, s.Client = r, &ob.clock, int64(r.Begun)+ob.offset, r.Peer.Address()
	if r.Peer.Trusted && len(r.Head) > 0 {
		q := &ob.request
		q.Message, q.Text, q.Peer, q.Config = r.Request, r.Head, r.Peer, ob.facts.Config
		s.Client = q.Origin()
		q.Message, q.Text, q.Peer = nil, nil, nil
	}
	return s
}

// write hands a line to the writer of the access log. Without room it is lost: the loop
// never waits.
func (ob *Observer) write(s *accesslog.Subject) {
	if ob.log.Append(ob.format.Append(ob.line[:0], s)) {
		ob.counters.LogLines.Add(1)
	} else {
		ob.counters.LogLost.Add(1)
	}
}

// states returns the backends of the pool of r as they are now: first those that were tried,
// then the others in their order.
func (ob *Observer) states(r *record.Record) []accesslog.Backend {
	list := ob.backends[:0]
	for i := range ob.facts.Config.Pools {
		if ob.facts.Config.Pools[i].Name != r.Pool {
			continue
		}
		for _, tried := range [...]bool{true, false} {
			for j, name := range ob.names[i] {
				if len(list) == cap(list) {
					return list
				}
				if hasTried(r, name) == tried {
					list = append(list, accesslog.Backend{Name: name, State: ob.state(i, j, r.Ended), InFlight: ob.o.Board.InFlight(ob.facts.IDs[i][j])})
				}
			}
		}
	}
	return list
}

func hasTried(r *record.Record, backend string) bool {
	for i := range r.Done() {
		if r.Tries[i].Backend == backend {
			return true
		}
	}
	return false
}

// state returns the state of a backend in one word: what keeps it from being used, if
// anything does.
func (ob *Observer) state(pool, backend int, now tick.Instant) string {
	s := ob.o.Board.State(ob.facts.IDs[pool][backend])
	switch a := board.Admin(s.Admin.Load()); {
	case a != board.Enabled:
		return a.String()
	case ob.facts.Config.Pools[pool].Backends[backend].Drain:
		return board.Draining.String()
	case s.EjectedUntil.Load() > uint64(now):
		return "ejected"
	}
	return board.Health(s.Health.Load()).String()
}

// tap is board.Tap as one loop sees it.
type tap struct {
	on     *board.Tap
	number uint64
	filter board.TapFilter
	known  bool // filter is that of number
}

// isOn reports whether an exchange that ended at now may be one that the tap takes.
func (t *tap) isOn(now tick.Instant) bool {
	until := t.on.Until.Load()
	return until != 0 && uint64(now) < until
}

// takes reports whether the tap takes s.
func (t *tap) takes(s *accesslog.Subject) bool {
	if n := t.on.Number(); !t.known || n != t.number {
		t.number = n
		t.filter, t.known = t.on.Filter()
		if !t.known {
			return false
		}
	}
	if t.filter.ID != "" && string(s.ID) != t.filter.ID {
		return false
	}
	return !t.filter.Client.IsValid() || t.within(s.Client) || !bytes.Equal(s.Client, s.Peer.Address()) && t.within(s.Peer.Address())
}

// within reports whether an address as text is in the network of the filter.
func (t *tap) within(text []byte) bool {
	addr, ok := rewrite.ParseAddr(text)
	return ok && t.filter.Client.Contains(addr)
}
