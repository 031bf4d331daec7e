package upstream

import (
	"slices"

	"lb/board"
	"lb/loop/tick"
)

// Standing is how a backend stands among those of its pool.
type Standing uint8

// The standings. A pool picks from its primary backends, then from backups, then from
// ejected ones; what drains is for sticky clients alone, and the last two are for nobody.
const (
	Primary Standing = iota
	Backup
	EjectedPrimary
	EjectedBackup
	DrainingOut
	DisabledOut // disabled, or draining and ejected
	DownOut
)

// Candidate is one backend as a pick sees it.
type Candidate struct {
	Standing Standing
	Open     bool   // the pick chooses among these
	Spare    bool   // a backup that is chosen once all open ones have been tried
	Home     bool   // the client's sticky cookie leads here
	Weight   uint64 // in use
	Percent  int    // of its weight that it has in slow start, else 100
	InFlight uint64 // attempts, over all loops
	Limit    uint64 // of these; 0: none

	State *board.State // on the board
}

// Full reports whether the backend takes no other attempt now.
func (c *Candidate) Full() bool { return c.Limit > 0 && c.InFlight >= c.Limit }

// Peeked is what the next Pick would do.
type Peeked struct {
	Index      int // of the backend that it would choose, if Why is Picked
	Why        Why
	Candidates []Candidate // by index
}

// Peek returns what Pick would do now with the same ask, and changes nothing: neither
// whose turn it is, nor chance, nor the board. It copies what the pool decides by, so it
// is not for each request.
func (p *Pool[C]) Peek(ask Ask, now tick.Instant) Peeked {
	r := p.roster.dryCopy()
	var out Peeked
	out.Index, out.Why = r.pick(ask, now)
	home, ok := r.sticky.find(ask.Sticky)
	for i := range r.entries {
		e := &r.entries[i]
		out.Candidates = append(out.Candidates, Candidate{
			Standing: Standing(e.tier),
			Open:     r.isOpen(i),
			Spare:    slices.Contains(r.spare, int32(i)) && !r.isOpen(i),
			Home:     ok && home == i,
			Weight:   e.weight,
			Percent:  int(r.share(i, now) * 100 / wholeShare),
			InFlight: r.load(i),
			Limit:    e.limit,
			State:    p.Backends[i].State,
		})
	}
	return out
}

// dryCopy returns a copy of r that picks as r would and writes nothing that others see.
func (r *roster) dryCopy() *roster {
	c := *r
	c.dry, c.notify = true, nil
	c.entries, c.open, c.spare = slices.Clone(r.entries), slices.Clone(r.open), slices.Clone(r.spare)
	c.picker = r.picker.copy()
	for i := range c.entries {
		if e := &c.entries[i]; e.state.EjectedUntil.Load() != 0 { // a pick may restore it
			e.state = r.board.CopyState(e.id)
		}
	}
	return &c
}

func (x *random) copy() picker { return &random{x.sampler.clone()} }

func (p *p2c) copy() picker { return &p2c{p.sampler.clone()} }

func (l *leastTime) copy() picker { return &leastTime{l.sampler.clone(), l.meanWeight} }

func (l *leastConn) copy() picker { return &leastConn{slices.Clone(l.used), l.time} }

// copy shares the table, which renew replaces and does not change.
func (h *hashing) copy() picker {
	c := *h
	return &c
}

// copy shares the sequence, which renew replaces and does not change.
func (rr *roundRobin) copy() picker {
	c := *rr
	c.steps, c.isOpen = slices.Clone(rr.steps), slices.Clone(rr.isOpen)
	return &c
}

func (s *sampler) clone() sampler {
	return sampler{slices.Clone(s.columns), slices.Clone(s.left), slices.Clone(s.small), slices.Clone(s.large)}
}
