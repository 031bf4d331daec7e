package proxy

import (
	"bytes"
	"reflect"

	"lb/config"
	"lb/httpparse"
	"lb/proxy/lane"
	"lb/proxy/rewrite"
	"lb/upstream"
)

// route is a route as the data plane needs it.
type route struct {
	rewrite.Route
	pool *pool // nil for a redirect
}

// newRoutes prepares the routes of the configuration. It takes the router over from
// before, which may be nil, if the routes are the same.
func (s *snapshot) newRoutes(before *snapshot) {
	for i := range s.cfg.Routes {
		r := route{Route: rewrite.NewRoute(&s.cfg.Routes[i])}
		if r.Config.Pool >= 0 {
			r.pool = s.pools[r.Config.Pool]
		}
		s.routes = append(s.routes, r)
	}
	switch {
	case len(s.routes) == 0:
	case before != nil && reflect.DeepEqual(before.cfg.Routes, s.cfg.Routes):
		s.router, s.guarded = before.router, before.guarded
	default:
		s.router, s.guarded = upstream.NewRouter(s.cfg.Routes), rewrite.Guarded(s.cfg.Routes)
	}
}

// findRoute finds the route and the pool that take the request.
func (x *exchange) findRoute() {
	s, b := x.snap, x.in.Bytes()
	x.route, x.pool = nil, s.pools[0]
	if s.router == nil {
		return
	}
	if i := s.router.Match(x.req.Authority.Of(b), x.req.Path.Of(b), x); i >= 0 {
		x.route = &s.routes[i]
		x.pool = x.route.pool
	}
}

// MethodIs is called by the router.
func (x *exchange) MethodIs(name string) bool {
	return string(x.req.MethodName.Of(x.in.Bytes())) == name
}

// HeaderIs is called by the router; name is in lower case.
func (x *exchange) HeaderIs(name, value string) bool {
	v, ok := x.req.Lookup(x.in.Bytes(), name)
	return ok && string(v) == value
}

// stickyMax is the length, in bytes, of the longest cookie value that can be ours.
const stickyMax = 64

// prepareChoice works out what the pick goes by, while the head is in the inbox.
func (x *exchange) prepareChoice() {
	q := x.pool.cfg
	x.key, x.stickyLen = 0, 0
	if q.Strategy == config.HashOnKey {
		x.key = upstream.Hash(x.hashed(q.Hash))
	}
	if q.Sticky != "" {
		if v, ok := x.req.LookupCookie(x.in.Bytes(), q.Sticky); ok && len(v) <= stickyMax {
			x.stickyLen = uint8(copy(x.sticky[:], v))
		}
	}
}

// hashed returns the part of this request that the pool hashes, or the address of the
// client if the request does not have it.
func (x *exchange) hashed(h config.Hash) []byte {
	switch h.Key {
	case config.KeyPath:
		path, _, _ := bytes.Cut(x.req.Path.Of(x.in.Bytes()), []byte{'?'})
		return path
	case config.KeyHeader:
		if v, ok := x.req.Lookup(x.in.Bytes(), h.Name); ok {
			return v
		}
	case config.KeyCookie:
		if v, ok := x.req.LookupCookie(x.in.Bytes(), h.Name); ok {
			return v
		}
	}
	return x.request().Origin()
}

// request returns the request as it came. It is valid until the next call on this loop.
func (x *exchange) request() *rewrite.Request {
	r := &x.p.request
	r.Message, r.Text, r.Peer, r.Route = x.req, x.in.Bytes(), x.peer, nil
	if x.route != nil {
		r.Route = &x.route.Route
	}
	r.Via, r.Hops = x.snap.via[x.req.Minor], x.hops
	r.Config = x.snap.cfg
	return r
}

// composeRequest composes the request head for the backend, from the parsed head at the
// front of the inbox, and begins the lane.
func (x *exchange) composeRequest() {
	r := x.request()
	x.up.SetHead(r.AppendHead(x.up.Restart(x.p.arena, r.HeadBytes())))
	x.up.Begin(x.req.Framing, r.Framing, x.req.Length)
	x.upgrade, x.hostAt, x.hostLen = r.Upgrade, r.HostAt, 0
	x.secure = r.Secure()
	if r.Framing == httpparse.Chunked {
		x.up.Withheld = httpparse.NewWithheld(r.Text, &x.req.Message, x.snap.guarded)
	}
}

// redirect answers with the route's Location.
func (x *exchange) redirect() (ended bool) {
	r := x.req
	lines, where := x.route.AppendRedirect(nil, x.in.Bytes(), r)
	x.up.Begin(r.Framing, r.Framing, r.Length)
	x.in.Take(int(r.HeadLen))
	if where > lane.HeadRoom/2 {
		return x.reply(414, "the place to go to instead is too long to say", nil)
	}
	return x.reply(x.route.Config.Redirect.Code, "", lines)
}
