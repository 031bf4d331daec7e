package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lb/admin/api"
	"lb/cli/words"
)

// row is one line of the table: a backend, or a pool with the sums over its backends.
type row struct {
	key
	*flow
	backend  *api.Backend // nil for a pool
	inFlight uint64
	state    string // in words
	word     string // the same in a word
	tint     words.Tint
	rank     int // of the state; the worst is the highest
}

// order is what rows are sorted by.
type order int

// The orders. In byConfig pools and backends stand as in the configuration.
const (
	byConfig order = iota
	byRate
	byErrors
	byP99
	byActive
	byState
	byName
	orders // how many there are
)

var orderNames = [orders]string{"configuration", "rate", "errors", "p99", "active", "state", "name"}

// compare puts the row with the larger number first, and names from A to Z.
func (o order) compare(a, b *row) int {
	switch o {
	case byRate:
		return cmp.Compare(b.rate, a.rate)
	case byErrors:
		return cmp.Compare(b.errors, a.errors)
	case byP99:
		return cmp.Compare(b.p99, a.p99)
	case byActive:
		return cmp.Compare(b.inFlight, a.inFlight)
	case byState:
		return cmp.Compare(b.rank, a.rank)
	case byName:
		return cmp.Or(strings.Compare(a.pool, b.pool), strings.Compare(a.address, b.address))
	}
	return 0
}

// choice says which rows are shown, and in which order.
type choice struct {
	order   order
	reverse bool
	filter  string // rows have it in the pool, the address or the state; in any case of letters
	unwell  bool   // only backends that are not well
}

// rows returns the rows to be shown: each pool, then its backends. A pool of which no
// backend is shown is left out, unless it has none.
func (s *samples) rows(c choice, now time.Time) []row {
	var groups [][]row
	for i := range s.status.Pools {
		pool := &s.status.Pools[i]
		group := make([]row, 1, 1+len(pool.Backends))
		group[0] = s.poolRow(pool)
		for j := range pool.Backends {
			if r := s.backendRow(&pool.Backends[j], pool.Name, now); c.takes(&r) {
				group = append(group, r)
			}
		}
		if len(group) > 1 || len(pool.Backends) == 0 && c.filter == "" && !c.unwell {
			groups = append(groups, group)
		}
	}
	by := func(a, b *row) int {
		if c.reverse {
			a, b = b, a
		}
		return c.order.compare(a, b)
	}
	slices.SortStableFunc(groups, func(a, b []row) int { return by(&a[0], &b[0]) })
	if c.reverse && c.order == byConfig {
		slices.Reverse(groups)
	}
	var all []row
	for _, group := range groups {
		slices.SortStableFunc(group[1:], func(a, b row) int { return by(&a, &b) })
		if c.reverse && c.order == byConfig {
			slices.Reverse(group[1:])
		}
		all = append(all, group...)
	}
	return all
}

// takes reports whether a backend is shown.
func (c *choice) takes(r *row) bool {
	if c.unwell && r.rank == 0 && r.errors == 0 {
		return false
	}
	want := strings.ToLower(c.filter)
	return want == "" || strings.Contains(strings.ToLower(r.pool+" "+r.address+" "+r.state), want)
}

func (s *samples) backendRow(b *api.Backend, pool string, now time.Time) row {
	r := row{key: key{pool, b.Address}, backend: b, inFlight: b.InFlight,
		state: words.State(*b, now), word: words.StateWord(*b), tint: words.TintOf(*b)}
	r.flow = of(s.flows, r.key)
	switch r.tint {
	case words.Red:
		r.rank = 2
	case words.Yellow:
		r.rank = 1
	}
	return r
}

// poolRow returns the row of a pool, whose state is how many of its backends are in use.
// Backups count as well.
func (s *samples) poolRow(p *api.Pool) row {
	r := row{key: key{pool: p.Name}}
	r.flow = of(s.flows, r.key)
	used := 0
	for i := range p.Backends {
		b := &p.Backends[i]
		r.inFlight += b.InFlight
		switch words.TintOf(*b) {
		case words.Green, words.Plain:
			used++
		}
	}
	r.word = fmt.Sprintf("%d of %d", used, len(p.Backends))
	r.state = r.word + " in use"
	if p.Strategy != "" {
		r.state += ", " + p.Strategy
	}
	switch {
	case used == 0:
		r.tint, r.rank = words.Red, 2
	case used < len(p.Backends):
		r.tint, r.rank = words.Yellow, 1
	default:
		r.tint = words.Green
	}
	return r
}
