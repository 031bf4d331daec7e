package rewrite

import (
	"bytes"
	"slices"
	"strings"

	"lb/config"
	"lb/httpparse"
	"lb/httpparse/urlpath"
)

// Route holds the changes that a route makes in messages, as text ready to be appended.
type Route struct {
	Number int // in the order of the configuration; the caller sets it
	Config *config.Route

	host     string // the Host of set_request_headers, or empty
	prefix   []byte // the path of the route, without a slash at its end
	request  []byte // the field lines of set_request_headers, without Host
	response []byte // the field lines of set_response_headers
	dated    bool   // a Date is among them

	setsID, setsParent bool // set_request_headers has the request id, or traceparent
}

// NewRoute prepares the changes of cfg. With strict, lb alone writes
// Strict-Transport-Security: the route's is left out. A field of tags that the route sets,
// or removes, is the route's.
func NewRoute(cfg *config.Route, strict bool, tags *Tags) Route {
	r := Route{Config: cfg, prefix: []byte(strings.TrimSuffix(cfg.Path, "/"))}
	for _, f := range cfg.SetRequestHeaders {
		if strings.EqualFold(f.Name, "host") {
			r.host = f.Value
			continue
		}
		r.setsID = r.setsID || strings.EqualFold(f.Name, tags.name)
		r.setsParent = r.setsParent || strings.EqualFold(f.Name, traceParent)
		r.request = appendLine(r.request, f)
	}
	for _, f := range cfg.SetResponseHeaders {
		if cfg.Pool < 0 && isOurs(f.Name) || strict && strings.EqualFold(f.Name, httpparse.StrictTransport.String()) {
			continue
		}
		r.response = appendLine(r.response, f)
		r.dated = r.dated || f.Value != "" && strings.EqualFold(f.Name, "date")
	}
	return r
}

// Strips reports whether the route can take its prefix off path, if it is to: for every
// server the rest stays below the prefix. path may include the query; scratch is
// overwritten.
func (r *Route) Strips(scratch, path []byte) bool {
	if !r.Config.StripPrefix || urlpath.IsPlain(path) {
		return true
	}
	if rest, ok := r.cut(path); ok {
		return !urlpath.Climbs(scratch, rest)
	}
	rest, ok := r.strip(scratch, path)
	return ok && !urlpath.Climbs(nil, rest)
}

// cut returns path without the prefix, which ends where a segment does.
func (r *Route) cut(path []byte) (rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(path, r.prefix)
	return rest, ok && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?')
}

// strip returns path without the route's prefix, which is a part of path or of scratch. ok
// is false if the prefix is not found in it.
func (r *Route) strip(scratch, path []byte) (rest []byte, ok bool) {
	if rest, ok = r.cut(path); ok {
		return rest, true
	}
	plain := urlpath.AppendForward(scratch[:0], path) // the prefix is there in another spelling
	if rest, ok = r.cut(plain); !ok {
		return nil, false
	}
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		rest = append(rest, path[i:]...)
	}
	return rest, true
}

// isOurs reports whether lb itself puts a field of this name into a redirect. A route
// must not set it again.
func isOurs(name string) bool {
	return slices.ContainsFunc([]string{"date", "content-type", "location"}, func(own string) bool {
		return strings.EqualFold(name, own)
	})
}

// appendLine appends f as a line, or nothing for a field that is only to be removed.
func appendLine(d []byte, f config.Field) []byte {
	if f.Value == "" {
		return d
	}
	d = append(d, f.Name...)
	d = append(d, ": "...)
	d = append(d, f.Value...)
	return append(d, crlf...)
}

// hide leaves the fields named in set out of a parsed head, because lb sets them itself.
func hide(m *httpparse.Message, b []byte, set []config.Field) {
	for _, f := range set {
		m.Hide(b, f.Name)
	}
}

// AppendLines appends the field lines that the route sets in the response m, and hides
// m's own fields of these names. dated reports whether a Date is among them. b is the
// buffer that m was parsed from.
func (r *Route) AppendLines(d, b []byte, m *httpparse.Message) (lines []byte, dated bool) {
	hide(m, b, r.Config.SetResponseHeaders)
	return append(d, r.response...), r.dated
}

// AppendRedirect appends the field lines of the route's redirect of the request m, whose
// client's side is https if secure is set. where is the length of the first one, Location,
// without its line end. b is the buffer that m was parsed from.
func (r *Route) AppendRedirect(d, b []byte, m *httpparse.Request, secure bool) (lines []byte, where int) {
	before := len(d)
	host := m.Authority.Of(b)
	if to := r.Config.Redirect.To; !secure && len(to) > len("https:") && strings.EqualFold(to[:len("https:")], "https:") {
		host = withoutPort(host) // the port is that of http
	}
	d = r.Config.Redirect.Append(append(d, "Location: "...), string(host), uri(m.AppendPath(nil, b)))
	where = len(d) - before
	return append(append(d, crlf...), r.response...), where
}

// withoutPort returns host without a port.
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// uri returns the text for {uri}: a path with one slash at its start, because "//x" and "/\\x" would
// be another host, or nothing for "OPTIONS *", whose target is no path.
func uri(target []byte) string {
	if string(target) == "*" {
		return ""
	}
	return string(urlpath.AppendURI([]byte{'/'}, bytes.TrimLeft(target, "/")))
}

// Guarded returns the fields that routes set in requests or match, and names, or nil if there
// are none.
func Guarded(routes []config.Route, names []string) *httpparse.Guarded {
	for i := range routes {
		for _, fields := range [...][]config.Field{routes[i].SetRequestHeaders, routes[i].Headers} {
			for _, f := range fields {
				names = append(names, f.Name)
			}
		}
	}
	if names == nil {
		return nil
	}
	return httpparse.NewGuarded(names)
}

// RoutesBytes returns the most bytes that any one of routes adds to a head.
func RoutesBytes(routes []config.Route) (most int) {
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
