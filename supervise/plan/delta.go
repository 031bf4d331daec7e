package plan

import (
	"slices"

	"lb/config"
)

// Delta is a change of the members of some pools: it makes the snapshot Number of the
// snapshot From. Everything else in the two is the same.
type Delta struct {
	From, Number uint64
	Pools        []PoolDelta
}

// PoolDelta is the change of one pool.
type PoolDelta struct {
	Pool    int     // its index
	Removed []int   `json:",omitempty"` // indexes in the pool before, ascending
	Added   []Added `json:",omitempty"` // by index in the pool after, ascending
}

// Added is a backend that has come into a pool, or has changed there.
type Added struct {
	At      int
	Backend config.Backend
	ID      int
	Series  int // with metrics.per_backend; -1 for none
}

// members are the backends of one pool with their places on the board.
type members []Added

// membersOf returns those of the pool at an index.
func (s *Snapshot) membersOf(pool int) members {
	list := make(members, len(s.IDs[pool]))
	for j, b := range s.Config.Pools[pool].Backends {
		list[j] = Added{Backend: b, ID: s.IDs[pool][j], Series: -1}
		if s.BackendSeries != nil {
			list[j].Series = s.BackendSeries[pool][j]
		}
	}
	return list
}

// between returns what makes after of before. A member that has another place among those
// that stay counts as removed and added.
func between(pool int, before, after members) PoolDelta {
	d := PoolDelta{Pool: pool}
	at := make(map[int]int, len(after)) // by ID
	for j := range after {
		at[after[j].ID] = j
	}
	stays := make([]bool, len(after))
	next := 0
	for j := range before {
		k, ok := at[before[j].ID]
		if !ok || k < next || !before[j].same(&after[k]) {
			d.Removed = append(d.Removed, j)
			continue
		}
		stays[k], next = true, k+1
	}
	for k := range after {
		if !stays[k] {
			a := after[k]
			a.At = k
			d.Added = append(d.Added, a)
		}
	}
	return d
}

func (a *Added) same(b *Added) bool {
	return a.Backend == b.Backend && a.ID == b.ID && a.Series == b.Series
}

// apply returns the members after d. It reports false if d is of other members.
func (d *PoolDelta) apply(before members) (after members, ok bool) {
	after = make(members, 0, max(0, len(before)+len(d.Added)-len(d.Removed)))
	removed, added := d.Removed, d.Added
	for j := 0; j < len(before) || len(added) > 0; {
		switch {
		case len(added) > 0 && added[0].At == len(after):
			after, added = append(after, added[0]), added[1:]
		case j == len(before):
			return nil, false
		case len(removed) > 0 && removed[0] == j:
			removed, j = removed[1:], j+1
		default:
			after, j = append(after, before[j]), j+1
		}
	}
	return after, len(removed) == 0
}

// Next returns the snapshot that d makes of s, or nil if d is for another one.
func (s *Snapshot) Next(d *Delta) *Snapshot {
	if d.From != s.Number {
		return nil
	}
	next, cfg := *s, *s.Config
	next.Config, next.Number = &cfg, d.Number
	cfg.Pools, next.IDs, next.BackendSeries = slices.Clone(cfg.Pools), slices.Clone(s.IDs), slices.Clone(s.BackendSeries)
	for i := range d.Pools {
		p := &d.Pools[i]
		if p.Pool < 0 || p.Pool >= len(cfg.Pools) {
			return nil
		}
		list, ok := p.apply(s.membersOf(p.Pool))
		if !ok {
			return nil
		}
		next.set(p.Pool, list)
	}
	return &next
}

// set gives a pool of s, whose lists of pools are its own, these members.
func (s *Snapshot) set(pool int, list members) {
	backends, ids := make([]config.Backend, len(list)), make([]int, len(list))
	var series []int
	for j := range list {
		backends[j], ids[j] = list[j].Backend, list[j].ID
		if s.BackendSeries != nil {
			series = append(series, list[j].Series)
		}
	}
	s.Config.Pools[pool].Backends, s.IDs[pool] = backends, ids
	if s.BackendSeries != nil {
		s.BackendSeries[pool] = series
	}
}

// Changed returns the indexes of the pools that d changes.
func (d *Delta) Changed() []int {
	list := make([]int, len(d.Pools))
	for i := range d.Pools {
		list[i] = d.Pools[i].Pool
	}
	return list
}
