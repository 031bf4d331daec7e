package record

import (
	"time"

	"lb/loop/tick"
)

// Parts says how long each part of an exchange took. The parts before Total follow each
// other, and are Total in all. Those from Connect to FirstByte are of the last attempt, as
// far as it came; Earlier is all attempts before it.
type Parts struct {
	Head      time.Duration // from the first byte of the head to its last; 0 in HTTP/2
	Queue     time.Duration // for room at a backend, or before another attempt
	Earlier   time.Duration // attempts that failed, and were followed by another one
	Connect   time.Duration // making a new conn without TLS; in HTTP/2, with the wait for SETTINGS
	TLS       time.Duration // the TLS handshake of a new conn
	Send      time.Duration // writing the request, or as much of it as the backend took before its answer
	FirstByte time.Duration // from the end of the request to the head of the answer
	Body      time.Duration // from the head of the answer, lb's own included, to the end
	Total     time.Duration
	Stall     time.Duration // the part of all these in which lb waited for the client, see Record.Stalled
}

// Parts returns how long each part of r, which has ended, took.
func (r *Record) Parts() Parts {
	p := Parts{Head: r.Admitted.Sub(r.Begun), Total: r.Ended.Sub(r.Begun), Stall: r.Stalled}
	over := r.Ended
	if r.Answered > 0 {
		over = r.Answered
		p.Body = r.Ended.Sub(over)
	}
	if r.Attempts == 0 {
		p.Queue = over.Sub(r.Admitted)
		return p
	}
	last := r.last()
	p.Earlier = r.tried - last.Took
	if r.Status > 0 && !r.Own {
		p.Queue = r.Picked.Sub(r.Admitted) - p.Earlier
	} else {
		p.Queue = over.Sub(r.Admitted) - r.tried // the rest of it came after the last attempt
		over = last.At.Add(last.Took)
	}
	r.attempt(&p, over)
	return p
}

// attempt sets the parts of the last attempt, of which over is the end, or the head of its
// answer.
func (r *Record) attempt(p *Parts, over tick.Instant) {
	ready := orElse(r.Sending, over)
	if r.secure {
		p.TLS = orElse(r.Secured, ready).Sub(r.Connected)
	}
	p.Connect = ready.Sub(r.Picked) - p.TLS
	p.Send = orElse(r.Sent, over).Sub(ready)
	if r.Sent > 0 {
		p.FirstByte = over.Sub(r.Sent)
	}
}

// orElse returns at, or other if at is 0.
func orElse(at, other tick.Instant) tick.Instant {
	if at > 0 {
		return at
	}
	return other
}
