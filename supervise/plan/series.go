package plan

import (
	"maps"
	"slices"

	"lb/config"
)

// Numbers keeps which series on the board each pool and backend counts in, by key, over
// reloads and, as JSON, over upgrades, so that histograms only grow. It does not change
// once it is in use.
type Numbers struct {
	Next    int            // the lowest number that was never given
	InUse   map[string]int `json:",omitempty"`
	Retired []Retired      `json:",omitempty"` // the longest gone first
}

// assign returns Numbers in which every key has a number below room: the one that it has or
// had, or a fresh one, or the one that has been retired longest and that reusable allows. A
// key for which there is none has -1. number is that of the configuration. fresh are the
// numbers of new keys; others may have had them before.
func (n Numbers) assign(keys []string, number uint64, room int, reusable func(by uint64) bool) (out Numbers, fresh []int) {
	out = Numbers{Next: n.Next, InUse: map[string]int{}, Retired: slices.Clone(n.Retired)}
	old := maps.Clone(n.InUse)
	var strangers []string
	for _, key := range keys {
		if had, ok := old[key]; ok {
			out.InUse[key] = had
			delete(old, key)
		} else if i := slices.IndexFunc(out.Retired, func(r Retired) bool { return r.Key == key }); i >= 0 {
			out.InUse[key] = out.Retired[i].ID
			out.Retired = slices.Delete(out.Retired, i, i+1)
		} else {
			strangers = append(strangers, key)
		}
	}
	for _, key := range strangers {
		out.InUse[key] = out.claim(room, reusable)
		if id := out.InUse[key]; id >= 0 {
			fresh = append(fresh, id)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if old[key] >= 0 {
			out.Retired = append(out.Retired, Retired{key, old[key], number})
		}
	}
	return out, fresh
}

// claim returns a number that nothing uses, or -1.
func (n *Numbers) claim(room int, reusable func(by uint64) bool) int {
	if n.Next < room {
		n.Next++
		return n.Next - 1
	}
	for i, r := range n.Retired {
		if reusable(r.By) {
			n.Retired = slices.Delete(n.Retired, i, i+1)
			return r.ID
		}
	}
	return -1
}

// AssignSeries gives each pool of cfg a series below room, and with metrics.per_backend
// each backend. reusable reports whether no loop goes by a configuration before the one of
// that number. a gets the outcome. unseen is how many have none, because the board is full.
func (a *Assignment) AssignSeries(n Numbers, cfg *config.Config, number uint64, room int, reusable func(by uint64) bool) (unseen int) {
	var keys []string
	for i := range cfg.Pools {
		keys = append(keys, cfg.Pools[i].Name)
		if cfg.Metrics.PerBackend {
			for _, b := range cfg.Pools[i].Backends {
				keys = append(keys, Key(cfg.Pools[i].Name, b))
			}
		}
	}
	a.Registry.Series, a.FreshSeries = n.assign(keys, number, room, reusable)
	of := func(key string) int {
		if a.Registry.Series.InUse[key] < 0 {
			unseen++
		}
		return a.Registry.Series.InUse[key]
	}
	for i := range cfg.Pools {
		a.Series = append(a.Series, of(cfg.Pools[i].Name))
		if !cfg.Metrics.PerBackend {
			continue
		}
		list := make([]int, len(cfg.Pools[i].Backends))
		for j, b := range cfg.Pools[i].Backends {
			list[j] = of(Key(cfg.Pools[i].Name, b))
		}
		a.BackendSeries = append(a.BackendSeries, list)
	}
	return unseen
}
