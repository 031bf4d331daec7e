package config

// Change is one difference between two configurations.
type Change struct {
	Kind Kind
	What Subject
	Pool string // of a backend, and of a setting that is a pool's; else ""
	Name string // address of a backend, name of a pool, key of a setting, "host/path" of a route
	Text string // the whole of it as one line, for people
}

// Kind is what happened to something.
type Kind string

// Subject is what it happened to.
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

// Diff returns what differs between two checked configurations, in the order of
// lb.toml, and nothing if they do the same. Where they came from does not count.
func Diff(old, new *Config) []Change {
	panic("config: Diff")
}
