// Package route finds the route of a request. It does no I/O, and knows neither pools nor
// what a route does.
package route

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"lb/config"
	"lb/httpparse/urlpath"
	"lb/internal/netset"
)

// Router finds the route of a request. It is immutable, so all loops of a process
// may share one.
//
// A route's host is exact; "*.example.com" for any name below example.com, at any
// depth; or empty for any host. Case, the port and a final dot do not count. Its
// path is a prefix of whole segments, compared byte by byte: "/api" takes /api and
// /api/x but not /apix; "/api/" takes /api/x but not /api. Choose says which spelling
// of the request's path is compared. An exact host wins over a wildcard, a longer
// wildcard over a shorter one, any wildcard over no host. Within a host the longest
// path wins; for the same host and path, the first in the file whose scheme, methods and
// headers match. A route that does not match gives way to the next best.
//
// A match costs one pass over the host, and one over the path for each matching
// host until one has a route, with a table lookup at each border of a label or
// segment. More routes do not add to it, except those that differ only in scheme, methods
// and headers: they are tried one after another.
type Router struct {
	hosts  []host   // by number; 0 is any host
	names  []place  // hash table: hosts by name
	paths  []place  // hash table: prefixes by host and path
	prefix []prefix // by number
	rules  []rule   // in the order of the routes

	readings config.Paths     // of a request that no route takes
	access   []*netset.Access // by number of the route; nil if none has any
	raw      bool             // no route reads a path in another way than it came
}

// host is one host of the routes, with its paths.
type host struct {
	name    string // lower case; a wildcard's begins with the dot
	less    int32  // number of the next less exact host for the same names, or -1
	all     int32  // first rule for all paths, or -1
	longest int    // length of its longest path, in bytes
	slashed bool   // one of its paths ends in a slash
}

// place is an entry of a hash table with open addressing; the table's size is a
// power of two.
type place struct {
	hash uint64
	what int32 // number of a host or prefix, + 1; 0: free
}

// prefix is one path of one host.
type prefix struct {
	host int32
	path string
	rule int32 // first rule with this host and path
}

// rule is what a route asks for besides host and path.
type rule struct {
	scheme  string // or empty for any
	methods []string
	headers []config.Field
	paths   config.Paths
	next    int32 // next rule with the same host and path, in file order, or -1
}

// Request lets a route ask for more than host and path.
type Request interface {
	// SchemeIs reports whether the client's side is of this scheme, "http" or "https".
	SchemeIs(scheme string) bool
	// MethodIs reports whether the method is name, in upper or lower case.
	MethodIs(name string) bool
	// HeaderIs reports whether one of the request's field lines has exactly this value.
	// name is in lower case.
	HeaderIs(name, value string) bool
}

// NewRouter returns the router for routes, which config has checked. paths is the reading
// of a route that names none, and of a request that no route takes.
func NewRouter(routes []config.Route, paths config.Paths) *Router {
	size := 8
	for size < 4*(len(routes)+1) {
		size *= 2
	}
	t := &Router{
		names: make([]place, size),
		paths: make([]place, size),
		rules: make([]rule, len(routes)),

		readings: paths,
		raw:      paths == config.PathsRaw,
	}
	t.addHost("")
	for i, route := range slices.Backward(routes) { // backwards, because add puts each route before the later ones
		t.rules[i] = rule{scheme: route.Scheme, methods: route.Methods, headers: route.Headers, paths: cmp.Or(route.Paths, paths), next: -1}
		if len(route.Allow)+len(route.Deny) > 0 {
			if t.access == nil {
				t.access = make([]*netset.Access, len(routes))
			}
			t.access[i] = netset.NewAccess(route.Allow, route.Deny)
		}
		t.raw = t.raw && t.rules[i].paths == config.PathsRaw
		t.add(route, int32(i))
	}
	for i := 1; i < len(t.hosts); i++ {
		name := strings.TrimPrefix(t.hosts[i].name, ".")
		t.hosts[i].less = t.findHost([]byte(name), false)
	}
	return t
}

// Guards reports whether the route with that index may not let all clients in.
func (t *Router) Guards(index int) bool { return t.access != nil && t.access[index] != nil }

// Lets reports whether the route with that index lets the client at addr in.
func (t *Router) Lets(index int, addr netip.Addr) bool { return t.access[index].Lets(addr) }

// None is the index of a request that no route takes.
const None = -1

// Choose returns the index of the route for a request, or None. ok is false if its path
// can be read in several ways, which choose different routes, and the route that it
// normally means is one that refuses that: servers would disagree on who the request is
// for. host is the value of its Host field; path may include the query. scratch is
// overwritten; with room for three times the path nothing is allocated.
func (t *Router) Choose(host, path []byte, r Request, scratch []byte) (index int, ok bool) {
	raw := t.match(host, path, r)
	if t.raw || urlpath.IsPlain(path) {
		return raw, true
	}
	return t.settle([len(forms)]int{
		Raw:      raw,
		Normal:   t.match(host, urlpath.AppendNormal(scratch[:0], path), r),
		Lenient:  t.match(host, urlpath.AppendLenient(scratch[:0], path), r),
		Unmerged: t.match(host, urlpath.AppendUnmerged(scratch[:0], path), r),
	})
}

// TakesAny reports whether there is a route for a request if its path is read in any of the
// ways in which servers do: what must not be walked around asks this. The rest is as for
// Choose.
func (t *Router) TakesAny(host, path []byte, r Request, scratch []byte) bool {
	if t.match(host, path, r) != None {
		return true
	}
	return !urlpath.IsPlain(path) && (t.match(host, urlpath.AppendNormal(scratch[:0], path), r) != None ||
		t.match(host, urlpath.AppendLenient(scratch[:0], path), r) != None ||
		t.match(host, urlpath.AppendUnmerged(scratch[:0], path), r) != None)
}

// Form is a way in which servers read a path.
type Form uint8

// The forms; see package urlpath.
const (
	Raw Form = iota
	Normal
	Lenient
	Unmerged
)

var forms = [...]string{"as it came", "normalized", "as lenient servers read it", "with empty segments"}

// String returns the form in words.
func (f Form) String() string { return forms[f] }

// settle returns what Choose does, for the routes that the readings of the path lead to.
func (t *Router) settle(by [len(forms)]int) (index int, ok bool) {
	raw, normal, lenient, unmerged := by[Raw], by[Normal], by[Lenient], by[Unmerged]
	switch {
	case raw == normal && raw == lenient && raw == unmerged:
		return raw, true
	case t.pathsOf(normal) == config.PathsReject, t.pathsOf(lenient) == config.PathsReject, t.pathsOf(unmerged) == config.PathsReject:
		return None, false
	case t.pathsOf(normal) == config.PathsNormalize:
		return normal, true
	}
	return raw, true
}

// pathsOf returns how the paths of the route are read; number may be None.
func (t *Router) pathsOf(number int) config.Paths {
	if number == None {
		return t.readings
	}
	return t.rules[number].paths
}

// match returns the index of the route for a request with exactly this path, or None.
func (t *Router) match(host, path []byte, r Request) int {
	for number := t.findHost(bareHost(host), true); number >= 0; number = t.hosts[number].less {
		if best := t.matchPath(number, path, r); best >= 0 {
			return best
		}
	}
	return None
}

// matchPath returns the rule of a host with the longest matching path, or -1.
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

// fit returns the first rule in the list from number on that takes r, or -1.
func (t *Router) fit(number int32, r Request) int {
	for ; number >= 0; number = t.rules[number].next {
		if t.rules[number].takes(r) {
			return int(number)
		}
	}
	return -1
}

func (r *rule) takes(req Request) bool { return r.refuses(req) == Takes }

// refuses returns the first condition that req does not meet, or Takes.
func (r *rule) refuses(req Request) Verdict {
	if r.scheme != "" && !req.SchemeIs(r.scheme) {
		return OtherScheme
	}
	if len(r.methods) > 0 && !slices.ContainsFunc(r.methods, req.MethodIs) {
		return OtherMethod
	}
	for _, f := range r.headers {
		if !req.HeaderIs(f.Name, f.Value) {
			return OtherHeader
		}
	}
	return Takes
}

func (t *Router) add(route config.Route, number int32) {
	at := t.addHost(strings.TrimPrefix(route.Host, "*"))
	h := &t.hosts[at]
	if route.Path == "/" || route.Path == "" { // every path, even the "*" of OPTIONS
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

// addHost returns the number of a host, adding it if it is new.
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

// findHost returns the number of the most exact host for a name; unless exact is
// set, only wildcards count.
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

// lookHost returns the number of the host with exactly this name, or -1.
func (t *Router) lookHost(hash uint64, name []byte) int32 {
	mask := len(t.names) - 1
	for at := int(spread(hash)) & mask; t.names[at].what != 0; at = (at + 1) & mask {
		number := t.names[at].what - 1
		if t.names[at].hash == hash && equalFold(name, t.hosts[number].name) {
			return number
		}
	}
	return -1
}

// findPath returns the prefix with exactly this host and path, or nil.
func (t *Router) findPath(hash uint64, host int32, path []byte) *prefix {
	mask := len(t.paths) - 1
	for at := int(spread(hash)) & mask; t.paths[at].what != 0; at = (at + 1) & mask {
		if t.paths[at].hash != hash {
			continue
		}
		if p := &t.prefix[t.paths[at].what-1]; p.host == host && p.path == string(path) {
			return p
		}
	}
	return nil
}

// put adds what, which is above 0, to a table that is not full.
func put(table []place, hash uint64, what int) {
	mask := len(table) - 1
	at := int(spread(hash)) & mask
	for table[at].what != 0 {
		at = (at + 1) & mask
	}
	table[at] = place{hash, int32(what)}
}

// Hosts are hashed from their end and paths from their start, byte by byte with
// FNV-1a, so that every border on the way has its hash.
const (
	hostHash  uint64 = 0xcbf29ce484222325
	hashPrime uint64 = 0x100000001b3
)

func hashByte(hash uint64, c byte) uint64 { return (hash ^ uint64(c)) * hashPrime }

// spread makes the low bits of a hash depend on its high ones.
func spread(hash uint64) uint64 {
	hash = (hash ^ hash>>32) * hashPrime
	return hash ^ hash>>29
}

// pathHash returns the hash of a host's empty path.
func pathHash(host int32) uint64 { return spread(hostHash + uint64(host)) }

// bareHost returns host without its port, brackets and final dot.
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
