// Package ratelimit decides whether a request is within the [[rate_limits]]. The buckets are
// on the board, so all loops take from the same ones; this package knows which limits a
// request falls under, and which bucket of each. It does not know what is answered instead,
// nor that a store may count for several machines: it only notes what was taken.
package ratelimit

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"lb/board"
	"lb/board/buckets"
	"lb/config"
	"lb/config/access"
	"lb/loop/tick"
	"lb/proxy/rewrite"
	"lb/proxy/route"
)

// Set is the limits of one configuration, as one loop applies them. It belongs to that loop.
type Set struct {
	limits []limit
	routes []uint64 // what a limit by route counts by, by index
	area   *buckets.Area
	notes  buckets.Notes
	taken  []taken // memory of Admit
	over   Over    // and this
	lines  []byte  // its Lines
	scrap  []byte  // a path
}

// limit is one of [[rate_limits]].
type limit struct {
	cfg    *access.RateLimit
	router *route.Router // of its conditions, or nil if there are none
	rate   buckets.Rate
	secret [2]uint64 // of the hashes of its keys
	number int       // on the board
	counts buckets.Counter
	text   string // for the client
	policy string // the field line
}

// taken is a token that Admit has taken, or has seen missing in a limit that only counts.
type taken struct {
	of  *limit
	key uint64
	ok  bool
}

// Over is a limit that refuses a request.
type Over struct {
	Number int    // on the board
	Text   string // for the client
	Lines  []byte // field lines of the answer
}

// New returns the limits of cfg for the loop in slot, or nil if there are none.
func New(cfg *config.Config, b *board.Board, slot int) *Set {
	if len(cfg.RateLimits) == 0 {
		return nil
	}
	s := &Set{area: b.Buckets(), notes: b.Buckets().Notes(slot), taken: make([]taken, 0, len(cfg.RateLimits))}
	own := slices.Clone(cfg.RateLimits) // a change of members keeps the set, but not cfg
	for i := range own {
		l := &own[i]
		n := s.area.Limit(l.Name)
		s.limits = append(s.limits, limit{
			cfg: l, router: routerOf(l), rate: rateOf(l), secret: secretOf(l, cfg.StickyKey, b.Secret()),
			number: n, counts: s.area.Counter(slot, n),
			text: "the rate limit " + strconv.Quote(l.Name) + " is used up", policy: policyOf(l),
		})
	}
	for i := range cfg.Routes {
		s.routes = append(s.routes, routeKey(&cfg.Routes[i]))
	}
	return s
}

// routerOf returns a router that takes the requests which l is for, or nil if that is all.
func routerOf(l *access.RateLimit) *route.Router {
	m := &l.Match
	if m.Host == "" && (m.Path == "/" || m.Path == "") && m.Scheme == "" && len(m.Methods) == 0 && len(m.Headers) == 0 {
		return nil
	}
	return route.NewRouter([]config.Route{{Host: m.Host, Path: m.Path, Scheme: m.Scheme, Methods: m.Methods, Headers: m.Headers}}, config.PathsRaw)
}

// rateOf returns how the buckets of l fill.
func rateOf(l *access.RateLimit) buckets.Rate {
	every, most := l.Fill()
	return buckets.Rate{Every: every, Burst: int64(l.Burst), Most: most}
}

// secretOf returns the secret that the keys of l are hashed with. With a store it is the same
// on all machines.
func secretOf(l *access.RateLimit, shared string, own []byte) [2]uint64 {
	const about = "lb rate limit\x00"
	text := append([]byte(about), own...)
	if l.Store != "" {
		text = append([]byte(about), shared...)
	}
	sum := sha256.Sum256(append(append(text, 0), l.Name...))
	return [2]uint64{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// routeKey returns what a limit by route knows rt by, whatever its place in the file.
func routeKey(rt *config.Route) uint64 {
	text := []byte(rt.Host + rt.Path + "\x00" + rt.Scheme)
	for _, m := range rt.Methods {
		text = append(append(text, 0), m...)
	}
	for _, h := range rt.Headers {
		text = append(append(append(append(text, 0), h.Name...), 0), h.Value...)
	}
	sum := sha256.Sum256(text)
	return binary.LittleEndian.Uint64(sum[:])
}

// Names appends the fields that limits go by.
func Names(names []string, limits []access.RateLimit) []string {
	for i := range limits {
		if l := &limits[i]; l.Key == access.KeyHeader {
			names = append(names, l.KeyName)
		}
		for _, h := range limits[i].Match.Headers {
			names = append(names, h.Name)
		}
	}
	return names
}

// Admit takes a token for r from every limit that it falls under, and returns nil. If one of
// them has none, r is refused: then it takes none from any, and returns the limit for which
// r has to wait longest, valid until the next call.
func (s *Set) Admit(r *rewrite.Request, now tick.Instant) *Over {
	s.taken = s.taken[:0]
	var over *limit
	var wait int64
	for i := range s.limits {
		l := &s.limits[i]
		if !s.applies(l, r) {
			continue
		}
		key := s.keyOf(l, r)
		if over != nil {
			if t := s.area.Look(key, &l.rate, int64(now)); !t.OK && !l.cfg.DryRun && t.Wait > wait {
				over, wait = l, t.Wait
			}
			continue
		}
		t := s.area.Take(key, &l.rate, int64(now))
		if !t.OK && !l.cfg.DryRun {
			over, wait = l, t.Wait
			continue
		}
		s.taken = append(s.taken, taken{l, key, t.OK})
	}
	if over == nil {
		s.count()
		return nil
	}
	for _, t := range s.taken {
		if t.ok {
			s.area.Refund(t.key, &t.of.rate)
		}
	}
	over.counts.Refuse()
	s.over = Over{Number: over.number, Text: over.text, Lines: s.linesFor(over, wait)}
	return &s.over
}

// count counts a request that passes.
func (s *Set) count() {
	for _, t := range s.taken {
		switch {
		case !t.ok:
			t.of.counts.Spare()
		default:
			t.of.counts.Pass()
			if t.of.cfg.Store != "" {
				s.notes.Put(t.key, t.of.number)
			}
		}
	}
}

// applies reports whether r falls under l. A path that servers read in different ways does if
// one of them leads there.
func (s *Set) applies(l *limit, r *rewrite.Request) bool {
	if l.router == nil {
		return true
	}
	path := r.Message.Path.Of(r.Text)
	if n := 3 * len(path); cap(s.scrap) < n {
		s.scrap = make([]byte, 0, n)
	}
	return l.router.TakesAny(r.Message.Authority.Of(r.Text), path, r, s.scrap)
}

// The kinds of keys, which hash to different values.
const (
	byAddress = iota + 1
	byValue
	byRoute
)

// keyOf returns the key of the bucket of r in l, which is not 0.
func (s *Set) keyOf(l *limit, r *rewrite.Request) uint64 {
	switch l.cfg.Key {
	case access.KeyHeader:
		if v, ok := r.Message.Lookup(r.Text, l.cfg.KeyName); ok {
			return l.hash(byValue, v)
		}
	case access.KeyCookie:
		if v, ok := r.Message.LookupCookie(r.Text, l.cfg.KeyName); ok {
			return l.hash(byValue, v)
		}
	case access.KeyRoute:
		var b [8]byte
		if r.Route != nil {
			binary.LittleEndian.PutUint64(b[:], s.routes[r.Route.Number])
		}
		return l.hash(byRoute, b[:])
	}
	addr := r.OriginAddr().Unmap() // not valid for a unix socket: these count together
	var b [8]byte
	return l.hash(byAddress, appendNet(b[:0], addr))
}

// appendNet appends the address of a client, or its network of 64 bits in IPv6.
func appendNet(d []byte, addr netip.Addr) []byte {
	switch {
	case addr.Is4():
		a := addr.As4()
		return append(d, a[:]...)
	case addr.IsValid():
		a := addr.As16()
		return append(d, a[:8]...)
	}
	return d
}

func (l *limit) hash(kind uint64, b []byte) uint64 {
	return max(1, siphash([2]uint64{l.secret[0], l.secret[1] ^ kind}, b))
}

// policyOf returns the field line about l (draft-ietf-httpapi-ratelimit-headers-11, 3): a
// full bucket, and the time in which one fills.
func policyOf(l *access.RateLimit) string {
	r := rateOf(l)
	return "RateLimit-Policy: \"" + l.Name + "\";q=" + strconv.Itoa(l.Burst) + ";w=" + strconv.FormatInt(seconds(r.Every*r.Burst), 10) + "\r\n"
}

// linesFor returns the field lines of the answer to a request that l refuses for wait. The
// draft wants Retry-After not to be earlier than t (6).
func (s *Set) linesFor(l *limit, wait int64) []byte {
	n := seconds(wait)
	d := strconv.AppendInt(append(s.lines[:0], "Retry-After: "...), n, 10)
	d = append(append(append(d, "\r\n"...), l.policy...), "RateLimit: \""...)
	d = strconv.AppendInt(append(append(d, l.cfg.Name...), "\";r=0;t="...), n, 10)
	s.lines = append(d, "\r\n"...)
	return s.lines
}

// seconds returns whole seconds, rounded up, at least 1.
func seconds(nanos int64) int64 {
	return max(1, nanos/int64(time.Second)+min(1, nanos%int64(time.Second)))
}

// State is what one limit says to a request, without a token being taken.
type State struct {
	Config *access.RateLimit
	Falls  bool // the request falls under it
	Taken  buckets.Taken
}

// Look returns what each limit says to r, and the one that Admit would return. It is for
// explanations, which are written when the loop has gone on: the result stays valid.
func (s *Set) Look(r *rewrite.Request, now tick.Instant) (all []State, over *Over) {
	if s == nil {
		return nil, nil
	}
	var wait int64
	for i := range s.limits {
		l := &s.limits[i]
		one := State{Config: l.cfg, Falls: s.applies(l, r)}
		if one.Falls {
			one.Taken = s.area.Look(s.keyOf(l, r), &l.rate, int64(now))
		}
		all = append(all, one)
		if one.Falls && !one.Taken.OK && !l.cfg.DryRun && one.Taken.Wait > wait {
			wait = one.Taken.Wait
			over = &Over{Number: l.number, Text: l.text, Lines: slices.Clone(s.linesFor(l, wait))}
		}
	}
	return all, over
}
