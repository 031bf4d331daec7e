package upstream

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIdleModel compares two lists with slices under random operations: LIFO order,
// removal from anywhere, and no conn in both lists.
func TestIdleModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 4))
		var lists [2]IdleList[*conn]
		var models [2][]*conn // hottest last
		conns := make([]conn, 8)
		for i := range conns {
			conns[i].id = i
		}
		for step := range 500 {
			i, c := rng.IntN(2), &conns[rng.IntN(len(conns))]
			list, model := &lists[i], &models[i]
			free := !slices.Contains(models[0], c) && !slices.Contains(models[1], c)
			switch rng.IntN(3) {
			case 0:
				if free {
					list.Put(&c.link, c)
					*model = append(*model, c)
				}
			case 1:
				got, ok := list.Get()
				if ok != (len(*model) > 0) || ok && got != (*model)[len(*model)-1] {
					t.Fatalf("seed %d, step %d: Get %v, %v of %v", seed, step, got, ok, ids(*model))
				}
				*model = (*model)[:max(0, len(*model)-1)]
			case 2:
				at := slices.Index(*model, c)
				if got := list.Remove(&c.link); got != (at >= 0) {
					t.Fatalf("seed %d, step %d: Remove(%d) is %v in %v", seed, step, c.id, got, ids(*model))
				}
				if at >= 0 {
					*model = slices.Delete(*model, at, at+1)
				}
			}
			for i := range lists {
				checkIdle(t, &lists[i], models[i])
			}
		}
	}
}

// checkIdle compares a list with its model, hottest last.
func checkIdle(t *testing.T, list *IdleList[*conn], model []*conn) {
	t.Helper()
	want := slices.Clone(model)
	slices.Reverse(want)
	if got := each(list); !slices.Equal(got, want) || list.Len() != len(want) {
		t.Fatalf("%v, Len %d, want %v", ids(got), list.Len(), ids(want))
	}
}

func each(list *IdleList[*conn]) (conns []*conn) {
	list.Each(func(c *conn) { conns = append(conns, c) })
	return conns
}

func ids(conns []*conn) (ids []int) {
	for _, c := range conns {
		ids = append(ids, c.id)
	}
	return ids
}

// TestIdleEachRemove: a drain removes conns while it goes through the list.
func TestIdleEachRemove(t *testing.T) {
	for mask := range 1 << 5 {
		var list IdleList[*conn]
		conns := make([]conn, 5)
		var kept []*conn
		for i := range conns {
			conns[i].id = i
			list.Put(&conns[i].link, &conns[i])
			if mask&(1<<i) == 0 {
				kept = append(kept, &conns[i])
			}
		}
		seen := 0
		list.Each(func(c *conn) {
			seen++
			if mask&(1<<c.id) != 0 && !list.Remove(&c.link) {
				t.Errorf("mask %b: %d is not in the list", mask, c.id)
			}
		})
		if seen != len(conns) {
			t.Errorf("mask %b: %d conns seen, want %d", mask, seen, len(conns))
		}
		checkIdle(t, &list, kept)
	}
}

func TestIdleEmpty(t *testing.T) {
	var list IdleList[*conn]
	var c conn
	if got, ok := list.Get(); ok || got != nil {
		t.Errorf("Get of an empty list: %v, %v", got, ok)
	}
	if list.Remove(&c.link) {
		t.Error("removed a conn that was in no list")
	}
	list.Put(&c.link, &c)
	list.Get()
	if c.link != (Link[*conn]{}) {
		t.Error("a conn that was taken is still linked")
	}
}

func TestIdleNoAlloc(t *testing.T) {
	var list IdleList[*conn]
	conns := make([]conn, 3)
	allocs := testing.AllocsPerRun(100, func() {
		for i := range conns {
			list.Put(&conns[i].link, &conns[i])
		}
		list.Remove(&conns[1].link)
		list.Get()
		list.Get()
	})
	if allocs != 0 || list.Len() != 0 {
		t.Errorf("%v allocations, %d left", allocs, list.Len())
	}
}
