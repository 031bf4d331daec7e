package schema

import (
	"fmt"
	"slices"

	"lb/config/tomlfile"
	"lb/config/value"
)

// Change is one difference between two configurations.
type Change struct {
	Kind Kind
	What Subject
	Pool string // of a backend, or of a setting of a pool; else ""
	Name string // address of a backend or a listener, name of a pool, conditions of a route, key of a setting
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

	OfBackend  Subject = "backend"
	OfRoute    Subject = "route"
	OfPool     Subject = "pool"
	OfListener Subject = "listener"
	OfCert     Subject = "certificate"
	OfSetting  Subject = "setting"

	OfRateLimit Subject = "rate limit"
)

// String returns the line, such as "pool api: backend 10.0.0.1:80: weight 1 -> 3".
func (c Change) String() string { return c.Text }

// Differ collects changes. Those of a pool, a backend or a route carry its name.
type Differ struct {
	Changes []Change
	Pool    string // whose keys are compared; "" for lb's own settings
	// Show, unless it is nil, gets every key of the new tables with the text of its value,
	// and nothing is compared: see Walk.
	Show func(key, text string)

	what   Subject // of the keys of a backend or a route; else ""
	prefix string  // of every line
	name   string  // of the backend or the route
}

// DiffTable compares two tables key by key.
func DiffTable[T any](d *Differ, old, new *T, path string, keys []Key[T]) {
	for _, k := range keys {
		if k.Diff != nil {
			k.Diff(d, old, new, tomlfile.Under(path, k.Name))
		}
	}
}

// Shown compares two values by the texts that they are shown as.
func Shown[T any](text func(*T) string) func(d *Differ, old, new *T, path string) {
	return func(d *Differ, old, new *T, path string) { d.Setting(path, text(old), text(new)) }
}

// Setting notes that the value of a key changed, if it did.
func (d *Differ) Setting(key, from, to string) {
	if d.Show != nil {
		d.Show(key, to)
		return
	}
	if from == to {
		return
	}
	c := Change{Kind: Changed, What: d.what, Pool: d.Pool, Name: d.name}
	if d.what == "" {
		c.What, c.Name = OfSetting, key
		c.Text = fmt.Sprintf("%s%s: %s -> %s", d.prefix, key, from, to)
	} else {
		c.Text = fmt.Sprintf("%s%s %s: %s %s -> %s", d.prefix, d.what, d.name, key, from, to)
	}
	d.Changes = append(d.Changes, c)
}

// Detail notes a change inside a backend or a route in words of its own.
func (d *Differ) Detail(text string) {
	d.Changes = append(d.Changes, Change{Changed, d.what, d.Pool, d.name, fmt.Sprintf("%s%s %s: %s", d.prefix, d.what, d.name, text)})
}

// Whole notes that something was added or removed.
func (d *Differ) Whole(kind Kind, what Subject, name, more string) {
	d.Changes = append(d.Changes, Change{kind, what, d.Pool, name, fmt.Sprintf("%s%s %s %s%s", d.prefix, what, name, kind, more)})
}

// InPool returns a differ for the settings of a pool. prefix begins each of its lines.
func (d *Differ) InPool(name, prefix string) *Differ { return &Differ{Pool: name, prefix: prefix} }

// Inside returns a differ for the keys of a backend or a route.
func (d *Differ) Inside(what Subject, name string) *Differ {
	return &Differ{Pool: d.Pool, prefix: d.prefix, what: what, name: name}
}

// Add takes over the changes of another differ.
func (d *Differ) Add(in *Differ) { d.Changes = append(d.Changes, in.Changes...) }

// Walk calls show for every key of t, with the text of its value.
func Walk[T any](t *T, path string, keys []Key[T], show func(key, text string)) {
	DiffTable(&Differ{Show: show}, t, t, path, keys)
}

// ShowList calls Show for every key of the elements of a list, if there is a Show. If not, it
// returns false, and the list is for its caller to compare.
func ShowList[T any](d *Differ, path string, list []T, keys []Key[T]) (shown bool) {
	if d.Show == nil {
		return false
	}
	for i := range list {
		DiffTable(d, &list[i], &list[i], tomlfile.Element(path, i), keys)
	}
	return true
}

// DiffOrder notes that elements that are in both lists stand in another order. name
// returns by what an element is known.
func DiffOrder[T any](d *Differ, path string, old, new []T, name func(T) string) {
	was, is := names(old, name), names(new, name)
	stay := func(in, other []string) []string {
		return slices.DeleteFunc(slices.Clone(in), func(s string) bool { return !slices.Contains(other, s) })
	}
	d.Setting(path, value.ListText(stay(was, is)), value.ListText(stay(is, was)))
}

func names[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = name(v)
	}
	return out
}
