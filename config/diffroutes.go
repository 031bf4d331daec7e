package config

import (
	"fmt"
	"slices"
	"strings"

	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
	"lb/internal/redact"
)

// diffRoutes compares the routes with the same conditions, of which a configuration
// has only one. The order of the routes of one host and path counts as well.
func diffRoutes(d *schema.Differ, old, new *draft, path string) {
	if d.Show != nil {
		for i, r := range new.Routes {
			schema.Walk(&routeText{Route: r, pool: new.poolName(r)}, tomlfile.Element(path, i), routeKeys, d.Show)
		}
		return
	}
	for _, r := range new.Routes {
		i := routeLike(old.Routes, r)
		if i < 0 {
			d.Whole(schema.Added, schema.OfRoute, r.shown(), " ("+new.target(r)+")")
			continue
		}
		in := d.Inside(schema.OfRoute, r.shown())
		was := old.Routes[i]
		if from, to := old.target(was), new.target(r); was.Pool < 0 != (r.Pool < 0) {
			in.Setting("leads to", from, to)
		} else {
			schema.DiffTable(in, &routeText{Route: was, pool: old.poolName(was)}, &routeText{Route: r, pool: new.poolName(r)}, "", routeKeys)
		}
		d.Add(in)
	}
	for _, r := range old.Routes {
		if routeLike(new.Routes, r) < 0 {
			d.Whole(schema.Removed, schema.OfRoute, r.shown(), "")
		}
	}
	routeOrder(d, &old.Config, &new.Config)
}

// routeOrder notes routes that have changed places with others of their host and
// path, because the first in the file that matches wins.
func routeOrder(d *schema.Differ, old, new *Config) {
	told := map[string]bool{}
	for i, r := range new.Routes {
		for _, later := range new.Routes[i+1:] {
			at := r.Host + r.Path
			a, b := routeLike(old.Routes, r), routeLike(old.Routes, later)
			if later.Host+later.Path != at || a < 0 || b < 0 || a < b || told[at] {
				continue
			}
			told[at] = true
			d.Changes = append(d.Changes, schema.Change{Kind: schema.Changed, What: schema.OfRoute, Name: at, Text: fmt.Sprintf("route %s: now %s comes before %s", at, r.shown(), later.shown())})
		}
	}
}

func routeLike(routes []Route, r Route) int {
	name := r.name()
	return slices.IndexFunc(routes, func(other Route) bool { return other.name() == name })
}

// name returns the conditions of a route: "example.com/api https GET,HEAD x-beta=yes".
func (rt Route) name() string {
	return rt.named(func(_, v string) string { return value.QuoteText(v) })
}

// shown is name without credentials: a field that is named like one may be matched, too.
func (rt Route) shown() string { return rt.named(schema.FieldText) }

func (rt Route) named(text func(field, value string) string) string {
	var b strings.Builder
	b.WriteString(rt.Host + rt.Path)
	if rt.Scheme != "" {
		b.WriteString(" " + rt.Scheme)
	}
	if len(rt.Methods) > 0 {
		b.WriteString(" " + strings.Join(slices.Sorted(slices.Values(rt.Methods)), ","))
	}
	for _, f := range rt.Headers {
		b.WriteString(" " + f.Name + "=" + text(f.Name, f.Value))
	}
	return b.String()
}

// target returns where a route leads, in words.
func (c *Config) target(r Route) string {
	if r.Pool < 0 {
		return fmt.Sprintf("redirect %d to %s", r.Redirect.Code, redact.URL(r.Redirect.To))
	}
	return "pool " + c.poolName(r)
}

func (c *Config) poolName(r Route) string {
	if r.Pool < 0 {
		return ""
	}
	return c.Pools[r.Pool].Name
}

// key returns what a pool hashes, as the file spells it.
func (h Hash) key() string {
	if h.Name == "" {
		return h.Key
	}
	return h.Key + ":" + h.Name
}
