package proxy

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"lb/config"
	"lb/httpparse"
	"lb/proxy/lane"
	"lb/upstream"
)

// route is a route as the data plane needs it.
type route struct {
	*config.Route
	pool     *pool  // nil for a redirect
	host     string // the Host that set_request_headers asks for, or empty
	request  []byte // the field lines of set_request_headers, without Host
	response []byte // those of set_response_headers
	dated    bool   // with a Date among them
}

// newRoutes prepares the routes of the configuration. It takes the router over from
// before, which may be nil, if the routes are the same.
func (s *snapshot) newRoutes(before *snapshot) {
	for i := range s.cfg.Routes {
		r := route{Route: &s.cfg.Routes[i]}
		if r.Pool >= 0 {
			r.pool = s.pools[r.Pool]
		}
		for _, f := range r.SetRequestHeaders {
			if strings.EqualFold(f.Name, "host") {
				r.host = f.Value
				continue
			}
			r.request = appendLine(r.request, f)
		}
		for _, f := range r.SetResponseHeaders {
			if r.pool == nil && isOurs(f.Name) {
				continue
			}
			r.response = appendLine(r.response, f)
			r.dated = r.dated || strings.EqualFold(f.Name, "date")
		}
		s.routes = append(s.routes, r)
	}
	switch {
	case len(s.routes) == 0:
	case before != nil && reflect.DeepEqual(before.cfg.Routes, s.cfg.Routes):
		s.router = before.router
	default:
		s.router = upstream.NewRouter(s.cfg.Routes)
	}
}

// isOurs reports whether lb itself puts a field of that name into a redirect, so that a
// route must not set it again.
func isOurs(name string) bool {
	return slices.ContainsFunc([]string{"date", "content-type", "location"}, func(own string) bool {
		return strings.EqualFold(name, own)
	})
}

func appendLine(d []byte, f config.Field) []byte {
	d = append(d, f.Name...)
	d = append(d, ": "...)
	d = append(d, f.Value...)
	return append(d, crlf...)
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
	v, ok := x.header(name)
	return ok && string(v) == value
}

// header returns the value of the first field with that name.
func (x *exchange) header(name string) ([]byte, bool) {
	b := x.in.Bytes()
	for _, f := range x.req.Fields {
		if int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			return f.Value.Of(b), true
		}
	}
	return nil, false
}

// cookie returns the value of the first cookie with that name (RFC 6265 5.4).
func (x *exchange) cookie(name string) ([]byte, bool) {
	if !x.req.Seen.Has(httpparse.Cookie) {
		return nil, false
	}
	b := x.in.Bytes()
	for _, f := range x.req.Fields {
		if f.ID != httpparse.Cookie {
			continue
		}
		for rest := f.Value.Of(b); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			if n, v, ok := bytes.Cut(bytes.TrimSpace(pair), []byte{'='}); ok && string(n) == name {
				return v, true
			}
		}
	}
	return nil, false
}

// stickyMax is the length, in bytes, of the longest cookie value that can be ours.
const stickyMax = 64

// prepareAsk works out what the pick goes by, while the head is in the inbox.
func (x *exchange) prepareAsk() {
	q := x.pool.cfg
	x.key, x.stickyLen = 0, 0
	if q.Strategy == config.HashOnKey {
		x.key = upstream.Hash(x.hashed(q.Hash))
	}
	if q.Sticky != "" {
		if v, ok := x.cookie(q.Sticky); ok && len(v) <= stickyMax {
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
		if v, ok := x.header(h.Name); ok {
			return v
		}
	case config.KeyCookie:
		if v, ok := x.cookie(h.Name); ok {
			return v
		}
	}
	return x.origin()
}

// origin returns the address, as text, of the client that asks: beyond proxies that are
// trusted, the last one in X-Forwarded-For that is not one of them.
func (x *exchange) origin() []byte {
	b, r, from := x.in.Bytes(), x.req, x.peer.Address()
	if !x.peer.Trusted {
		return from
	}
	for i := len(r.Fields) - 1; i >= 0; i-- {
		if r.Fields[i].ID != httpparse.XForwardedFor {
			continue
		}
		for list := r.Fields[i].Value.Of(b); len(list) > 0; {
			at := bytes.LastIndexByte(list, ',')
			one := bytes.TrimSpace(list[at+1:])
			list = list[:max(at, 0)]
			addr, err := netip.ParseAddr(string(one))
			if err != nil {
				return from
			}
			if from = one; !contains(x.snap.cfg.TrustedProxies, addr) {
				return from
			}
		}
	}
	return from
}

// hide leaves the fields that set names out of a parsed head: lb sets them itself.
func hide(h *httpparse.Message, b []byte, set []config.Field) {
	for _, f := range set {
		h.Hide(b, f.Name)
	}
}

// stripped returns path without the route's prefix, if the route strips it.
func (r *route) stripped(path []byte) []byte {
	if r == nil || !r.StripPrefix || !bytes.HasPrefix(path, []byte(r.Path)) {
		return path
	}
	return path[len(r.Path):]
}

// widestRoute returns the most bytes that a route adds to a head.
func widestRoute(routes []config.Route) (most int) {
	for i := range routes {
		for _, set := range [...][]config.Field{routes[i].SetRequestHeaders, routes[i].SetResponseHeaders} {
			n := 0
			for _, f := range set {
				n += len(f.Name) + len(": ") + len(f.Value) + len(crlf)
			}
			most = max(most, n)
		}
	}
	return most
}

// redirectURI returns the text for {uri}. "//x" would be another host, and the target of
// "OPTIONS *" is no path.
func redirectURI(target []byte) string {
	if string(target) == "*" {
		return ""
	}
	return "/" + string(bytes.TrimLeft(target, "/"))
}

// redirect answers with the route's Location.
func (x *exchange) redirect() (ended bool) {
	r := x.req
	b := x.in.Bytes()
	location := x.route.Redirect.Append([]byte("Location: "), string(r.Authority.Of(b)), redirectURI(r.AppendPath(nil, b)))
	x.up.Begin(r.Framing, r.Framing, r.Length)
	x.in.Take(int(r.HeadLen))
	if len(location) > lane.HeadRoom/2 {
		return x.reply(414, "the place to go to instead is too long to say", nil)
	}
	return x.reply(x.route.Redirect.Code, "", append(append(location, crlf...), x.route.response...))
}
