package upstream

// p2c (power of two choices) draws two backends by weight and picks the one with
// fewer active attempts over all loops, by weight: nearly as even as least_conn for
// two looks whatever the size of the pool. And loops that decide at the same moment
// from the same numbers do not all choose the same backend. Among equals the first
// wins, so an idle pool is shared exactly by weight.
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

// fullAt reports whether a backend with load active attempts takes no more.
func (e *entry) fullAt(load uint64) bool { return e.limit > 0 && load >= e.limit }
