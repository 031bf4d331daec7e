package main

import (
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		in   []float64
		want spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1}, spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 3, 2, 100}, spread{3.5, 2, 100}},
	} {
		if got := spreadOf(tc.in); got != tc.want {
			t.Errorf("%v: %+v, want %+v", tc.in, got, tc.want)
		}
	}
}

// A ratio is taken within each round, so that what slows a whole round down
// does not show.
func TestRatioIsTakenRoundByRound(t *testing.T) {
	a := []Round{{User: 1, System: 9}, {User: 20, System: 20}, {User: 10, System: 2}}
	b := []Round{{System: 10}, {System: 50}, {User: 10}}
	if got, want := ratio(a, b, cpuOf), (spread{1, .8, 1.2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b[1] = Round{}
	if got, want := ratio(a, b, cpuOf), (spread{1.1, 1, 1.2}); got != want {
		t.Errorf("without the second round %+v, want %+v", got, want)
	}
	if got := ratio(a, nil, cpuOf); got != (spread{}) {
		t.Errorf("to nothing: %+v", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, tc := range []struct {
		x    float64
		want string
	}{{0, "0.00"}, {1.234, "1.23"}, {9.994, "9.99"}, {9.996, "10.0"}, {12.34, "12.3"}, {99.96, "100"}, {1234.5, "1234"}} {
		if got := number(tc.x); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.x, got, tc.want)
		}
	}
	if got := latency(999) + ", " + latency(1500); got != "999 us, 1.50 ms" {
		t.Error(got)
	}
}

func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		cpus    []int
		workers int
		want    string
	}{
		{[]int{3}, 1, "proxies on core 3, backends on 3, load on 3; they share"},
		{[]int{0, 1}, 1, "proxies on core 0, backends on 1, load on 1; load and backends share a core"},
		{[]int{0, 1}, 2, "proxies on core 0,1, backends on 1, load on 1; they share"},
		{[]int{0, 1, 2}, 1, "proxies on core 0, backends on 1, load on 2"},
		{[]int{2, 4, 6, 8, 10}, 1, "proxies on core 2, backends on 4, load on 6,8"},
		{[]int{0, 1, 2, 3}, 2, "proxies on core 0,1, backends on 2, load on 3"},
	} {
		if got := split(tc.cpus, tc.workers).note(); !strings.HasPrefix(got+";", tc.want) {
			t.Errorf("%v, %d workers: %s, want %s", tc.cpus, tc.workers, got, tc.want)
		}
	}
}

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(scenarios()) {
		t.Errorf("by default %d, %v; want all", len(all), err)
	}
	for list, want := range map[string]int{"small": 1, "small,close": 2, "scale": 2, "backends-100": 1, "backends": 4} {
		got, err := choose(list)
		if err != nil || len(got) != want {
			t.Errorf("%s: %d cases, %v; want %d", list, len(got), err, want)
		}
	}
	if _, err := choose("small,tiny"); err == nil {
		t.Error("an unknown scenario is accepted")
	}
}

func TestWhoTakesPart(t *testing.T) {
	asked, err := chooseProxies("haproxy,lb-mt,relay,nginx,before-mp")
	if want := "relay lb-mt before-mp nginx haproxy"; err != nil || strings.Join(asked, " ") != want {
		t.Errorf("%v, %v; want %s", asked, err, want)
	}
	for _, tc := range []struct {
		p              prepared
		there, missing string
	}{
		{prepared{programs: programs{nginx: "/n", haproxy: "/h", before: "/b"}}, "relay lb-mt before-mp nginx haproxy", ""},
		{prepared{programs: programs{haproxy: "/h"}}, "relay lb-mt haproxy", "nginx"},
		{prepared{}, "relay lb-mt", "nginx HAProxy"},
	} {
		there, missing := tc.p.present(asked)
		if strings.Join(there, " ") != tc.there || strings.Join(missing, " ") != tc.missing {
			t.Errorf("%+v: %v, without %v", tc.p, there, missing)
		}
	}
}
