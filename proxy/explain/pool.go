package explain

import (
	"fmt"
	"slices"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/internal/tlsfault"
	"lb/loop/tick"
	"lb/upstream"
)

// pool says what the pool has, and which backend it chooses.
func (f *Facts) pool(out *api.Explained) {
	p := &f.Config.Pools[f.Pool]
	out.Pool, out.Strategy = p.Name, p.Strategy
	if p.Strategy == config.HashOnKey {
		out.HashKey = p.Hash.Key
		if p.Hash.Name != "" {
			out.HashKey += ":" + p.Hash.Name
		}
	}
	chosen := -1
	if f.Reply.Code == 0 && !f.Queued {
		chosen = f.Peek.Index
	}
	candidates, home := 0, -1
	for i := range f.Peek.Candidates {
		c := &f.Peek.Candidates[i]
		one := api.ExplainedBackend{
			Address:        p.Backends[i].String(),
			Chosen:         i == chosen,
			Candidate:      c.Open && !c.Full() || i == chosen,
			State:          stateOf(c),
			Weight:         c.Weight,
			Percent:        c.Percent,
			InFlight:       c.InFlight,
			MaxConnections: c.Limit,
			Why:            f.why(c, &p.Backends[i]),
		}
		if one.Candidate {
			candidates++
		}
		if c.Home {
			home = i
		}
		out.Backends = append(out.Backends, one)
	}
	if chosen >= 0 {
		out.Outcome, out.Choice = api.ToBackend, p.Backends[chosen].String()
		out.How, out.Settled = f.how(chosen, candidates)
	}
	switch {
	case !f.Cookie:
	case home < 0:
		out.Notes = append(out.Notes, fmt.Sprintf("its cookie %s leads to no backend of this pool: it is served as a new client", p.Sticky))
	case home != chosen && chosen >= 0:
		out.Notes = append(out.Notes, fmt.Sprintf("its cookie %s leads to %s, which cannot be chosen now", p.Sticky, p.Backends[home]))
	}
}

// stateOf returns the state of a backend in one word.
func stateOf(c *upstream.Candidate) string {
	switch c.Standing {
	case upstream.DownOut:
		return "down"
	case upstream.DisabledOut:
		return "disabled"
	case upstream.DrainingOut:
		return "draining"
	case upstream.EjectedPrimary, upstream.EjectedBackup:
		return "ejected"
	}
	return board.Health(c.State.Health.Load()).String()
}

// why says why a backend can be chosen, or why it cannot.
func (f *Facts) why(c *upstream.Candidate, b *config.Backend) string {
	s := c.State
	switch c.Standing {
	case upstream.DownOut:
		return "its active checks fail: " + reason(&s.HealthReason, &s.HealthDetail)
	case upstream.DisabledOut:
		if board.Admin(s.Admin.Load()) == board.Disabled {
			return "disabled at run time (lb backend disable)"
		}
		return "draining, and ejected"
	case upstream.DrainingOut:
		why := "drained at run time (lb backend drain)"
		switch {
		case b.Drain:
			why = "drain = true in the file"
		case board.Admin(s.Admin.Load()) != board.Draining:
			left := time.Duration(max(0, tick.Instant(s.LeavingUntil.Load()).Sub(f.Now))).Round(time.Millisecond)
			why = fmt.Sprintf("it has asked for no new clients, for %v more: %s", left, board.Reason(s.LeavingReason.Load()).Words())
		}
		return why + "; clients whose cookie leads here go on"
	case upstream.EjectedPrimary, upstream.EjectedBackup:
		left := time.Duration(max(0, tick.Instant(s.EjectedUntil.Load()).Sub(f.Now))).Round(time.Millisecond)
		why := fmt.Sprintf("ejected for %v more: %s", left, reason(&s.EjectedReason, &s.EjectedDetail))
		if c.Open {
			why += "; it may be chosen all the same, because all better ones are out"
		}
		return why
	case upstream.Backup:
		if !c.Open {
			return "a backup, which is not needed now"
		}
	}
	switch {
	case c.Open && board.Health(s.Health.Load()) == board.Down:
		return "can be chosen although its checks fail, as those of so many do (health.panic)"
	case !c.Open:
		return "better ones can be chosen"
	case c.Full():
		return fmt.Sprintf("full: %d of max_connections = %d are in flight", c.InFlight, c.Limit)
	case c.Percent < 100:
		return fmt.Sprintf("can be chosen; in slow start, with %d %% of its weight", c.Percent)
	case c.Standing == upstream.Backup:
		return "can be chosen: a backup, and all others are out"
	}
	return "can be chosen"
}

// reason returns why the board says a backend is out.
func reason(why, detail *board.Word) string {
	r, n := board.Reason(why.Load()), detail.Load()
	if n != 0 && r.InTLS() {
		return tlsfault.Kind(n).String()
	}
	return r.WordsWith(n)
}

// how says why the backend is chosen, one of so many, and whether it would be again.
func (f *Facts) how(chosen, candidates int) (text string, settled bool) {
	p := &f.Config.Pools[f.Pool]
	switch c := &f.Peek.Candidates[chosen]; {
	case c.Home:
		return fmt.Sprintf("its cookie %s leads here", p.Sticky), true
	case candidates == 1:
		return "it is the only one that can be chosen", true
	}
	switch p.Strategy {
	case config.Random:
		return fmt.Sprintf("drawn by weight among %d: this is the next draw of this loop", candidates), false
	case config.LeastConn:
		return fmt.Sprintf("of %d it has the fewest requests in flight for its weight; among equals it was used the longest time ago", candidates), false
	case config.P2C:
		return fmt.Sprintf("the less loaded of two that were drawn by weight among %d: this is the next draw of this loop", candidates), false
	case config.LeastTime:
		return fmt.Sprintf("of two that were drawn by weight among %d it promises the earlier answer: this is the next draw of this loop", candidates), false
	case config.HashOnKey:
		how := "the hash of what the request has as the key leads here"
		ramping := slices.ContainsFunc(f.Peek.Candidates, func(c upstream.Candidate) bool { return c.Percent < 100 })
		switch {
		case p.Hash.BalanceFactor > 0:
			return how + ", as long as it has no more than balance_factor of its share", false
		case ramping:
			return how + ", while others are in slow start", false
		}
		return how, true
	}
	return fmt.Sprintf("it is its turn among %d in this loop", candidates), false
}

// whyQueued says why the request would wait.
func (f *Facts) whyQueued() string {
	limit := f.Config.Timeouts.Queue
	if f.Ahead > 0 {
		return fmt.Sprintf("it waits for room in the queue of pool %s, %d before it in this loop, for at most %v", f.Config.Pools[f.Pool].Name, f.Ahead, limit)
	}
	return fmt.Sprintf("it waits for room in the queue of pool %s, for at most %v", f.Config.Pools[f.Pool].Name, limit)
}
