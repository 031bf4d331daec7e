package route

import (
	"bytes"
	"strings"

	"lb/config"
	"lb/httpparse/urlpath"
)

// Verdict is what one route alone says to a request.
type Verdict uint8

// The verdicts. All but Takes name the first condition that the request does not meet.
const (
	Takes Verdict = iota
	OtherHost
	OtherPath
	OtherScheme
	OtherMethod
	OtherHeader
)

// Reading is a way to read the path of a request, and where it leads.
type Reading struct {
	Form  Form
	Path  string // as it is read so, without the query
	Route int    // index, or None
}

// Readings returns the ways in which servers read path, and the route of each: one if they
// are all the same or the router looks at one alone. It is for explanations; Choose decides
// by the same.
func (t *Router) Readings(host, path []byte, r Request) []Reading {
	bare, _, _ := bytes.Cut(path, []byte{'?'})
	all := []Reading{{Raw, string(bare), t.match(host, path, r)}}
	if t.raw || urlpath.IsPlain(path) {
		return all
	}
	for i, appendForm := range [...]func(dst, path []byte) []byte{urlpath.AppendNormal, urlpath.AppendLenient, urlpath.AppendUnmerged} {
		as := appendForm(nil, path)
		all = append(all, Reading{Normal + Form(i), string(as), t.match(host, as, r)})
	}
	return all
}

// Says returns what route i of routes, those of t, says to a request with exactly this path,
// whatever the other routes say.
func (t *Router) Says(i int, routes []config.Route, host, path []byte, r Request) Verdict {
	bare, _, _ := bytes.Cut(path, []byte{'?'})
	switch {
	case !hostFits(routes[i].Host, bareHost(host)):
		return OtherHost
	case !pathFits(routes[i].Path, string(bare)):
		return OtherPath
	}
	return t.rules[i].refuses(r)
}

// hostFits reports whether the host of a route takes name; see Router.
func hostFits(pattern string, name []byte) bool {
	if below, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(name) > len(below) && equalFold(name[len(name)-len(below):], below)
	}
	return pattern == "" || equalFold(name, pattern)
}

// pathFits reports whether the path of a route takes path; see Router.
func pathFits(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	switch {
	case prefix == "/" || prefix == "":
		return true
	case !ok:
		return false
	}
	return rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/")
}
