package board

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Board is a view of the shared words. Anyone may read them; Loop, Backend, State
// and Control say who may write.
type Board struct {
	room  shape    // what can be claimed; for what is in use see Loops and Backends
	words []uint64 // header, slots and blocks, see layout.go
	mem   []byte   // the mapping that holds words; nil on the heap
	slots int      // for InFlight: first word of backend 0's slot in loop 0,
	block int      // and the number of words from one backend to the next
	file  *os.File // keeps the collector from closing the file while the board is in use, see Slots; may be nil
}

// New returns a board on the heap with all of its room in use, for one process that
// never reloads; it has as many series as backends, and rings that keep less. It panics for a room that Create refuses.
func New(loops, backends int) *Board {
	room := shape{loops, backends, backends, 4}
	if err := room.check(); err != nil {
		panic(err)
	}
	b := newBoard(room, aligned(room.words()), nil)
	room.writeHeader(b.words)
	b.words[wordLoops], b.words[wordBackends], b.words[wordSeries] = uint64(loops), uint64(backends), uint64(backends)
	return b
}

// newBoard returns a board of words, which lie in mem, or on the heap if mem is
// nil.
func newBoard(room shape, words []uint64, mem []byte) *Board {
	return &Board{room: room, words: words, mem: mem, slots: room.backendStart(0, 0), block: room.blockWords()}
}

// Secret returns a copy of the 32 random bytes that lb signs with. All loops of the
// board share them, nobody else has them, and they live as long as the board.
func (b *Board) Secret() []byte {
	out := make([]byte, 0, secretWords*wordBytes)
	for _, w := range b.words[wordSecret : wordSecret+secretWords] {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

// Loops returns one past the highest loop slot that was ever claimed.
func (b *Board) Loops() int { return int(atomic.LoadUint64(&b.words[wordLoops])) }

// Backends returns one past the highest backend ID that was ever claimed, over
// all pools.
func (b *Board) Backends() int { return int(atomic.LoadUint64(&b.words[wordBackends])) }

// LoopsRoom returns how many loop slots can be claimed.
func (b *Board) LoopsRoom() int { return b.room.loops }

// BackendsRoom returns how many backend IDs can be claimed.
func (b *Board) BackendsRoom() int { return b.room.backends }

// SeriesRoom returns how many series can be claimed.
func (b *Board) SeriesRoom() int { return b.room.series }

// Loop returns the slot of a loop, valid as long as the board. It panics if the
// slot was never claimed.
func (b *Board) Loop(loop int) *Loop {
	b.checkLoop(loop)
	return loopView(b.words[b.room.loopStart(loop):])
}

// Refusals returns the refusals of a loop, valid as long as the board. It panics if the
// slot was never claimed.
func (b *Board) Refusals(loop int) *Refusals {
	b.checkLoop(loop)
	return refusalsView(b.words[b.room.refusalsStart(loop):])
}

// Backend returns the slot of a backend in a loop, valid as long as the board. It
// panics if either was never claimed.
func (b *Board) Backend(loop, backend int) *Backend {
	b.checkLoop(loop)
	b.checkBackend(backend)
	return backendView(b.words[b.room.backendStart(loop, backend):])
}

// State returns the state of a backend, valid as long as the board. It panics if
// the ID was never claimed.
func (b *Board) State(backend int) *State {
	b.checkBackend(backend)
	return stateView(b.words[b.room.blockStart(backend):])
}

// Series returns a loop's part of a series, valid as long as the board. It panics if
// either was never claimed.
func (b *Board) Series(loop, series int) *Series {
	b.checkLoop(loop)
	b.checkSeries(series)
	return seriesView(b.words[b.room.seriesStart(loop, series):])
}

// Tap returns the tap, valid as long as the board.
func (b *Board) Tap() *Tap { return tapView(b.words[wordTap:]) }

func (b *Board) checkSeries(series int) {
	if n := atomic.LoadUint64(&b.words[wordSeries]); uint64(series) >= n {
		panic(fmt.Sprintf("board: series %d of %d", series, n))
	}
}

func (b *Board) checkLoop(loop int) {
	if loops := b.Loops(); uint(loop) >= uint(loops) {
		panic(fmt.Sprintf("board: loop %d of %d", loop, loops))
	}
}

func (b *Board) checkBackend(backend int) {
	if backends := b.Backends(); uint(backend) >= uint(backends) {
		panic(fmt.Sprintf("board: backend %d of %d", backend, backends))
	}
}

// Control returns the words about all loops, valid as long as the board.
func (b *Board) Control() *Control { return controlView(b.words[wordControl:]) }

// Control counts what happened to the loops as a whole. The active supervisor alone
// writes it, and it outlives an upgrade.
type Control struct {
	WorkerRestarts Counter
	Reloads        Counter // accepted
	ReloadFaults   Counter // refused, or not applied by all loops
	Upgrades       Counter // that ended with a new binary running
	StartedAt      Counter // wall-clock start of the first supervisor, in nanoseconds since 1970

	// LogWriteLost is how many lines of the access log were taken from the loops and could
	// not be written. In an upgrade, the supervisor that leaves adds to it as well.
	LogWriteLost Word

	// SpansLost is how many spans were taken from the loops, or missed there, and not
	// exported. As LogWriteLost, two supervisors may add to it.
	SpansLost Word
}

// Counter is one word with one writer, so a plain load and store suffice to change
// it.
type Counter struct{ w uint64 }

// Add adds n. Only the owner of the slot may call it.
func (c *Counter) Add(n uint64) { store(&c.w, c.w+n) }

// Sub subtracts n, for gauges. Only the owner of the slot may call it.
func (c *Counter) Sub(n uint64) { store(&c.w, c.w-n) }

// Set replaces the value. Only the owner of the slot may call it.
func (c *Counter) Set(n uint64) { store(&c.w, n) }

// Load returns the value; any goroutine or process may call it.
func (c *Counter) Load() uint64 { return atomic.LoadUint64(&c.w) }

// Loop is the slot of one loop. Gauges are set to zero when another loop takes the
// slot over; the other counters continue.
type Loop struct {
	ClientConns  Counter // gauge: open client conns
	BackendConns Counter // gauge: open backend conns, including idle ones
	BackendIdle  Counter // gauge: idle backend conns
	Exchanges    Counter // gauge: active exchanges
	Tunnels      Counter // gauge: upgraded conns

	Accepted                         Counter // client conns
	AcceptErrors                     Counter
	Requests                         Counter    // complete request heads
	Replies                          [6]Counter // to clients, by status class: [1] 1xx ... [5] 5xx; includes OwnReplies
	OwnReplies                       [6]Counter // by status class, made by lb itself
	PoolLess                         [6]Counter // the part of OwnReplies for which no pool was chosen
	BytesFromClient, BytesToClient   Counter
	BytesFromBackend, BytesToBackend Counter
	Retries                          Counter
	Unrouted                         Counter // requests that no route takes, without a default pool
	ClientAborts                     Counter // the client went away during an exchange
	Panics                           Counter
	Turns                            Counter

	Handshakes     [HandshakeEnds]Counter    // with clients, by Handshake
	HandshakeTimes [handshakeBuckets]Counter // those that succeeded, by HandshakeBounds
	HandshakeNanos Counter                   // the time that these took, in nanoseconds

	HTTP2Conns        Counter         // gauge: the part of ClientConns that speaks HTTP/2
	HTTP2BackendConns Counter         // gauge: the part of BackendConns that speaks HTTP/2
	HTTP2Requests     Counter         // the part of Requests that came by HTTP/2
	HTTP2Refused      Counter         // streams of clients that were ended with REFUSED_STREAM
	HTTP2Floods       [Floods]Counter // conns of clients that were ended with ENHANCE_YOUR_CALM, by h2.Budget
	HTTP2Goaways      Counter         // GOAWAY frames of backends
	HTTP2Unprocessed  Counter         // streams that backends refused, or left out in a GOAWAY

	LogLines Counter // lines of the access log that were handed to its writer
	LogLost  Counter // those that found no room

	Faults [FaultKinds]Counter // of exchanges that have ended, by FaultKind

	// OldestConfig is the number of the oldest configuration from which an exchange
	// of this loop may still pick or retry; 0: no loop is active in the slot. The
	// control plane sets it after TakeOver and before the loop starts, so that the
	// loop never uses a configuration that others believe to be out of use.
	OldestConfig Counter
}

// The dimensions of Loop.Faults, with room for more than there are.
const (
	FaultSides  = 4
	FaultPhases = 8
	FaultCauses = 32
	FaultKinds  = FaultSides * FaultPhases * FaultCauses
)

// FaultKind returns the place in Loop.Faults of a side, a phase and a cause, which are
// numbers of package record below the dimensions.
func FaultKind(side, phase, cause uint8) int {
	return (int(side)*FaultPhases+int(phase))*FaultCauses + int(cause)
}

// FaultOf returns what FaultKind has put together.
func FaultOf(kind int) (side, phase, cause uint8) {
	return uint8(kind / FaultCauses / FaultPhases), uint8(kind / FaultCauses % FaultPhases), uint8(kind % FaultCauses)
}

// Floods is how many kinds of floods there is room for. Their numbers are those of
// h2.Budget, of which 0 is none.
const Floods = 16

// CountFault counts a fault of the backend, unless it is one in TLS, which the state
// counts. Only the owner of the slot may call it.
func (s *Backend) CountFault(why Reason) {
	if why.InTLS() {
		return
	}
	switch why {
	case ReasonConnect:
		s.ConnectFaults.Add(1)
	case ReasonTimeout:
		s.TimeoutFaults.Add(1)
	case ReasonBadAnswer:
		s.BadAnswers.Add(1)
	default:
		s.ResetFaults.Add(1)
	}
}

// Backend is the slot of one backend in one loop.
type Backend struct {
	InFlight                                              Counter // gauge: active attempts
	Attempts                                              Counter
	Replies                                               [4]Counter // final responses by status class, from 2xx on; see Answered
	ConnectFaults, ResetFaults, TimeoutFaults, BadAnswers Counter
	Conns                                                 Counter // connections dialled
	BytesFrom, BytesTo                                    Counter

	// Queued, in the slot of a pool's first backend, is how many exchanges of this loop
	// wait for room in the pool. A gauge.
	Queued Counter

	// FirstBytes are times to the first byte, for upstream.Outliers alone: the sum in
	// microseconds in the upper 40 bits, and their number in the lower 24. Only differences
	// count, see FirstBytesOf; one that carries over adds a microsecond.
	FirstBytes Counter

	// WaitsSince, in the slot of a pool's first backend, is when the exchange that
	// waits longest for room in the pool began to wait in this loop; 0: none waits.
	WaitsSince Counter
}

// firstBytesShift is where the sum begins in FirstBytes.
const firstBytesShift = 24

// CountFirstByte adds a time to the first byte. Only the owner of the slot may call it.
func (s *Backend) CountFirstByte(d time.Duration) {
	s.FirstBytes.Add(uint64(d/time.Microsecond)<<firstBytesShift | 1)
}

// FirstBytesOf returns the number and the mean of the times that FirstBytes has counted
// from one value to a later one.
func FirstBytesOf(from, to uint64) (n uint64, mean time.Duration) {
	d := to - from
	if n = d & (1<<firstBytesShift - 1); n == 0 {
		return 0, 0
	}
	return n, time.Duration(d>>firstBytesShift/n) * time.Microsecond
}

// Answered counts a final response by its status class, 2 to 5.
func (s *Backend) Answered(class int) { s.Replies[max(class, 2)-2].Add(1) }

// Good returns how many final responses below 500 were counted.
func (s *Backend) Good() uint64 {
	return s.Replies[0].Load() + s.Replies[1].Load() + s.Replies[2].Load()
}
