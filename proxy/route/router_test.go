package route

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lb/config"
)

// request is a request's method and fields, as "GET name=value name=value".
type request string

func (r request) SchemeIs(scheme string) bool { return r.HeaderIs(":scheme", scheme) }

func (r request) MethodIs(name string) bool {
	method, _, _ := strings.Cut(string(r), " ")
	return method == name
}

func (r request) HeaderIs(name, value string) bool {
	return strings.Contains(string(r)+" ", " "+name+"="+value+" ")
}

func route(host, path string) config.Route { return config.Route{Host: host, Path: path} }

func TestRouterHost(t *testing.T) {
	router := NewRouter([]config.Route{
		0: route("a.example.com", "/"),
		1: route("*.example.com", "/"),
		2: route("*.b.example.com", "/"),
		3: route("example.com", "/"),
		4: route("::1", "/"),
		5: route("10.0.0.1", "/"),
		6: route("*.a.example.com", "/"),
	}, config.PathsReject)
	for host, want := range map[string]int{
		"a.example.com":       0,
		"A.Example.COM":       0,
		"a.example.com:8080":  0,
		"a.example.com.":      0,
		"a.example.com.:80":   0,
		"x.example.com":       1,
		"x.y.example.com":     1,
		"b.example.com":       1,
		"x.b.example.com":     2,
		"x.y.B.example.com:1": 2,
		"x.a.example.com":     6,
		"example.com":         3,
		"[::1]":               4,
		"[::1]:8080":          4,
		"10.0.0.1:80":         5,
		"aexample.com":        -1,
		".example.com":        -1,
		"example.com.evil":    -1,
		"com":                 -1,
		"":                    -1,
		".":                   -1,
		"[":                   -1,
		":80":                 -1,
	} {
		if got := router.match([]byte(host), []byte("/x"), request("GET")); got != want {
			t.Errorf("host %q: route %d, want %d", host, got, want)
		}
	}
}

func TestRouterPath(t *testing.T) {
	router := NewRouter([]config.Route{
		0: route("", "/api"),
		1: route("", "/api/v2"),
		2: route("", "/img/"),
		3: route("", "/a/b/c"),
		4: route("h", "/"),
		5: route("h", "/api"),
	}, config.PathsReject)
	for _, tc := range []struct {
		host, path string
		want       int
	}{
		{"", "/api", 0},
		{"", "/api/", 0},
		{"", "/api?x=/api/v2", 0},
		{"", "/api/x", 0},
		{"", "/apix", -1},
		{"", "/ap", -1},
		{"", "/API", -1},
		{"", "/%61pi", -1},
		{"", "/x/api", -1},
		{"", "//api", -1},
		{"", "/api/v2", 1},
		{"", "/api/v2/x/y", 1},
		{"", "/api/v2?", 1},
		{"", "/api/v22", 0},
		{"", "/api/v", 0},
		{"", "/img", -1},
		{"", "/img/", 2},
		{"", "/img/?q", 2},
		{"", "/img/x", 2},
		{"", "/img?/", -1},
		{"", "/a/b", -1},
		{"", "/a/b/c", 3},
		{"", "/", -1},
		{"", "", -1},
		{"", "*", -1},
		{"h", "/api/v2", 5}, // the host counts before the path
		{"h", "/", 4},
		{"h", "*", 4},
		{"h", "", 4},
		{"h", "/img/x", 4},
		{"other", "/img/x", 2},
	} {
		if got := router.match([]byte(tc.host), []byte(tc.path), request("GET")); got != tc.want {
			t.Errorf("host %q, path %q: route %d, want %d", tc.host, tc.path, got, tc.want)
		}
	}
}

// TestRouterConditions: of routes with the same host and path the first that
// matches wins. If none matches, a shorter path is next, then a less exact host.
func TestRouterConditions(t *testing.T) {
	with := func(r config.Route, methods string, headers ...config.Field) config.Route {
		if methods != "" {
			r.Methods = strings.Fields(methods)
		}
		r.Headers = headers
		return r
	}
	router := NewRouter([]config.Route{
		0: with(route("a.x", "/api/v2"), "POST PUT"),
		1: with(route("a.x", "/api"), "", config.Field{Name: "v", Value: "1"}, config.Field{Name: "w", Value: "2"}),
		2: with(route("a.x", "/api"), "", config.Field{Name: "v", Value: "1"}),
		3: with(route("a.x", "/api"), "GET POST"),
		4: with(route("*.x", "/"), "DELETE"),
		5: with(route("", "/api"), "DELETE HEAD"),
		6: with(route("", "/"), "HEAD"),
	}, config.PathsReject)
	for _, tc := range []struct {
		path, request string
		want          int
	}{
		{"/api/v2", "PUT", 0},
		{"/api/v2", "PUT v=1 w=2", 0},
		{"/api/v2", "GET", 3},
		{"/api/v2", "GET v=1", 2},
		{"/api", "POST w=2 v=1", 1},
		{"/api", "POST v=11", 3},
		{"/api", "DELETE", 4},
		{"/api", "HEAD", 5},
		{"/", "HEAD", 6},
		{"/", "GET v=1", -1},
	} {
		if got := router.match([]byte("a.x"), []byte(tc.path), request(tc.request)); got != tc.want {
			t.Errorf("%s of %s: route %d, want %d", tc.request, tc.path, got, tc.want)
		}
	}
}

// TestRouterScheme: a route of another scheme gives way to the next best.
func TestRouterScheme(t *testing.T) {
	router := NewRouter([]config.Route{
		0: {Path: "/a/b", Scheme: "https"},
		1: {Path: "/a", Scheme: "http"},
		2: {Path: "/a", Scheme: "https", Methods: []string{"GET"}},
		3: {Path: "/a"},
	}, config.PathsReject)
	for _, tc := range []struct {
		path string
		r    request
		want int
	}{
		{"/a/b", "GET :scheme=https", 0}, {"/a/b", "GET :scheme=http", 1},
		{"/a", "GET :scheme=https", 2}, {"/a", "PUT :scheme=https", 3}, {"/a", "PUT :scheme=http", 1},
		{"/b", "GET :scheme=https", None},
	} {
		if got, _ := router.Choose(nil, []byte(tc.path), tc.r, nil); got != tc.want {
			t.Errorf("%s %s: route %d, want %d", tc.r, tc.path, got, tc.want)
		}
	}
}

func TestRouterEmpty(t *testing.T) {
	if got := NewRouter(nil, config.PathsReject).match([]byte("a.example"), []byte("/"), request("GET")); got != -1 {
		t.Errorf("route %d of none", got)
	}
}

// slowMatch implements the rule directly from the doc comment of Router.
func slowMatch(routes []config.Route, host, path string, r Request) int {
	best, bestHost, bestPath := -1, -1, -1
	for i, route := range routes {
		hostRank := 0
		switch suffix, wild := strings.CutPrefix(route.Host, "*"); {
		case wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix):
			hostRank = len(suffix)
		case route.Host == host && host != "":
			hostRank = 1000
		case route.Host != "":
			continue
		}
		prefix := strings.TrimSuffix(route.Path, "/")
		if !strings.HasPrefix(path, route.Path) && path != prefix ||
			path != prefix && !strings.HasPrefix(path, prefix+"/") ||
			path == prefix && strings.HasSuffix(route.Path, "/") && route.Path != "/" {
			continue
		}
		if !(&rule{methods: route.Methods, headers: route.Headers}).takes(r) {
			continue
		}
		if hostRank > bestHost || hostRank == bestHost && len(route.Path) > bestPath {
			best, bestHost, bestPath = i, hostRank, len(route.Path)
		}
	}
	return best
}

// TestRouterModel compares match with a pass over all routes. Names and paths use
// few letters, so that nearly everything is a prefix of something.
func TestRouterModel(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 8))
		pick := func(list ...string) string { return list[rng.IntN(len(list))] }
		name := func() string {
			return strings.TrimSuffix(pick("a.", "b.", "ab.", "")+pick("a.", "b.", "")+pick("a.", "b.")+pick("a", "b"), ".")
		}
		path := func() string {
			return "/" + strings.Join([]string{pick("a", "b", "ab"), pick("a", "b", ""), pick("", "a")}[:rng.IntN(4)], "/")
		}
		var routes []config.Route
		for range rng.IntN(60) {
			r := route(pick("", "*.", "")+name(), path())
			if rng.IntN(4) == 0 {
				r.Host = ""
			}
			if rng.IntN(3) == 0 {
				r.Methods = []string{pick("GET", "POST")}
			}
			routes = append(routes, r)
		}
		router := NewRouter(routes, config.PathsReject)
		for range 400 {
			host, path, req := name(), path(), request(pick("GET", "POST"))
			got, want := router.match([]byte(host), []byte(path), req), slowMatch(routes, host, path, req)
			if got != want {
				t.Fatalf("seed %d: %s %s%s: route %d, want %d of %+v", seed, req, host, path, got, want, routes)
			}
		}
	}
}

// FuzzRouter: for anything a client may send, Choose returns an existing route or -1.
func FuzzRouter(f *testing.F) {
	routes := []config.Route{
		route("a.example.com", "/api"), route("*.example.com", "/"), route("", "/img/"), route("a.example.com", "/api/v2"),
	}
	router := NewRouter(routes, config.PathsReject)
	f.Add("a.example.com:80", "/api/v2?x")
	f.Add("[::1", "*")
	f.Add(".example.com.", "//")
	f.Add("a.example.com", "/x/%2e%2E/..;a/%2fapi\\x?")
	f.Fuzz(func(t *testing.T, host, path string) {
		got, ok := router.Choose([]byte(host), []byte(path), request("GET"), nil)
		if got < None || got >= len(routes) || !ok && got != None {
			t.Errorf("route %d, %v", got, ok)
		}
	})
}

// manyRoutes returns n routes, most for hosts of their own and some for paths of
// one host, and matching requests.
func manyRoutes(n int) (routes []config.Route, hosts, paths [][]byte) {
	for i := range n {
		r := route(fmt.Sprintf("tenant-%d.example.com", i), "/api/v1")
		switch i % 4 {
		case 1:
			r.Host = fmt.Sprintf("*.tenant-%d.example.com", i)
		case 2:
			r.Host, r.Path = "www.example.com", fmt.Sprintf("/app/service-%d", i)
		}
		routes = append(routes, r)
		hosts = append(hosts, []byte(strings.Replace(r.Host, "*", "x", 1)))
		paths = append(paths, []byte(r.Path+"/users/42?full=1"))
	}
	return routes, hosts, paths
}

func TestRouterNoAlloc(t *testing.T) {
	routes, hosts, paths := manyRoutes(100)
	router := NewRouter(routes, config.PathsReject)
	req := Request(request("GET"))
	allocs := testing.AllocsPerRun(10, func() {
		for i := range hosts {
			if got := router.match(hosts[i], paths[i], req); got != i {
				t.Fatalf("%s%s: route %d, want %d", hosts[i], paths[i], got, i)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d requests", allocs, len(hosts))
	}
}

func BenchmarkRouter(b *testing.B) {
	for _, n := range []int{10, 100, 10_000} {
		routes, hosts, paths := manyRoutes(n)
		router := NewRouter(routes, config.PathsReject)
		req := Request(request("GET"))
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				router.match(hosts[i], paths[i], req)
				if i += 7; i >= n {
					i -= n
				}
			}
		})
		b.Run(fmt.Sprintf("routes=%d/none", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				router.match([]byte("other.example.org"), paths[0], req)
			}
		})
	}
}
