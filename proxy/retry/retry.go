// Package retry is the rule when an exchange is tried again, and how long it waits first.
package retry

import (
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/tlsfault"
	"lb/proxy/record"
)

// Case is a failed attempt as the rule sees it.
type Case struct {
	Fault    record.Fault
	Attempts int  // so far, this one included
	Sent     bool // a byte of the request has left
	Twice    bool // the request may be sent twice, and is still held
	Replied  bool // a byte of a response has been composed for the client
	Unseen   bool // the backend has said that it has not acted on the request, which is still held
	Stale    bool // a conn from the idle list that the backend had closed before, or one that it was closing
}

// Verdict is what may follow a failed attempt.
type Verdict uint8

const (
	// No: nothing.
	No Verdict = iota
	// Free: another attempt. It is no load on a backend in trouble, so no budget counts.
	Free
	// Budgeted: another attempt, if the budget allows it.
	Budgeted
	// Elsewhere: the same, at another backend only. This one still has the request, and
	// would be asked for the same twice; or it cannot take any.
	Elsewhere
)

// Judge is the whole rule.
func Judge(cfg *config.Retry, c Case) Verdict {
	on, f := &cfg.On, c.Fault
	full := f.Cause == record.CauseCrowded && f.Phase == record.Dial // of a unix socket: its accept queue
	switch {
	case f.Side != record.BackendSide && !full, c.Replied, c.Attempts > cfg.Attempts:
		return No // not the backend's fault, too late, or too often
	case c.Unseen && c.Stale:
		return when(on.Stale, Free)
	case c.Unseen: // a backend that refuses may be in trouble
		return when(on.Stale, Budgeted)
	case c.Sent && !c.Twice:
		return No // it may have been acted on (RFC 9110 9.2.2), or is no longer here
	case c.Stale && on.Stale:
		return Free
	case full:
		return when(on.Connect, Elsewhere)
	case f.Cause == record.CauseTLS:
		return when(on.Connect, Elsewhere) // the same backend would answer the same
	case f.Cause == record.CauseNoConnect, f.Phase == record.Dial:
		return when(on.Connect, Free) // no byte has left
	case f.Cause == record.CauseSlow:
		return when(on.Timeout, Elsewhere)
	case f.Cause == record.CauseOut: // as if it had been late, or had broken off
		return when(on.Timeout || on.Reset, Elsewhere)
	case f.Cause == record.CauseReset:
		return when(on.Reset, Budgeted)
	}
	return when(f.Cause == record.CauseStatus, Budgeted)
}

func when(is bool, v Verdict) Verdict {
	if is {
		return v
	}
	return No
}

// OnStatus reports whether an answer with that status is to be asked for again.
func OnStatus(on *config.RetryOn, code int) bool {
	return code == 502 && on.Status502 || code == 503 && on.Status503 || code == 504 && on.Status504
}

// backOff is about how long the attempts after the second wait, so that exchanges which
// failed together do not try again together.
const backOff = 25 * time.Millisecond

// Pause returns how long an exchange waits before an attempt after the second.
func Pause(chance *rand.Rand) time.Duration {
	return backOff/2 + time.Duration(chance.Int64N(int64(backOff)))
}

// The steps of Knock.
const (
	knockFirst = time.Millisecond
	knockMost  = 64 * time.Millisecond
)

// Knock returns how long an exchange waits before it connects again to a unix socket whose
// accept queue is full. n counts from 0 how often it has waited: the steps double up to a
// limit.
func Knock(n uint8, chance *rand.Rand) time.Duration {
	step := min(knockFirst<<min(n, 16), knockMost)
	return step/2 + time.Duration(chance.Int64N(int64(step)))
}

// Reason returns the reason that a fault of a backend has on the board.
func Reason(f record.Fault) board.Reason {
	switch f.Cause {
	case record.CauseNoConnect:
		return board.ReasonConnect
	case record.CauseSlow, record.CauseDeadline:
		return board.ReasonTimeout
	case record.CauseBadAnswer:
		return board.ReasonBadAnswer
	case record.CauseTLS:
		return tlsfault.Kind(f.Detail).Reason()
	}
	return board.ReasonReset
}
