package route

import (
	"math/rand/v2"
	"testing"

	"lb/config"
)

// drawRoute draws a route of few hosts, paths and conditions.
func drawRoute(rng *rand.Rand) config.Route {
	r := config.Route{
		Host:   []string{"", "a.test", "*.test", "*.b.test", "c.a.test"}[rng.IntN(5)],
		Path:   []string{"/", "/a", "/a/", "/a/b", "/b"}[rng.IntN(5)],
		Scheme: []string{"", "", "http", "https"}[rng.IntN(4)],
		Paths:  []config.Paths{"", config.PathsRaw, config.PathsNormalize, config.PathsReject}[rng.IntN(4)],
	}
	if rng.IntN(3) == 0 {
		r.Methods = []string{"GET", "POST"}[rng.IntN(2):]
	}
	if rng.IntN(3) == 0 {
		r.Headers = []config.Field{{Name: "x", Value: "1"}}
	}
	return r
}

// TestSays: the verdict of a route alone is that of a router that has no other, and the
// route that is chosen takes the request by the reading that chose it.
func TestSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	seen := map[Verdict]int{}
	for range 20000 {
		var routes []config.Route
		for range 1 + rng.IntN(6) {
			routes = append(routes, drawRoute(rng))
		}
		paths := []config.Paths{config.PathsRaw, config.PathsNormalize, config.PathsReject}[rng.IntN(3)]
		router := NewRouter(routes, paths)
		host := []byte(pick("a.test", "A.test:80", "b.test", "x.b.test.", "c.a.test", ".test", "..b.test", "test", ""))
		path := []byte(pick("/", "/a", "/a/", "/a/b", "/a/b?/x", "/ab", "//a", "/%61", "/b/../a", "/a;x/b", "/a//../b", "*", "", "?q"))
		r := request(pick("GET", "POST", "PUT") + " " + pick(":scheme=http", ":scheme=https") + " " + pick("x=1", "x=2"))
		readings := router.Readings(host, path, r)
		for i := range routes {
			alone := NewRouter(routes[i:i+1], paths)
			for _, reading := range readings {
				says := router.Says(i, routes, host, []byte(reading.Path), r)
				seen[says]++
				if takes := alone.match(host, []byte(reading.Path), r) == 0; takes != (says == Takes) {
					t.Fatalf("%+v, %q %q (%s) %q: %d, and alone it takes it: %t", routes[i], host, reading.Path, reading.Form, r, says, takes)
				}
				if reading.Route == i && says != Takes {
					t.Fatalf("route %d is chosen of %+v, and says %d", i, routes, says)
				}
			}
		}
		index, ok := router.Choose(host, path, r, make([]byte, 3*len(path)))
		by := [len(forms)]int{}
		for form := range by {
			by[form] = readings[min(form, len(readings)-1)].Route
		}
		if i, fits := router.settle(by); len(readings) > 1 && (i != index || fits != ok) || len(readings) == 1 && readings[0].Route != index {
			t.Fatalf("%q: chosen %d %t, readings %+v", path, index, ok, readings)
		}
	}
	for v := Takes; v <= OtherHeader; v++ {
		if seen[v] < 100 {
			t.Errorf("verdict %d was seen %d times", v, seen[v])
		}
	}
}
