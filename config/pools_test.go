package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"lb/config/health"
)

// poolsFile has every key of a pool, and three pools.
const poolsFile = `
strategy = "hash"
sticky = "lb_at"
reuse = "never"
slow_start = "30s"
hash = { key = "header:X-User", balance_factor = 1.25 }
eject = { enabled = false, faults = 5, time = "1s", time_max = "1m", max_percent = 20, on_status = [504, 502] }
[retry]
attempts = 0
on = ["504", "reset", "connect"]
budget = 1
budget_min = 0
[health]
path = "/up?full=1"
host = "app.example:8080"
method = "HEAD"
interval = "10ms"
interval_down = "20ms"
timeout = "1ms"
rise = 1
fall = 1
expect = "200-299, 404,501"
[[backends]]
host = "a"
port = 1
backup = true
[[backends]]
host = "b"
port = 1
drain = true
max_connections = 10
[[pools]]
name = "api.v2"
strategy = "p2c"
health.type = "tcp"
eject.time = "10m"
[[pools.backends]]
host = "a"
port = 1
[[pools]]
name = "b"
hash.key = "cookie:SID"
health.expect = 204
backends = [{ socket = "/b" }]
`

func TestParsePools(t *testing.T) {
	c, err := Parse("f", []byte(poolsFile))
	if err != nil {
		t.Fatal(err)
	}
	first := Pool{
		Name: "default", Strategy: HashOnKey, Sticky: "lb_at", Reuse: ReuseNever, Protocol: ProtocolHTTP1, SlowStart: 30 * time.Second,
		SendProxy: SendProxyOff, ResolveMin: time.Second, ResolveMax: 30 * time.Second,
		Hash: Hash{Key: KeyHeader, Name: "x-user", BalanceFactor: 1.25},
		Health: Health{
			Type: CheckHTTP, Path: "/up?full=1", Host: "app.example:8080", Method: "HEAD",
			Interval: 10 * time.Millisecond, IntervalDown: 20 * time.Millisecond, Timeout: time.Millisecond,
			Rise: 1, Fall: 1, Expect: []Statuses{{Low: 200, High: 299}, {Low: 404, High: 404}, {Low: 501, High: 501}},
			Panic: health.Panic503, PanicPercent: 100,
		},
		Eject: Eject{Faults: 5, Time: time.Second, TimeMax: time.Minute, MaxPercent: 20, OnStatus: []int{504, 502}, Window: 10 * time.Second, RequestsMin: 20},
		Backends: []Backend{
			{Host: "a", Port: 1, Weight: 1, Backup: true},
			{Host: "b", Port: 1, Weight: 1, Drain: true, MaxConnections: 10},
		},
	}
	second := poolOf("api.v2", Backend{Host: "a", Port: 1, Weight: 1})
	second.Strategy = P2C
	second.Health = Health{
		Type: CheckTCP, Interval: 5 * time.Second, IntervalDown: time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3,
		Panic: health.Panic503, PanicPercent: 100,
	}
	second.Eject.Time, second.Eject.TimeMax = 10*time.Minute, 10*time.Minute
	third := poolOf("b", Backend{Socket: "/b", Weight: 1})
	third.Hash = Hash{Key: KeyCookie, Name: "SID"}
	third.Health = NewHealth()
	third.Health.Expect = []Statuses{{Low: 204, High: 204}}
	if want := []Pool{first, second, third}; !reflect.DeepEqual(c.Pools, want) {
		t.Errorf("pools\n%+v, want\n%+v", c.Pools, want)
	}
	if want := (Retry{On: RetryOn{Connect: true, Reset: true, Status504: true}, Budget: 1}); c.Retry != want {
		t.Errorf("retry %+v, want %+v", c.Retry, want)
	}
}

func TestHashKeys(t *testing.T) {
	for in, want := range map[string]Hash{
		"client_ip": {Key: KeyClientIP}, "path": {Key: KeyPath},
		"header:X-A": {Key: KeyHeader, Name: "x-a"}, "cookie:A": {Key: KeyCookie, Name: "A"},
	} {
		c, err := Parse("f", []byte("strategy = \"hash\"\nhash.key = \""+in+"\"\n"+oneBackend))
		if err != nil || c.Pools[0].Hash != want {
			t.Errorf("%s: %+v, %v; want %+v", in, c.Pools[0].Hash, err, want)
		}
	}
}

func TestDefaultPoolIsEmptyBesideOthers(t *testing.T) {
	c, err := Parse("f", []byte("[[pools]]\nname = \"a\"\nbackends = [{ host = \"a\", port = 1 }]\n"))
	if err != nil || len(c.Pools) != 2 || len(c.Pools[0].Backends) != 0 || c.Pools[0].Name != DefaultPool {
		t.Errorf("%+v, %v; want an empty pool %q and another", c, err, DefaultPool)
	}
}

const (
	oneBackend = "[[backends]]\nhost = \"a\"\nport = 1\n"
	onePool    = "[[pools]]\nname = \"a\"\nbackends = [{ socket = \"/a\" }]\n"
)

// poolRefusals are refusals of pools, checks, ejection and retries.
var poolRefusals = []struct{ src, want string }{
	// Keys.
	{oneBackend + "backup = 1\n", `4:10: backends[0].backup: must be true or false, not a number; write true`},
	{oneBackend + "drain = \"true\"\n", `4:9: backends[0].drain: must be true or false, not text; write true, without quotes`},
	{oneBackend + "max_connections = -1\n", `4:19: backends[0].max_connections: -1 is out of range; 0 is unlimited`},
	{oneBackend + "max_conections = 1\n", `4:1: backends[0].max_conections: unknown key; did you mean "max_connections"?`},
	{oneBackend + "sticky = \"a\"\n", `4:1: backends[0].sticky: unknown key; "sticky" belongs to the top, above the first [table]`},
	{onePool + "[[pools.backends]]\nsticky = \"a\"\n", "4:3: Key 'pools.backends' was already created and cannot be used as an array"},
	{"[[pools]]\nname = \"a\"\n[[pools.backends]]\nsocket = \"/a\"\nsticky = \"a\"\n",
		`5:1: pools[0].backends[0].sticky: unknown key; "sticky" belongs to [[pools]], above its first [pools.table]`},
	{onePool + "redirect_to = 1\n", `4:1: pools[0].redirect_to: unknown key; known here: name, strategy, hash, sticky, reuse, protocol, send_proxy, slow_start, idle_max, drain_header, health, eject, discover, backends, resolver, resolve_min, resolve_max, tls`},
	{"[health]\nintervall = \"1s\"\n", `2:1: health.intervall: unknown key; did you mean "interval"?`},
	{"[eject]\nbudget = 1\n", `2:1: eject.budget: unknown key; "budget" belongs to [retry]`},
	{"[pools]\nname = \"a\"\n", `1:2: pools: must be a list of tables, not a table; write [[pools]], once for each pool`},
	{"pools = [1]\n", `1:10: pools[0]: must be a table, not a number; write [[pools]] on a line of its own`},
	{"[[pools]]\nname = \"a\"\nbackends = 1\n",
		`3:12: pools[0].backends: must be a list of tables, not a number; write [[pools.backends]], once for each backend`},
	{onePool + "health = 1\n", `4:10: pools[0].health: must be a table, not a number; write [pools.health] on a line of its own`},

	// Pools.
	{"[[pools]]\nbackends = [{ socket = \"/a\" }]\n",
		`1:3: pools[0]: has no name; add name = "api" or another, for routes to refer to`},
	{"[[pools]]\nname = \"a\"\n", `1:3: pools[0]: has no backend; write [[pools.backends]] below it, once for each backend, or discover`},
	{"[[pools]]\nname = \"\"\nbackends = [{ socket = \"/a\" }]\n", `2:8: pools[0].name: is empty; write a name`},
	{"[[pools]]\nname = \"a b\"\nbackends = [{ socket = \"/a\" }]\n",
		`2:8: pools[0].name: "a b" is no name for a pool; use letters, digits, hyphens, underscores and dots`},
	{"[[pools]]\nname = \"default\"\nbackends = [{ socket = \"/a\" }]\n",
		`2:8: pools[0].name: "default" is the pool of the top-level backends; give it another name`},
	{"sticky = \"c\"\n" + oneBackend + "[[pools]]\nname = \"a\"\nsticky = \"c\"\nbackends = [{ socket = \"/a\" }]\n",
		`7:10: pools[0].sticky: "c" is the cookie of another pool already, in line 1; give each pool a cookie of its own`},
	{onePool + "sticky = \"c\"\n[[pools]]\nname = \"b\"\nsticky = \"c\"\nbackends = [{ socket = \"/a\" }]\n",
		`7:10: pools[1].sticky: "c" is the cookie of another pool already, in line 4; give each pool a cookie of its own`},
	{onePool + onePool, `5:8: pools[1].name: there is a pool "a" already, in line 1; give it another name`},
	{"sticky = \"s\"\n" + onePool,
		`1:1: sticky: is for the pool "default", which has no backend here; write it below [[pools]], or add [[backends]]`},
	{"[[backends]]\nsocket = \"/a\"\nbackup = true\n",
		`1:3: backends: are all backups; leave out backup = true for one of them`},
	{"[[pools]]\nname = \"a\"\nbackends = [{ socket = \"/a\" }, { socket = \"/a\" }]\n",
		`3:32: pools[0].backends[1]: unix:/a is there already, in line 3; remove one; weight gives a backend more requests`},

	// Balancing.
	{"[hash]\nkey = \"ip\"\n", `2:7: hash.key: there is no key "ip"; use "client_ip", "path", "header:NAME" or "cookie:NAME"`},
	{"[hash]\nkey = \"path:x\"\n", `2:7: hash.key: there is no key "path:x"; use "client_ip", "path", "header:NAME" or "cookie:NAME"`},
	{"[hash]\nkey = \"header:\"\n", `2:7: hash.key: has an empty name; write a name`},
	{"[hash]\nkey = \"cookie:a;b\"\n", `2:7: hash.key: ";" cannot stand in a name; use letters, digits and hyphens`},
	{"[hash]\nkey = 1\n", `2:7: hash.key: must be text, not a number; write "1"`},
	{"[hash]\nbalance_factor = 1\n", `2:18: hash.balance_factor: 1 is out of range; use more than 1, up to 100, such as 1.25, or 0 for no bound`},
	{"[hash]\nbalance_factor = nan\n", `2:18: hash.balance_factor: NaN is out of range; use more than 1, up to 100, such as 1.25, or 0 for no bound`},
	{"[hash]\nbalance_factor = \"2\"\n", `2:18: hash.balance_factor: must be a number, not text; write 2 without quotes`},
	{"sticky = \"a b\"\n", `1:10: sticky: " " cannot stand in a name; use letters, digits and hyphens`},
	{"reuse = \"sometimes\"\n", `1:9: reuse: there is no reuse "sometimes"; use "safe", "always", "never"`},
	{"slow_start = \"-1s\"\n", `1:14: slow_start: "-1s" is not above zero; use "0s" for no slow start`},
	{"slow_start = 30\n", `1:14: slow_start: 30 has no unit; write "30s"`},

	// Checks.
	{"[health]\ntype = \"udp\"\n", `2:8: health.type: there is no kind of check "udp"; use "http", "tcp", "grpc"`},
	{"[health]\nmethod = \"POST\"\n", `2:10: health.method: there is no method for checks "POST"; use "GET", "HEAD"`},
	{"[health]\npath = \"up\"\n", `2:8: health.path: "up" does not begin with a slash; write "/up"`},
	{"[health]\npath = \"/a b\"\n", `2:8: health.path: "/a b" is no path; write it as in a URL, with %20 for a space`},
	{"[health]\npath = \"/%zz\"\n", `2:8: health.path: "/%zz" is no path; write it as in a URL, with %20 for a space`},
	{"[health]\nhost = \"a/b\"\n", `2:8: health.host: "a/b" cannot stand in a Host field; write a name, with :port if need be`},
	{"[health]\ninterval = \"1ms\"\n", `2:12: health.interval: "1ms" is too short; use at least "10ms"`},
	{"[health]\ninterval_down = \"0s\"\n",
		`2:17: health.interval_down: "0s" is not above zero; no timeout can be turned off; use a long one, such as "24h"`},
	{"[health]\nrise = 0\n", `2:8: health.rise: 0 is out of range; use 1 to 1000`},
	{"[health]\nexpect = \"2xx\"\n", `2:10: health.expect: "2xx" is neither a status code nor a range; write codes and ranges, such as "200-299, 404"`},
	{"[health]\nexpect = \"200,\"\n", `2:10: health.expect: "" is neither a status code nor a range; write codes and ranges, such as "200-299, 404"`},
	{"[health]\nexpect = \"100-200\"\n", `2:10: health.expect: "100-200" is out of range; use 200 to 599`},
	{"[health]\nexpect = \"299-200\"\n", `2:10: health.expect: "299-200" is the wrong way round; write "200-299"`},
	{"[health]\nexpect = [200]\n", `2:10: health.expect: must be text, not a list; write codes and ranges in one text, such as "200-299, 404"`},
	{"[health]\ntype = \"tcp\"\nservice = \"a\"\n", `3:1: health.service: is not used by type = "tcp"; use type = "grpc", or remove it`},
	{"[health]\nservice = \"a\"\n", `2:1: health.service: is not used by type = "http"; use type = "grpc", or remove it`},
	{"protocol = \"h2c\"\n[health]\ntype = \"grpc\"\nservice = \"a b\"\n",
		`4:11: health.service: "a b" is no name of a service; write it with its package, such as "shop.v1.Cart", or "" for the whole server`},
	{"protocol = \"h2c\"\n[health]\ntype = \"grpc\"\nmethod = \"GET\"\n", `4:1: health.method: is not used by type = "grpc"; use type = "http", or remove it`},
	{"[health]\ntype = \"tcp\"\nexpect = 200\n", `3:1: health.expect: is not used by type = "tcp"; use type = "http", or remove it`},

	// Ejection and retries.
	{"[eject]\nfaults = 0\n", `2:10: eject.faults: 0 is out of range; use 1 to 1000`},
	{"[eject]\nmax_percent = 101\n", `2:15: eject.max_percent: 101 is out of range; use 1 to 100`},
	{"[eject]\ntime_max = \"1s\"\n", `2:12: eject.time_max: 1s is less than time (10s); make it longer, or time shorter`},
	{"[eject]\non_status = [500]\n", `2:14: eject.on_status[0]: 500 cannot eject a backend; use 502, 503 and 504`},
	{"[eject]\non_status = [502, 502]\n", `2:19: eject.on_status[1]: 502 is there already; remove one`},
	{"[eject]\non_status = 502\n", `2:13: eject.on_status: must be a list, not a number; write [502]`},
	{"[retry]\nattempts = 101\n", `2:12: retry.attempts: 101 is out of range; use 0 to 100`},
	{"[retry]\non = [\"slow\"]\n",
		`2:7: retry.on[0]: there is no fault "slow"; use "connect", "stale", "timeout", "reset", "502", "503", "504"`},
	{"[retry]\non = [\"reset\", \"reset\"]\n", `2:16: retry.on[1]: "reset" is there already; remove one`},
	{"[retry]\non = [502]\n", `2:7: retry.on[0]: must be text, not a number; use words in quotes, such as "connect"`},
	{"[retry]\nbudget = 20\n", `2:10: retry.budget: 20 is out of range; write 0.2 for 20 %`},
	{"[retry]\nbudget = -0.1\n", `2:10: retry.budget: -0.1 is out of range; use 0 to 1, such as 0.2 for 20 %`},
	{"[retry]\nbudget = \"20%\"\n", `2:10: retry.budget: must be a number, not text; write 0.2 without quotes`},
}

func TestPoolErrors(t *testing.T) {
	for _, tc := range poolRefusals {
		checkError(t, tc.src, tc.want)
	}
}

func checkError(t *testing.T, src, want string) {
	t.Helper()
	_, err := Parse("f", []byte(src))
	if err == nil || err.Error() != "f:"+want {
		t.Errorf("%q:\n got %v\nwant f:%s", src, err, want)
	}
}

// TestCookiesOfPools: names of cookies have a case, and no cookie is not a cookie.
func TestCookiesOfPools(t *testing.T) {
	src := "[[pools]]\nname = \"a\"\nsticky = \"c\"\nbackends = [{ socket = \"/a\" }]\n" +
		"[[pools]]\nname = \"b\"\nsticky = \"C\"\nbackends = [{ socket = \"/a\" }]\n" +
		"[[pools]]\nname = \"d\"\nbackends = [{ socket = \"/a\" }]\n" + "[[pools]]\nname = \"e\"\nbackends = [{ socket = \"/a\" }]\n"
	if _, err := Parse("f", []byte(src)); err != nil {
		t.Error(err)
	}
}

func TestHostField(t *testing.T) {
	for want, b := range map[string]Backend{
		"a:80": {Host: "a", Port: 80}, "[::1]:8080": {Host: "::1", Port: 8080}, "localhost": {Socket: "/run/a.sock"},
	} {
		if got := b.HostField(); got != want {
			t.Errorf("%v: %q, want %q", b, got, want)
		}
	}
}

// TestSamePool: any difference counts, the order of the backends among them.
func TestSamePool(t *testing.T) {
	parse := func(text string) *Pool {
		c, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return &c.Pools[0]
	}
	const two = "[[backends]]\nhost = \"a\"\nport = 1\n[[backends]]\nhost = \"b\"\nport = 1\n"
	if !parse(two).Same(parse(two)) {
		t.Error("not the same as itself, read again")
	}
	for _, text := range []string{
		strings.NewReplacer(`"a"`, `"b"`, `"b"`, `"a"`).Replace(two), two[:len(two)/2], two + "weight = 2\n",
		"strategy = \"p2c\"\n" + two, "sticky = \"at\"\n" + two, "[eject]\non_status = [503]\n" + two,
	} {
		if parse(two).Same(parse(text)) {
			t.Errorf("the same as %q", text)
		}
	}
}
