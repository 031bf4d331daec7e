package config

import (
	"fmt"
	"slices"
	"strings"

	"lb/config/schema"
)

// Change is one difference between two configurations.
type Change = schema.Change

// Diff returns the differences between two checked configurations, in the order of
// lb.toml, or nothing if lb would do the same with both. The Source does not count,
// nor does the order of pools and backends. Secrets are not shown.
func Diff(old, new *Config) []Change {
	var d schema.Differ
	schema.DiffTable(&d, &draft{Config: *old}, &draft{Config: *new}, "", topKeys)
	return d.Changes
}

// inPool returns a differ for the settings of a pool.
func inPool(d *schema.Differ, name string) *schema.Differ {
	if name == DefaultPool {
		return d.InPool(name, "")
	}
	return d.InPool(name, "pool "+name+": ")
}

// diffPools compares the pools of the same name. The keys of the first pool are
// among those of the top.
func diffPools(d *schema.Differ, old, new *draft, path string) {
	if schema.ShowList(d, path, new.Pools[1:], poolKeys) {
		return
	}
	for _, p := range new.Pools[1:] {
		in := inPool(d, p.Name)
		if i := poolNamed(old, p.Name); i >= 0 {
			schema.DiffTable(in, &old.Pools[i], &p, "", otherKeys)
		} else {
			d.Whole(schema.Added, schema.OfPool, p.Name, fmt.Sprintf(" (%s)", p.Strategy))
			diffBackends(in, &Pool{}, &p, "")
		}
		d.Add(in)
	}
	for _, p := range old.Pools[1:] {
		if poolNamed(new, p.Name) < 0 {
			in := inPool(d, p.Name)
			diffBackends(in, &p, &Pool{}, "")
			d.Add(in)
			d.Whole(schema.Removed, schema.OfPool, p.Name, "")
		}
	}
}

func poolNamed(c *draft, name string) int {
	return slices.IndexFunc(c.Pools, func(p Pool) bool { return p.Name == name })
}

// diffBackends compares the backends of the same identity.
func diffBackends(d *schema.Differ, old, new *Pool, path string) {
	if schema.ShowList(d, path, new.Backends, backendKeys) {
		return
	}
	in := d
	if d.Pool == "" { // the keys of the top
		in = inPool(d, DefaultPool)
	}
	for _, b := range new.Backends {
		if i := backendAt(old, b); i >= 0 {
			inside := in.Inside(schema.OfBackend, b.String())
			schema.DiffTable(inside, &old.Backends[i], &b, "", backendKeys)
			in.Add(inside)
		} else {
			in.Whole(schema.Added, schema.OfBackend, b.String(), backendText(b))
		}
	}
	for _, b := range old.Backends {
		if backendAt(new, b) < 0 {
			in.Whole(schema.Removed, schema.OfBackend, b.String(), "")
		}
	}
	if in != d {
		d.Add(in)
	}
}

func backendAt(p *Pool, b Backend) int {
	id := Identity(b)
	return slices.IndexFunc(p.Backends, func(other Backend) bool { return Identity(other) == id })
}

// backendText returns the values of a new backend that are not the defaults.
func backendText(b Backend) string {
	var more schema.Differ
	usual := Backend{Host: b.Host, Port: b.Port, Socket: b.Socket, Weight: 1, TLS: b.Port == portHTTPS}
	schema.DiffTable(&more, &usual, &b, "", backendKeys)
	if len(more.Changes) == 0 {
		return ""
	}
	words := make([]string, len(more.Changes))
	for i, c := range more.Changes {
		_, value, _ := strings.Cut(c.Text, " -> ")
		words[i] = c.Name + " " + value
	}
	return " (" + strings.Join(words, ", ") + ")"
}
