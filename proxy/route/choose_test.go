package route

import (
	"testing"

	"lb/config"
)

// walkArounds are paths that some server reads as one below /admin.
var walkArounds = []string{
	"//admin/x", "///admin", "/./admin/x", "/.//admin", "/x/../admin/x", "/x/y/../../admin", "/../admin/x", "/x/..//admin",
	"/%61dmin/x", "/%61%64%6d%69%6e", "/%61%64%6D%69%6E/", "/adm%69n?q", "/admin%2fx", "/admin%2Fx", "/%2fadmin/x", "/%2e/admin", "/x/%2e%2e/admin/x",
	"/x/.%2e/admin", "/x%2f..%2fadmin", "/x/..%2fadmin/x", "/admin;x/y", "/admin;/x", "/;/admin/x", "/;a=b/admin", "/x/..;/admin/x", "/x/..;a=b/admin",
	"/.;/admin", "/\\admin/x", "\\admin", "/admin\\x", "/x\\..\\admin\\x", "/admin%5cx", "/%5Cadmin", "/x/..%5cadmin", "/%2561dmin/x", "/%25%32%66admin", "/admin%252fx",
	"/x/%252e%252e/admin", "/admin%00", "/admin%00.html", "/admin%3fx", "/admin%23x", "/admin;%2f..%2fx/y", "/%25%36%31dmin",
	"/%61dmin//..", "/%61dmin//../x", "/%61dmin//%2e%2e/x", "/%61dmin%5c%5c../x", // where slashes are not merged
}

// TestWalkArounds: no spelling of a path reaches the pool of another route.
func TestWalkArounds(t *testing.T) {
	reject := NewRouter([]config.Route{route("", "/admin")}, config.PathsReject)
	for _, path := range walkArounds {
		if path[0] != '/' {
			continue // the parser takes no such target
		}
		if got, ok := reject.Choose(nil, []byte(path), request("GET"), nil); ok && got == None {
			t.Errorf("%s went around the route", path)
		}
	}
	for _, path := range []string{"/admin/../x", "/admin/%2e%2e/x", "/admin/..%2fx", "/admin/..;/x", "/admin/x/../../y"} {
		if got, ok := reject.Choose(nil, []byte(path), request("GET"), nil); ok {
			t.Errorf("%s, which leads out of /admin, took route %d", path, got)
		}
	}
}

// TestHarmlessSpellings: a path that every reading leads to the same route passes.
func TestHarmlessSpellings(t *testing.T) {
	router := NewRouter([]config.Route{route("", "/api"), route("", "/api/v2"), route("h", "/")}, config.PathsReject)
	for path, want := range map[string]int{
		"/api/projects/a%2Fb":     0,
		"/api/x;v=1/y":            0,
		"/api//x/./y":             0,
		"/api/a/../b":             0,
		"/api/v2/..%2f":           None, // rejected: /api/v2 or /api
		"/x//y/../z;a=b":          None,
		"/.well-known/acme":       None,
		"/caf%C3%A9/%41":          None,
		"/api/%E2%82%AC?x=/../..": 0,
		"/api?//admin":            0,
		"*":                       None,
		"":                        None,
		"?x=//":                   None,
	} {
		got, ok := router.Choose(nil, []byte(path), request("GET"), nil)
		if got != want || ok != (path != "/api/v2/..%2f") {
			t.Errorf("%s: route %d, %v, want %d", path, got, ok, want)
		}
	}
}

// TestPathsOfRoutes: the route for the normal form says how its paths are read.
func TestPathsOfRoutes(t *testing.T) {
	of := func(path string, paths config.Paths) config.Route {
		return config.Route{Path: path, Paths: paths}
	}
	routes := []config.Route{0: of("/raw", config.PathsRaw), 1: of("/normal", config.PathsNormalize), 2: of("/strict", config.PathsReject)}
	for _, tc := range []struct {
		top  config.Paths
		path string
		want int
		ok   bool
	}{
		{config.PathsRaw, "//raw/x", None, true},
		{config.PathsRaw, "/raw/../y", 0, true},
		{config.PathsRaw, "//normal/x", 1, true},
		{config.PathsRaw, "/normal%2fx", 1, true},
		{config.PathsRaw, "/normal;x", None, true},
		{config.PathsRaw, "/normal/../raw", 1, true}, // the normal form is that of a raw route
		{config.PathsRaw, "//strict", None, false},
		{config.PathsRaw, "/strict;x/y", None, false},
		{config.PathsRaw, "/raw/../strict", None, false},
		{config.PathsNormalize, "/strict/../y", None, true},
		{config.PathsNormalize, "/x/../raw", None, true},
		{config.PathsNormalize, "/strict/..;/y", None, false},
		{config.PathsReject, "//normal/x", 1, true},
		{config.PathsReject, "/normal/../x", None, false},
		{config.PathsReject, "/raw/../x", None, false},
	} {
		got, ok := NewRouter(routes, tc.top).Choose(nil, []byte(tc.path), request("GET"), nil)
		if ok && got != tc.want || ok != tc.ok {
			t.Errorf("%s, %s at the top: route %d, %v, want %d, %v", tc.path, tc.top, got, ok, tc.want, tc.ok)
		}
	}
}

func TestChooseNoAlloc(t *testing.T) {
	router := NewRouter([]config.Route{route("", "/api")}, config.PathsReject)
	scratch, path, req := make([]byte, 0, 64), []byte("/api/projects/a%2Fb//c?x"), Request(request("GET"))
	if n := testing.AllocsPerRun(10, func() { router.Choose(nil, path, req, scratch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
