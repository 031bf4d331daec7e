package config

import (
	"net/netip"
	"slices"
	"time"

	"lb/config/value"
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
	text("host", value.CheckListenHost, func(c *Config) *string { return &c.Host }),
	number("port", 0, value.PortMax, func(c *Config) *int { return &c.Port }),
	text("mode", checkMode, func(c *Config) *Mode { return &c.Mode }),
	number("workers", 0, workersMax, func(c *Config) *int { return &c.Workers }),
	text("via", value.CheckVia, func(c *Config) *string { return &c.Via }),
	{"trusted_proxies", readTrusted, shown(func(c *Config) string { return value.ListText(c.TrustedProxies) })},
	flag("forwarded", func(c *Config) *bool { return &c.Forwarded }),
	flag("early_hints", func(c *Config) *bool { return &c.EarlyHints }),
	text("log_level", checkLogLevel, func(c *Config) *string { return &c.LogLevel }),
	text("paths", checkPaths, func(c *Config) *Paths { return &c.Paths }),
	text("pid_file", value.CheckFile, func(c *Config) *string { return &c.PIDFile }),
	flag("watch", func(c *Config) *bool { return &c.Watch }),
	flag("abort_on_close", func(c *Config) *bool { return &c.AbortOnClose }),
	secret("sticky_key", value.CheckSecret, func(c *Config) *string { return &c.StickyKey }),
}, defaultPool(balanceKeys), []key[Config]{
	{"pools", readPools, diffPools},
	{"routes", readRoutes, diffRoutes},
	table("retry", retryKeys, func(c *Config) *Retry { return &c.Retry }),
	table("admin", adminKeys, func(c *Config) *Admin { return &c.Admin }),
	table("timeouts", timeoutKeys, func(c *Config) *Timeouts { return &c.Timeouts }),
	table("limits", limitKeys, func(c *Config) *Limits { return &c.Limits }),
})

var adminKeys = []key[Admin]{
	text("address", value.CheckAddress, func(a *Admin) *string { return &a.Address }),
	socket("socket", checkAdminSocket, func(a *Admin) *string { return &a.Socket }),
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
	duration("tunnel_half_closed", func(t *Timeouts) *time.Duration { return &t.TunnelHalfClosed }),
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
	workersMax = 1024
	fieldsMax  = 4096
)

func checkMode(s string) *value.Flaw { return value.OneOf(s, "mode", string(MP), string(MT)) }

func checkPaths(s string) *value.Flaw {
	return value.OneOf(s, "way to read paths", string(PathsReject), string(PathsNormalize), string(PathsRaw))
}

func checkLogLevel(s string) *value.Flaw {
	return value.OneOf(s, "log level", "debug", "info", "warn", "error")
}

// readTrusted reads networks; an address is a network of one.
func readTrusted(r *reader, c *Config, path string, v any) {
	const hint = `write an address or a network, such as "10.0.0.0/8"`
	c.TrustedProxies = make([]netip.Prefix, 0)
	readTexts(r, path, v, hint, func(at, s string) {
		p, f := value.ParseNetwork(s)
		if f != nil {
			r.refuseValue(at, f)
			return
		}
		c.TrustedProxies = append(c.TrustedProxies, p)
	})
}
