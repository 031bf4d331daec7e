package proxy

import (
	"reflect"
	"slices"

	"lb/config"
	"lb/httpparse"
	"lb/proxy/admission"
	"lb/proxy/quota"
	"lb/proxy/ratelimit"
	"lb/proxy/record"
	"lb/proxy/rewrite"
	routing "lb/proxy/route"
	"lb/upstream"
)

// route is a route as the data plane needs it.
type route struct {
	rewrite.Route
	pool  *pool                   // nil for a redirect
	quota *quota.Quota[*exchange] // nil without requests_max
}

// newRoutes prepares the routes of the configuration. It takes the router over from
// before, which may be nil, if the routes are the same.
func (s *snapshot) newRoutes(before *snapshot) {
	for i := range s.cfg.Routes {
		r := route{Route: rewrite.NewRoute(&s.cfg.Routes[i], s.strict != nil, &s.tags)}
		r.Number = i
		if r.Config.Pool >= 0 {
			r.pool = s.pools[r.Config.Pool]
		}
		s.routes = append(s.routes, r)
	}
	s.guarded = rewrite.Guarded(s.cfg.Routes, ratelimit.Names(s.tags.Names(), s.cfg.RateLimits))
	switch {
	case len(s.routes) == 0:
	case before != nil && before.cfg.Paths == s.cfg.Paths && reflect.DeepEqual(before.cfg.Routes, s.cfg.Routes):
		s.router = before.router
	default:
		s.router = routing.NewRouter(s.cfg.Routes, s.cfg.Paths)
	}
}

// findRoute finds the route and the pool that take the request. It returns the cause why
// none does, or NoCause.
func (x *exchange) findRoute() record.Cause {
	s, b, r := x.snap, x.in.Bytes(), x.req
	x.route, x.pool = nil, s.pools[0]
	if s.router == nil {
		return record.NoCause
	}
	path := r.Path.Of(b)
	x.p.scrap = slices.Grow(x.p.scrap[:0], 3*len(path))
	i, ok := s.router.Choose(r.Authority.Of(b), path, x.request(), x.p.scrap)
	switch {
	case !ok:
		x.pool = nil
		return record.CauseAmbiguous
	case i >= 0:
		x.route = &s.routes[i]
		x.pool = x.route.pool
		if s.router.Guards(i) && !s.router.Lets(i, x.request().OriginAddr()) {
			return record.CauseDenied
		}
		if !x.route.Strips(x.p.scrap, path) {
			return record.CauseAmbiguous
		}
	case len(x.pool.targets) == 0 && !s.awaits:
		x.pool = nil
		return record.CauseNoRoute
	}
	return record.NoCause
}

// stickyMax is the length, in bytes, of the longest cookie value that can be ours.
const stickyMax = 64

// prepareChoice works out what the pick goes by, while the head of came is in the inbox.
func (x *exchange) prepareChoice(came *rewrite.Request) {
	q := x.pool.cfg
	x.key, x.stickyLen, x.about = 0, 0, 0
	x.call.Long = x.call.Is && x.pool.mayStream() // else it would keep a conn for itself
	if q.Eject.Enabled {
		if !x.idempotent || x.req.Framing != httpparse.None { // else the head is still there in the end
			x.about = upstream.TargetHash(came.Path())
		}
		if x.peer.Trusted {
			x.client = upstream.Hash(came.Origin())
		}
	}
	x.origin.Note(q, came)
	if q.Strategy == config.HashOnKey {
		x.key = upstream.Hash(came.Hashed(q.Hash))
	}
	if q.Sticky != "" {
		if v, ok := x.req.LookupCookie(x.in.Bytes(), q.Sticky); ok && len(v) <= stickyMax {
			x.stickyLen = uint8(copy(x.sticky[:], v))
		}
	}
}

// request returns the request as it came. It is valid until the next call on this loop.
func (x *exchange) request() *rewrite.Request {
	r := &x.p.request
	r.Message, r.Text, r.Peer, r.Route = x.req, x.in.Bytes(), x.peer, nil
	if x.route != nil {
		r.Route = &x.route.Route
	}
	r.Via, r.Hops = x.snap.via.For(x.peer, x.req.Minor), x.hops
	r.Config = x.snap.cfg
	r.Streams = x.pool != nil && x.pool.streams
	return r
}

// composeRequest composes the request head for the backend, from r, whose head is at the
// front of the inbox, and begins the lane.
func (x *exchange) composeRequest(r *rewrite.Request) {
	x.req.Marks = x.peer.HTTP2 && x.pool.mayStream()
	head := r.AppendHead(x.up.Restart(x.p.arena, r.HeadBytes()))
	x.up.SetHead(head, len(head))
	x.up.Begin(x.req.Framing, r.Framing, x.req.Length)
	x.up.Marks = x.req.Marks
	x.upgrade, x.hostAt, x.hostLen, x.spanAt = r.Upgrade, r.HostAt, 0, r.SpanAt
	x.expecting = x.req.ExpectContinue && r.WaitsFor100()
	x.secure = r.Secure()
	if r.Framing == httpparse.Chunked {
		x.up.Withheld = httpparse.NewWithheld(r.Text, &x.req.Message, x.snap.guarded)
	}
}

// decide returns lb's own answer to the request, valid until the next call, or nil if x.pool takes
// it. It changes nothing but x, and what ids are drawn from: Explain asks it, too.
func (x *exchange) decide() *admission.Own {
	p, r := x.p, x.req
	came := &p.request
	came.Message, came.Text, came.Peer = r, x.in.Bytes(), x.peer
	if r.MayForge(x.snap.guarded) {
		r.HideForged(came.Text, x.peer.Trusted, x.snap.guarded)
	}
	came.Tag(&x.snap.tags, p.ids, p.loop.Now(), &x.rec)
	x.idempotent = r.Idempotent()
	if r.Seen.Has(httpparse.ContentType) {
		x.call.Note(&r.Message, came.Text, p.loop.Now())
	}
	if own := p.own.Early(p.clients, x.snap.cfg, came, &x.hops); own != nil {
		return own
	}
	if c := x.findRoute(); c != record.NoCause {
		return p.own.Unrouted(c, came)
	}
	if x.pool == nil {
		return p.own.Redirect(&x.route.Route, x.request())
	}
	return nil
}
