package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/config/access"
	"lb/config/logging"
	"lb/config/match"
	"lb/httpparse/urlpath"
)

// explainDraw draws configurations, states and requests.
type explainDraw struct{ *rand.Rand }

func (d explainDraw) one(list ...string) string { return list[d.IntN(len(list))] }

// in reports whether a chance of one in n comes true.
func (d explainDraw) in(n int) bool { return d.IntN(n) == 0 }

// config draws a configuration of several pools and routes.
func (d explainDraw) config() *config.Config {
	cfg := config.Default()
	cfg.Via, cfg.StickyKey = d.one("lb", ""), "a key of sixteen"
	cfg.Forwarded, cfg.Pools = d.in(3), nil
	cfg.Paths = config.Paths(d.one("reject", "normalize", "raw"))
	place := 0
	for i := range 1 + d.IntN(4) {
		p := d.pool(fmt.Sprintf("pool%d", i), &place)
		if i == 0 {
			p.Name = config.DefaultPool
			if d.in(4) {
				p.Backends = nil
			}
		}
		cfg.Pools = append(cfg.Pools, p)
	}
	if !d.in(5) {
		for range 1 + d.IntN(8) {
			d.route(cfg)
		}
	}
	if d.in(2) {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	}
	cfg.Limits.BodyBytes = []int64{0, 0, 20}[d.IntN(3)]
	cfg.Limits.TargetBytes, cfg.Limits.Fields = 60+d.IntN(60), 16+d.IntN(8)
	cfg.RequestID = d.one("X-Request-ID", "X-Request-ID", "")
	if d.in(3) {
		cfg.Tracing = logging.Tracing{Endpoint: "http://127.0.0.1:4318/v1/traces", Sample: 0.5}
	}
	if d.in(3) {
		cfg.TLS.HSTS = time.Hour
	}
	for i := range d.IntN(3) * d.IntN(2) {
		cfg.RateLimits = append(cfg.RateLimits, d.limit(fmt.Sprint("limit", i)))
	}
	switch d.IntN(10) {
	case 0:
		cfg.Listeners = []config.Listener{{Address: ":80", RedirectHTTPS: true}, {Address: ":443", TLS: true}}
	case 1:
		cfg.Listeners = []config.Listener{{Address: ":8080", RedirectHTTPS: true}, {Address: ":8443", TLS: true}}
	case 2, 3, 4:
		cfg.Listeners = []config.Listener{{Address: ":443", TLS: true}, {Address: ":80"}}
	}
	return cfg
}

// limit draws a rate limit.
func (d explainDraw) limit(name string) access.RateLimit {
	l := access.RateLimit{Name: name, Key: d.one(access.KeyClientIP, access.KeyRoute, access.KeyHeader), Burst: 1 + d.IntN(10), DryRun: d.in(4)}
	if l.Key == access.KeyHeader {
		l.KeyName = "x-user"
	}
	l.Rate = access.Rate{Count: 1 + d.IntN(100), Per: time.Minute}
	l.Match = match.Conditions{Path: d.one("/", "/a", "/api"), Scheme: d.one("", "", "https")}
	return l
}

// pool draws a pool. Its backends get the next places of the rig.
func (d explainDraw) pool(name string, place *int) config.Pool {
	p := config.NewPool(name)
	p.Strategy = d.one(config.Strategies()...)
	p.Hash = [...]config.Hash{{Key: config.KeyClientIP}, {Key: config.KeyPath}, {Key: config.KeyHeader, Name: "x-user"},
		{Key: config.KeyCookie, Name: "user"}, {Key: config.KeyHeader, Name: "x-user", BalanceFactor: 1.3}}[d.IntN(5)]
	if d.in(2) {
		p.Sticky = "at-" + name
	}
	if d.in(3) {
		p.SlowStart = 20 * time.Second
	}
	for j := range 1 + d.IntN(4) {
		p.Backends = append(p.Backends, config.Backend{Host: string(rune('a' + *place)), Port: 80, Weight: 1 + d.IntN(3),
			Backup: j > 0 && d.in(4), Drain: j > 0 && d.in(8), MaxConnections: max(0, d.IntN(5)-1)})
		*place++
	}
	return p
}

// route adds a route to cfg.
func (d explainDraw) route(cfg *config.Config) {
	r := config.Route{
		Host:   d.one("", "a.test", "*.test", "*.a.test", "::1"),
		Path:   d.one("/", "/api", "/api/", "/api/v2", "/b/c"),
		Scheme: d.one("", "", "", "http", "https"),
		Pool:   d.IntN(len(cfg.Pools)),
		Paths:  config.Paths(d.one("", "", "reject", "normalize", "raw")),
	}
	if string(urlpath.AppendLenient(nil, []byte(r.Path))) != r.Path {
		r.Paths = config.PathsRaw
	}
	if d.in(3) {
		r.Methods = []string{"POST", "GET"}[d.IntN(2):]
	}
	if d.in(3) {
		r.Headers = []config.Field{{Name: d.one("x-beta", "x-user"), Value: d.one("yes", "1")}}
	}
	r.StripPrefix = d.in(3) && r.Path != "/"
	if d.in(3) {
		r.SetRequestHeaders = []config.Field{{Name: d.one("X-Beta", "Host", "X-New"), Value: "set"}, {Name: "X-User", Value: ""}}
	}
	if d.in(6) {
		r.Pool, r.StripPrefix, r.SetRequestHeaders = -1, false, nil
		r.Redirect = config.Redirect{To: "https://{host}{uri}", Code: 302}
	}
	cfg.Routes = append(cfg.Routes, r)
}

// disturb changes what pools go by: checks, an operator, ejections, the load of another loop.
func (d explainDraw) disturb(r *rig) {
	n := r.board.Backends()
	if n = min(n, len(r.ids)); n == 0 {
		return
	}
	id, now := d.IntN(n), int64(r.l.Now())
	switch s := r.board.State(id); d.IntN(9) {
	case 0, 1:
		r.board.SetHealth(id, board.Health(d.IntN(3)), board.ReasonStatus, 503, now)
	case 2:
		r.board.SetAdmin(id, board.Admin(d.IntN(3)), now)
	case 3:
		r.board.SetWeight(id, d.IntN(4))
	case 4:
		s.EjectedSince.Store(uint64(now))
		s.EjectedReason.Store(uint64(board.ReasonTimeout))
		s.EjectedUntil.Store(uint64(now) + d.Uint64N(10e9))
		r.board.Changed()
	case 5:
		s.TTFB.Store(uint64(d.Uint64N(1e9)))
		s.TTFBAt.Store(uint64(now))
	default:
		r.board.Backend(1, id).InFlight.Set(uint64(d.IntN(3)))
	}
}

// ask draws a request.
func (d explainDraw) ask(r *rig) api.ExplainAsk {
	ask := api.ExplainAsk{
		Method: d.one("GET", "GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "BAD METHOD"),
		From:   d.one("192.0.2.1", "10.0.0.9", "10.1.2.3", "2001:db8::7", "127.0.0.1"),
	}
	if !d.in(3) {
		ask.Method = d.one("GET", "POST")
	}
	host := d.one("a.test", "a.test", "b.test", "x.a.test", "A.TEST:8080", "nowhere", "[::1]", "user:pw@a.test", "")
	plain := d.one("/", "/api", "/api/v2/x", "/api/v2?q=1", "/apix", "/b/c", "/api/x")
	path := d.one("/", "/api", "/api/", "/api/v2/x", "/api/v2?q=1", "/apix", "/b/c", "//api/x", "/api/../b/c", "/%61pi/x", "/api/%2e%2e/b/c",
		"/b/../api/v2", "/api;x=1/v2", "/api%2fv2", "/api\\v2", "/a b", "/api/v2/"+strings.Repeat("x", d.IntN(120)), "?q", "", "/api/\x01")
	if d.in(2) {
		path = plain
	}
	ask.URL = r.scheme() + "://" + host + path
	switch {
	case ask.Method == "CONNECT" && d.in(2):
		ask.URL = "a.test:443"
	case ask.Method == "OPTIONS" && d.in(2):
		ask.URL = "*"
	case d.in(8):
		ask.URL = "/" + strings.TrimLeft(path, "/?")
	}
	for range d.IntN(4) {
		ask.Headers = append(ask.Headers, d.header(r))
	}
	return ask
}

// header draws a field, which the parser may refuse.
func (d explainDraw) header(r *rig) string {
	switch d.IntN(9) {
	case 0:
		return "X-Forwarded-For: " + d.one("203.0.113.9", "203.0.113.9, 10.0.0.1", "10.0.0.1, 10.0.0.2", "nonsense", "[2001:db8::1]:80, 10.9.9.9")
	case 1:
		return d.one("X-Forwarded-Proto: https", "X-Forwarded-Proto: http", "X-Forwarded-Host: b.test", `Forwarded: for=203.0.113.7;proto=https;host=a.test`, `Forwarded: for="broken`)
	case 2:
		q := r.p.now.pools[d.IntN(len(r.p.now.pools))]
		if q.cfg.Sticky == "" || len(q.targets) == 0 {
			return "Cookie: user=" + d.one("1", "2", "3")
		}
		return "Cookie: a=b; " + q.cfg.Sticky + "=" + d.one(q.Sticky(d.IntN(len(q.targets))), "made-up", strings.Repeat("v", 22))
	case 3:
		return d.one("X-User: 1", "X-User: 2", "X-User: yes", "x-beta: yes", "X-Beta: no", "x_beta: yes")
	case 4:
		return d.one("Connection: x-user", "Connection: close", "Connection: upgrade", "Upgrade: websocket", "TE: trailers", "Expect: 100-continue", "Via: 1.1 other")
	case 5:
		return d.one("Content-Length: 3", "Content-Length: 3", "Content-Length: 30", "Transfer-Encoding: chunked")
	case 6:
		return d.one("Max-Forwards: 0", "Max-Forwards: 5", "Max-Forwards: x", "Host: b.test", "Host: a.test", "Host: ")
	case 7:
		if d.in(3) {
			return d.one("X Bad: 1", "X-Ctl: a\x01b", "Content-Length: x", "Transfer-Encoding: gzip")
		}
	}
	return d.one("Content-Type: application/grpc", "Authorization: Bearer secret", "X-Empty;", "Accept: */*",
		"X-Request-ID: abc-1", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b")
}
