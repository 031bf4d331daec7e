package discover

import (
	"cmp"
	"slices"

	"lb/admin/api"
)

// States returns the state of every source and every name, sources first, sorted.
func (h *Hub) States() (list []api.Discovery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sources {
		st := api.Discovery{
			Up: !s.failing && s.settled, Backends: h.count(s),
			LastAnswer: s.answeredAt, Fault: s.fault, FaultAt: s.failAt, Changes: s.changes, Errors: s.errors,
		}
		if b, ok := ofDNS(s.pool.Discover); ok {
			if n := h.names[keyOf(&s.pool, b)]; n != nil {
				st = n.state() // it is no more than its name
			}
		}
		st.Pool, st.Source, st.Resolver = s.pool.Name, shownSource(s.pool.Discover), ""
		list = append(list, st)
	}
	for _, n := range h.names {
		list = append(list, n.state())
	}
	slices.SortFunc(list, func(a, b api.Discovery) int {
		return cmp.Or(cmp.Compare(b2i(a.Pool == ""), b2i(b.Pool == "")), cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Resolver, b.Resolver))
	})
	return list
}

func (n *name) state() api.Discovery {
	st := api.Discovery{
		Source: shownName(n.key.name), Resolver: n.key.resolver, Up: !n.failing && n.settled(), Backends: len(n.addrs),
		LastAnswer: n.answeredAt, Fault: n.fault, FaultAt: n.failAt, Changes: n.changes, Errors: n.errors,
	}
	for _, f := range n.families {
		if st.Next.IsZero() || !f.next.IsZero() && f.next.Before(st.Next) {
			st.Next = f.next
		}
	}
	return st
}

// count returns how many backends a source has, each address of a name one.
func (h *Hub) count(s *source) (n int) {
	for _, b := range s.list {
		if !IsName(b) {
			n++
		} else if name := h.names[keyOf(&s.pool, b)]; name != nil {
			n += len(name.addrs)
		}
	}
	return n
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
