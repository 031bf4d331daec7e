package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config/access"
	"lb/config/match"
	"lb/config/schema"
	"lb/config/tomlfile"
)

// parsed returns the configuration in src, which need not have backends.
func parsed(t *testing.T, src string) *Config {
	t.Helper()
	c, err := parse("/f", []byte(src), true)
	if err != nil {
		t.Fatalf("%v in\n%s", err, src)
	}
	return c
}

func lines(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}

const diffBase = `
[[backends]]
host = "10.0.0.1"
port = 80
[[backends]]
host = "::1"
port = 80
[health]
path = "/h"
[[pools]]
name = "api"
[[pools.backends]]
host = "10.0.1.1"
port = 80
[[pools]]
name = "www"
[[pools.backends]]
socket = "/run/www"
[[routes]]
path = "/api"
pool = "api"
set_request_headers = { Authorization = "hidden", X-A = "1" }
[[routes]]
path = "/www"
methods = ["GET", "HEAD"]
headers = { X-Beta = "yes" }
pool = "www"
[[routes]]
path = "/www"
pool = "www"
[[routes]]
host = "old.example.com"
redirect = { to = "/new" }
`

// differences are pairs of files, and what Diff says of each.
var differences = []struct{ name, old, new, want string }{
	{"nothing", "", "", ""},
	{"another spelling of the default", "", "port = 8080\ntimeouts.client_idle = \"1m15s\"\n", ""},

	{"settings", "", `
port = 80
mode = "mt"
via = "x"
trusted_proxies = ["10.0.0.0/8", "::1"]
watch = false
abort_on_close = false
strategy = "hash"
sticky = "c"
reuse = "always"
slow_start = "1m30s"
[hash]
key = "header:x-user"
[eject]
time = "1m"
on_status = [503]
[retry]
on = ["connect", "502"]
budget = 0.5
[admin]
socket = "off"
[timeouts]
connect = "5s"
drain = "2h"
tunnel_half_closed = "1m"
[limits]
header_bytes = "128KiB"
body_bytes = 1000
`, `port: 8080 -> 80
mode: mp -> mt
via: "" -> x
trusted_proxies: [] -> [10.0.0.0/8, ::1/128]
watch: true -> false
abort_on_close: true -> false
strategy: round_robin -> hash
hash.key: client_ip -> header:x-user
sticky: "" -> c
reuse: safe -> always
slow_start: 0s -> 1m30s
eject.time: 10s -> 1m
eject.on_status: [] -> [503]
retry.on: [connect, stale, timeout] -> [connect, 502]
retry.budget: 0.2 -> 0.5
admin.socket: "" -> off
timeouts.connect: 3s -> 5s
timeouts.tunnel_half_closed: 30s -> 1m
timeouts.drain: 30s -> 2h
limits.header_bytes: 64KiB -> 128KiB
limits.body_bytes: 0 -> 1000
`},

	{"a secret", "", "sticky_key = \"0123456789abcdef\"\n", "sticky_key: none -> set\n"},
	{"another secret", "sticky_key = \"0123456789abcdef\"\n", "sticky_key = \"fedcba9876543210\"\n", "sticky_key: set -> another\n"},
	{"a secret in a URL", "[tracing]\nendpoint = \"http://a/?api_key=hidden\"\n", "[tracing]\nendpoint = \"http://a/?api_key=hidden2\"\n", "tracing.endpoint: http://a/?api_key=*** -> another\n"},
	{"another URL", "[tracing]\nendpoint = \"http://a/?api_key=hidden\"\n", "[tracing]\nendpoint = \"http://b/\"\n", "tracing.endpoint: http://a/?api_key=*** -> http://b/\n"},
	{"a redirect with a secret", "", "[[routes]]\npath = \"/s\"\nredirect = { to = \"https://a.test/?token=hidden\" }\n", "route /s added (redirect 308 to https://a.test/?token=***)\n"},
	{"no secret", "sticky_key = \"0123456789abcdef\"\n", "", "sticky_key: set -> none\n"},

	{"other backends", "[[backends]]\nhost = \"127.0.0.1\"\nport = 9001\n[[backends]]\nhost = \"127.0.0.1\"\nport = 9002\n", "[[backends]]\nhost = \"127.0.0.1\"\nport = 9002\nweight = 3\ndrain = true\n" +
		"[[backends]]\nhost = \"a\"\nport = 1\nweight = 2\nbackup = true\n[[backends]]\nsocket = \"/s\"\n",
		`backend 127.0.0.1:9002: weight 1 -> 3
backend 127.0.0.1:9002: drain false -> true
backend a:1 added (weight 2, backup true)
backend unix:/s added
backend 127.0.0.1:9001 removed
`},
	{"the order of backends", "backends = [{ socket = \"/a\" }, { socket = \"/b\" }]\n", "backends = [{ socket = \"/b\" }, { socket = \"/a\" }]\n", ""},
	{"the spelling of a backend", "backends = [{ host = \"::1\", port = 1 }]\n", "backends = [{ host = \"0::1\", port = 1, max_connections = 5 }]\n",
		"backend [0::1]:1: host ::1 -> 0::1\nbackend [0::1]:1: max_connections 0 -> 5\n"},

	{"nothing of much", diffBase, diffBase, ""},
	{"a pool", diffBase, strings.Replace(diffBase, `host = "10.0.1.1"`, `host = "10.0.1.2"`, 1),
		"pool api: backend 10.0.1.2:80 added\npool api: backend 10.0.1.1:80 removed\n"},
	{"a pool's settings", diffBase, strings.Replace(diffBase, `name = "www"`, "name = \"www\"\nstrategy = \"p2c\"\nhealth = { type = \"tcp\" }", 1),
		"pool www: strategy: round_robin -> p2c\npool www: health: off -> tcp every 5s\n"},
	{"checks", diffBase, strings.Replace(diffBase, `path = "/h"`, "expect = \"200-299, 404\"\ninterval = \"10s\"", 1),
		"health.path: /h -> /\nhealth.interval: 5s -> 10s\nhealth.expect: 200-399 -> 200-299,404\n"},
	{"no checks", diffBase, strings.Replace(diffBase, "[health]\npath = \"/h\"", "", 1), "health: GET /h every 5s -> off\n"},
	{"another name for a pool", diffBase, strings.ReplaceAll(diffBase, `"www"`, `"web"`),
		`pool web added (round_robin)
pool web: backend unix:/run/www added
pool www: backend unix:/run/www removed
pool www removed
route /www GET,HEAD x-beta=yes: pool www -> web
route /www: pool www -> web
`},

	{"a route", diffBase, strings.Replace(diffBase, `path = "/api"`, "path = \"/v2\"\nhost = \"*.example.com\"", 1),
		"route *.example.com/v2 added (pool api)\nroute /api removed\n"},
	{"a route for a credential", diffBase, diffBase + "[[routes]]\npath = \"/s\"\npool = \"api\"\nheaders = { X-Api-Token = \"hidden\", X-B = \"1\" }\n",
		"route /s x-api-token=*** x-b=1 added (pool api)\n"},
	{"what a route does", diffBase, strings.Replace(diffBase, `pool = "api"
set_request_headers = { Authorization = "hidden", X-A = "1" }`, `pool = "default"
strip_prefix = true
set_request_headers = { Authorization = "secret", X-B = "1" }
set_response_headers = { X-C = "3" }`, 1),
		`route /api: pool api -> default
route /api: strip_prefix false -> true
route /api: set_request_headers: Authorization changed, X-B added, X-A removed
route /api: set_response_headers: X-C added
`},
	{"a redirect", diffBase, strings.Replace(diffBase, `{ to = "/new" }`, `{ to = "/newer", code = 301 }`, 1),
		"route old.example.com/: redirect.to /new -> /newer\nroute old.example.com/: redirect.code 308 -> 301\n"},
	{"a redirect no more", diffBase, strings.Replace(diffBase, `redirect = { to = "/new" }`, `pool = "www"`, 1),
		"route old.example.com/: leads to redirect 308 to /new -> pool www\n"},
	{"conditions", diffBase, strings.Replace(diffBase, `["GET", "HEAD"]`, `["HEAD"]`, 1),
		"route /www HEAD x-beta=yes added (pool www)\nroute /www GET,HEAD x-beta=yes removed\n"},
	{"the spelling of conditions", diffBase, strings.Replace(diffBase, `["GET", "HEAD"]`, `["HEAD", "GET"]`, 1), ""},
	{"the order of routes that both match",
		"[[routes]]\nmethods = [\"GET\"]\npool = \"default\"\n[[routes]]\nheaders = { a = \"b\" }\npool = \"default\"\n",
		"[[routes]]\nheaders = { a = \"b\" }\npool = \"default\"\n[[routes]]\nmethods = [\"GET\"]\npool = \"default\"\n",
		"route /: now / a=b comes before / GET\n"},
	{"the order of routes of two paths",
		"[[routes]]\npath = \"/a\"\npool = \"default\"\n[[routes]]\npath = \"/b\"\npool = \"default\"\n",
		"[[routes]]\npath = \"/b\"\npool = \"default\"\n[[routes]]\npath = \"/a\"\npool = \"default\"\n", ""},
}

func TestDiff(t *testing.T) {
	for _, tc := range differences {
		if got := lines(Diff(parsed(t, tc.old), parsed(t, tc.new))); got != tc.want {
			t.Errorf("%s:\n%swant\n%s", tc.name, got, tc.want)
		}
	}
}

// TestDiffTells checks the fields of a Change beside its line.
func TestDiffTells(t *testing.T) {
	changes := Diff(parsed(t, diffBase), parsed(t, strings.NewReplacer("10.0.1.1", "10.0.1.2", `name = "www"`, "name = \"www\"\nstrategy = \"p2c\"",
		`path = "/api"`, `path = "/v2"`, "[[routes]]\nhost", "[retry]\nattempts = 1\n[[routes]]\nhost").Replace(diffBase)))
	for i := range changes {
		changes[i].Text = ""
	}
	want := []Change{
		{Kind: schema.Added, What: schema.OfBackend, Pool: "api", Name: "10.0.1.2:80"},
		{Kind: schema.Removed, What: schema.OfBackend, Pool: "api", Name: "10.0.1.1:80"},
		{Kind: schema.Changed, What: schema.OfSetting, Pool: "www", Name: "strategy"},
		{Kind: schema.Added, What: schema.OfRoute, Name: "/v2"},
		{Kind: schema.Removed, What: schema.OfRoute, Name: "/api"},
		{Kind: schema.Changed, What: schema.OfSetting, Name: "retry.attempts"},
	}
	if !slices.Equal(changes, want) {
		t.Errorf("got\n%+v, want\n%+v", changes, want)
	}
}

// TestDiffForgetsNothing changes every field of a configuration in which every
// list has an element, one at a time: each is a difference, in both directions,
// but for the name of the file, and that of the pool that has always the same.
func TestDiffForgetsNothing(t *testing.T) {
	old, changed := full(t), full(t)
	if got := lines(Diff(old, changed)); got != "" {
		t.Fatalf("two that are the same differ:\n%s", got)
	}
	leaves := 0
	eachLeaf(reflect.ValueOf(changed).Elem(), "Config", func(path string, v reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		if !change(t, path, v) {
			return
		}
		leaves++
		for _, got := range [][]Change{Diff(old, changed), Diff(changed, old)} {
			if want := path != "Config.Source" && path != "Config.Pools[0].Name" && !isFound(path); len(got) > 0 != want {
				t.Errorf("%s: the changes are %q", path, lines(got))
			}
		}
		v.Set(before)
	})
	if leaves < 90 {
		t.Errorf("only %d fields were changed", leaves)
	}
}

// isFound reports whether the field at path is no key, but found out by lb.
func isFound(path string) bool {
	return strings.Contains(path, ".Backends[") && strings.HasSuffix(path, "].Name")
}

// full returns a configuration in which no list is empty.
func full(t *testing.T) *Config {
	c := parsed(t, diffBase+`
[[routes]]
path = "/all"
methods = ["GET"]
headers = { a = "b" }
pool = "api"
set_request_headers = { a = "b" }
set_response_headers = { a = "b" }
`)
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	c.TrustedProxies = slices.Clone(networks)
	for i := range c.Routes {
		c.Routes[i].Allow, c.Routes[i].Deny = slices.Clone(networks), slices.Clone(networks)
	}
	c.RateLimits = []access.RateLimit{{Name: "api", Key: access.KeyHeader, KeyName: "x-key", Rate: access.Rate{Count: 5, Per: time.Second}, Burst: 7,
		Match: match.Conditions{Path: "/", Methods: []string{"GET"}, Headers: []Field{{Name: "a", Value: "b"}}}}}
	c.Pools = append(c.Pools, NewPool("no route leads here"))
	for i := range c.Pools {
		c.Pools[i].Health = NewHealth()
		c.Pools[i].Eject.OnStatus = []int{502}
	}
	c.Listeners = []Listener{{Address: ":80", RedirectHTTPS: true}, {Address: ":443", TLS: true, Allow: slices.Clone(networks), Deny: slices.Clone(networks)}}
	c.TLS.Certs = []Cert{{"a.pem", "a.key"}, {"b.pem", ""}}
	c.TLS.ACME.Names = []string{"example.com"}
	return c
}

// eachLeaf calls f with every field below v that is no struct of ours and no
// list of them. Two elements of a list are as good as all.
func eachLeaf(v reflect.Value, path string, f func(path string, v reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[netip.Prefix]():
		f(path, v)
	case v.Type() == reflect.TypeFor[Flags](), v.Kind() == reflect.Pointer: // where values come from
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			eachLeaf(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachLeaf(v.Index(i), tomlfile.Element(path, i), f)
		}
		f(path, v)
	default:
		f(path, v)
	}
}

// change gives v another value, and a list one element less. It returns false for an
// empty list.
func change(t *testing.T, path string, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		if v.SetString(v.String() + "x"); strings.HasSuffix(path, ".Health.Type") {
			v.SetString(CheckTCP)
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(max(v.Int()^1, 0)) // -1 for no pool becomes a pool
	case reflect.Float64:
		v.SetFloat(v.Float() + 0.5)
	case reflect.Slice:
		if v.Len() == 0 {
			return false
		}
		v.SetLen(v.Len() - 1)
	case reflect.Struct:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
	default:
		t.Fatalf("%s: no way to change a %s", path, v.Kind())
	}
	return true
}
