package plan

import (
	"fmt"
	"maps"
	"slices"

	"lb/config"
)

// Registry keeps which ID on the board each backend has, over reloads and, as JSON,
// over upgrades, so that a backend keeps its counters and its health when it moves in
// the file. A Registry does not change once it is in use: Assign returns another.
type Registry struct {
	// Next is the lowest ID that was never given to a backend.
	Next int
	// InUse is the backends of the configuration in use, by Key.
	InUse map[string]Registered
	// Retired is the backends that are no longer in it, the longest gone first.
	Retired []Retired
	// Series is which series of the board each pool and backend counts in.
	Series Numbers
}

// Registered is a backend with an ID. It keeps what the file said of the backend,
// because the next reload has to know what the file has changed.
type Registered struct {
	ID     int
	Weight int
	Drain  bool
}

// Retired is an ID, or the number of a series, that waits for its backend to come back, or
// for another.
type Retired struct {
	Key string
	ID  int
	By  uint64 // number of the configuration that dropped the backend
}

// retiredKept is how many retired IDs are not given to other backends as long as there
// are fresh ones, so that a backend that comes and goes keeps its counters.
const retiredKept = 256

// NewRegistry returns a Registry without backends.
func NewRegistry() *Registry { return &Registry{InUse: map[string]Registered{}} }

// Key identifies a backend by its pool and its address.
func Key(pool string, b config.Backend) string {
	return pool + "\x00" + config.Identity(b)
}

// Assignment is the IDs that a configuration has, or would have, on the board.
type Assignment struct {
	Claims
	Registry *Registry
	IDs      [][]int // by pool and backend
	Left     bool    // some that were found are left out, because the board is full

	// Series on the board, by pool, and by pool and backend; -1 for none. See AssignSeries.
	Series        []int
	BackendSeries [][]int // nil without metrics.per_backend
}

// Claims are places on the board that others have now than before.
type Claims struct {
	Back        []int // IDs of backends that were retired
	Fresh       []int // IDs of new backends; others may have had them before
	FreshSeries []int // as Fresh
	Unseen      int   // pools and backends that have no series, because the board is full
}

// Snapshot returns the snapshot of cfg, to which a belongs and which is that of base, without
// secrets.
func (a *Assignment) Snapshot(cfg, base *config.Config, number uint64) *Snapshot {
	awaits := len(base.Pools[0].Backends) > 0 || base.Pools[0].Discover != ""
	return &Snapshot{Config: cfg, Base: base, Awaits: awaits, Number: number, IDs: a.IDs, Series: a.Series, BackendSeries: a.BackendSeries}
}

// Assign gives every backend of pools an ID below room: the one that it has or had, or
// a fresh one, or one that another backend had and that reusable allows; by is the
// number of the configuration that dropped that backend. number is that of the
// configuration of pools. It is an error if no ID is left. r does not change.
func (r *Registry) Assign(pools []config.Pool, number uint64, room int, reusable func(id int, by uint64) bool) (*Assignment, error) {
	a := &Assignment{Registry: &Registry{Next: r.Next, InUse: map[string]Registered{}, Series: r.Series}}
	old := maps.Clone(r.InUse) // backends that are not in pools remain
	gone := map[string]int{}   // IDs of the retired, by key
	for _, t := range r.Retired {
		gone[t.Key] = t.ID
	}
	var strangers []string // keys without an ID
	for i := range pools {
		for _, b := range pools[i].Backends {
			key := Key(pools[i].Name, b)
			e := Registered{ID: -1, Weight: b.Weight, Drain: b.Drain}
			if had, ok := old[key]; ok {
				e.ID = had.ID
				delete(old, key)
			} else if id, ok := gone[key]; ok {
				e.ID = id
				a.Back = append(a.Back, id)
			} else {
				strangers = append(strangers, key)
			}
			a.Registry.InUse[key] = e
		}
	}
	a.Registry.Retired = r.retire(old, number, a.Back)
	for _, key := range strangers {
		id, ok := a.Registry.claim(room, reusable)
		if !ok {
			return nil, fmt.Errorf("the board has room for %d backends and all are in use; with fewer, or after a restart, there is more", room)
		}
		e := a.Registry.InUse[key]
		e.ID = id
		a.Registry.InUse[key] = e
		a.Fresh = append(a.Fresh, id)
	}
	for i := range pools {
		list := make([]int, len(pools[i].Backends))
		for j, b := range pools[i].Backends {
			list[j] = a.Registry.InUse[Key(pools[i].Name, b)].ID
		}
		a.IDs = append(a.IDs, list)
	}
	return a, nil
}

// retire returns the retired backends, without those that are back and with those that
// the configuration of this number drops.
func (r *Registry) retire(old map[string]Registered, number uint64, back []int) []Retired {
	list := make([]Retired, 0, len(r.Retired)+len(old))
	for _, t := range r.Retired {
		if !slices.Contains(back, t.ID) {
			list = append(list, t)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		list = append(list, Retired{Key: key, ID: old[key].ID, By: number})
	}
	return list
}

// claim returns an ID for a backend that has none: a fresh one as long as few are
// retired, else the reusable one that has been retired longest.
func (r *Registry) claim(room int, reusable func(id int, by uint64) bool) (id int, ok bool) {
	if len(r.Retired) <= retiredKept {
		if id, ok := r.fresh(room, reusable); ok {
			return id, true
		}
	}
	for i, t := range r.Retired {
		if reusable(t.ID, t.By) {
			r.Retired = slices.Delete(r.Retired, i, i+1)
			return t.ID, true
		}
	}
	return r.fresh(room, reusable)
}

// fresh returns an ID that was never given to a backend. It passes over an ID at which
// the rest of an upgrade that failed late is still active.
func (r *Registry) fresh(room int, reusable func(id int, by uint64) bool) (id int, ok bool) {
	for r.Next < room {
		r.Next++
		if reusable(r.Next-1, 0) {
			return r.Next - 1, true
		}
	}
	return 0, false
}
