package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config/logging"
	"lb/config/tomlfile"
	"lb/internal/testkit"
)

// bare returns c without the places that its values come from; c may be nil.
func bare(c *Config) *Config {
	if c == nil {
		return nil
	}
	out := *c
	out.File, out.Flags = nil, Flags{}
	return &out
}

func TestExampleIsTheDefault(t *testing.T) {
	c, err := Load("../lb.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Source = "../lb.toml"
	want.TrustedProxies = []netip.Prefix{}
	if !reflect.DeepEqual(bare(c), want) {
		t.Errorf("lb.toml says\n%+v, the default is\n%+v", c, want)
	}
}

// TestExampleHasEveryKey: keys without a default are comments, "#key = value".
func TestExampleHasEveryKey(t *testing.T) {
	file, err := os.ReadFile("../lb.toml")
	if err != nil {
		t.Fatal(err)
	}
	src := regexp.MustCompile(`(?m)^#([^ \n])`).ReplaceAllString(string(file), "$1")
	place := regexp.MustCompile(`(?m)^host = .*\nport = .*\n`).FindString(src) // these two, or [[listeners]]
	if place == "" {
		t.Fatal("lb.toml does not begin with host and port")
	}
	src = strings.Replace(src, place, "", 1)
	c, err := Parse("lb.toml, its comments included", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Pools[0].Health, NewHealth()) {
		t.Errorf("[health] of lb.toml is %+v, the default is %+v", c.Pools[0].Health, NewHealth())
	}
	read := tomlfile.New([]byte(src))
	for _, table := range knownTables {
		prefix := strings.Trim(table.name, "[]")
		if strings.HasPrefix(table.name, "[[") {
			prefix = tomlfile.Element(prefix, 0)
		}
		for _, name := range table.keys {
			path := tomlfile.Under(prefix, name)
			second := strings.Replace(path, "[0]", "[1]", 1)
			if !read.Has(path) && !read.Has(second) && !slices.Contains([]string{"host", "port", "backends[0].socket"}, path) {
				t.Errorf("lb.toml has no %s", path)
			}
		}
	}
	if !strings.Contains(src, "socket = ") {
		t.Error("lb.toml does not show how to give a unix socket")
	}
}

func poolOf(name string, backends ...Backend) Pool {
	p := NewPool(name)
	p.Backends = backends
	return p
}

// everyKind has values of every kind, none of which is the default.
const everyKind = `
host = "::"
port = 80
mode = "mt"
workers = 3
strategy = "round_robin"
via = ""
trusted_proxies = ["10.0.0.0/8", "192.0.2.1", "::1", "::ffff:192.0.2.0/120"]
forwarded = true
early_hints = false
log_level = "debug"
log_format = "json"
request_id = "X-Trace"
pid_file = "/run/lb.pid"
watch = false
paths = "raw"
abort_on_close = true
sticky_key = "0123456789abcdef"
backends = [{ host = "app", port = 1, weight = 7 }, { host = "::1", port = 2 }, { socket = "/run/app.sock" }]
admin.address = ""
admin.socket = "/run/lb/commands"
[timeouts]
client_idle = "1s"
client_header = "2s"
client_body = "3s"
client_write = "4s"
connect = "5s"
backend_write = "6s"
response = "7s"
backend_body = "8s"
backend_idle = "9s"
tunnel_idle = "10s"
tunnel_half_closed = "10.5s"
queue = "11s"
drain = "1m0.5s"
handshake = "12s"
drain_delay = "13s"
[limits]
header_bytes = 2048
fields = 5
target_bytes = "1KiB"
body_bytes = "3 GiB"
connections = 9
connections_per_client = 10
[http2]
streams = 7
[access_log]
path = "syslog:unix:/dev/log"
format = "{client} {{{head}"
sample = 0.5
slow = "2s"
[tracing]
endpoint = "https://collector:4318"
sample = 1
[metrics]
per_backend = true
`

func TestParseSetsWhatItReads(t *testing.T) {
	c, err := Parse("x.toml", []byte(everyKind))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Source: "x.toml", Host: "::", Port: 80, Mode: MT, Workers: 3,
		TrustedProxies: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
			netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.0/24"),
		},
		LogLevel: "debug", PIDFile: "/run/lb.pid", Paths: PathsRaw, AbortOnClose: true, Forwarded: true, StickyKey: "0123456789abcdef",
		Admin:     Admin{Socket: "/run/lb/commands"},
		LogFormat: "json", RequestID: "X-Trace", Metrics: logging.Metrics{PerBackend: true},
		AccessLog: logging.AccessLog{Path: "syslog:unix:/dev/log", Format: "{client} {{{head}", Sample: 0.5, Slow: 2 * time.Second},
		Tracing:   logging.Tracing{Endpoint: "https://collector:4318", Sample: 1},
		Pools: []Pool{poolOf(DefaultPool,
			Backend{Host: "app", Port: 1, Weight: 7}, Backend{Host: "::1", Port: 2, Weight: 1}, Backend{Socket: "/run/app.sock", Weight: 1},
		)},
		Retry: Default().Retry,
		Timeouts: Timeouts{
			1 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second,
			7 * time.Second, 8 * time.Second, 9 * time.Second, 10 * time.Second, 10500 * time.Millisecond, 11 * time.Second, 60500 * time.Millisecond, 12 * time.Second, 13 * time.Second,
		},
		Limits: Limits{HeaderBytes: 2048, Fields: 5, TargetBytes: 1024, BodyBytes: 3 << 30, Connections: 9, ConnectionsPerClient: 10},
		TLS:    Default().TLS, HTTP2: HTTP2{Enabled: true, Streams: 7},
	}
	if !reflect.DeepEqual(bare(c), want) {
		t.Errorf("got\n%+v, want\n%+v", c, want)
	}
}

func TestParseKeepsDefaults(t *testing.T) {
	const backends = "[[backends]]\nhost = \"127.0.0.1\"\nport = 9001\n[[backends]]\nhost = \"127.0.0.1\"\nport = 9002\n"
	for _, src := range []string{"", "\xef\xbb\xbf# a byte order mark\n", "port = 8080\r\n[timeouts]\r\n"} {
		c, err := Parse("", []byte(src+backends))
		if err != nil || !reflect.DeepEqual(bare(c), Default()) {
			t.Errorf("%q: %+v, %v; want the default", src, c, err)
		}
	}
	c, err := Parse("", []byte("limits.header_bytes = 2048\n"+backends))
	if err != nil || c.Limits.TargetBytes != 1024 {
		t.Errorf("a small head: %+v, %v; want a target of half of it", c, err)
	}
}

// A file that leads nowhere, as one is that was emptied or cut off, is refused, unless
// flags have the backends. The backends of Default are for no file at all.
func TestFileLeadsNowhere(t *testing.T) {
	const mend = `; add [[backends]] with a host and a port, or [[routes]] with a redirect`
	const redirect = "[[routes]]\nhost = \"old.test\"\nredirect.to = \"https://{host}{uri}\"\n"
	const toEmpty = `routes[0].pool: the pool "default" has no backend here; add [[backends]], or name another pool`
	for _, tc := range []struct{ src, want string }{
		{"", "1:1: is empty" + mend},
		{" \n\t\r\n", "1:1: is empty" + mend},
		{"\xef\xbb\xbf", "1:1: is empty" + mend},
		{"# [[backends]]\n# host = \"a\"", "1:1: is empty" + mend},
		{"port = 80\n", "1:1: leads to no backend and no redirect" + mend},
		{"[timeouts]\n[health]\n", "1:1: leads to no backend and no redirect" + mend},
		{"[[routes]]\n" + toDefault, "2:8: " + toEmpty},
		{redirect + "[[routes]]\n" + toDefault, "5:8: routes[1]" + toEmpty[len("routes[0]"):]},
		{"[[routes]]\n" + toDefault + onePool, "2:8: " + toEmpty},
		{redirect, ""},
		{onePool, ""},
		{oneBackend, ""},
	} {
		if tc.want != "" {
			checkError(t, tc.src, tc.want)
		} else if _, err := Parse("f", []byte(tc.src)); err != nil {
			t.Errorf("%q: %v", tc.src, err)
		}
		path := filepath.Join(t.TempDir(), FileName)
		testkit.WriteFile(t, path, tc.src)
		c, err := Find(path, Flags{Backends: []string{"a:1"}})
		if err != nil || len(c.Pools[0].Backends) != 1 {
			t.Errorf("%q with a backend by flag: %+v, %v", tc.src, c, err)
		}
	}
}

// refusals are files that are wrong in one point each, and what Parse says of each.
var refusals = []struct{ src, want string }{
	// Syntax: the words are the library's, the place is ours.
	{"port = 1\nport = 2\n", "2:1: Key 'port' has already been defined; keep one of the two"},
	// The value of a secret is in no error: those of a reload are logged.
	{"[admin]\ntoken = hidden0123456789\n", "2:9: admin.token: the value cannot be read; write it in quotes: key = \"...\""},
	{"admin = { token = 0hidden }\n", "1:20: the value cannot be read; write it in quotes: key = \"...\""},
	{"sticky_key = 99999999999999999999\n", "1:14: sticky_key: the value cannot be read; write it in quotes: key = \"...\""},
	{"sticky_key: hidden0123456789\n", "1:11: this looks like YAML; lb reads TOML: port = 8080, and below [[backends]] a host and a port; lb.toml has every key"},
	{"[admin]\ntoken = 7777777777777777\n", "2:9: admin.token: must be text, not a number; write it in quotes"},
	{"[admin]\ntoken = \"a\"\ntoken = \"b\"\n", "3:1: Key 'admin.token' has already been defined; keep one of the two"},
	{"[tracing]\nendpoint = \"http://u:hidden@/x\"\n", "2:12: tracing.endpoint: is no URL; write one such as \"http://127.0.0.1:4318\", or \"\" for off"},
	{"port = \n", "1:8: port: expected value but found '\\n' instead; write a value after port ="},
	{"[[backends]]\n[[backends]]\nport = 99999999999999999999\n", "3:8: backends[1].port: 99999999999999999999 is out of range for int64"},
	{"limits = { body_bytes = 08 }\n", "1:25: limits.body_bytes: Invalid integer \"08\": cannot have leading zeroes"},
	{"[[backends]\n", "1:11: expected end of table array name delimiter ']', but got '\\n' instead; a bracket is missing: [[backends]]"},
	{"host = \"a\n", "1:10: strings cannot contain newlines; a quote is missing at the end"},
	{"\n\nhost", "3:4: unexpected EOF; expected key separator '='"},
	{"admin.address = \"\"\nadmin = 3\n", "2:1: admin: is given twice; keep one of the two"},

	// Keys that are not there, or not here.
	{"prot = 80\n", `1:1: prot: unknown key; did you mean "port"?`},
	{"  Host = \"a\"\n", `1:3: Host: unknown key; did you mean "host"?`},
	{"backend = 1\n", `1:1: backend: unknown key; did you mean "backends"?`},
	{"[timeouts]\n\"client_idel\" = \"1s\"\n", `2:1: timeouts.client_idel: unknown key; did you mean "client_idle"?`},
	{"\n[timeout]\nconnect = \"1s\"\n", `2:2: timeout: unknown key; did you mean "timeouts"?`},
	{"limits = { feilds = 3 }\n", `1:12: limits.feilds: unknown key; did you mean "fields"?`},
	{"[[backends]]\nhost = \"a\"\nport = 1\n\n[[backends]]\nhost = \"b\"\nport = 1\nwieght = 2\n",
		`8:1: backends[1].wieght: unknown key; did you mean "weight"?`},
	{"[[backends]]\nhost = \"a\"\nport = 1\nmode = \"mt\"\n",
		`4:1: backends[0].mode: unknown key; "mode" belongs to the top, above the first [table]`},
	{"connect = \"1s\"\n", `1:1: connect: unknown key; "connect" belongs to [timeouts]`},
	{"[admin]\nqzjxv_zzk = 1\n", `2:1: admin.qzjxv_zzk: unknown key; known here: address, token, socket`},
	{"\"a b\" = 1\n", `1:1: "a b": unknown key; known here: host, port, mode, workers, via, trusted_proxies, forwarded, early_hints, log_level, log_format, request_id, paths, pid_file, ` +
		`watch, abort_on_close, sticky_key, listeners, tls, http2, strategy, hash, sticky, reuse, protocol, send_proxy, slow_start, idle_max, drain_header, health, eject, discover, backends, resolver, resolve_min, resolve_max, backend_tls, pools, routes, rate_limits, retry, admin, access_log, tracing, metrics, timeouts, limits`},

	// Values of the wrong kind.
	{"host = 1\n", `1:8: host: must be text, not a number; write "1"`},
	{"host = [\"a\"]\n", `1:8: host: must be text, not a list; write "a", without brackets`},
	{"pid_file = true\n", `1:12: pid_file: must be text, not true or false; write a path, such as "/run/lb.pid"`},
	{"log_level = 1979-05-27\n", `1:13: log_level: must be text, not a date; write it in quotes`},
	{"port = \"80\"\n", `1:8: port: must be a whole number, not text; write 80 without quotes`},
	{"port = 80.5\n", `1:8: port: must be a whole number, not a fraction; write digits only, without quotes`},
	{"trusted_proxies = \"::1\"\n", `1:19: trusted_proxies: must be a list, not text; write ["::1"]`},
	{"trusted_proxies = [\n  \"::1\", # this host\n  7,\n]\n",
		`3:3: trusted_proxies[1]: must be text, not a number; write an address or a network, such as "10.0.0.0/8"`},
	{"timeouts = \"1s\"\n", `1:12: timeouts: must be a table, not text; write [timeouts] on a line of its own`},
	{"[[limits]]\nfields = 1\n", `1:3: limits: must be a table, not a list; write [limits] on a line of its own`},
	{"backends = 1\n", `1:12: backends: must be a list of tables, not a number; write [[backends]], once for each backend`},
	{"[backends]\nport = 1\n", `1:2: backends: must be a list of tables, not a table; write [[backends]], once for each backend`},
	{"backends = [1]\n", `1:13: backends[0]: must be a table, not a number; write [[backends]] on a line of its own`},
	{"limits.body_bytes = 1.5\n", `1:21: limits.body_bytes: must be a size, not a fraction; write bytes, or text such as "64KiB"`},

	// Values out of the question.
	{"host = \"\"\n", `1:8: host: is empty; use "0.0.0.0" for every IPv4 address, "::" for every address`},
	{"host = \"[::]\"\n", `1:8: host: has brackets; write "::"`},
	{"host = \"a:80\"\n", `1:8: host: has a port in it; write host = "a" and port = 80`},
	{"host = \"a b\"\n", `1:8: host: "a b" is neither a name nor an IP address; write one of them`},
	{"port = 65536\n", `1:8: port: 65536 is out of range; use 0 to 65535`},
	{"port = -1\n", `1:8: port: -1 is out of range; use 0 to 65535`},
	{"mode = \"fast\"\n", `1:8: mode: there is no mode "fast"; use "mp", "mt"`},
	{"workers = -1\n", `1:11: workers: -1 is out of range; 0 is one per CPU`},
	{"strategy = \"fastest\"\n", `1:12: strategy: there is no strategy "fastest"; ` +
		`use "round_robin", "random", "least_conn", "p2c", "least_time", "hash"`},
	{"log_level = \"loud\"\n", `1:13: log_level: there is no log level "loud"; use "debug", "info", "warn", "error"`},
	{"via = \"a, b\"\n", `1:7: via: "a, b" cannot stand in a Via field; use letters, digits and hyphens, or "" for no Via`},
	{"pid_file = \"a\\u0000b\"\n", `1:12: pid_file: has a zero byte in it; write a path`},
	{"trusted_proxies = [\"a\"]\n",
		`1:20: trusted_proxies[0]: "a" is neither an address nor a network; write one such as "10.0.0.0/8"`},
	{"trusted_proxies = [\"10.1.0.0/8\"]\n",
		`1:20: trusted_proxies[0]: "10.1.0.0/8" has bits set beyond its length; write "10.0.0.0/8"`},
	{"admin.address = \"9900\"\n",
		`1:17: admin.address: "9900" is not host:port; write host:port, such as "127.0.0.1:9900", or "" for off`},
	{"admin.socket = \"a\\u0000b\"\n", `1:16: admin.socket: has a zero byte in it; write a path`},
	{"admin.socket = \"" + strings.Repeat("a", 104) + "\"\n", `1:16: admin.socket: is 104 bytes long; use a path of at most 103 bytes`},
	{"watch = \"on\"\n", `1:9: watch: must be true or false, not text; write true, without quotes`},
	{"sticky_key = \"0123456789abcde\"\n", `1:14: sticky_key: is 15 bytes long; use at least 16, such as what "openssl rand -hex 16" prints`},
	{"admin.address = \"a:b\"\n", `1:17: admin.address: "b" is not a port; use 0 to 65535`},
	{"admin.address = \"a b:1\"\n", `1:17: admin.address: "a b" is neither a name nor an IP address; write one of them`},

	// Lengths of time.
	{"[timeouts]\nconnect = 30\n", `2:11: timeouts.connect: 30 has no unit; write "30s"`},
	{"[timeouts]\nconnect = 1.5\n", `2:11: timeouts.connect: 1.5 has no unit; write "1.5s"`},
	{"[timeouts]\nconnect = \"30\"\n", `2:11: timeouts.connect: "30" has no unit; write "30s"`},
	{"[timeouts]\nconnect = \"inf\"\n",
		`2:11: timeouts.connect: "inf" is not a length of time; write a number and ms, s, m or h, such as "30s"`},
	{"[timeouts]\nconnect = \"soon\"\n",
		`2:11: timeouts.connect: "soon" is not a length of time; write a number and ms, s, m or h, such as "30s"`},
	{"[timeouts]\nconnect = \"0s\"\n",
		`2:11: timeouts.connect: "0s" is not above zero; no timeout can be turned off; use a long one, such as "24h"`},
	{"[timeouts]\nconnect = \"-1s\"\n",
		`2:11: timeouts.connect: "-1s" is not above zero; no timeout can be turned off; use a long one, such as "24h"`},
	{"[timeouts]\nconnect = \"9000h\"\n", `2:11: timeouts.connect: "9000h" is more than a year; use at most "8784h"`},

	// Sizes.
	{"[limits]\nheader_bytes = 1023\n", `2:16: limits.header_bytes: 1023 is out of range; use 1KiB to 1MiB`},
	{"[limits]\nheader_bytes = \"2MiB\"\n", `2:16: limits.header_bytes: 2MiB is out of range; use 1KiB to 1MiB`},
	{"[limits]\nheader_bytes = \"64K\"\n", `2:16: limits.header_bytes: there is no unit "K"; write "64KiB"`},
	{"[limits]\nheader_bytes = \"big\"\n",
		`2:16: limits.header_bytes: "big" is not a size; write bytes, or a number and KiB, MiB or GiB, such as "64KiB"`},
	{"[limits]\nbody_bytes = \"9999999999999GiB\"\n", `2:14: limits.body_bytes: "9999999999999GiB" is out of range; use a smaller size`},
	{"[limits]\nbody_bytes = -1\n", `2:14: limits.body_bytes: -1 is out of range; 0 is unlimited`},
	{"[limits]\nfields = 0\n", `2:10: limits.fields: 0 is out of range; use 1 to 4096`},
	{"[limits]\nconnections = -1\n", `2:15: limits.connections: -1 is out of range; 0 is what the descriptor limit allows`},
	{"[limits]\ntarget_bytes = 65536\n", `2:16: limits.target_bytes: 65536 bytes must be less than header_bytes (65536), ` +
		`which include the target; make it smaller, or header_bytes larger`},

	// Backends.
	{"backends = []\n", `1:12: backends: is empty; name at least one backend`},
	{"[[backends]]\n", `1:3: backends[0]: says not where it is; add host and port, or socket`},
	{"[[backends]]\nport = 1\n", `1:3: backends[0]: has no host; add host = "127.0.0.1" or another`},
	{"[[backends]]\nhost = \"a\"\n", `1:3: backends[0]: has no port; add port = 80 or another`},
	{"[[backends]]\nsocket = \"/a\"\nport = 1\n", `1:3: backends[0]: has both a socket and a host or port; keep one of the two`},
	{"[[backends]]\nsocket = \"\"\n", `2:10: backends[0].socket: is empty; write the path of a unix socket`},
	{"[[backends]]\nsocket = \"" + strings.Repeat("a", 104) + "\"\n",
		`2:10: backends[0].socket: is 104 bytes long; use a path of at most 103 bytes`},
	{"[[backends]]\nhost = \"\"\nport = 1\n", `2:8: backends[0].host: is empty; write a name or an IP address`},
	{"[[backends]]\nhost = \"1.2.3.999\"\nport = 1\n",
		`2:8: backends[0].host: "1.2.3.999" is not an IP address; write four numbers from 0 to 255, or a name`},
	{"[[backends]]\nhost = \"a\"\nport = 0\n", `3:8: backends[0].port: 0 is out of range; use 1 to 65535`},
	{"[[backends]]\nhost = \"a\"\nport = 1\nweight = 0\n", `4:10: backends[0].weight: 0 is out of range; use 1 to 65535`},
	{"[[backends]]\nhost = \"a\"\nport = 1\n[[backends]]\nport = 1\nhost = \"A\"\n",
		`4:3: backends[1]: A:1 is there already, in line 1; remove one; weight gives a backend more requests`},
	{"backends = [\n  { host = \"::1\", port = 1 },\n  { host = \"0:0::1\", port = 1 },\n]\n",
		`3:3: backends[1]: [0:0::1]:1 is there already, in line 2; remove one; weight gives a backend more requests`},
	{"[[backends]]\nsocket = \"/a\"\n[[backends]]\nsocket = \"/a\"\n",
		`3:3: backends[1]: unix:/a is there already, in line 1; remove one; weight gives a backend more requests`},
}

// TestErrors has every refusal with its place. Each file is wrong in one point.
func TestErrors(t *testing.T) {
	for _, tc := range refusals {
		checkError(t, tc.src, tc.want)
	}
}

func TestErrorsComeTogetherAndInOrder(t *testing.T) {
	_, err := Parse("f", []byte("prot = 1\nmode = 3\n[limits]\nfields = 0\n[[backends]]\nport = 0\nx_y_z_q = 1\n"))
	var all Errors
	if !errors.As(err, &all) || len(all) != 5 {
		t.Fatalf("%v, want five errors", err)
	}
	for i, want := range []string{"1:1 prot", "2:8 mode", "4:10 limits.fields", "6:8 backends[0].port", "7:1 backends[0].x_y_z_q"} {
		if got := fmt.Sprintf("%d:%d %s", all[i].Line, all[i].Column, all[i].Key); got != want {
			t.Errorf("error %d is %q, want %q", i, got, want)
		}
	}
	var one *Error
	if !errors.As(err, &one) || one.File != "f" || one.Hint == "" {
		t.Errorf("errors.As gives %+v, want the first error", one)
	}
}

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	if c, err := Find("", Flags{}); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("without a file: %+v, %v; want the default", c, err)
	}
	if err := os.Symlink("nowhere", FileName); err != nil {
		t.Fatal(err)
	}
	if c, err := Find("", Flags{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with a link that leads nowhere: %+v, %v; want an error", c, err)
	}
	if err := os.Remove(FileName); err != nil {
		t.Fatal(err)
	}
	testkit.WriteFile(t, FileName, "port = 81\n"+oneBackend)
	if c, err := Find("", Flags{}); err != nil || c.Port != 81 || c.Source != FileName {
		t.Errorf("with ./lb.toml: %+v, %v; want what it says", c, err)
	}
	other := filepath.Join(t.TempDir(), "other.toml")
	testkit.WriteFile(t, other, "port = 82\n"+oneBackend)
	if c, err := Find(other, Flags{}); err != nil || c.Port != 82 || c.Source != other {
		t.Errorf("with another: %+v, %v; want what that says", c, err)
	}
	var path *fs.PathError
	if _, err := Find("missing.toml", Flags{}); !errors.As(err, &path) {
		t.Errorf("with one that is missing: %v, want an *fs.PathError", err)
	}
}

// Of many errors, ten are shown.
func TestErrorsAreBounded(t *testing.T) {
	var src strings.Builder
	for i := range 80 {
		fmt.Fprintf(&src, "qzjxv%d = 1\n", i)
	}
	_, err := Parse("f", []byte(src.String()))
	var all Errors
	if !errors.As(err, &all) || len(all) != 80 {
		t.Fatalf("%d errors, want 80", len(all))
	}
	if text := err.Error(); strings.Count(text, "\n") != 10 || !strings.HasSuffix(text, "\nand 70 more") {
		t.Errorf("80 errors are\n%s", text)
	}
}
