package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/config/tomlfile"
	"lb/config/value"
)

// balanceKeys are the keys of a pool. Those of the pool "default" are at the top.
var balanceKeys = []key[Pool]{
	text("strategy", checkStrategy, func(p *Pool) *string { return &p.Strategy }),
	table("hash", hashKeys, func(p *Pool) *Hash { return &p.Hash }),
	text("sticky", value.CheckCookie, func(p *Pool) *string { return &p.Sticky }),
	text("reuse", checkReuse, func(p *Pool) *string { return &p.Reuse }),
	{"slow_start", readSlowStart, shown(func(p *Pool) string { return value.DurationText(p.SlowStart) })},
	{"health", readHealth, diffHealth},
	{"eject", readEject, func(d *differ, old, new *Pool, path string) {
		diffTable(d, &old.Eject, &new.Eject, path, ejectKeys)
	}},
	{"backends", readBackends, diffBackends},
}

var poolKeys = append([]key[Pool]{
	text("name", checkPoolName, func(p *Pool) *string { return &p.Name }),
}, balanceKeys...)

var backendKeys = []key[Backend]{
	text("host", value.CheckHost, func(b *Backend) *string { return &b.Host }),
	number("port", 1, value.PortMax, func(b *Backend) *int { return &b.Port }),
	socket("socket", value.CheckSocket, func(b *Backend) *string { return &b.Socket }),
	number("weight", 1, WeightMax, func(b *Backend) *int { return &b.Weight }),
	flag("backup", func(b *Backend) *bool { return &b.Backup }),
	flag("drain", func(b *Backend) *bool { return &b.Drain }),
	number("max_connections", 0, connectionsMax, func(b *Backend) *int { return &b.MaxConnections }),
}

var hashKeys = []key[Hash]{
	{"key", readHashKey, shown(func(h *Hash) string { return h.key() })},
	fraction("balance_factor", checkBalance, func(h *Hash) *float64 { return &h.BalanceFactor }),
}

var healthKeys = []key[Health]{
	text("type", checkCheck, func(h *Health) *string { return &h.Type }),
	text("path", value.CheckTarget, func(h *Health) *string { return &h.Path }),
	text("host", value.CheckHostField, func(h *Health) *string { return &h.Host }),
	text("method", checkProbeMethod, func(h *Health) *string { return &h.Method }),
	durationFrom("interval", intervalMin, func(h *Health) *time.Duration { return &h.Interval }),
	durationFrom("interval_down", intervalMin, func(h *Health) *time.Duration { return &h.IntervalDown }),
	durationFrom("timeout", time.Millisecond, func(h *Health) *time.Duration { return &h.Timeout }),
	number("rise", 1, streakMax, func(h *Health) *int { return &h.Rise }),
	number("fall", 1, streakMax, func(h *Health) *int { return &h.Fall }),
	{"expect", readExpect, shown(func(h *Health) string { return expectText(h.Expect) })},
}

var ejectKeys = []key[Eject]{
	flag("enabled", func(e *Eject) *bool { return &e.Enabled }),
	number("faults", 1, streakMax, func(e *Eject) *int { return &e.Faults }),
	durationFrom("time", time.Millisecond, func(e *Eject) *time.Duration { return &e.Time }),
	durationFrom("time_max", time.Millisecond, func(e *Eject) *time.Duration { return &e.TimeMax }),
	number("max_percent", 1, 100, func(e *Eject) *int { return &e.MaxPercent }),
	{"on_status", readOnStatus, shown(func(e *Eject) string { return value.ListText(e.OnStatus) })},
}

var retryKeys = []key[Retry]{
	number("attempts", 0, attemptsMax, func(t *Retry) *int { return &t.Attempts }),
	{"on", readRetryOn, shown(func(t *Retry) string { return value.ListText(retryOnWords(t.On)) })},
	fraction("budget", value.CheckShare, func(t *Retry) *float64 { return &t.Budget }),
	number("budget_min", 0, 1<<20, func(t *Retry) *int { return &t.BudgetMin }),
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
func defaultPool(keys []key[Pool]) (top []key[Config]) {
	for _, k := range keys {
		top = append(top, key[Config]{k.name, func(r *reader, c *Config, path string, v any) {
			k.set(r, &c.Pools[0], path, v)
		}, func(d *differ, old, new *Config, path string) {
			k.diff(d, &old.Pools[0], &new.Pools[0], path)
		}})
	}
	return top
}

// readPools reads [[pools]]. A pool with a flaw is kept for its name, so that routes
// to it are not refused as well.
func readPools(r *reader, c *Config, path string, v any) {
	list, ok := readTables(r, path, v, "pool")
	if !ok {
		return
	}
	first := map[string]int{} // line by name
	for i, v := range list {
		at, p := tomlfile.Element(path, i), NewPool("")
		readTable(r, &p, at, v, poolKeys)
		c.Pools = append(c.Pools, p)
		line, _ := r.file.Value(at)
		_, isTable := v.(map[string]any)
		switch n, twice := first[p.Name]; {
		case !isTable:
		case !r.file.Has(tomlfile.Under(at, "name")):
			r.refuseValue(at, value.Wrong("has no name", `add name = "api" or another, for routes to refer to`))
		case twice:
			r.refuseValue(tomlfile.Under(at, "name"), value.Wrong(fmt.Sprintf("there is a pool %q already, in line %d", p.Name, n), "give it another name"))
		case p.Name != "":
			first[p.Name] = line
		}
		if isTable && !r.file.Has(tomlfile.Under(at, "backends")) {
			r.refuseValue(at, value.Wrong("has no backend", "write [[pools.backends]] below it, once for each backend"))
		}
	}
}

// finishPools refuses keys of the pool "default" in a file with other pools and no
// backend for this one.
func (r *reader) finishPools() {
	if !r.file.Has("pools") || r.backends {
		return
	}
	for _, k := range balanceKeys {
		r.refuseHere(k.name, value.Wrong(`is for the pool "default", which has no backend here`, "write it below [[pools]], or add [[backends]]"))
	}
}

// checkSticky refuses a cookie that two pools would set: a client of both would lose its
// backend in one with each answer of the other. Browsers tell names apart by case.
func (r *reader) checkSticky() {
	first := map[string]string{} // where a name stands
	for i, p := range r.config.Pools {
		at := "sticky"
		if i > 0 {
			at = tomlfile.Under(tomlfile.Element("pools", i-1), "sticky")
		}
		if p.Sticky == "" {
			continue
		}
		if before, twice := first[p.Sticky]; twice {
			line, _ := r.file.Value(before)
			r.refuseValue(at, value.Wrong(fmt.Sprintf("%q is the cookie of another pool already, in line %d", p.Sticky, line), "give each pool a cookie of its own"))
			continue
		}
		first[p.Sticky] = at
	}
}

// readHashKey reads what a pool hashes: "path", "header:x-user".
func readHashKey(r *reader, h *Hash, path string, v any) {
	s, f := value.ParseText(v)
	if f != nil {
		r.refuseValue(path, f)
		return
	}
	word, name, named := strings.Cut(s, ":")
	switch {
	case !named && (word == KeyClientIP || word == KeyPath):
	case named && (word == KeyHeader || word == KeyCookie):
		if f := value.CheckToken(name); f != nil {
			r.refuseValue(path, f)
			return
		}
	default:
		r.refuseValue(path, value.Wrong(fmt.Sprintf("there is no key %q", s), `use "client_ip", "path", "header:NAME" or "cookie:NAME"`))
		return
	}
	if word == KeyHeader {
		name = strings.ToLower(name)
	}
	h.Key, h.Name = word, name
}

// readSlowStart reads a length of time, or "0s" for none.
func readSlowStart(r *reader, p *Pool, path string, v any) {
	if v == "0s" {
		p.SlowStart = 0
		return
	}
	d, f := value.ParseDuration(v, 1)
	if f != nil && strings.HasPrefix(f.Hint, "no timeout") {
		f.Hint = `use "0s" for no slow start`
	}
	r.refuse(path, v, f)
	p.SlowStart = d
}

func readHealth(r *reader, p *Pool, path string, v any) {
	p.Health = NewHealth()
	readTable(r, &p.Health, path, v, healthKeys)
	if p.Health.Type != CheckTCP {
		return
	}
	for _, name := range []string{"path", "host", "method", "expect"} {
		r.refuseHere(tomlfile.Under(path, name), value.Wrong(`is not used by type = "tcp"`, `use type = "http", or remove it`))
	}
	p.Health.Path, p.Health.Method, p.Health.Expect = "", "", nil
}

func readEject(r *reader, p *Pool, path string, v any) {
	e := &p.Eject
	readTable(r, e, path, v, ejectKeys)
	if !r.file.Has(tomlfile.Under(path, "time_max")) {
		e.TimeMax = max(e.TimeMax, e.Time)
	}
	if e.TimeMax < e.Time {
		r.refuseValue(tomlfile.Under(path, "time_max"), value.Wrong(fmt.Sprintf("%v is less than time (%v)", e.TimeMax, e.Time), "make it longer, or time shorter"))
	}
}

// readExpect reads status codes and ranges of them: "200-299, 404", or 204.
func readExpect(r *reader, h *Health, path string, v any) {
	if n, ok := v.(int64); ok {
		v = strconv.FormatInt(n, 10)
	}
	s, ok := v.(string)
	if !ok {
		r.refuseValue(path, value.WrongKind(v, "text", `write codes and ranges in one text, such as "200-299, 404"`))
		return
	}
	h.Expect = nil
	for part := range strings.SplitSeq(s, ",") {
		low, high, f := value.ParseStatuses(strings.TrimSpace(part))
		if f != nil {
			r.refuseValue(path, f)
			return
		}
		h.Expect = append(h.Expect, Statuses{low, high})
	}
}

// readOnStatus reads the status codes that count as faults.
func readOnStatus(r *reader, e *Eject, path string, v any) {
	e.OnStatus = nil
	readList(r, path, v, func(at string, v any) {
		n, ok := v.(int64)
		switch {
		case !ok || n < 502 || n > 504:
			r.refuseValue(at, value.Wrong(fmt.Sprintf("%v cannot eject a backend", v), "use 502, 503 and 504"))
		case slices.Contains(e.OnStatus, int(n)):
			r.refuseValue(at, value.Wrong(fmt.Sprintf("%d is there already", n), "remove one"))
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
func readRetryOn(r *reader, t *Retry, path string, v any) {
	t.On = RetryOn{}
	words := make([]string, len(retryWords))
	for i, w := range retryWords {
		words[i] = w.word
	}
	readTexts(r, path, v, "use words in quotes, such as "+strconv.Quote(words[0]), func(at, s string) {
		i := slices.Index(words, s)
		switch {
		case i < 0:
			r.refuseValue(at, value.OneOf(s, "fault", words...))
		case *retryWords[i].field(&t.On):
			r.refuseValue(at, value.Wrong(fmt.Sprintf("%q is there already", s), "remove one"))
		default:
			*retryWords[i].field(&t.On) = true
		}
	})
}

func checkCheck(s string) *value.Flaw { return value.OneOf(s, "kind of check", CheckHTTP, CheckTCP) }

func checkProbeMethod(s string) *value.Flaw {
	return value.OneOf(s, "method for checks", "GET", "HEAD")
}

func checkPoolName(s string) *value.Flaw {
	switch {
	case s == "":
		return value.Wrong("is empty", "write a name")
	case s == DefaultPool:
		return value.Wrong(`"default" is the pool of the top-level backends`, "give it another name")
	}
	for i := range len(s) {
		if c := s[i]; !value.NameByte(c) && c != '.' {
			return value.Wrong(fmt.Sprintf("%q is no name for a pool", s), "use letters, digits, hyphens, underscores and dots")
		}
	}
	return nil
}

// checkBalance accepts a balance factor. 1 would leave no room.
func checkBalance(n float64) *value.Flaw {
	if n != 0 && !(n > 1 && n <= balanceMax) { // so that NaN is not accepted
		return value.Wrong(fmt.Sprintf("%v is out of range", n), fmt.Sprintf("use more than 1, up to %d, such as 1.25, or 0 for no bound", balanceMax))
	}
	return nil
}
