package upstream

import (
	"bytes"
	"slices"
	"strings"

	"lb/config"
)

// Router finds the route of a request. It is not changed once it is made, so all
// loops of a process may share one.
//
// A route's host is exact, or "*.example.com" for any name below example.com at
// any depth, or any; it is compared without regard to case, port and a dot at
// the end. Its path is a prefix of whole segments, compared byte by byte: "/api"
// takes /api and /api/x and not /apix; "/api/" takes /api/x and not /api; what
// is percent-encoded in another way is another path. An exact host wins over a
// wildcard, a longer wildcard over a shorter, and that over no host; within one
// host the longest path wins; of routes with the same host and path it is the
// first in the file whose methods and headers fit. A route that does not fit
// gives way to the next best.
//
// It costs a pass over the host, and one over the path for each host that fits
// until one has a route, with a look into a table at each border of a label or
// segment. More routes do not make it longer, but those that differ only in
// methods and headers are asked one after another.
type Router struct {
	hosts  []host   // by number; 0 is any host
	names  []place  // open table of hosts, by number
	paths  []place  // open table of the first rules with a host and path
	prefix []prefix // by number
	rules  []rule   // as the routes
}

// host is one host of the routes, and where its paths are.
type host struct {
	name    string // in lower case; a wildcard's begins with its dot
	less    int32  // number of the next less exact one that fits all its names; -1: none
	all     int32  // the rule for all paths; -1: none
	longest int    // of its paths, in bytes
	slashed bool   // some path of it ends in a slash
}

// place is a place in an open table, of a size that is a power of two.
type place struct {
	hash uint64
	what int32 // number of a host, or of a prefix, + 1; 0: the place is free
}

// prefix is one path of one host.
type prefix struct {
	host int32
	path string
	rule int32 // the first of those with this host and path
}

// rule is what else a route asks for.
type rule struct {
	methods []string
	headers []config.Field
	next    int32 // the next with the same host and path, in the order of the file; -1: none
}

// Request is what a route may ask of a request beside its host and path.
type Request interface {
	// MethodIs reports whether the method is name.
	MethodIs(name string) bool
	// HeaderIs reports whether the request has a field with that name, which is in
	// lower case, and exactly that value.
	HeaderIs(name, value string) bool
}

// NewRouter returns the router of some routes, which config has checked.
func NewRouter(routes []config.Route) *Router {
	size := 8
	for size < 4*(len(routes)+1) {
		size *= 2
	}
	t := &Router{
		names: make([]place, size),
		paths: make([]place, size),
		rules: make([]rule, len(routes)),
	}
	t.addHost("")
	for i, route := range slices.Backward(routes) { // so that each goes before those behind it
		t.rules[i] = rule{methods: route.Methods, headers: route.Headers, next: -1}
		t.add(route, int32(i))
	}
	for i := 1; i < len(t.hosts); i++ {
		name := strings.TrimPrefix(t.hosts[i].name, ".")
		t.hosts[i].less = t.findHost([]byte(name), false)
	}
	return t
}

// Match returns the index of the route that takes a request, -1 if none does.
// host is what its Host field says, and path its path, with or without a query.
func (t *Router) Match(host, path []byte, r Request) int {
	for number := t.findHost(bareHost(host), true); number >= 0; number = t.hosts[number].less {
		if best := t.matchPath(number, path, r); best >= 0 {
			return best
		}
	}
	return -1
}

// matchPath returns the rule of a host with the longest path that fits, or -1.
func (t *Router) matchPath(number int32, path []byte, r Request) (best int) {
	h := &t.hosts[number]
	best = t.fit(h.all, r)
	if h.longest == 0 {
		return best
	}
	try := func(hash uint64, end int) {
		if p := t.findPath(hash, number, path[:end]); p != nil {
			if i := t.fit(p.rule, r); i >= 0 {
				best = i
			}
		}
	}
	hash, end := pathHash(number), min(len(path), h.longest+1)
	for i, c := range path[:end] {
		if c == '?' {
			try(hash, i)
			return best
		}
		if c == '/' && i > 0 {
			try(hash, i)
		}
		hash = hashByte(hash, c)
		if c == '/' && h.slashed && i+1 < len(path) {
			try(hash, i+1)
		}
	}
	if end == len(path) {
		try(hash, end)
	}
	return best
}

// fit returns the first of the rules from number on that takes r, or -1.
func (t *Router) fit(number int32, r Request) int {
	for ; number >= 0; number = t.rules[number].next {
		if t.rules[number].takes(r) {
			return int(number)
		}
	}
	return -1
}

func (r *rule) takes(req Request) bool {
	if len(r.methods) > 0 && !slices.ContainsFunc(r.methods, req.MethodIs) {
		return false
	}
	for _, f := range r.headers {
		if !req.HeaderIs(f.Name, f.Value) {
			return false
		}
	}
	return true
}

func (t *Router) add(route config.Route, number int32) {
	at := t.addHost(strings.TrimPrefix(route.Host, "*"))
	h := &t.hosts[at]
	if route.Path == "/" || route.Path == "" { // all, even the "*" of OPTIONS
		t.rules[number].next, h.all = h.all, number
		return
	}
	h.longest = max(h.longest, len(route.Path))
	h.slashed = h.slashed || strings.HasSuffix(route.Path, "/")
	hash := pathHash(at)
	for _, c := range []byte(route.Path) {
		hash = hashByte(hash, c)
	}
	if p := t.findPath(hash, at, []byte(route.Path)); p != nil {
		t.rules[number].next, p.rule = p.rule, number
		return
	}
	t.prefix = append(t.prefix, prefix{at, route.Path, number})
	put(t.paths, hash, len(t.prefix))
}

// addHost returns the number of a host, a new one if it has none.
func (t *Router) addHost(name string) int32 {
	hash := hostHash
	for i := len(name) - 1; i >= 0; i-- {
		hash = hashByte(hash, lower(name[i]))
	}
	if number := t.lookHost(hash, []byte(name)); number >= 0 {
		return number
	}
	t.hosts = append(t.hosts, host{name: strings.ToLower(name), less: -1, all: -1})
	put(t.names, hash, len(t.hosts))
	return int32(len(t.hosts) - 1)
}

// findHost returns the number of the most exact host that fits a name, or, if
// not exact, of the most exact wildcard.
func (t *Router) findHost(name []byte, exact bool) int32 {
	if len(t.hosts) == 1 {
		return 0
	}
	best, hash := int32(0), hostHash
	for i := len(name) - 1; i >= 0; i-- {
		hash = hashByte(hash, lower(name[i]))
		if i > 0 && name[i] == '.' || i == 0 && exact && name[0] != '.' {
			if number := t.lookHost(hash, name[i:]); number >= 0 {
				best = number
			}
		}
	}
	return best
}

// lookHost returns the number of the host with exactly that name, or -1.
func (t *Router) lookHost(hash uint64, name []byte) int32 {
	mask := len(t.names) - 1
	for at := int(avalanche(hash)) & mask; t.names[at].what != 0; at = (at + 1) & mask {
		number := t.names[at].what - 1
		if t.names[at].hash == hash && equalFold(name, t.hosts[number].name) {
			return number
		}
	}
	return -1
}

// findPath returns the prefix of a host with exactly that path, or nil.
func (t *Router) findPath(hash uint64, host int32, path []byte) *prefix {
	mask := len(t.paths) - 1
	for at := int(avalanche(hash)) & mask; t.paths[at].what != 0; at = (at + 1) & mask {
		if t.paths[at].hash != hash {
			continue
		}
		if p := &t.prefix[t.paths[at].what-1]; p.host == host && p.path == string(path) {
			return p
		}
	}
	return nil
}

// put puts what, which is above 0, into a table with a free place.
func put(table []place, hash uint64, what int) {
	mask := len(table) - 1
	at := int(avalanche(hash)) & mask
	for table[at].what != 0 {
		at = (at + 1) & mask
	}
	table[at] = place{hash, int32(what)}
}

// Hosts are hashed from their end and paths from their start, with FNV-1a: byte
// by byte, so that every border on the way has its hash.
const (
	hostHash  uint64 = 0xcbf29ce484222325
	hashPrime uint64 = 0x100000001b3
)

func hashByte(hash uint64, c byte) uint64 { return (hash ^ uint64(c)) * hashPrime }

// pathHash returns the hash of a host's empty path.
func pathHash(host int32) uint64 { return avalanche(hostHash + uint64(host)) }

// bareHost returns host without its port, brackets and the dot at its end.
func bareHost(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if end := bytes.IndexByte(host, ']'); end > 0 {
			return host[1:end]
		}
	}
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	return bytes.TrimSuffix(host, []byte("."))
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold reports whether b is name, which is in lower case.
func equalFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if lower(c) != name[i] {
			return false
		}
	}
	return true
}
