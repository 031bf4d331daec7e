package plan

import (
	"slices"

	"lb/config"
)

// Room says what there is room for on the board, and what may be given to others.
type Room struct {
	Backends, Series int
	Reusable         func(id int, by uint64) bool // see Registry.Assign
	Free             func(by uint64) bool         // see Assignment.AssignSeries
}

// Change is other members of some pools, with their places on the board.
type Change struct {
	Delta *Delta
	Next  *Snapshot
	Gone  []int // IDs of backends that are no longer members
	Left  int   // backends that are left out, because the board is full
	Claims
}

// Change gives the backends of want their IDs, where they are other than those of now. All
// else in the two has to be the same. It returns nil if the members are the same, or if no
// other fits. Backends for which the board has no room are left out, and those that they
// would have replaced in their pool stay. Unlike Assign, Change changes r.
func (r *Registry) Change(now *Snapshot, want *config.Config, room Room) *Change {
	c := &Change{Delta: &Delta{From: now.Number, Number: now.Number + 1}}
	for i := range want.Pools {
		p := &want.Pools[i]
		if slices.Equal(p.Backends, now.Config.Pools[i].Backends) {
			continue
		}
		before := now.membersOf(i)
		d := between(i, before, r.changePool(c, p, before, room, now.BackendSeries != nil))
		if len(d.Removed) > 0 || len(d.Added) > 0 {
			c.Delta.Pools = append(c.Delta.Pools, d)
		}
	}
	if len(c.Delta.Pools) == 0 && c.Left == 0 {
		return nil
	}
	c.Next = now.Next(c.Delta)
	return c
}

// changePool returns the members of p from now on, each with its ID.
func (r *Registry) changePool(c *Change, p *config.Pool, before members, room Room, each bool) members {
	after, keys := make(members, 0, len(p.Backends)), make(map[string]bool, len(p.Backends))
	left := 0
	for _, b := range p.Backends {
		key := Key(p.Name, b)
		if keys[key] {
			continue
		}
		id, ok := r.join(c, key, room)
		if !ok {
			left++
			continue
		}
		keys[key] = true
		r.InUse[key] = Registered{ID: id, Weight: b.Weight, Drain: b.Drain}
		m := Added{Backend: b, ID: id, Series: -1}
		if each {
			m.Series = r.Series.join(c, key, room)
		}
		after = append(after, m)
	}
	for _, m := range before {
		key := Key(p.Name, m.Backend)
		switch {
		case keys[key]:
		case left > 0:
			after = append(after, m)
		default:
			delete(r.InUse, key)
			r.Retired = append(r.Retired, Retired{Key: key, ID: m.ID, By: c.Delta.Number})
			r.Series.leave(key, c.Delta.Number)
			c.Gone = append(c.Gone, m.ID)
		}
	}
	c.Left += left
	return after
}

// join returns the ID of a backend, which it may have had, or one that is claimed for it.
func (r *Registry) join(c *Change, key string, room Room) (id int, ok bool) {
	if had, ok := r.InUse[key]; ok {
		return had.ID, true
	}
	if i := slices.IndexFunc(r.Retired, func(t Retired) bool { return t.Key == key }); i >= 0 {
		id = r.Retired[i].ID
		r.Retired = slices.Delete(r.Retired, i, i+1)
		c.Back = append(c.Back, id)
		return id, true
	}
	if id, ok = r.claim(room.Backends, room.Reusable); ok {
		c.Fresh = append(c.Fresh, id)
	}
	return id, ok
}

// join returns the number of a key, or -1 if there is none for it.
func (n *Numbers) join(c *Change, key string, room Room) int {
	if had, ok := n.InUse[key]; ok && had >= 0 {
		return had
	}
	number := -1
	if i := slices.IndexFunc(n.Retired, func(r Retired) bool { return r.Key == key }); i >= 0 {
		number = n.Retired[i].ID
		n.Retired = slices.Delete(n.Retired, i, i+1)
	} else if number = n.claim(room.Series, room.Free); number >= 0 {
		c.FreshSeries = append(c.FreshSeries, number)
	} else {
		c.Unseen++
	}
	n.InUse[key] = number
	return number
}

// leave retires the number of a key, if it has one.
func (n *Numbers) leave(key string, by uint64) {
	if had, ok := n.InUse[key]; ok {
		delete(n.InUse, key)
		if had >= 0 {
			n.Retired = append(n.Retired, Retired{key, had, by})
		}
	}
}

// Fitting returns effective without the backends that are neither in use nor in base, which
// is the configuration that they were found for: a full board has no room for them.
func (r *Registry) Fitting(effective, base *config.Config) *config.Config {
	cfg := *effective
	cfg.Pools = slices.Clone(cfg.Pools)
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		p.Backends = slices.DeleteFunc(slices.Clone(p.Backends), func(b config.Backend) bool {
			_, used := r.InUse[Key(p.Name, b)]
			return !used && !slices.Contains(base.Pools[i].Backends, b)
		})
	}
	return &cfg
}

// foundMin is for how many backends there is room at least, for each pool whose backends are
// found by names or a source: it may begin with none. A board has a multiple of that.
const foundMin = 64

// Wanted returns for how many backends and series a board is to be made: base is what the
// file says, effective what it is now.
func Wanted(base, effective *config.Config) (backends, series int) {
	for i := range effective.Pools {
		n := len(effective.Pools[i].Backends)
		if p := &base.Pools[i]; p.Discover != "" || slices.ContainsFunc(p.Backends, func(b config.Backend) bool { return b.Socket == "" && !b.Addr().IsValid() }) {
			n = max(n, foundMin)
		}
		backends += n
	}
	if series = len(effective.Pools); effective.Metrics.PerBackend {
		series += backends
	}
	return backends, series
}

// Find returns the indexes of the backends of a pool of s that b stands for: itself, or all
// addresses of a name.
func (s *Snapshot) Find(pool int, b config.Backend) (list []int) {
	want := config.Identity(b)
	for j, o := range s.Config.Pools[pool].Backends {
		named := o
		named.Host = o.Name
		if config.Identity(o) == want || o.Name != "" && config.Identity(named) == want {
			list = append(list, j)
		}
	}
	return list
}
