package plan

import (
	"fmt"
	"maps"
	"slices"

	"lb/config"
)

// Registry is which ID on the board a backend has. It is kept over reloads and,
// as JSON, over upgrades, so that what the board knows of a backend stays with
// it wherever it stands in the file. A registry is not changed once it is in
// use: assign returns another.
type Registry struct {
	// Next is the least ID that no backend was ever given.
	Next int
	// InUse is the backends of the configuration at work, by registryKey.
	InUse map[string]Registered
	// Retired is those that are in it no more, the longest gone first.
	Retired []Retired
}

// Registered is a backend with an ID. What the file said of it is kept for the
// next reload, which has to know what the file has changed since.
type Registered struct {
	ID     int
	Weight int
	Drain  bool
}

// Retired is an ID that waits for its backend to come back, or for another.
type Retired struct {
	Key string
	ID  int
	By  uint64 // number of the configuration that had the backend no more
}

// retiredKept is how many retired IDs are not given to other backends as long as
// there are fresh ones: a backend that comes and goes keeps its counters.
const retiredKept = 256

func NewRegistry() *Registry { return &Registry{InUse: map[string]Registered{}} }

// Key is the same for a backend as long as its pool and its address are.
func Key(pool string, b config.Backend) string {
	return pool + "\x00" + config.Identity(b)
}

// Assignment is what a configuration has, or would have, on the board.
type Assignment struct {
	Registry *Registry
	IDs      [][]int // by pool and backend
	Back     []int   // IDs of backends that were retired
	Fresh    []int   // IDs of backends that are new; another may have had them
}

// Assign gives every backend of pools an ID below room: the one it has, or had,
// or a fresh one, or one that another backend had and that reusable allows.
// number is that of the configuration. It fails when there is none left.
func (r *Registry) Assign(pools []config.Pool, number uint64, room int, reusable func(id int, by uint64) bool) (*Assignment, error) {
	a := &Assignment{Registry: &Registry{Next: r.Next, InUse: map[string]Registered{}}}
	old := maps.Clone(r.InUse) // those that are not in pools remain
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

// retire returns the retired without those that are back, and behind them what
// the configuration with this number has no more.
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

// claim takes an ID for a backend that has none: a fresh one as long as few are
// retired, else the one that has been retired longest and may be used again.
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

// fresh takes an ID that no backend was given. What is left of an upgrade that
// failed late may still be at work there; such an ID is passed over.
func (r *Registry) fresh(room int, reusable func(id int, by uint64) bool) (id int, ok bool) {
	for r.Next < room {
		r.Next++
		if reusable(r.Next-1, 0) {
			return r.Next - 1, true
		}
	}
	return 0, false
}
