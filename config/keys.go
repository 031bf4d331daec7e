package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// The keys of lb.toml, table by table. Flags use the same checks.

// knownTables lists the keys of every table. It is filled by init because the
// keys refer to functions that ask for it.
var knownTables []knownTable

type knownTable struct {
	name   string // as a header; "" for the top
	keys   []string
	ofPool bool // [[pools]], which shares most of its keys with the top
}

func init() {
	knownTables = []knownTable{
		{"[[pools]]", names(poolKeys), true},
		{"", names(topKeys), false},
		{"[[backends]]", names(backendKeys), false},
		{"[hash]", names(hashKeys), false},
		{"[health]", names(healthKeys), false},
		{"[eject]", names(ejectKeys), false},
		{"[retry]", names(retryKeys), false},
		{"[[routes]]", names(routeKeys), false},
		{"[admin]", names(adminKeys), false},
		{"[timeouts]", names(timeoutKeys), false},
		{"[limits]", names(limitKeys), false},
	}
}

// topKeys are the keys of the top: those of lb, and those of the pool "default".
var topKeys = slices.Concat([]key[Config]{
	text("host", checkListenHost, func(c *Config) *string { return &c.Host }),
	number("port", 0, portMax, func(c *Config) *int { return &c.Port }),
	text("mode", checkMode, func(c *Config) *Mode { return &c.Mode }),
	number("workers", 0, workersMax, func(c *Config) *int { return &c.Workers }),
	text("via", checkVia, func(c *Config) *string { return &c.Via }),
	{"trusted_proxies", readTrusted, shown(func(c *Config) string { return listText(c.TrustedProxies) })},
	text("log_level", checkLogLevel, func(c *Config) *string { return &c.LogLevel }),
	text("pid_file", checkPath, func(c *Config) *string { return &c.PIDFile }),
	flag("watch", func(c *Config) *bool { return &c.Watch }),
	secret("sticky_key", checkStickyKey, func(c *Config) *string { return &c.StickyKey }),
}, defaultPool(balanceKeys), []key[Config]{
	{"pools", readPools, diffPools},
	{"routes", readRoutes, diffRoutes},
	table("retry", retryKeys, func(c *Config) *Retry { return &c.Retry }),
	table("admin", adminKeys, func(c *Config) *Admin { return &c.Admin }),
	table("timeouts", timeoutKeys, func(c *Config) *Timeouts { return &c.Timeouts }),
	table("limits", limitKeys, func(c *Config) *Limits { return &c.Limits }),
})

var adminKeys = []key[Admin]{
	text("address", checkAddress, func(a *Admin) *string { return &a.Address }),
	text("socket", checkAdminSocket, func(a *Admin) *string { return &a.Socket }),
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

// WeightMax is the largest weight of a backend, in the file or at run time.
const WeightMax = 65535

// The largest values that make sense; more would be possible.
const (
	portMax    = 65535
	workersMax = 1024
	fieldsMax  = 4096
)

// text returns a key whose value is a string that check accepts.
func text[T any, S ~string](name string, check func(string) *flaw, field func(*T) *S) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		s, ok := v.(string)
		if !ok {
			r.refuseValue(path, wrong("must be text, not "+kind(v), hintText(v)))
			return
		}
		if f := check(s); f != nil {
			r.refuseValue(path, f)
			return
		}
		*field(t) = S(s)
	}, shown(func(t *T) string { return quoteText(string(*field(t))) })}
}

// secret is text for a value that Diff does not show.
func secret[T any](name string, check func(string) *flaw, field func(*T) *string) key[T] {
	k := text(name, check, field)
	k.diff = func(d *differ, old, new *T, path string) {
		switch from, to := *field(old), *field(new); {
		case from == to:
		case from == "":
			d.setting(path, "none", "set")
		case to == "":
			d.setting(path, "set", "none")
		default:
			d.setting(path, "set", "another")
		}
	}
	return k
}

// number returns a key whose value is a whole number from low to high.
func number[T any](name string, low, high int, field func(*T) *int) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		n, ok := v.(int64)
		switch {
		case !ok:
			r.refuseValue(path, wrong("must be a whole number, not "+kind(v), hintNumber(v)))
		case n < int64(low) || n > int64(high):
			r.refuseValue(path, outside(n, low, high))
		default:
			*field(t) = int(n)
		}
	}, shown(func(t *T) string { return strconv.Itoa(*field(t)) })}
}

// flag returns a key whose value is true or false.
func flag[T any](name string, field func(*T) *bool) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		b, ok := v.(bool)
		if !ok {
			r.refuseValue(path, wrong("must be true or false, not "+kind(v), "write it without quotes"))
			return
		}
		*field(t) = b
	}, shown(func(t *T) string { return strconv.FormatBool(*field(t)) })}
}

// fraction returns a key whose value is a number that check accepts.
func fraction[T any](name string, check func(float64) *flaw, field func(*T) *float64) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		n, ok := v.(float64)
		if whole, is := v.(int64); is {
			n, ok = float64(whole), true
		}
		if !ok {
			r.refuseValue(path, wrong("must be a number, not "+kind(v), hintFraction(v)))
			return
		}
		if f := check(n); f != nil {
			r.refuseValue(path, f)
			return
		}
		*field(t) = n
	}, shown(func(t *T) string { return fmt.Sprint(*field(t)) })}
}

// duration returns a key whose value is a length of time above zero.
func duration[T any](name string, field func(*T) *time.Duration) key[T] {
	return durationFrom(name, 1, field)
}

// durationFrom returns a key whose value is a length of time of at least low.
func durationFrom[T any](name string, low time.Duration, field func(*T) *time.Duration) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		d, f := parseDuration(v)
		switch {
		case f != nil:
			r.refuseValue(path, f)
		case d < low:
			r.refuseValue(path, wrong(fmt.Sprintf("%q is too short", v), fmt.Sprintf("use at least %q", low)))
		default:
			*field(t) = d
		}
	}, shown(func(t *T) string { return durationText(*field(t)) })}
}

// size returns a key whose value is a number of bytes from low to high.
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
	}, shown(func(t *T) string { return sizeText(int64(*field(t))) })}
}

// table returns a key whose value is a table with keys of its own.
func table[T, U any](name string, keys []key[U], field func(*T) *U) key[T] {
	return key[T]{name, func(r *reader, t *T, path string, v any) {
		readTable(r, field(t), path, v, keys)
	}, func(d *differ, old, new *T, path string) {
		diffTable(d, field(old), field(new), path, keys)
	}}
}

// readTrusted reads networks; an address is a network of one.
func readTrusted(r *reader, c *Config, path string, v any) {
	const hint = `write an address or a network, such as "10.0.0.0/8"`
	c.TrustedProxies = make([]netip.Prefix, 0)
	readTexts(r, path, v, hint, func(at, s string) {
		p, f := parseNetwork(s)
		if f != nil {
			r.refuseValue(at, f)
			return
		}
		c.TrustedProxies = append(c.TrustedProxies, p)
	})
}

// readTexts calls each with every text of the list at path. hint says what to write
// in place of an element that is not a text.
func readTexts(r *reader, path string, v any, hint string, each func(at, s string)) {
	readList(r, path, v, func(at string, v any) {
		if s, ok := v.(string); ok {
			each(at, s)
		} else {
			r.refuseValue(at, wrong("must be text, not "+kind(v), hint))
		}
	})
}

// readList calls each with every element of the list at path.
func readList(r *reader, path string, v any, each func(at string, v any)) {
	list, ok := v.([]any)
	if !ok {
		r.refuseValue(path, wrong("must be a list, not "+kind(v), "write [ ... ] around it"))
		return
	}
	for i, v := range list {
		each(element(path, i), v)
	}
}
