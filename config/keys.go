package config

import (
	"fmt"
	"net/netip"
	"time"
)

// The keys of lb.toml, table by table. Flags use the same checks.

// knownTables lists the keys of every table. The top is written out: its keys
// refer to functions that ask for this list.
var knownTables = []struct {
	name string
	keys []string
}{
	{"", []string{"host", "port", "mode", "workers", "strategy", "via", "trusted_proxies", "log_level", "pid_file",
		"backends", "admin", "timeouts", "limits"}},
	{"[[backends]]", names(backendKeys)},
	{"[admin]", names(adminKeys)},
	{"[timeouts]", names(timeoutKeys)},
	{"[limits]", names(limitKeys)},
}

var topKeys = []key[Config]{
	text("host", checkListenHost, func(c *Config) *string { return &c.Host }),
	number("port", 0, portMax, func(c *Config) *int { return &c.Port }),
	text("mode", checkMode, func(c *Config) *Mode { return &c.Mode }),
	number("workers", 0, workersMax, func(c *Config) *int { return &c.Workers }),
	text("strategy", checkStrategy, func(c *Config) *string { return &c.Pools[0].Strategy }),
	text("via", checkVia, func(c *Config) *string { return &c.Via }),
	{"trusted_proxies", readTrusted},
	text("log_level", checkLogLevel, func(c *Config) *string { return &c.LogLevel }),
	text("pid_file", checkPath, func(c *Config) *string { return &c.PIDFile }),
	{"backends", readBackends},
	table("admin", adminKeys, func(c *Config) *Admin { return &c.Admin }),
	table("timeouts", timeoutKeys, func(c *Config) *Timeouts { return &c.Timeouts }),
	table("limits", limitKeys, func(c *Config) *Limits { return &c.Limits }),
}

var backendKeys = []key[Backend]{
	text("host", checkHost, func(b *Backend) *string { return &b.Host }),
	number("port", 1, portMax, func(b *Backend) *int { return &b.Port }),
	text("socket", checkSocket, func(b *Backend) *string { return &b.Socket }),
	number("weight", 1, weightMax, func(b *Backend) *int { return &b.Weight }),
}

var adminKeys = []key[Admin]{
	text("address", checkAddress, func(a *Admin) *string { return &a.Address }),
}

var timeoutKeys = []key[Timeouts]{
	duration("client_idle", func(t *Timeouts) *time.Duration { return &t.ClientIdle }),
	duration("client_header", func(t *Timeouts) *time.Duration { return &t.ClientHeader }),
	duration("client_body", func(t *Timeouts) *time.Duration { return &t.ClientBody }),
	duration("client_write", func(t *Timeouts) *time.Duration { return &t.ClientWrite }),
	duration("connect", func(t *Timeouts) *time.Duration { return &t.Connect }),
	duration("backend_write", func(t *Timeouts) *time.Duration { return &t.BackendWrite }),
	duration("response", func(t *Timeouts) *time.Duration { return &t.Response }),
	duration("backend_body", func(t *Timeouts) *time.Duration { return &t.BackendBody }),
	duration("backend_idle", func(t *Timeouts) *time.Duration { return &t.BackendIdle }),
	duration("tunnel_idle", func(t *Timeouts) *time.Duration { return &t.TunnelIdle }),
	duration("queue", func(t *Timeouts) *time.Duration { return &t.Queue }),
	duration("drain", func(t *Timeouts) *time.Duration { return &t.Drain }),
}

var limitKeys = []key[Limits]{
	size("header_bytes", 1<<10, 1<<20, func(l *Limits) *int { return &l.HeaderBytes }),
	number("fields", 1, fieldsMax, func(l *Limits) *int { return &l.Fields }),
	size("target_bytes", 1, 1<<20, func(l *Limits) *int { return &l.TargetBytes }),
	size("body_bytes", 0, 1<<62, func(l *Limits) *int64 { return &l.BodyBytes }),
	number("connections", 0, 1<<30, func(l *Limits) *int { return &l.Connections }),
}

// Bounds of what makes sense, not of what is possible.
const (
	portMax    = 65535
	workersMax = 1024
	weightMax  = 65535
	fieldsMax  = 4096
)

// text is a key whose value is a string that check accepts.
func text[T any, S ~string](name string, check func(string) *flaw, field func(*T) *S) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		s, ok := v.(string)
		if !ok {
			r.refuseValue(path, wrong("must be text, not "+kind(v), mendText(v)))
			return
		}
		if f := check(s); f != nil {
			r.refuseValue(path, f)
			return
		}
		*field(t) = S(s)
	}}
}

// number is a key whose value is a whole number from low to high.
func number[T any](name string, low, high int, field func(*T) *int) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		n, ok := v.(int64)
		switch {
		case !ok:
			r.refuseValue(path, wrong("must be a whole number, not "+kind(v), mendNumber(v)))
		case n < int64(low) || n > int64(high):
			r.refuseValue(path, outside(n, low, high))
		default:
			*field(t) = int(n)
		}
	}}
}

// duration is a key whose value is a length of time above zero.
func duration[T any](name string, field func(*T) *time.Duration) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		d, f := parseDuration(v)
		if f != nil {
			r.refuseValue(path, f)
			return
		}
		*field(t) = d
	}}
}

// size is a key whose value is a number of bytes from low to high.
func size[T any, N int | int64](name string, low, high int64, field func(*T) *N) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		n, f := parseSize(v)
		switch {
		case f != nil:
			r.refuseValue(path, f)
		case n < low || n > high:
			r.refuseValue(path, wrong(fmt.Sprintf("%v is out of range", v),
				fmt.Sprintf("use %s to %s", sizeText(low), sizeText(high))))
		default:
			*field(t) = N(n)
		}
	}}
}

// table is a key whose value is a table with keys of its own.
func table[T, U any](name string, keys []key[U], field func(*T) *U) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		readTable(r, field(t), path, v, keys)
	}}
}

// readTrusted reads networks, and addresses, which are networks of one.
func readTrusted(r *reader, c *Config, path string, v any) {
	list, ok := v.([]any)
	if !ok {
		r.refuseValue(path, wrong("must be a list, not "+kind(v), "write [ ... ] around it"))
		return
	}
	c.TrustedProxies = make([]netip.Prefix, 0, len(list))
	for i, v := range list {
		at := element(path, i)
		s, ok := v.(string)
		if !ok {
			r.refuseValue(at, wrong("must be text, not "+kind(v), `write an address or a network, such as "10.0.0.0/8"`))
			continue
		}
		p, f := parseNetwork(s)
		if f != nil {
			r.refuseValue(at, f)
			continue
		}
		c.TrustedProxies = append(c.TrustedProxies, p)
	}
}
