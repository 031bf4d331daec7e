package discover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lb/config"
)

// pool is the list of a pool that was made last, and of what.
type pool struct {
	base   config.Pool
	source uint64    // version of the source
	names  []nameKey // in base and of the source
	stamp  uint64    // of names
	list   []config.Backend
	from   map[string]string // where each backend that the file does not give is from
}

// Effective returns base with the complete list of each pool: a backend for every address
// of every name, which then is its Name, and those of the sources. Lists that have not
// changed since the last call are the same ones. If nothing is found anywhere else, it is
// base itself.
func (h *Hub) Effective(base *config.Config) *config.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	var pools []config.Pool
	for i := range base.Pools {
		p := &base.Pools[i]
		if p.Discover == "" && !slices.ContainsFunc(p.Backends, IsName) {
			continue
		}
		if pools == nil {
			pools = slices.Clone(base.Pools)
		}
		pools[i].Backends = h.listOf(p).list
	}
	if pools == nil {
		return base
	}
	next := *base
	next.Pools = pools
	return &next
}

// listOf returns the list of a pool.
func (h *Hub) listOf(p *config.Pool) *pool {
	had, reported, source := h.pools[p.Name], []config.Backend(nil), uint64(0)
	if s := h.sources[p.Name]; s != nil {
		reported, source = s.list, s.version
	}
	if had != nil && had.source == source && had.stamp == h.stampOf(had.names) && had.base.Discover == p.Discover &&
		had.base.Resolver == p.Resolver && slices.Equal(had.base.Backends, p.Backends) {
		return had
	}
	m := merger{h: h, pool: p, seen: map[string]bool{}, made: &pool{base: *p, source: source, from: map[string]string{}}}
	for _, b := range p.Backends {
		m.add(b, "")
	}
	for _, b := range reported {
		m.add(b, shownSource(p.Discover))
	}
	m.made.stamp = h.stampOf(m.made.names)
	if had != nil && slices.Equal(had.list, m.made.list) {
		m.made.list = had.list
	}
	h.pools[p.Name] = m.made
	return m.made
}

// stampOf returns a number that is another when one of names has other addresses.
func (h *Hub) stampOf(names []nameKey) (stamp uint64) {
	for _, key := range names {
		if n := h.names[key]; n != nil {
			stamp = max(stamp, n.version)
		}
	}
	return stamp
}

// merger makes the list of a pool.
type merger struct {
	h    *Hub
	pool *config.Pool
	made *pool
	seen map[string]bool
}

// add adds a backend, or those that it stands for. Of two with the same address the first
// holds.
func (m *merger) add(b config.Backend, source string) {
	if !IsName(b) {
		m.one(b, source)
		return
	}
	key := keyOf(m.pool, b)
	m.made.names = append(m.made.names, key)
	n := m.h.names[key]
	if n == nil {
		return
	}
	source = strings.TrimSpace(source + " " + "name " + shownName(b.Host))
	b.Name = shownName(b.Host)
	for _, ip := range n.addrs {
		b.Host = ip.String()
		m.one(b, source)
	}
}

func (m *merger) one(b config.Backend, source string) {
	key := b.String()
	if ip, err := netip.ParseAddr(b.Host); err == nil && b.Socket == "" {
		key = netip.AddrPortFrom(ip.Unmap(), uint16(b.Port)).String()
	}
	if m.seen[key] {
		return
	}
	m.seen[key] = true
	m.made.list = append(m.made.list, b)
	if source != "" {
		m.made.from[b.String()] = source
	}
}

// shownMax is how many backends a line of the log names.
const shownMax = 10

// tell has the log know which pools have other members, and reports whether any has.
func (h *Hub) tell() (any bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.cfg.Pools {
		p := &h.cfg.Pools[i]
		made, had := h.listOf(p), h.told[p.Name]
		if made == had {
			continue
		}
		h.told[p.Name] = made
		now, before := made.from, map[string]string(nil)
		if had != nil {
			before = had.from
		}
		var added, removed, sources []string
		for _, b := range made.list {
			if from, ok := now[b.String()]; ok && before[b.String()] == "" {
				added, sources = append(added, b.String()), append(sources, from)
			}
		}
		for b, from := range before {
			if now[b] == "" {
				removed, sources = append(removed, b), append(sources, from)
			}
		}
		if len(added)+len(removed) == 0 {
			continue
		}
		any = true
		slices.Sort(removed)
		slices.Sort(sources)
		h.o.Log.Info("pool has other members", "pool", p.Name, "added", bounded(added), "removed", bounded(removed),
			"members", len(made.list), "source", bounded(slices.Compact(sources)))
	}
	return any
}

func bounded(list []string) string {
	if len(list) > shownMax {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:shownMax], ","), len(list)-shownMax)
	}
	return strings.Join(list, ",")
}
