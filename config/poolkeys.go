package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// balanceKeys are the keys of a pool. Those of the pool "default" are at the top.
var balanceKeys = []schema.Key[Pool]{
	schema.Text("strategy", checkStrategy, func(p *Pool) *string { return &p.Strategy }),
	schema.Table("hash", hashKeys, func(p *Pool) *Hash { return &p.Hash }),
	schema.Text("sticky", value.CheckCookie, func(p *Pool) *string { return &p.Sticky }),
	schema.Text("reuse", checkReuse, func(p *Pool) *string { return &p.Reuse }),
	schema.Text("protocol", checkProtocol, func(p *Pool) *string { return &p.Protocol }),
	schema.Special("slow_start", readSlowStart, schema.Shown(func(p *Pool) string { return value.DurationText(p.SlowStart) })),
	schema.Special("health", readHealth, diffHealth),
	schema.Special("eject", readEject, func(d *schema.Differ, old, new *Pool, path string) {
		schema.DiffTable(d, &old.Eject, &new.Eject, path, ejectKeys)
	}),
	schema.Special("backends", readBackends, diffBackends),
}

// otherKeys are the keys of [[pools]] beside the name.
var otherKeys = slices.Concat(balanceKeys, tlsOfPool("tls"))

var poolKeys = append([]schema.Key[Pool]{
	schema.Text("name", func(s string) *value.Flaw { return value.CheckPoolName(s, DefaultPool) }, func(p *Pool) *string { return &p.Name }),
}, otherKeys...)

// tlsOfPool returns the key for TLS to backends, which has another name at the top.
func tlsOfPool(name string) []schema.Key[Pool] {
	return []schema.Key[Pool]{schema.Table(name, backendTLSKeys, func(p *Pool) *BackendTLS { return &p.TLS })}
}

var backendKeys = []schema.Key[Backend]{
	schema.Text("host", value.CheckHost, func(b *Backend) *string { return &b.Host }),
	schema.Number("port", 1, value.PortMax, func(b *Backend) *int { return &b.Port }),
	schema.Socket("socket", value.CheckSocket, func(b *Backend) *string { return &b.Socket }),
	schema.Number("weight", 1, WeightMax, func(b *Backend) *int { return &b.Weight }),
	schema.Flag("backup", func(b *Backend) *bool { return &b.Backup }),
	schema.Flag("drain", func(b *Backend) *bool { return &b.Drain }),
	schema.Number("max_connections", 0, connectionsMax, func(b *Backend) *int { return &b.MaxConnections }),
	schema.Flag("tls", func(b *Backend) *bool { return &b.TLS }),
}

var hashKeys = []schema.Key[Hash]{
	schema.Special("key", readHashKey, schema.Shown(func(h *Hash) string { return h.key() })),
	schema.Fraction("balance_factor", checkBalance, func(h *Hash) *float64 { return &h.BalanceFactor }),
}

var healthKeys = []schema.Key[Health]{
	schema.Text("type", checkCheck, func(h *Health) *string { return &h.Type }),
	schema.Text("service", value.CheckService, func(h *Health) *string { return &h.Service }),
	schema.Text("path", value.CheckTarget, func(h *Health) *string { return &h.Path }),
	schema.Text("host", value.CheckHostField, func(h *Health) *string { return &h.Host }),
	schema.Text("method", checkProbeMethod, func(h *Health) *string { return &h.Method }),
	schema.DurationFrom("interval", intervalMin, func(h *Health) *time.Duration { return &h.Interval }),
	schema.DurationFrom("interval_down", intervalMin, func(h *Health) *time.Duration { return &h.IntervalDown }),
	schema.DurationFrom("timeout", time.Millisecond, func(h *Health) *time.Duration { return &h.Timeout }),
	schema.Number("rise", 1, streakMax, func(h *Health) *int { return &h.Rise }),
	schema.Number("fall", 1, streakMax, func(h *Health) *int { return &h.Fall }),
	schema.Special("expect", readExpect, schema.Shown(func(h *Health) string { return expectText(h.Expect) })),
}

var ejectKeys = []schema.Key[Eject]{
	schema.Flag("enabled", func(e *Eject) *bool { return &e.Enabled }),
	schema.Number("faults", 1, streakMax, func(e *Eject) *int { return &e.Faults }),
	schema.DurationFrom("time", time.Millisecond, func(e *Eject) *time.Duration { return &e.Time }),
	schema.DurationFrom("time_max", time.Millisecond, func(e *Eject) *time.Duration { return &e.TimeMax }),
	schema.Number("max_percent", 1, 100, func(e *Eject) *int { return &e.MaxPercent }),
	schema.Special("on_status", readOnStatus, schema.Shown(func(e *Eject) string { return value.ListText(e.OnStatus) })),
}

var retryKeys = []schema.Key[Retry]{
	schema.Number("attempts", 0, attemptsMax, func(t *Retry) *int { return &t.Attempts }),
	schema.Special("on", readRetryOn, schema.Shown(func(t *Retry) string { return value.ListText(retryOnWords(t.On)) })),
	schema.Fraction("budget", value.CheckShare, func(t *Retry) *float64 { return &t.Budget }),
	schema.Number("budget_min", 0, 1<<20, func(t *Retry) *int { return &t.BudgetMin }),
}

// The largest and smallest values that make sense.
const (
	connectionsMax = 1 << 30
	streakMax      = 1000
	attemptsMax    = 100
	balanceMax     = 100
	intervalMin    = 10 * time.Millisecond
)

// defaultPool turns keys of a pool into keys of the top.
func defaultPool(keys []schema.Key[Pool]) (top []schema.Key[draft]) {
	for _, k := range keys {
		top = append(top, schema.Special(k.Name, func(r *schema.Reader, c *draft, path string, v any) {
			k.Set(r, &c.Pools[0], path, v)
		}, func(d *schema.Differ, old, new *draft, path string) {
			k.Diff(d, &old.Pools[0], &new.Pools[0], path)
		}))
	}
	return top
}

// readPools reads [[pools]]. A pool with a flaw is kept for its name, so that routes
// to it are not refused as well.
func readPools(r *schema.Reader, c *draft, path string, v any) {
	list, ok := schema.ReadTables(r, path, v, "pool")
	if !ok {
		return
	}
	first := map[string]int{} // line by name
	for i, v := range list {
		at, p := tomlfile.Element(path, i), NewPool("")
		schema.ReadTable(r, &p, at, v, poolKeys)
		c.Pools = append(c.Pools, p)
		line, _ := r.File.Value(at)
		_, isTable := v.(map[string]any)
		switch n, twice := first[p.Name]; {
		case !isTable:
		case !r.File.Has(tomlfile.Under(at, "name")):
			r.RefuseValue(at, value.Wrong("has no name", `add name = "api" or another, for routes to refer to`))
		case twice:
			r.RefuseValue(tomlfile.Under(at, "name"), value.Wrong(fmt.Sprintf("there is a pool %q already, in line %d", p.Name, n), "give it another name"))
		case p.Name != "":
			first[p.Name] = line
		}
		if isTable && !r.File.Has(tomlfile.Under(at, "backends")) {
			r.RefuseValue(at, value.Wrong("has no backend", "write [[pools.backends]] below it, once for each backend"))
		}
	}
}

// finishPools refuses keys of the pool "default" in a file with other pools and no
// backend for this one.
func (r *reader) finishPools() {
	if !r.File.Has("pools") || r.backends {
		return
	}
	for _, k := range slices.Concat(balanceKeys, tlsOfPool("backend_tls")) {
		r.RefuseHere(k.Name, value.Wrong(`is for the pool "default", which has no backend here`, "write it below [[pools]], or add [[backends]]"))
	}
}

// checkSticky refuses a cookie that two pools would set: a client of both would lose its
// backend in one with each answer of the other. Browsers tell names apart by case.
func (r *reader) checkSticky() {
	first := map[string]string{} // where a name stands
	for i, p := range r.draft.Pools {
		at := "sticky"
		if i > 0 {
			at = tomlfile.Under(tomlfile.Element("pools", i-1), "sticky")
		}
		if p.Sticky == "" {
			continue
		}
		if before, twice := first[p.Sticky]; twice {
			line, _ := r.File.Value(before)
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%q is the cookie of another pool already, in line %d", p.Sticky, line), "give each pool a cookie of its own"))
			continue
		}
		first[p.Sticky] = at
	}
}

// readHashKey reads what a pool hashes: "path", "header:x-user".
func readHashKey(r *schema.Reader, h *Hash, path string, v any) {
	s, f := value.ParseText(v)
	if f != nil {
		r.RefuseValue(path, f)
		return
	}
	word, name, named := strings.Cut(s, ":")
	switch {
	case !named && (word == KeyClientIP || word == KeyPath):
	case named && (word == KeyHeader || word == KeyCookie):
		if f := value.CheckToken(name); f != nil {
			r.RefuseValue(path, f)
			return
		}
	default:
		r.RefuseValue(path, value.Wrong(fmt.Sprintf("there is no key %q", s), `use "client_ip", "path", "header:NAME" or "cookie:NAME"`))
		return
	}
	if word == KeyHeader {
		name = strings.ToLower(name)
	}
	h.Key, h.Name = word, name
}

// readSlowStart reads a length of time, or "0s" for none.
func readSlowStart(r *schema.Reader, p *Pool, path string, v any) {
	if v == "0s" {
		p.SlowStart = 0
		return
	}
	d, f := value.ParseDuration(v, 1)
	if f != nil && strings.HasPrefix(f.Hint, "no timeout") {
		f.Hint = `use "0s" for no slow start`
	}
	r.Refuse(path, v, f)
	p.SlowStart = d
}

func readHealth(r *schema.Reader, p *Pool, path string, v any) {
	p.Health = NewHealth()
	schema.ReadTable(r, &p.Health, path, v, healthKeys)
	if p.Health.Type != CheckGRPC && p.Health.Service != "" {
		r.RefuseHere(tomlfile.Under(path, "service"), value.Wrong(fmt.Sprintf("is not used by type = %q", p.Health.Type), `use type = "grpc", or remove it`))
	}
	var unused []string
	switch p.Health.Type {
	case CheckTCP:
		unused = []string{"path", "host", "method", "expect"}
	case CheckGRPC:
		unused = []string{"path", "method", "expect"}
	default:
		return
	}
	for _, name := range unused {
		r.RefuseHere(tomlfile.Under(path, name), value.Wrong(fmt.Sprintf("is not used by type = %q", p.Health.Type), `use type = "http", or remove it`))
	}
	p.Health.Path, p.Health.Method, p.Health.Expect = "", "", nil
}

func readEject(r *schema.Reader, p *Pool, path string, v any) {
	e := &p.Eject
	schema.ReadTable(r, e, path, v, ejectKeys)
	if !r.File.Has(tomlfile.Under(path, "time_max")) {
		e.TimeMax = max(e.TimeMax, e.Time)
	}
	if e.TimeMax < e.Time {
		r.RefuseValue(tomlfile.Under(path, "time_max"), value.Wrong(fmt.Sprintf("%v is less than time (%v)", e.TimeMax, e.Time), "make it longer, or time shorter"))
	}
}

// readExpect reads status codes and ranges of them: "200-299, 404", or 204.
func readExpect(r *schema.Reader, h *Health, path string, v any) {
	if n, ok := v.(int64); ok {
		v = strconv.FormatInt(n, 10)
	}
	s, ok := v.(string)
	if !ok {
		r.RefuseValue(path, value.WrongKind(v, "text", `write codes and ranges in one text, such as "200-299, 404"`))
		return
	}
	h.Expect = nil
	for part := range strings.SplitSeq(s, ",") {
		low, high, f := value.ParseStatuses(strings.TrimSpace(part))
		if f != nil {
			r.RefuseValue(path, f)
			return
		}
		h.Expect = append(h.Expect, Statuses{low, high})
	}
}

// readOnStatus reads the status codes that count as faults.
func readOnStatus(r *schema.Reader, e *Eject, path string, v any) {
	e.OnStatus = nil
	schema.ReadList(r, path, v, func(at string, v any) {
		n, ok := v.(int64)
		switch {
		case !ok || n < 502 || n > 504:
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%v cannot eject a backend", v), "use 502, 503 and 504"))
		case slices.Contains(e.OnStatus, int(n)):
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%d is there already", n), "remove one"))
		default:
			e.OnStatus = append(e.OnStatus, int(n))
		}
	})
}

// retryWords are the words of retry.on.
var retryWords = []struct {
	word  string
	field func(*RetryOn) *bool
}{
	{"connect", func(on *RetryOn) *bool { return &on.Connect }},
	{"stale", func(on *RetryOn) *bool { return &on.Stale }},
	{"timeout", func(on *RetryOn) *bool { return &on.Timeout }},
	{"reset", func(on *RetryOn) *bool { return &on.Reset }},
	{"502", func(on *RetryOn) *bool { return &on.Status502 }},
	{"503", func(on *RetryOn) *bool { return &on.Status503 }},
	{"504", func(on *RetryOn) *bool { return &on.Status504 }},
}

// readRetryOn reads the faults that are retried, which may be none.
func readRetryOn(r *schema.Reader, t *Retry, path string, v any) {
	t.On = RetryOn{}
	words := make([]string, len(retryWords))
	for i, w := range retryWords {
		words[i] = w.word
	}
	schema.ReadTexts(r, path, v, "use words in quotes, such as "+strconv.Quote(words[0]), func(at, s string) {
		i := slices.Index(words, s)
		switch {
		case i < 0:
			r.RefuseValue(at, value.OneOf(s, "fault", words...))
		case *retryWords[i].field(&t.On):
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%q is there already", s), "remove one"))
		default:
			*retryWords[i].field(&t.On) = true
		}
	})
}

func checkCheck(s string) *value.Flaw {
	return value.OneOf(s, "kind of check", CheckHTTP, CheckTCP, CheckGRPC)
}

func checkProbeMethod(s string) *value.Flaw {
	return value.OneOf(s, "method for checks", "GET", "HEAD")
}

// checkBalance accepts a balance factor. 1 would leave no room.
func checkBalance(n float64) *value.Flaw {
	if n != 0 && !(n > 1 && n <= balanceMax) { // so that NaN is not accepted
		return value.Wrong(fmt.Sprintf("%v is out of range", n), fmt.Sprintf("use more than 1, up to %d, such as 1.25, or 0 for no bound", balanceMax))
	}
	return nil
}
