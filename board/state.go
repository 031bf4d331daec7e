package board

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Word is one word with several writers, in any loop, process or goroutine. It
// is changed by atomic operations only, each of which orders all others.
type Word struct{ w uint64 }

// Load returns the value.
func (w *Word) Load() uint64 { return atomic.LoadUint64(&w.w) }

// Store replaces the value.
func (w *Word) Store(v uint64) { atomic.StoreUint64(&w.w, v) }

// Swap replaces the value and returns the one before.
func (w *Word) Swap(v uint64) (old uint64) { return atomic.SwapUint64(&w.w, v) }

// Add adds n and returns the sum.
func (w *Word) Add(n uint64) (sum uint64) { return atomic.AddUint64(&w.w, n) }

// CompareAndSwap replaces old by v and returns true, or false when the value is
// not old. Of several that try, one is told true: it is the one to report.
func (w *Word) CompareAndSwap(old, v uint64) bool { return atomic.CompareAndSwapUint64(&w.w, old, v) }

// State is what all loops and the control plane know about one backend. Times
// are CLOCK_MONOTONIC in nanoseconds, the same for all processes of the machine
// (Wall turns one into a time of day); 0 is never. Who changes a word that says
// which backends may be picked, and how often (Health, EjectedUntil, Admin,
// WeightOverride, RecoveredAt), calls Board.Changed behind it.
type State struct {
	// Written by the one prober, through SetHealth.
	Health       Word // Health
	HealthSince  Word
	HealthReason Word // Reason
	HealthDetail Word // what goes with the reason: a status code, or 0

	// Written by loops, see upstream: a CompareAndSwap of EjectedUntil decides
	// whose ejection it is, and that one writes the rest.
	EjectedUntil  Word // 0: not ejected
	EjectedSince  Word
	EjectedReason Word // Reason
	EjectedDetail Word
	EjectedLast   Word // when the last ejection ended or will end; stays when it is over
	Ejections     Word // n of the last one, which makes the next longer
	Faults        Word // in a row, over all loops

	// Written by an operator, through SetAdmin and SetWeight.
	Admin          Word // Admin
	WeightOverride Word // 1 to 65535; 0: the weight of the configuration

	RecoveredAt Word // when it came back or was added: slow start counts from here

	_ [2]Word // what follows is on a line of its own, which is written often

	TTFB   Word // moving average of the time to first byte, in nanoseconds; 0: unknown
	TTFBAt Word // when it last changed

	IdleTold   Word // the idle time its Keep-Alive: timeout= promises, in nanoseconds; 0: none
	IdleSeen   Word // the shortest idle time after which it closed, of late; 0: none
	IdleSeenAt Word
}

// Health is what active checks say about a backend.
type Health uint64

const (
	// Unknown: not checked, or not yet. It may be picked.
	Unknown Health = iota
	// Up: checks succeed.
	Up
	// Down: checks fail. It is not picked.
	Down
)

// String returns unknown, up or down.
func (h Health) String() string { return name(healthNames, int(h)) }

var healthNames = []string{"unknown", "up", "down"}

// Admin is what an operator says about a backend.
type Admin uint64

const (
	// Enabled: as the configuration has it.
	Enabled Admin = iota
	// Draining: nothing new; what runs, and what is sticky, goes on.
	Draining
	// Disabled: nothing new, not even what is sticky.
	Disabled
)

// String returns enabled, draining or disabled.
func (a Admin) String() string { return name(adminNames, int(a)) }

var adminNames = []string{"enabled", "draining", "disabled"}

// Reason is why a backend's state changed.
type Reason uint64

const (
	// ReasonNone: there is none, or not yet.
	ReasonNone Reason = iota
	// ReasonOK: a probe got what it expects; the detail is the status code.
	ReasonOK
	// ReasonConnect: no connection came about.
	ReasonConnect
	// ReasonTimeout: it did not answer, or not go on, in time.
	ReasonTimeout
	// ReasonReset: the connection broke before the answer was whole.
	ReasonReset
	// ReasonBadAnswer: what came is not HTTP.
	ReasonBadAnswer
	// ReasonStatus: an answer with a status that counts as a fault, the detail.
	ReasonStatus
	// ReasonResolve: its name has no address.
	ReasonResolve
	// ReasonTime: an ejection is over.
	ReasonTime
)

// String returns the reason as logs have it, such as "bad_answer".
func (r Reason) String() string { return name(reasonNames, int(r)) }

var reasonNames = []string{"none", "ok", "connect", "timeout", "reset", "bad_answer", "status", "resolve", "time"}

// name returns names[i], or what i is: words on a board may be those of a newer binary.
func name(names []string, i int) string {
	if uint(i) < uint(len(names)) {
		return names[i]
	}
	return fmt.Sprintf("code_%d", i)
}

// Version goes up with every change of state of any backend: what was worked
// out from the states holds as long as the version that was read before them.
func (b *Board) Version() uint64 { return atomic.LoadUint64(&b.words[wordStates]) }

// Changed makes Version go up. It is called behind the change.
func (b *Board) Changed() { atomic.AddUint64(&b.words[wordStates], 1) }

// SetHealth notes what a check found at now and returns true if that is a change
// of state. Only the one prober of the machine calls it. A backend that was Down
// recovers at now; one that was Unknown has always been well.
func (b *Board) SetHealth(backend int, h Health, why Reason, detail uint64, now int64) (changed bool) {
	s := b.State(backend)
	old := Health(s.Health.Load())
	if old == h {
		return false
	}
	s.HealthSince.Store(uint64(now))
	s.HealthReason.Store(uint64(why))
	s.HealthDetail.Store(detail)
	if old == Down {
		s.RecoveredAt.Store(uint64(now))
	}
	s.Health.Store(uint64(h))
	b.Changed()
	return true
}

// SetAdmin notes what an operator wants from now on and returns true if that is
// a change. A backend that is Enabled again recovers at now.
func (b *Board) SetAdmin(backend int, a Admin, now int64) (changed bool) {
	s := b.State(backend)
	if a == Enabled && Admin(s.Admin.Load()) != Enabled {
		s.RecoveredAt.Store(uint64(now))
	}
	if Admin(s.Admin.Swap(uint64(a))) == a {
		return false
	}
	b.Changed()
	return true
}

// SetWeight notes the weight an operator wants from now on, 1 to 65535, or 0 for
// that of the configuration, and returns true if that is a change. It panics for
// any other.
func (b *Board) SetWeight(backend, weight int) (changed bool) {
	if uint(weight) > weightMax {
		panic(fmt.Sprintf("board: weight %d, want 0 to %d", weight, weightMax))
	}
	if b.State(backend).WeightOverride.Swap(uint64(weight)) == uint64(weight) {
		return false
	}
	b.Changed()
	return true
}

const weightMax = 1<<16 - 1 // 16 bits; a test of admin holds it to config.WeightMax

// Added notes that a backend is new at now, for slow start.
func (b *Board) Added(backend int, now int64) {
	b.State(backend).RecoveredAt.Store(uint64(now))
	b.Changed()
}

// InFlight returns the attempts at work at a backend, over all loops. It reads a
// word of each loop, which lie in a row, a line from one to the next.
func (b *Board) InFlight(backend int) (sum uint64) {
	at := b.slots + backend*b.block
	for range int(atomic.LoadUint64(&b.words[wordLoops])) {
		sum += atomic.LoadUint64(&b.words[at])
		at += lines(backendWords)
	}
	return sum
}

// reserveTries is how often Reserve looks again at a place that it and another
// loop took, and both gave back.
const reserveTries = 3

// Reserve counts an attempt of a loop at a backend, unless all loops together
// would then have more than limit, which is at least 1; false: it is full. Only
// that loop may call it; InFlight.Sub gives the place back.
//
// The own word is raised first and the sum is read behind that, so of two loops
// that want the last place the later one sees both. Its raise must have been
// seen by all before it reads: not the plain store of Counter.Add.
func (b *Board) Reserve(loop, backend int, limit uint64) bool {
	own := &b.words[b.slots+backend*b.block+loop*lines(backendWords)]
	for range reserveTries {
		atomic.AddUint64(own, 1)
		if b.InFlight(backend) <= limit {
			return true
		}
		atomic.AddUint64(own, ^uint64(0))
		if b.InFlight(backend) >= limit {
			return false
		}
	}
	return false
}

// Wall returns the time of day of a moment of the board, as seen at a moment
// that is nowMono on the board's clock and now on the wall.
func Wall(moment uint64, nowMono int64, now time.Time) time.Time {
	return now.Add(time.Duration(int64(moment) - nowMono))
}
