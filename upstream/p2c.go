package upstream

// p2c draws two backends by weight and picks the one with fewer attempts at work
// over all loops, by weight: nearly as even as least_conn, at the cost of two
// looks whatever the size of the pool, and loops that decide at the same time
// from the same numbers do not all decide for the same backend. Of equals it is
// the first, so an idle pool is shared out by weight exactly.
type p2c struct{ sampler }

func (p *p2c) next(r *roster, d draw) int {
	a, b := p.pair(r, d)
	switch {
	case a == b || d.tried.Has(b):
		return a
	case d.tried.Has(a):
		return b
	}
	aLoad, bLoad := r.load(a), r.load(b)
	if r.entries[a].fullAt(aLoad) || !r.entries[b].fullAt(bLoad) &&
		compare(aLoad, r.weight(a, d.now), bLoad, r.weight(b, d.now)) > 0 {
		return b
	}
	return a
}

// fullAt reports whether a backend takes no more at a load.
func (e *entry) fullAt(load uint64) bool { return e.limit > 0 && load >= e.limit }
