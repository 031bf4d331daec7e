package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// routeText is a route as it stands in the file, with its pool by name.
type routeText struct {
	Route
	at   string // its path in the file
	pool string
	bad  bool // the reader has noted a flaw of it
}

var routeKeys = []key[routeText]{
	text("host", checkRouteHost, func(t *routeText) *string { return &t.Host }),
	text("path", checkRoutePath, func(t *routeText) *string { return &t.Path }),
	{"methods", readMethods, nil}, // a condition: it tells one route from another
	{"headers", func(r *reader, t *routeText, path string, v any) {
		t.Headers = readFields(r, path, v, checkCondition)
		for i := range t.Headers {
			t.Headers[i].Name = strings.ToLower(t.Headers[i].Name)
		}
	}, nil}, // a condition as well
	text("pool", func(string) *flaw { return nil }, func(t *routeText) *string { return &t.pool }),
	flag("strip_prefix", func(t *routeText) *bool { return &t.StripPrefix }),
	{"set_request_headers", func(r *reader, t *routeText, path string, v any) {
		t.SetRequestHeaders = readFields(r, path, v, checkSetRequest)
	}, func(d *differ, old, new *routeText, path string) {
		d.fields(path, old.SetRequestHeaders, new.SetRequestHeaders)
	}},
	{"set_response_headers", func(r *reader, t *routeText, path string, v any) {
		t.SetResponseHeaders = readFields(r, path, v, checkSetResponse)
	}, func(d *differ, old, new *routeText, path string) {
		d.fields(path, old.SetResponseHeaders, new.SetResponseHeaders)
	}},
	table("redirect", redirectKeys, func(t *routeText) *Redirect { return &t.Redirect }),
}

var redirectKeys = []key[Redirect]{
	text("to", checkRedirect, func(d *Redirect) *string { return &d.To }),
	{"code", readRedirectCode, shown(func(d *Redirect) string { return strconv.Itoa(d.Code) })},
}

// readRoutes reads [[routes]]; finishRoutes puts them into the configuration
// when all pools are known.
func readRoutes(r *reader, _ *Config, path string, v any) {
	list, ok := readTables(r, path, v, "route")
	if !ok {
		return
	}
	for i, v := range list {
		t := routeText{at: element(path, i), Route: Route{Path: "/", Redirect: Redirect{Code: 308}}}
		before := len(r.errs)
		readTable(r, &t, t.at, v, routeKeys)
		t.Host = strings.ToLower(t.Host)
		if len(r.errs) == before {
			r.checkTarget(&t)
		}
		t.bad = len(r.errs) > before
		r.routes = append(r.routes, t)
	}
}

// checkTarget checks that a route leads to exactly one pool or redirect, and has no
// key that has no meaning there.
func (r *reader) checkTarget(t *routeText) {
	pool, redirect := r.has(under(t.at, "pool")), r.has(under(t.at, "redirect"))
	switch {
	case pool && redirect:
		r.refuseValue(t.at, wrong("has both a pool and a redirect", "keep one of the two"))
	case !pool && !redirect:
		r.refuseValue(t.at, wrong("leads nowhere", `add pool = "default" or another, or a redirect`))
	case redirect && t.Redirect.To == "":
		r.refuseValue(under(t.at, "redirect"), wrong("says not where to", `add to = "https://{host}{uri}" or another`))
	case t.StripPrefix && t.Path == "/" && !redirect:
		r.refuseValue(under(t.at, "strip_prefix"), wrong("has no path to take off", `add path = "/api" or another`))
	}
	if !redirect {
		t.Redirect = Redirect{}
		return
	}
	for _, name := range []string{"strip_prefix", "set_request_headers"} {
		r.refuseHere(under(t.at, name), wrong("means nothing here: a redirect reaches no backend", "remove it, or the redirect"))
	}
}

// finishRoutes finds the pools of the routes, and refuses routes that no
// request can reach.
func (r *reader) finishRoutes() {
	pools := make([]string, len(r.config.Pools))
	for i, p := range r.config.Pools {
		pools[i] = p.Name
	}
	seen := map[string][]routeText{} // by host and path
	for _, t := range r.routes {
		if t.bad {
			continue
		}
		t.Pool = -1
		if t.Redirect.To == "" {
			if t.Pool = slices.Index(pools, t.pool); t.Pool < 0 {
				r.refuseValue(under(t.at, "pool"), unknownPool(t.pool, pools))
			}
		}
		place := t.Host + t.Path
		r.checkReachable(t, seen[place])
		seen[place] = append(seen[place], t)
		r.config.Routes = append(r.config.Routes, t.Route)
	}
}

func unknownPool(name string, pools []string) *flaw {
	what := fmt.Sprintf("there is no pool %q", name)
	if near := nearest(name, pools); near != "" {
		return wrong(what, fmt.Sprintf("did you mean %q?", near))
	}
	return wrong(what, "there are: "+strings.Join(pools, ", "))
}

// checkReachable refuses t if one of the routes before it, which have the same host
// and path, takes all requests that t would.
func (r *reader) checkReachable(t routeText, before []routeText) {
	for _, b := range before {
		if !b.covers(t.Route) {
			continue
		}
		line, _ := place(r.src, r.at[b.at].value)
		if t.covers(b.Route) {
			r.refuseValue(t.at, wrong(fmt.Sprintf("takes the same requests as the route in line %d", line), "remove one"))
		} else {
			r.refuseValue(t.at, wrong(fmt.Sprintf("is never reached: the route in line %d takes all of its requests", line), "write this one first"))
		}
		return
	}
}

// covers reports whether rt takes every request that other takes. Their hosts and
// paths are equal.
func (rt Route) covers(other Route) bool {
	if len(rt.Methods) > 0 {
		if len(other.Methods) == 0 {
			return false
		}
		for _, m := range other.Methods {
			if !slices.Contains(rt.Methods, m) {
				return false
			}
		}
	}
	for _, f := range rt.Headers {
		if !slices.Contains(other.Headers, f) {
			return false
		}
	}
	return true
}

// readMethods reads names of methods. They are case-sensitive (RFC 9110 section 9.1).
func readMethods(r *reader, t *routeText, path string, v any) {
	t.Methods = nil
	readTexts(r, path, v, `write a method in quotes, such as "GET"`, func(at, s string) {
		f := checkToken(s)
		switch {
		case f != nil:
			r.refuseValue(at, f)
		case s != strings.ToUpper(s):
			r.refuseValue(at, wrong(fmt.Sprintf("there is no method %q", s), fmt.Sprintf("write %q", strings.ToUpper(s))))
		case slices.Contains(t.Methods, s):
			r.refuseValue(at, wrong(fmt.Sprintf("%q is there already", s), "remove one"))
		default:
			t.Methods = append(t.Methods, s)
		}
	})
	if list, ok := v.([]any); ok && len(list) == 0 {
		r.refuseValue(path, wrong("is empty", "name at least one method, or leave it out for all"))
	}
}

// readFields reads a table of fields, and sorts them by name. check accepts the names.
func readFields(r *reader, path string, v any, check func(string) *flaw) (fields []Field) {
	table, ok := v.(map[string]any)
	if !ok {
		r.refuseValue(path, wrong("must be a table, not "+kind(v), `write { "X-Name" = "value" }`))
		return nil
	}
	for name, v := range table {
		at := under(path, name)
		if f := check(name); f != nil {
			r.refuse(r.at[at].key, at, f)
			continue
		}
		s, ok := v.(string)
		if !ok {
			r.refuseValue(at, wrong("must be text, not "+kind(v), hintText(v)))
			continue
		}
		r.refuseValue(at, checkFieldValue(s))
		fields = append(fields, Field{name, s})
	}
	slices.SortFunc(fields, func(a, b Field) int {
		if n := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range fields[min(1, len(fields)):] {
		if name := fields[i+1].Name; strings.EqualFold(fields[i].Name, name) {
			at := under(path, name)
			r.refuse(r.at[at].key, at, wrong(fmt.Sprintf("is the same field as %s", fields[i].Name), "keep one of the two"))
		}
	}
	return fields
}

// readRedirectCode reads a status code that comes with a Location (RFC 9110 section 15.4).
func readRedirectCode(r *reader, d *Redirect, path string, v any) {
	n, ok := v.(int64)
	if !ok || !slices.Contains([]int64{301, 302, 303, 307, 308}, n) {
		r.refuseValue(path, wrong(fmt.Sprintf("%v is no code of a redirect", v), "use 301, 302, 303, 307 or 308"))
		return
	}
	d.Code = int(n)
}

// checkRouteHost accepts a name, "*." and a name, or an address, without a port.
func checkRouteHost(s string) *flaw {
	name, wild := strings.CutPrefix(s, "*.")
	switch {
	case s == "", s == "*":
		return wrong(fmt.Sprintf("%q is no host", s), "leave it out for every host")
	case strings.Contains(name, "*"), wild && name == "":
		return wrong(fmt.Sprintf("%q has its star in the wrong place", s), `write a name, or "*.example.com" for all names below one`)
	case strings.HasSuffix(name, "."):
		return wrong("ends in a dot", fmt.Sprintf("write %q", strings.TrimRight(s, ".")))
	case strings.HasPrefix(name, "."), strings.Contains(name, ".."):
		return wrong(fmt.Sprintf("%q has an empty part", s), "write a name")
	}
	return checkShape(name)
}

// checkRoutePath accepts a prefix of paths, escaped as in a request.
func checkRoutePath(s string) *flaw {
	if !strings.HasPrefix(s, "/") {
		return wrong(fmt.Sprintf("%q does not begin with a slash", s), fmt.Sprintf("write %q", "/"+s))
	}
	if i := strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }); i >= 0 {
		return wrong(fmt.Sprintf("%q cannot stand in a path", s[i:i+1]), "write it as in a URL, with %20 for a space")
	}
	if i := strings.IndexAny(s, "?#*"); i >= 0 {
		return wrong(fmt.Sprintf("has a %q in it", s[i:i+1]), "write the beginning of a path, without a query")
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return wrong(fmt.Sprintf("%q has a part %q", s, part), "write it without")
		}
	}
	return nil
}

// checkRedirect accepts a URL or a path, with {host} and {uri} in it.
func checkRedirect(s string) *flaw {
	const hint = `write a URL or a path, such as "https://{host}{uri}"`
	filled := strings.NewReplacer("{host}", "", "{uri}", "").Replace(s)
	if strings.ContainsAny(filled, "{}") {
		return wrong("has a brace that is not of {host} or {uri}", hint)
	}
	u, err := url.Parse(strings.NewReplacer("{host}", "h", "{uri}", "/u").Replace(s))
	absolute := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	inside := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")
	visible := !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
	if !visible || !absolute && !inside {
		return wrong(fmt.Sprintf("%q is no place to redirect to", s), hint)
	}
	return nil
}
