package proxy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/looptest"
	"lb/loop/tick"
)

var (
	simSeeds = flag.Uint64("seeds", 256, "how many seeds TestSimulation runs")
	simSeed  = flag.Int64("seed", -1, "the one seed that TestSimulation runs, with its trace on standard error")
)

// sim is one run of many clients and several pools through a real proxy on a real loop. The
// seed decides everything, including the pools.
//
// Half of the runs are calm: reads and writes are cut, bytes take their time, buffers are
// small, peers are slow, but no peer does anything wrong. Then every request must be
// answered, and before any timeout: a timeout that helps out would hide a missed edge. In
// the other runs conns break, backends refuse, stall and lie, clients leave. Then an answer
// that looks whole must be the right one, the client must be able to see everything else,
// and when the faults stop every exchange must come to an end. No backend ever serves more
// requests than it may, and no request arrives at another pool.
//
// In half of the runs the conns of clients have a looptest.Layer, as they would have TLS.
//
// In many runs, calm ones too, the configuration changes meanwhile, or the loop stands still
// for longer than most timeouts.
type sim struct {
	r        *rig
	rng      *rand.Rand
	hellos   *rand.Rand // for PROXY headers: what else happens is the same without them
	rough    bool
	faulty   bool // the kernel itself breaks conns or ends sides
	closed   bool // the listening socket is closed
	reloads  bool // the configuration changes now and then
	aborts   bool // abort_on_close
	balanced bool // clients come by a balancer that speaks the PROXY protocol
	left     int  // requests whose clients left them in a queue
	sizeMax  int
	requests []*simRequest
	clients  []*simClient
	h2Conns  []*simConn
	answers  int            // from backends, whole and right
	replies  int            // from lb itself
	pools    []config.Pool  // all pools that a configuration may have, with all their backends
	poolOf   []int          // index in pools, by place
	eras     []simEra       // the configurations, in order
	removed  map[int]uint64 // places removed from their pool: the number of attempts until then
	grace    map[int]int    // by place: requests in flight when its limit became less
	gone     map[int]uint64 // places in no pool: the number of the first configuration without them
	freed    map[int]simFreed
	begun    tick.Instant
	waits    int            // requests that were seen to wait for room
	moved    int            // of these, seen in the middle of a reload
	working  [simPlaces]int // requests that each backend is serving
	frozen   [simPlaces]bool
	stuck    map[*exchange]int // at a backend that is out: how often in a row they were seen there
	looked   tick.Instant      // when that was
	wrong    []string
}

// simResult adds up the runs of many seeds.
type simResult struct{ requests, answers, replies, waits, retries, ejections, reloads, moved, left int }

func TestSimulation(t *testing.T) {
	if *simSeed >= 0 {
		s := newSim(t, uint64(*simSeed))
		s.r.k.TraceTo(os.Stderr)
		s.run(t, uint64(*simSeed))
		t.Logf("%d requests, %d answers, %d replies of lb, %+v", len(s.requests), s.answers, s.replies, s.r.k.Faults)
		return
	}
	seeds := *simSeeds
	if testing.Short() || raceOn { // one goroutine: .ci/run has all seeds with invariants alone
		seeds /= 4
	}
	var sum simResult
	for seed := range seeds {
		s := newSim(t, seed)
		s.run(t, seed)
		if t.Failed() {
			t.Fatalf("go test ./proxy -run TestSimulation -seed %d", seed)
		}
		sum.requests += len(s.requests)
		sum.answers += s.answers
		sum.replies += s.replies
		sum.waits += s.waits
		sum.retries += int(s.r.p.counters.Retries.Load())
		sum.reloads += len(s.eras) - 1
		sum.moved += s.moved
		sum.left += s.left
		for i := range s.r.servers {
			sum.ejections += int(min(1, s.r.board.State(i).Ejections.Load()))
		}
	}
	t.Log(sum)
	const enough = 5000 // requests
	if sum.requests > enough && (min(sum.waits, sum.retries, sum.reloads) < 100 || min(sum.ejections, sum.moved) < 20 || sum.left < 2) {
		t.Error("few waits, retries, ejections, reloads or clients that leave: the simulation shows little of them")
	}
	if sum.requests > enough && sum.answers < sum.requests/2 {
		t.Errorf("%d of %d requests were answered: the simulation shows little", sum.answers, sum.requests)
	}
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 's')), hellos: rand.New(rand.NewPCG(seed, 'h')), rough: seed%2 == 1, sizeMax: 60 << 10}
	faults := looptest.Draw(seed)
	if s.rough {
		s.faulty = faults.Reset > 0 || faults.HalfClose > 0 || faults.AcceptErrors > 0
		if s.rng.IntN(4) == 0 {
			faults.FDMax = 6 + s.rng.IntN(12)
		}
	} else {
		faults.Refuse, faults.TimeOut, faults.Reset, faults.HalfClose, faults.AcceptErrors = 0, 0, 0, 0, 0
		if faults.BufferMin > 0 {
			faults.BufferMin, faults.BufferMax = max(faults.BufferMin, 64), max(faults.BufferMax, 64)
		}
	}
	if faults.BufferMin > 0 && faults.BufferMin < 4<<10 {
		s.sizeMax = 2 << 10 // more would take too long, on both clocks
	}
	s.aborts = s.rng.IntN(2) == 0
	s.balanced = seed%8 < 2
	s.drawPools()
	cfg := s.drawConfig(true)
	s.r = newRig(t, seed, cfg, s.rng.IntN(4) == 0)
	if s.r.layered = seed%4 >= 2; s.r.layered {
		faults.Noise = 0.2
		if s.rough {
			faults.Truncate = 0.2
		}
	}
	s.eras = []simEra{{0, cfg}}
	s.gone, s.freed = make(map[int]uint64), make(map[int]simFreed)
	s.r.k.Faults = faults
	s.r.onEveryConnect(s.welcome)
	return s
}

const (
	simFaultTime  = 4 * time.Second // when the faults stop
	simStandstill = 90 * time.Second
	simCalmTime   = 30 * time.Second // the longest that a calm run may take after that
	simEndTime    = 8 * time.Minute  // the time by which timeouts have ended everything that is stuck
)

func (s *sim) run(t *testing.T, seed uint64) {
	drains := s.rough && s.rng.IntN(6) == 0
	s.begun = s.r.l.Now()
	s.countWaits()
	for range 4 + s.rng.IntN(12) {
		s.after(1000, func() {
			if !s.closed {
				s.connect()
			}
		})
	}
	if s.rough {
		s.upsetBackends()
	}
	if s.reloads = s.rng.IntN(2) == 0; s.reloads {
		within := 200 + s.rng.IntN(2000)
		for range 1 + s.rng.IntN(20) {
			s.after(within, s.reload)
		}
	}
	if s.rng.IntN(4) == 0 {
		s.after(1500, func() { s.r.k.Advance(simStandstill) })
	}
	drained := 0
	if drains {
		s.after(1500, func() {
			s.r.l.Post(func() {
				s.r.p.Drain(func() { drained++ })
				s.r.k.Close(s.r.listener, false)
				s.closed = true
			})
		})
	}
	s.turn(simFaultTime)
	s.peace()
	if s.rough {
		s.finish("when the faults have stopped", simEndTime)
	} else {
		s.finish("in a calm run", simCalmTime)
	}
	if !drains {
		s.freePlaces()
		for range 3 {
			s.after(100, s.connect)
		}
		s.rough = false
		s.turn(100 * time.Millisecond)
		s.finish("in the calm behind it", simCalmTime)
	}
	for _, c := range s.clients {
		c.peer.Close()
	}
	s.endH2()
	s.turn(simEndTime)
	if drains && drained != 1 {
		s.errorf("the end of the drain was told %d times", drained)
	}
	s.checkRemoved()
	s.checkFreed()
	s.checkRecords()
	for _, left := range s.r.leftovers() {
		s.errorf("left over: %s", left)
	}
	for _, w := range s.wrong {
		t.Errorf("seed %d: %s", seed, w)
	}
}

// upsetBackends makes backends refuse and be silent for a while.
func (s *sim) upsetBackends() {
	for i, v := range s.r.servers {
		if s.rng.IntN(3) == 0 {
			s.after(1000, func() {
				v.Refuse = true
				s.after(1000, func() { v.Refuse = false })
			})
		}
		if s.rng.IntN(6) == 0 {
			s.after(1000, func() {
				v.Silent = true
				s.after(1000, func() { v.Silent = false })
			})
		}
		if s.rng.IntN(4) == 0 {
			s.after(1000, func() {
				s.frozen[i] = true
				s.after(2500, func() { s.frozen[i] = false })
			})
		}
		if s.rng.IntN(6) == 0 {
			s.after(1000, func() {
				s.check(i, board.Down)
				s.after(1000, func() { s.check(i, board.Up) })
			})
		}
	}
}

// peace ends the faults.
func (s *sim) peace() {
	buffers := looptest.Faults{BufferMin: s.r.k.Faults.BufferMin, BufferMax: s.r.k.Faults.BufferMax}
	s.r.k.Faults = buffers
	for i, v := range s.r.servers {
		v.Refuse, v.Silent, s.frozen[i] = false, false, false
		if board.Health(s.r.board.State(i).Health.Load()) == board.Down {
			s.check(i, board.Up)
		}
	}
	for _, c := range s.clients {
		c.peer.Resume()
	}
	for _, c := range s.h2Conns {
		c.stall(false)
	}
}

// turn lets d pass.
func (s *sim) turn(d time.Duration) {
	over := false
	s.r.k.After(d, func() {
		over = true
		s.r.k.Wake()
	})
	s.r.k.Run(s.r.l, func() bool { return over }, 1_000_000)
}

// finish waits until every client is done, but no longer than d.
func (s *sim) finish(when string, d time.Duration) {
	end := s.r.l.Now().Add(d)
	s.r.k.Run(s.r.l, func() bool { return s.settled() || s.r.l.Now() > end }, 1_000_000)
	if !s.settled() {
		s.errorf("not all came to an end %s:\n\t%s\nopen: %s", when, s.describe(), strings.Join(s.r.k.Open(), "\n\t"))
		for _, c := range s.h2Conns {
			if !c.over {
				s.errorf("%v", c)
			}
		}
	}
	for _, c := range s.clients {
		if c.r.wrong != nil && !c.halfHEAD() {
			s.errorf("%s: %v", c.name, c.r.wrong)
		}
	}
}

func (s *sim) settled() bool {
	for _, c := range s.clients {
		if !c.done() {
			return false
		}
	}
	return true
}

// String is for the log of a run.
func (r simResult) String() string {
	return fmt.Sprintf("%d requests, %d answers, %d replies of lb, %d waits, %d retries, %d backends ejected, %d reloads, %d waits through one, %d left in a queue",
		r.requests, r.answers, r.replies, r.waits, r.retries, r.ejections, r.reloads, r.moved, r.left)
}
