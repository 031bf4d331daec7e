package config

import (
	"net/netip"
	"slices"
	"time"

	"lb/config/access"
	"lb/config/health"
	"lb/config/logging"
	"lb/config/schema"
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
		{"[[pools]]", schema.Names(poolKeys), true},
		{"", schema.Names(topKeys), false},
		{"[[backends]]", schema.Names(backendKeys), false},
		{"[hash]", schema.Names(hashKeys), false},
		{"[health]", schema.Names(health.Keys), false},
		{"[eject]", schema.Names(health.EjectKeys), false},
		{"[backend_tls]", schema.Names(backendTLSKeys), false},
		{"[[listeners]]", schema.Names(listenerKeys), false},
		{"[tls]", schema.Names(tlsKeys), false},
		{"[[tls.certs]]", schema.Names(certKeys), false},
		{"[tls.acme]", schema.Names(acmeKeys), false},
		{"[http2]", schema.Names(http2Keys), false},
		{"[retry]", schema.Names(health.RetryKeys), false},
		{"[[routes]]", schema.Names(routeKeys), false},
		{"[[rate_limits]]", schema.Names(access.RateLimitKeys), false},
		{"[admin]", schema.Names(adminKeys), false},
		{"[access_log]", schema.Names(logging.AccessLogKeys), false},
		{"[tracing]", schema.Names(logging.TracingKeys), false},
		{"[metrics]", schema.Names(logging.MetricsKeys), false},
		{"[timeouts]", schema.Names(timeoutKeys), false},
		{"[limits]", schema.Names(limitKeys), false},
	}
}

// topKeys are the keys of the top: those of lb, and those of the pool "default".
var topKeys = slices.Concat([]schema.Key[draft]{
	schema.Text("host", value.CheckListenHost, func(c *draft) *string { return &c.Host }),
	schema.Number("port", 0, value.PortMax, func(c *draft) *int { return &c.Port }),
	schema.Text("mode", checkMode, func(c *draft) *Mode { return &c.Mode }),
	schema.Number("workers", 0, workersMax, func(c *draft) *int { return &c.Workers }),
	schema.Text("via", value.CheckVia, func(c *draft) *string { return &c.Via }),
	access.Networks("trusted_proxies", func(c *draft) *[]netip.Prefix { return &c.TrustedProxies }),
	schema.Flag("forwarded", func(c *draft) *bool { return &c.Forwarded }),
	schema.Flag("early_hints", func(c *draft) *bool { return &c.EarlyHints }),
	schema.Text("log_level", checkLogLevel, func(c *draft) *string { return &c.LogLevel }),
	schema.Text("log_format", logging.CheckLogFormat, func(c *draft) *string { return &c.LogFormat }),
	schema.Text("request_id", logging.CheckRequestID, func(c *draft) *string { return &c.RequestID }),
	schema.Text("paths", checkPaths, func(c *draft) *Paths { return &c.Paths }),
	schema.Text("pid_file", value.CheckFile, func(c *draft) *string { return &c.PIDFile }),
	schema.Flag("watch", func(c *draft) *bool { return &c.Watch }),
	schema.Flag("abort_on_close", func(c *draft) *bool { return &c.AbortOnClose }),
	schema.Secret("sticky_key", value.CheckSecret, func(c *draft) *string { return &c.StickyKey }),
	schema.Special("listeners", readListeners, diffListeners),
	schema.Special("tls", readTLS, diffTLS),
	schema.Table("http2", http2Keys, func(c *draft) *HTTP2 { return &c.HTTP2 }),
}, defaultPool(slices.Concat(balanceKeys, resolveKeys, tlsOfPool("backend_tls"))), []schema.Key[draft]{
	schema.Special("pools", readPools, diffPools),
	schema.Special("routes", readRoutes, diffRoutes),
	schema.Special("rate_limits", func(r *schema.Reader, c *draft, path string, v any) {
		c.RateLimits = access.ReadRateLimits(r, path, v)
	}, func(d *schema.Differ, old, new *draft, path string) {
		access.DiffRateLimits(d, old.RateLimits, new.RateLimits, path)
	}),
	schema.Table("retry", health.RetryKeys, func(c *draft) *Retry { return &c.Retry }),
	schema.Table("admin", adminKeys, func(c *draft) *Admin { return &c.Admin }),
	schema.Table("access_log", logging.AccessLogKeys, func(c *draft) *logging.AccessLog { return &c.AccessLog }),
	schema.Table("tracing", logging.TracingKeys, func(c *draft) *logging.Tracing { return &c.Tracing }),
	schema.Table("metrics", logging.MetricsKeys, func(c *draft) *logging.Metrics { return &c.Metrics }),
	schema.Table("timeouts", timeoutKeys, func(c *draft) *Timeouts { return &c.Timeouts }),
	schema.Table("limits", limitKeys, func(c *draft) *Limits { return &c.Limits }),
})

var adminKeys = []schema.Key[Admin]{
	schema.Text("address", value.CheckAddress, func(a *Admin) *string { return &a.Address }),
	schema.Secret("token", value.CheckSecret, func(a *Admin) *string { return &a.Token }),
	schema.Socket("socket", checkAdminSocket, func(a *Admin) *string { return &a.Socket }),
}

var timeoutKeys = []schema.Key[Timeouts]{
	schema.Duration("client_idle", func(t *Timeouts) *time.Duration { return &t.ClientIdle }),
	schema.Duration("client_header", func(t *Timeouts) *time.Duration { return &t.ClientHeader }),
	schema.Duration("client_body", func(t *Timeouts) *time.Duration { return &t.ClientBody }),
	schema.Duration("client_write", func(t *Timeouts) *time.Duration { return &t.ClientWrite }),
	schema.Duration("connect", func(t *Timeouts) *time.Duration { return &t.Connect }),
	schema.Duration("backend_write", func(t *Timeouts) *time.Duration { return &t.BackendWrite }),
	schema.Duration("response", func(t *Timeouts) *time.Duration { return &t.Response }),
	schema.Duration("backend_body", func(t *Timeouts) *time.Duration { return &t.BackendBody }),
	schema.Duration("backend_idle", func(t *Timeouts) *time.Duration { return &t.BackendIdle }),
	schema.Duration("tunnel_idle", func(t *Timeouts) *time.Duration { return &t.TunnelIdle }),
	schema.Duration("tunnel_half_closed", func(t *Timeouts) *time.Duration { return &t.TunnelHalfClosed }),
	schema.Duration("handshake", func(t *Timeouts) *time.Duration { return &t.Handshake }),
	schema.Duration("queue", func(t *Timeouts) *time.Duration { return &t.Queue }),
	schema.Duration("drain", func(t *Timeouts) *time.Duration { return &t.Drain }),
	schema.Optional("drain_delay", "no delay", func(t *Timeouts) *time.Duration { return &t.DrainDelay }),
}

var limitKeys = []schema.Key[Limits]{
	schema.Size("header_bytes", 1<<10, 1<<20, func(l *Limits) *int { return &l.HeaderBytes }),
	schema.Number("fields", 1, fieldsMax, func(l *Limits) *int { return &l.Fields }),
	schema.Size("target_bytes", 1, 1<<20, func(l *Limits) *int { return &l.TargetBytes }),
	schema.Size("body_bytes", 0, 1<<62, func(l *Limits) *int64 { return &l.BodyBytes }),
	schema.Number("connections", 0, 1<<30, func(l *Limits) *int { return &l.Connections }),
	schema.Number("connections_per_client", 0, 1<<30, func(l *Limits) *int { return &l.ConnectionsPerClient }),
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
