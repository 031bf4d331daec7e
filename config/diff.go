package config

import (
	"fmt"
	"slices"
	"strings"

	"lb/config/tomlfile"
	"lb/config/value"
)

// Change is one difference between two configurations.
type Change struct {
	Kind Kind
	What Subject
	Pool string // of a backend, or of a setting of a pool; else ""
	Name string // address of a backend, name of a pool, conditions of a route, key of a setting
	Text string // the whole change in one line
}

// Kind is what happened to a Subject.
type Kind string

// Subject is what a Change is about.
type Subject string

// The kinds and the subjects.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"

	OfBackend Subject = "backend"
	OfRoute   Subject = "route"
	OfPool    Subject = "pool"
	OfSetting Subject = "setting"
)

// String returns the line, such as "pool api: backend 10.0.0.1:80: weight 1 -> 3".
func (c Change) String() string { return c.Text }

// Diff returns the differences between two checked configurations, in the order of
// lb.toml, or nothing if lb would do the same with both. The Source does not count,
// nor does the order of pools and backends. Secrets are not shown.
func Diff(old, new *Config) []Change {
	d := differ{old: old, new: new}
	diffTable(&d, old, new, "", topKeys)
	return d.changes
}

// differ collects changes. Those of a pool, a backend or a route carry its name.
type differ struct {
	old, new *Config
	changes  []Change
	what     Subject // of the keys of a backend or a route; else ""
	pool     string  // whose keys are compared; "" for lb's own settings
	prefix   string  // of every line
	name     string  // of the backend or the route
}

// diffTable compares two tables key by key.
func diffTable[T any](d *differ, old, new *T, path string, keys []key[T]) {
	for _, k := range keys {
		if k.diff != nil {
			k.diff(d, old, new, tomlfile.Under(path, k.name))
		}
	}
}

// shown compares two values by the texts that they are shown as.
func shown[T any](text func(*T) string) func(d *differ, old, new *T, path string) {
	return func(d *differ, old, new *T, path string) { d.setting(path, text(old), text(new)) }
}

// setting notes that the value of a key changed, if it did.
func (d *differ) setting(key, from, to string) {
	if from == to {
		return
	}
	c := Change{Kind: Changed, What: d.what, Pool: d.pool, Name: d.name}
	if d.what == "" {
		c.What, c.Name = OfSetting, key
		c.Text = fmt.Sprintf("%s%s: %s -> %s", d.prefix, key, from, to)
	} else {
		c.Text = fmt.Sprintf("%s%s %s: %s %s -> %s", d.prefix, d.what, d.name, key, from, to)
	}
	d.changes = append(d.changes, c)
}

// whole notes that something was added or removed.
func (d *differ) whole(kind Kind, what Subject, name, more string) {
	d.changes = append(d.changes, Change{kind, what, d.pool, name, fmt.Sprintf("%s%s %s %s%s", d.prefix, what, name, kind, more)})
}

// inPool returns a differ for the settings of a pool.
func (d *differ) inPool(name string) *differ {
	in := differ{old: d.old, new: d.new, pool: name}
	if name != DefaultPool {
		in.prefix = "pool " + name + ": "
	}
	return &in
}

// inside returns a differ for the keys of a backend or a route.
func (d *differ) inside(what Subject, name string) *differ {
	return &differ{old: d.old, new: d.new, pool: d.pool, prefix: d.prefix, what: what, name: name}
}

// add takes over the changes of another differ.
func (d *differ) add(in *differ) { d.changes = append(d.changes, in.changes...) }

// diffPools compares the pools of the same name. The keys of the first pool are
// among those of the top.
func diffPools(d *differ, old, new *Config, _ string) {
	for _, p := range new.Pools[1:] {
		in := d.inPool(p.Name)
		if i := poolNamed(old, p.Name); i >= 0 {
			diffTable(in, &old.Pools[i], &p, "", balanceKeys)
		} else {
			d.whole(Added, OfPool, p.Name, fmt.Sprintf(" (%s)", p.Strategy))
			diffBackends(in, &Pool{}, &p, "")
		}
		d.add(in)
	}
	for _, p := range old.Pools[1:] {
		if poolNamed(new, p.Name) < 0 {
			in := d.inPool(p.Name)
			diffBackends(in, &p, &Pool{}, "")
			d.add(in)
			d.whole(Removed, OfPool, p.Name, "")
		}
	}
}

func poolNamed(c *Config, name string) int {
	return slices.IndexFunc(c.Pools, func(p Pool) bool { return p.Name == name })
}

// diffBackends compares the backends of the same identity.
func diffBackends(d *differ, old, new *Pool, _ string) {
	in := d
	if d.pool == "" { // the keys of the top
		in = d.inPool(DefaultPool)
	}
	for _, b := range new.Backends {
		if i := backendAt(old, b); i >= 0 {
			inside := in.inside(OfBackend, b.String())
			diffTable(inside, &old.Backends[i], &b, "", backendKeys)
			in.add(inside)
		} else {
			in.whole(Added, OfBackend, b.String(), backendText(b))
		}
	}
	for _, b := range old.Backends {
		if backendAt(new, b) < 0 {
			in.whole(Removed, OfBackend, b.String(), "")
		}
	}
	if in != d {
		d.add(in)
	}
}

func backendAt(p *Pool, b Backend) int {
	id := Identity(b)
	return slices.IndexFunc(p.Backends, func(other Backend) bool { return Identity(other) == id })
}

// backendText returns the values of a new backend that are not the defaults.
func backendText(b Backend) string {
	var more differ
	usual := Backend{Host: b.Host, Port: b.Port, Socket: b.Socket, Weight: 1}
	diffTable(&more, &usual, &b, "", backendKeys)
	if len(more.changes) == 0 {
		return ""
	}
	words := make([]string, len(more.changes))
	for i, c := range more.changes {
		_, value, _ := strings.Cut(c.Text, " -> ")
		words[i] = c.Name + " " + value
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// diffHealth compares key by key only checks of the same kind.
func diffHealth(d *differ, old, new *Pool, path string) {
	if old.Health.Type == new.Health.Type {
		diffTable(d, &old.Health, &new.Health, path, healthKeys)
		return
	}
	d.setting(path, healthText(old.Health), healthText(new.Health))
}

func healthText(h Health) string {
	switch h.Type {
	case "":
		return "off"
	case CheckTCP:
		return "tcp every " + value.DurationText(h.Interval)
	}
	return fmt.Sprintf("%s %s every %s", h.Method, h.Path, value.DurationText(h.Interval))
}
