package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lb/config/access"
	"lb/config/match"
	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
	"lb/httpparse/urlpath"
)

// routeText is a route as it stands in the file, with its pool by name.
type routeText struct {
	Route
	at   string // its path in the file
	pool string
	bad  bool // the reader has noted a flaw of it
}

// routeKeys are the keys of [[routes]]. Conditions do not differ between routes that are
// compared: they tell one from another.
var routeKeys = append(conditions(), []schema.Key[routeText]{
	schema.Text("pool", func(string) *value.Flaw { return nil }, func(t *routeText) *string { return &t.pool }),
	schema.Text("paths", checkPaths, func(t *routeText) *Paths { return &t.Paths }),
	schema.Flag("strip_prefix", func(t *routeText) *bool { return &t.StripPrefix }),
	schema.Special("set_request_headers", func(r *schema.Reader, t *routeText, path string, v any) {
		t.SetRequestHeaders = match.ReadSetFields(r, path, v, value.CheckSetRequest)
	}, func(d *schema.Differ, old, new *routeText, path string) {
		match.DiffFields(d, path, old.SetRequestHeaders, new.SetRequestHeaders)
	}),
	schema.Special("set_response_headers", func(r *schema.Reader, t *routeText, path string, v any) {
		t.SetResponseHeaders = match.ReadSetFields(r, path, v, value.CheckSetResponse)
	}, func(d *schema.Differ, old, new *routeText, path string) {
		match.DiffFields(d, path, old.SetResponseHeaders, new.SetResponseHeaders)
	}),
	access.Networks("allow", func(t *routeText) *[]netip.Prefix { return &t.Allow }),
	access.Networks("deny", func(t *routeText) *[]netip.Prefix { return &t.Deny }),
	schema.Number("requests_max", 0, connectionsMax, func(t *routeText) *int { return &t.RequestsMax }),
	schema.Table("redirect", redirectKeys, func(t *routeText) *Redirect { return &t.Redirect }),
}...)

// conditions returns the keys of match.Conditions as keys of a route.
func conditions() (keys []schema.Key[routeText]) {
	of := func(t *routeText) *match.Conditions {
		return &match.Conditions{Host: t.Host, Path: t.Path, Scheme: t.Scheme, Methods: t.Methods, Headers: t.Headers}
	}
	for _, k := range match.Keys {
		keys = append(keys, schema.Special(k.Name, func(r *schema.Reader, t *routeText, path string, v any) {
			c := of(t)
			k.Set(r, c, path, v)
			t.Host, t.Path, t.Scheme, t.Methods, t.Headers = c.Host, c.Path, c.Scheme, c.Methods, c.Headers
		}, func(d *schema.Differ, old, new *routeText, path string) { k.Diff(d, of(old), of(new), path) }))
	}
	return keys
}

var redirectKeys = []schema.Key[Redirect]{
	schema.URL("to", value.CheckRedirect, func(d *Redirect) *string { return &d.To }),
	schema.Special("code", readRedirectCode, schema.Shown(func(d *Redirect) string { return strconv.Itoa(d.Code) })),
}

// readRoutes reads [[routes]]; finishRoutes puts them into the configuration
// when all pools are known.
func readRoutes(r *schema.Reader, c *draft, path string, v any) {
	list, ok := schema.ReadTables(r, path, v, "route")
	if !ok {
		return
	}
	for i, v := range list {
		t := routeText{at: tomlfile.Element(path, i), Route: Route{Path: "/", Redirect: Redirect{Code: 308}}}
		before := len(r.Errs)
		schema.ReadTable(r, &t, t.at, v, routeKeys)
		t.Host = strings.ToLower(t.Host)
		if len(r.Errs) == before {
			checkTarget(r, &t)
		}
		t.bad = len(r.Errs) > before
		c.routes = append(c.routes, t)
	}
}

// checkTarget checks that a route leads to exactly one pool or redirect, and has no
// key that has no meaning there.
func checkTarget(r *schema.Reader, t *routeText) {
	pool, redirect := r.File.Has(tomlfile.Under(t.at, "pool")), r.File.Has(tomlfile.Under(t.at, "redirect"))
	switch {
	case pool && redirect:
		r.RefuseValue(t.at, value.Wrong("has both a pool and a redirect", "keep one of the two"))
	case !pool && !redirect:
		r.RefuseValue(t.at, value.Wrong("leads nowhere", `add pool = "default" or another, or a redirect`))
	case redirect && t.Redirect.To == "":
		r.RefuseValue(tomlfile.Under(t.at, "redirect"), value.Wrong("says not where to", `add to = "https://{host}{uri}" or another`))
	case t.StripPrefix && t.Path == "/" && !redirect:
		r.RefuseValue(tomlfile.Under(t.at, "strip_prefix"), value.Wrong("has no path to take off", `add path = "/api" or another`))
	}
	if !redirect {
		t.Redirect = Redirect{}
		return
	}
	for _, name := range []string{"strip_prefix", "set_request_headers", "requests_max"} {
		r.RefuseHere(tomlfile.Under(t.at, name), value.Wrong("means nothing here: a redirect reaches no backend", "remove it, or the redirect"))
	}
}

// finishRoutes finds the pools of the routes, and refuses routes that no
// request can reach.
func (r *reader) finishRoutes() {
	pools := make([]string, len(r.draft.Pools))
	for i, p := range r.draft.Pools {
		pools[i] = p.Name
	}
	seen := map[string][]routeText{} // by host and path
	for _, t := range r.draft.routes {
		if t.bad {
			continue
		}
		t.Pool = -1
		if t.Redirect.To == "" {
			if t.Pool = slices.Index(pools, t.pool); t.Pool < 0 {
				r.RefuseValue(tomlfile.Under(t.at, "pool"), unknownPool(t.pool, pools))
			}
		}
		r.checkSpelling(&t)
		place := t.Host + t.Path
		r.checkReachable(t, seen[place])
		seen[place] = append(seen[place], t)
		r.draft.Routes = append(r.draft.Routes, t.Route)
	}
}

// checkSpelling refuses a path that only one of the ways to read paths would find.
func (r *reader) checkSpelling(t *routeText) {
	if cmp.Or(t.Paths, r.draft.Paths) == PathsRaw {
		return
	}
	if plain := string(urlpath.AppendLenient(nil, []byte(t.Path))); plain != t.Path {
		r.RefuseValue(tomlfile.Under(t.at, "path"), value.Wrong(fmt.Sprintf("%q is another spelling of %q", t.Path, plain), fmt.Sprintf(`write %q, or add paths = "raw"`, plain)))
	}
}

func unknownPool(name string, pools []string) *value.Flaw {
	what := fmt.Sprintf("there is no pool %q", name)
	if near := value.Nearest(name, pools); near != "" {
		return value.Wrong(what, fmt.Sprintf("did you mean %q?", near))
	}
	return value.Wrong(what, "there are: "+strings.Join(pools, ", "))
}

// checkReachable refuses t if one of the routes before it, which have the same host
// and path, takes all requests that t would.
func (r *reader) checkReachable(t routeText, before []routeText) {
	for _, b := range before {
		if !b.covers(t.Route) {
			continue
		}
		line, _ := r.File.Value(b.at)
		if t.covers(b.Route) {
			r.RefuseValue(t.at, value.Wrong(fmt.Sprintf("takes the same requests as the route in line %d", line), "remove one"))
		} else {
			r.RefuseValue(t.at, value.Wrong(fmt.Sprintf("is never reached: the route in line %d takes all of its requests", line), "write this one first"))
		}
		return
	}
}

// covers reports whether rt takes every request that other takes. Their hosts and
// paths are equal.
func (rt Route) covers(other Route) bool {
	if rt.Scheme != "" && rt.Scheme != other.Scheme {
		return false
	}
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

// readRedirectCode reads a status code that comes with a Location (RFC 9110 section 15.4).
func readRedirectCode(r *schema.Reader, d *Redirect, path string, v any) {
	n, ok := v.(int64)
	if !ok || !slices.Contains([]int64{301, 302, 303, 307, 308}, n) {
		r.RefuseValue(path, value.Wrong(fmt.Sprintf("%v is no code of a redirect", v), "use 301, 302, 303, 307 or 308"))
		return
	}
	d.Code = int(n)
}
