package board

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Word is one word with several writers, in any loop, process or goroutine. All
// access is atomic and sequentially consistent.
type Word struct{ w uint64 }

// Load returns the value.
func (w *Word) Load() uint64 { return atomic.LoadUint64(&w.w) }

// Store replaces the value.
func (w *Word) Store(v uint64) { atomic.StoreUint64(&w.w, v) }

// Swap replaces the value and returns the old one.
func (w *Word) Swap(v uint64) (old uint64) { return atomic.SwapUint64(&w.w, v) }

// Add adds n and returns the sum.
func (w *Word) Add(n uint64) (sum uint64) { return atomic.AddUint64(&w.w, n) }

// CompareAndSwap replaces old by v and returns true, or returns false if the value
// is not old. Of several callers with the same old, one gets true: it reports the
// change.
func (w *Word) CompareAndSwap(old, v uint64) bool { return atomic.CompareAndSwapUint64(&w.w, old, v) }

// State is what all loops and the control plane know about one backend. Times are
// CLOCK_MONOTONIC in nanoseconds, the same for all processes of the machine (Wall
// converts them); 0 is never. After changing a word that decides which backends are
// picked, or how often (Health, EjectedUntil, Admin, WeightOverride, RecoveredAt),
// the writer calls Board.Changed.
type State struct {
	// Written by the only prober, through SetHealth.
	Health       Word // Health
	HealthSince  Word
	HealthReason Word // Reason
	HealthDetail Word // what belongs to the reason: a status code, or 0

	// Written by loops, see upstream. The loop whose CompareAndSwap of EjectedUntil
	// succeeds owns the ejection and writes the other words.
	EjectedUntil  Word // 0: not ejected
	EjectedSince  Word
	EjectedReason Word // Reason
	EjectedDetail Word
	EjectedLast   Word // when the last ejection ended or will end; kept after it is over
	Ejections     Word // number of the last one; the next is longer
	Faults        Word // in a row, over all loops

	// Written for an operator, through SetAdmin and SetWeight.
	Admin          Word // Admin
	WeightOverride Word // 1 to 65535; 0: use the configured weight

	RecoveredAt Word // when it recovered or was added: slow start counts from here

	// Written by loops, see upstream: the backend itself has asked for no new clients.
	LeavingUntil  Word // 0, or in the past: it has not
	LeavingReason Word // Reason

	// From here on, words that are written often: they begin a line of their own.

	TTFB   Word // moving average of the time to first byte, in nanoseconds; 0: unknown
	TTFBAt Word // when it last changed

	IdleTold   Word // idle time promised by its Keep-Alive: timeout=, in nanoseconds; 0: none
	IdleSeen   Word // shortest idle time after which it recently closed, in nanoseconds; 0: none
	IdleSeenAt Word

	// Written by loops, at faults alone, see upstream. All but Recent belong to the run
	// of Faults.
	Refusals Word // faults of the run that no request can have caused
	Clients  Word // whom the other faults of the run hit, as bits by hash
	Targets  Word // what these requests asked for, as bits by hash
	Recent   Word // which of the last answers were bad
	// Written by loops, on faults only.
	LastFaults [len(FaultReasons)]Word // see NoteFault
	// Own, in the state of the backend that was its pool's first at the time, are replies
	// that lb made itself for the pool: [0] 4xx, [1] 5xx.
	Own          [2]Word
	StatusFaults Word // answers whose status counts as a fault, or was asked for again
	// TLSFaults are attempts that TLS has ended, by TLSReasons: NoteFault counts them.
	TLSFaults [len(TLSReasons)]Word
}

// Health is the result of active checks of a backend.
type Health uint64

const (
	// Unknown: never checked, or not yet. It may be picked.
	Unknown Health = iota
	// Up: checks succeed.
	Up
	// Down: checks fail. It is not picked.
	Down
)

// String returns unknown, up or down.
func (h Health) String() string { return name(healthNames, int(h)) }

var healthNames = []string{"unknown", "up", "down"}

// Admin is an operator's decision about a backend.
type Admin uint64

const (
	// Enabled: as configured.
	Enabled Admin = iota
	// Draining: nothing new; running exchanges and sticky clients continue.
	Draining
	// Disabled: nothing new, not even sticky clients.
	Disabled
)

// String returns enabled, draining or disabled.
func (a Admin) String() string { return name(adminNames, int(a)) }

var adminNames = []string{"enabled", "draining", "disabled"}

// Reason is why a backend's state changed.
type Reason uint64

const (
	// ReasonNone: no change yet.
	ReasonNone Reason = iota
	// ReasonOK: a probe succeeded; the detail is the status code.
	ReasonOK
	// ReasonConnect: connecting failed.
	ReasonConnect
	// ReasonTimeout: the backend did not answer or continue in time.
	ReasonTimeout
	// ReasonReset: the connection broke before the response was complete.
	ReasonReset
	// ReasonBadAnswer: the response was not HTTP.
	ReasonBadAnswer
	// ReasonStatus: a response whose status counts as a fault; the detail is the
	// status code.
	ReasonStatus
	// ReasonResolve: the backend's name has no address.
	ReasonResolve
	// ReasonTime: an ejection is over.
	ReasonTime
	// ReasonTLSName: the backend's certificate is for another name. The detail of this and
	// the next four says more: a tlsfault.Kind.
	ReasonTLSName
	// ReasonTLSChain: the certificate is of no authority that is believed.
	ReasonTLSChain
	// ReasonTLSDate: the certificate has expired, or is not valid yet.
	ReasonTLSDate
	// ReasonTLSVersion: no version of TLS in common.
	ReasonTLSVersion
	// ReasonTLS: anything else in TLS.
	ReasonTLS
	// ReasonGRPC: a check by gRPC was answered with another status than SERVING. The detail
	// says which, see supervise/health.
	ReasonGRPC
	// ReasonErrorRate: an outlier by its answers of 5xx; the detail is their share in percent.
	ReasonErrorRate
	// ReasonLatency: an outlier by its time to the first byte; the detail is the mean in
	// milliseconds.
	ReasonLatency
	// ReasonClosing503: the backend has answered 503 with Connection: close.
	ReasonClosing503
	// ReasonGoaway: a new connection of HTTP/2 was ended by GOAWAY, or was refused after one.
	ReasonGoaway
	// ReasonDrainField: an answer had the field of the pool's drain_header.
	ReasonDrainField
)

// String returns the reason as it appears in logs, such as "bad_answer".
func (r Reason) String() string { return name(reasonNames, int(r)) }

var reasonNames = []string{"none", "ok", "connect", "timeout", "reset", "bad_answer", "status", "resolve", "time",
	"tls_name", "tls_chain", "tls_date", "tls_version", "tls", "grpc",
	"error_rate", "latency", "closing_503", "goaway", "drain_header"}

// Words returns the reason for people who read a state, such as "cannot be reached", as `lb
// faults` has it. A reason without words stands as it is in logs.
func (r Reason) Words() string {
	if w := reasonWords[r]; w != "" {
		return w
	}
	return r.String()
}

var reasonWords = map[Reason]string{
	ReasonConnect: "cannot be reached", ReasonTimeout: "no answer in time", ReasonReset: "closed the connection",
	ReasonBadAnswer: "sent something that is no valid answer", ReasonResolve: "its name has no address",
	ReasonTLSName: "its certificate is for another name", ReasonTLSChain: "its certificate is of an unknown authority",
	ReasonTLSDate: "its certificate is not valid now", ReasonTLSVersion: "no version of TLS in common", ReasonTLS: "TLS failed",
	ReasonErrorRate: "many of its answers are 5xx", ReasonLatency: "slower than the others",
	ReasonClosing503: "503 with Connection: close", ReasonGoaway: "GOAWAY on a new connection", ReasonDrainField: "by the field of drain_header",
}

// WordsWith returns Words with what the detail adds for this reason, unless that is 0.
func (r Reason) WordsWith(detail uint64) string {
	switch {
	case detail == 0:
		return r.Words()
	case r == ReasonErrorRate:
		return fmt.Sprintf("%d %% of its answers are 5xx", detail)
	case r == ReasonLatency:
		return fmt.Sprintf("slower than the others: first byte after %d ms", detail)
	case r == ReasonOK:
		r = ReasonStatus
	}
	return fmt.Sprintf("%s %d", r.Words(), detail)
}

// name returns names[i]. A newer binary may have written other numbers; they become
// "code_" and the number.
func name(names []string, i int) string {
	if uint(i) < uint(len(names)) {
		return names[i]
	}
	return fmt.Sprintf("code_%d", i)
}

// Version goes up with every change of any backend's state. What was computed from
// the states is valid while Version returns what it returned before they were read.
func (b *Board) Version() uint64 { return atomic.LoadUint64(&b.words[wordStates]) }

// Changed raises Version. Call it after the change.
func (b *Board) Changed() { atomic.AddUint64(&b.words[wordStates], 1) }

// SetHealth records the result of a check at now and returns true if it changes the
// state. Only the machine's one prober may call it. A backend that was Down
// recovers at now; one that was Unknown counts as healthy all along.
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
		s.LeavingUntil.Store(0) // that was the one before
	}
	s.Health.Store(uint64(h))
	b.Changed()
	return true
}

// SetAdmin records an operator's decision at now and returns true if it is a
// change. A backend that becomes Enabled again recovers at now.
func (b *Board) SetAdmin(backend int, a Admin, now int64) (changed bool) {
	s := b.State(backend)
	if a == Enabled && Admin(s.Admin.Load()) != Enabled {
		s.RecoveredAt.Store(uint64(now))
	}
	left := a == Enabled && s.LeavingUntil.Swap(0) != 0
	changed = Admin(s.Admin.Swap(uint64(a))) != a
	if changed || left {
		b.Changed()
	}
	return changed
}

// SetWeight overrides the weight of a backend with 1 to 65535, or returns to the
// configured one with 0. It returns true if that is a change, and panics for any
// other number.
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

// Added records that a backend is new at now, for slow start.
func (b *Board) Added(backend int, now int64) {
	b.State(backend).RecoveredAt.Store(uint64(now))
	b.Changed()
}

// InFlight returns the active attempts at a backend, over all loops. It reads one
// word for each loop, one line apart.
func (b *Board) InFlight(backend int) (sum uint64) {
	at := b.slots + backend*b.block
	for range int(atomic.LoadUint64(&b.words[wordLoops])) {
		sum += atomic.LoadUint64(&b.words[at])
		at += lines(backendWords)
	}
	return sum
}

// reserveTries is how often Reserve tries again after it and another loop both
// raised their words for the last place and both withdrew.
const reserveTries = 3

// Reserve counts an attempt of a loop at a backend and returns true, unless all
// loops together would exceed limit (at least 1): then the backend is full and it
// returns false. Only that loop may call it; InFlight.Sub releases the place.
//
// It raises its own word first and reads the sum afterwards, so of two loops that
// want the last place, the later one sees both. That requires a raise that all
// loops see before the sum is read, hence an atomic add and not the plain store of
// Counter.Add.
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

// Wall converts a time of the board to a time of day. nowMono and now are the same
// moment on the board's clock and on the wall clock.
func Wall(moment uint64, nowMono int64, now time.Time) time.Time {
	return now.Add(time.Duration(int64(moment) - nowMono))
}
