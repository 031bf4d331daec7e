package rewrite

import (
	"bytes"
	"slices"
	"strings"

	"lb/config"
	"lb/httpparse"
)

// Route is what a route changes in messages, as text that is ready to be appended.
type Route struct {
	Config *config.Route

	host     string // the Host that set_request_headers asks for, or empty
	request  []byte // the field lines of set_request_headers, without Host
	response []byte // those of set_response_headers
	dated    bool   // with a Date among them
}

// NewRoute prepares the changes of cfg.
func NewRoute(cfg *config.Route) Route {
	r := Route{Config: cfg}
	for _, f := range cfg.SetRequestHeaders {
		if strings.EqualFold(f.Name, "host") {
			r.host = f.Value
			continue
		}
		r.request = appendLine(r.request, f)
	}
	for _, f := range cfg.SetResponseHeaders {
		if cfg.Pool < 0 && isOurs(f.Name) {
			continue
		}
		r.response = appendLine(r.response, f)
		r.dated = r.dated || strings.EqualFold(f.Name, "date")
	}
	return r
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

// hide leaves the fields that set names out of a parsed head: lb sets them itself.
func hide(m *httpparse.Message, b []byte, set []config.Field) {
	for _, f := range set {
		m.Hide(b, f.Name)
	}
}

// AppendLines appends the field lines that the route sets in the response m, whose fields
// of these names it hides. dated reports that a Date is among them. b is the buffer that
// m was parsed from.
func (r *Route) AppendLines(d, b []byte, m *httpparse.Message) (lines []byte, dated bool) {
	hide(m, b, r.Config.SetResponseHeaders)
	return append(d, r.response...), r.dated
}

// AppendRedirect appends the field lines of the route's redirect of the request m.
// where is the length of the first of them, which says where to go to. b is the buffer
// that m was parsed from.
func (r *Route) AppendRedirect(d, b []byte, m *httpparse.Request) (lines []byte, where int) {
	before := len(d)
	d = r.Config.Redirect.Append(append(d, "Location: "...), string(m.Authority.Of(b)), uri(m.AppendPath(nil, b)))
	where = len(d) - before
	return append(append(d, crlf...), r.response...), where
}

// uri returns the text for {uri}. "//x" would be another host, and the target of
// "OPTIONS *" is no path.
func uri(target []byte) string {
	if string(target) == "*" {
		return ""
	}
	return "/" + string(bytes.TrimLeft(target, "/"))
}

// RoutesBytes returns the most bytes that one of routes adds to a head.
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
