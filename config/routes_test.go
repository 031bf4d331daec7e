package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseRoutes(t *testing.T) {
	c, err := Parse("f", []byte(`
[[routes]]
host = "*.Example.com"
path = "/api"
methods = ["GET", "PURGE"]
headers = { X-Beta = "yes", accept = "" }
pool = "api"
strip_prefix = true
set_request_headers = { x-b = "2", Host = "inner", X-A = "1" }
set_response_headers = { Server = "caf\u00e9" }
[[routes]]
pool = "default"
[[routes]]
host = "::1"
path = "/old/"
redirect = { to = "/new{uri}", code = 301 }
set_response_headers.X-A = "1"
[[routes]]
host = "www.example.com"
redirect.to = "https://{host}{uri}"
[[backends]]
socket = "/d"
[[pools]]
name = "api"
backends = [{ socket = "/a" }]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Route{
		{Host: "*.example.com", Path: "/api", Methods: []string{"GET", "PURGE"}, Pool: 1, StripPrefix: true,
			Headers:            []Field{{Name: "accept", Value: ""}, {Name: "x-beta", Value: "yes"}},
			SetRequestHeaders:  []Field{{Name: "Host", Value: "inner"}, {Name: "X-A", Value: "1"}, {Name: "x-b", Value: "2"}},
			SetResponseHeaders: []Field{{Name: "Server", Value: "caf\u00e9"}}},
		{Path: "/", Pool: 0},
		{Host: "::1", Path: "/old/", Pool: -1, SetResponseHeaders: []Field{{Name: "X-A", Value: "1"}}, Redirect: Redirect{"/new{uri}", 301}},
		{Host: "www.example.com", Path: "/", Pool: -1, Redirect: Redirect{"https://{host}{uri}", 308}},
	}
	if !reflect.DeepEqual(c.Routes, want) {
		t.Errorf("routes\n%+v, want\n%+v", c.Routes, want)
	}
}

func TestRedirectAppend(t *testing.T) {
	for to, want := range map[string]string{
		"https://{host}{uri}":        "> https://a:80/b?c={d}",
		"/x":                         "> /x",
		"https://{host}/?from={uri}": "> https://a:80/?from=/b?c={d}",
		"{host}{host}":               "> a:80a:80",
	} {
		if got := string(Redirect{To: to}.Append([]byte("> "), "a:80", "/b?c={d}")); got != want {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
}

// toDefault makes a route lead to the pool "default".
const toDefault = "pool = \"default\"\n"

// routeRefusals are refusals of routes.
var routeRefusals = []struct{ src, want string }{
	{"routes = 1\n", `1:10: routes: must be a list of tables, not a number; write [[routes]], once for each route`},
	{"routes = []\n", `1:10: routes: is empty; name at least one route`},
	{"[[routes]]\npaht = \"/\"\n" + toDefault, `2:1: routes[0].paht: unknown key; did you mean "path"?`},
	{"[[routes]]\npool = 1\n", `2:8: routes[0].pool: must be text, not a number; write "1"`},

	// Where it leads.
	{"[[routes]]\n", `1:3: routes[0]: leads nowhere; add pool = "default" or another, or a redirect`},
	{"[[routes]]\nredirect.to = \"/\"\n" + toDefault, `1:3: routes[0]: has both a pool and a redirect; keep one of the two`},
	{"[[routes]]\nredirect.code = 301\n", `2:1: routes[0].redirect: says not where to; add to = "https://{host}{uri}" or another`},
	{"[[routes]]\npool = \"defualt\"\n", `2:8: routes[0].pool: there is no pool "defualt"; did you mean "default"?`},
	{"[[routes]]\npool = \"xyz\"\n[[backends]]\nsocket = \"/b\"\n[[pools]]\nname = \"api\"\nbackends = [{ socket = \"/a\" }]\n",
		`2:8: routes[0].pool: there is no pool "xyz"; there are: default, api`},
	{"[[routes]]\nredirect = { to = \"/\", code = 200 }\n",
		`2:31: routes[0].redirect.code: 200 is no code of a redirect; use 301, 302, 303, 307 or 308`},
	{"[[routes]]\nredirect.to = \"ftp://a/\"\n",
		`2:15: routes[0].redirect.to: "ftp://a/" is no place to redirect to; write a URL or a path, such as "https://{host}{uri}"`},
	{"[[routes]]\nredirect.to = \"//a/\"\n",
		`2:15: routes[0].redirect.to: "//a/" is no place to redirect to; write a URL or a path, such as "https://{host}{uri}"`},
	{"[[routes]]\nredirect.to = \"https://{hots}/\"\n",
		`2:15: routes[0].redirect.to: has a brace that is not of {host} or {uri}; write a URL or a path, such as "https://{host}{uri}"`},
	{"[[routes]]\nredirect.to = \"/a\\r\\nb\"\n",
		`2:15: routes[0].redirect.to: "/a\r\nb" is no place to redirect to; write a URL or a path, such as "https://{host}{uri}"`},
	{"[[routes]]\nredirect.to = \"/\"\nstrip_prefix = true\n",
		`3:1: routes[0].strip_prefix: means nothing here: a redirect reaches no backend; remove it, or the redirect`},
	{"[[routes]]\nredirect.to = \"/\"\nset_request_headers.A = \"\"\n",
		`3:1: routes[0].set_request_headers: means nothing here: a redirect reaches no backend; remove it, or the redirect`},
	{"[[routes]]\npath = \"//a/%7eb\"\n" + toDefault,
		`2:8: routes[0].path: "//a/%7eb" is another spelling of "/a/~b"; write "/a/~b", or add paths = "raw"`},
	{"[[routes]]\npaths = \"rwa\"\n" + toDefault, `2:9: routes[0].paths: there is no way to read paths "rwa"; use "reject", "normalize", "raw"`},
	{"[[routes]]\nstrip_prefix = true\n" + toDefault,
		`2:16: routes[0].strip_prefix: has no path to take off; add path = "/api" or another`},

	// What it takes.
	{"[[routes]]\nhost = \"*\"\n" + toDefault, `2:8: routes[0].host: "*" is no host; leave it out for every host`},
	{"[[routes]]\nhost = \"a.*.b\"\n" + toDefault,
		`2:8: routes[0].host: "a.*.b" has its star in the wrong place; write a name, or "*.example.com" for all names below one`},
	{"[[routes]]\nhost = \"a.b.\"\n" + toDefault, `2:8: routes[0].host: ends in a dot; write "a.b"`},
	{"[[routes]]\nhost = \"a..b\"\n" + toDefault, `2:8: routes[0].host: "a..b" has an empty part; write a name`},
	{"[[routes]]\nhost = \"a:80\"\n" + toDefault, `2:8: routes[0].host: has a port in it; write host = "a"; a route takes every scheme and port`},
	{"[[routes]]\npath = \"api\"\n" + toDefault, `2:8: routes[0].path: "api" does not begin with a slash; write "/api"`},
	{"[[routes]]\npath = \"/a b\"\n" + toDefault, `2:8: routes[0].path: " " cannot stand in a path; write it as in a URL, with %20 for a space`},
	{"[[routes]]\npath = \"/a?b\"\n" + toDefault, `2:8: routes[0].path: has a "?" in it; write the beginning of a path, without a query`},
	{"[[routes]]\npath = \"/a/*\"\n" + toDefault, `2:8: routes[0].path: has a "*" in it; write the beginning of a path, without a query`},
	{"[[routes]]\npath = \"/a/../b\"\n" + toDefault, `2:8: routes[0].path: "/a/../b" has a part ".."; write it without`},
	{"[[routes]]\nmethods = []\n" + toDefault, `2:11: routes[0].methods: is empty; name at least one method, or leave it out for all`},
	{"[[routes]]\nmethods = [\"get\"]\n" + toDefault, `2:12: routes[0].methods[0]: there is no method "get"; write "GET"`},
	{"[[routes]]\nmethods = [\"G T\"]\n" + toDefault, `2:12: routes[0].methods[0]: " " cannot stand in a name; use letters, digits and hyphens`},
	{"[[routes]]\nmethods = [\"GET\", \"GET\"]\n" + toDefault, `2:19: routes[0].methods[1]: "GET" is there already; remove one`},

	// Fields.
	{"[[routes]]\nheaders = 1\n" + toDefault, `2:11: routes[0].headers: must be a table, not a number; write { "X-Name" = "value" }`},
	{"[[routes]]\nheaders.Host = \"a\"\n" + toDefault, `2:9: routes[0].headers.Host: is not for headers; use the key host`},
	{"[[routes]]\nheaders.X = 1\n" + toDefault, `2:13: routes[0].headers.X: must be text, not a number; write "1"`},
	{"[[routes]]\nheaders = { X-A = \"1\", x-a = \"1\" }\n" + toDefault,
		`2:24: routes[0].headers.x-a: is the same field as X-A; keep one of the two`},
	{"[[routes]]\nset_request_headers.\"X A\" = \"1\"\n" + toDefault,
		`2:21: routes[0].set_request_headers."X A": " " cannot stand in a name; use letters, digits and hyphens`},
	{"[[routes]]\nset_request_headers.\"\" = \"1\"\n" + toDefault,
		`2:21: routes[0].set_request_headers."": has an empty name; write a name`},
	{"[[routes]]\nset_request_headers.X = \"a\\r\\nY: b\"\n" + toDefault,
		`2:25: routes[0].set_request_headers.X: "\r" cannot stand in a field; remove it`},
	{"[[routes]]\nset_request_headers.X = \" a\"\n" + toDefault,
		`2:25: routes[0].set_request_headers.X: begins or ends with a blank; remove it`},
	{"[[routes]]\nset_request_headers.via = \"a\"\n" + toDefault,
		`2:21: routes[0].set_request_headers.via: is written by lb; use the key via`},
	{"[[routes]]\nset_request_headers.Max-Forwards = \"1\"\n" + toDefault,
		`2:21: routes[0].set_request_headers.Max-Forwards: is what the client asks of everyone on the way; remove it`},
	{"[[routes]]\nset_request_headers.X-Client-Cert-SAN = \"a\"\n" + toDefault,
		`2:21: routes[0].set_request_headers.X-Client-Cert-SAN: is written by lb; remove it; tls.client_auth says when`},
	{"[[routes]]\nset_request_headers.X-Forwarded-For = \"a\"\n" + toDefault,
		`2:21: routes[0].set_request_headers.X-Forwarded-For: is written by lb; remove it; trusted_proxies says whose is kept`},
	{"[[routes]]\nset_response_headers.host = \"a\"\n" + toDefault,
		`2:22: routes[0].set_response_headers.host: is a field of requests; write it in set_request_headers`},

	// Routes that no request can reach.
	{"[[routes]]\n" + toDefault + "[[routes]]\n" + toDefault, `3:3: routes[1]: takes the same requests as the route in line 1; remove one`},
	{"[[routes]]\nhost = \"A\"\npath = \"/x\"\n" + toDefault + "[[routes]]\nhost = \"a\"\npath = \"/x\"\nredirect.to = \"/\"\n",
		`5:3: routes[1]: takes the same requests as the route in line 1; remove one`},
	{"[[routes]]\n" + toDefault + "[[routes]]\nmethods = [\"GET\"]\n" + toDefault,
		`3:3: routes[1]: is never reached: the route in line 1 takes all of its requests; write this one first`},
	{"[[routes]]\nmethods = [\"GET\", \"HEAD\"]\n" + toDefault + "[[routes]]\nmethods = [\"HEAD\", \"GET\"]\n" + toDefault,
		`4:3: routes[1]: takes the same requests as the route in line 1; remove one`},
	{"[[routes]]\nheaders.A = \"1\"\n" + toDefault + "[[routes]]\nheaders = { b = \"1\", a = \"1\" }\n" + toDefault,
		`4:3: routes[1]: is never reached: the route in line 1 takes all of its requests; write this one first`},
}

func TestRouteErrors(t *testing.T) {
	for _, tc := range routeRefusals {
		checkError(t, tc.src, tc.want)
	}
	for _, name := range []string{"Connection", "keep-alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"} {
		for _, table := range []string{"set_request_headers", "set_response_headers"} {
			checkError(t, "[[routes]]\n"+table+"."+name+" = \"x\"\n"+toDefault, fmt.Sprintf(
				"2:%d: routes[0].%s.%s: belongs to one connection; remove it; lb writes it where it is needed", len(table)+2, table, name))
			checkError(t, "[[routes]]\n"+table+".Content-Length = \"1\"\n"+toDefault, fmt.Sprintf(
				"2:%d: routes[0].%s.Content-Length: says how long a body is; remove it; lb writes it itself", len(table)+2, table))
		}
	}
}

// Routes of one host and path that differ in what they take are no mistake.
func TestRoutesBesideEachOther(t *testing.T) {
	for _, routes := range [][]string{
		{`methods = ["GET"]`, `methods = ["POST"]`, ``},
		{`methods = ["GET"]`, `methods = ["GET", "POST"]`},
		{`headers.a = "1"`, `headers.a = "2"`, `headers.b = "1"`},
		{`headers = { a = "1", b = "1" }`, `headers.a = "1"`, ``},
		{`headers.a = "1"`, `methods = ["GET"]`},
		{`path = "/a"`, `path = "/a/"`, `path = "/b"`, ``},
		{``, `host = "a"`, `host = "*.a"`},
	} {
		src := "[[routes]]\npool = \"default\"\n" + strings.Join(routes, "\n[[routes]]\npool = \"default\"\n") + "\n" + oneBackend
		if c, err := Parse("f", []byte(src)); err != nil || len(c.Routes) != len(routes) {
			t.Errorf("%q: %v, want %d routes", src, err, len(routes))
		}
	}
}
