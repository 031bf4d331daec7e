package upstream

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lb/loop/tick"
)

// TestIdleModel compares two lists with slices under random operations: LIFO order,
// removal from anywhere, conns that have rested, and no conn in both lists.
func TestIdleModel(t *testing.T) {
	for seed := range uint64(50) {
		m := idleModel{t: t, rng: rand.New(rand.NewPCG(seed, 4)), conns: make([]conn, 8), put: make([]tick.Instant, 8)}
		for i := range m.conns {
			m.conns[i].id = i
		}
		for range 500 {
			m.step()
		}
	}
}

// idleModel are two lists, and what must be in them, hottest last.
type idleModel struct {
	t      *testing.T
	rng    *rand.Rand
	lists  [2]IdleList[*conn]
	models [2][]*conn
	conns  []conn
	put    []tick.Instant // by id
	now    tick.Instant
}

func (m *idleModel) step() {
	i, c := m.rng.IntN(2), &m.conns[m.rng.IntN(len(m.conns))]
	list, model := &m.lists[i], &m.models[i]
	m.now += tick.Instant(m.rng.IntN(3))
	switch m.rng.IntN(4) {
	case 0:
		if !slices.Contains(m.models[0], c) && !slices.Contains(m.models[1], c) {
			list.Put(&c.link, c, m.now)
			*model = append(*model, c)
			m.put[c.id] = m.now
		}
	case 1:
		got, ok := list.Hottest()
		m.took(i, got, ok, len(*model)-1)
	case 2:
		by := m.now - 4
		at := len(*model) - 1
		for at >= 0 && m.put[(*model)[at].id] > by {
			at--
		}
		got, ok := list.GetRested(by)
		m.took(i, got, ok, at)
	case 3:
		at := slices.Index(*model, c)
		if got := list.Remove(&c.link); got != (at >= 0) {
			m.t.Fatalf("Remove(%d) is %v in %v", c.id, got, ids(*model))
		}
		if at >= 0 {
			*model = slices.Delete(*model, at, at+1)
		}
	}
	for i := range m.lists {
		checkIdle(m.t, &m.lists[i], m.models[i])
	}
}

// took checks that c is the conn at of model i, or that there is none if at < 0, and takes
// it out.
func (m *idleModel) took(i int, c *conn, ok bool, at int) {
	model := &m.models[i]
	if ok != (at >= 0) || ok && c != (*model)[at] {
		m.t.Fatalf("%v, %v of %v, want the one at %d", c, ok, ids(*model), at)
	}
	if ok {
		m.lists[i].Remove(&c.link)
		*model = slices.Delete(*model, at, at+1)
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
			list.Put(&conns[i].link, &conns[i], 0)
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
	if got, ok := list.Hottest(); ok || got != nil {
		t.Errorf("the hottest of an empty list: %v, %v", got, ok)
	}
	if got, ok := list.GetRested(1); ok || got != nil {
		t.Errorf("a rested one of an empty list: %v, %v", got, ok)
	}
	if list.Remove(&c.link) {
		t.Error("removed a conn that was in no list")
	}
	list.Put(&c.link, &c, 1)
	list.GetRested(1)
	if c.link != (Link[*conn]{}) {
		t.Error("a conn that was taken is still linked")
	}
}

func TestIdleNoAlloc(t *testing.T) {
	var list IdleList[*conn]
	conns := make([]conn, 3)
	allocs := testing.AllocsPerRun(100, func() {
		for i := range conns {
			list.Put(&conns[i].link, &conns[i], 0)
		}
		list.Remove(&conns[1].link)
		list.GetRested(0)
		list.Remove(&conns[0].link)
	})
	if allocs != 0 || list.Len() != 0 {
		t.Errorf("%v allocations, %d left", allocs, list.Len())
	}
}
