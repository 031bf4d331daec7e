package main

import (
	"strings"
	"testing"
)

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
	for list, want := range map[string]int{"small": 1, "small,close": 2, "scale": 2, "backends-100": 1, "backends": 4, "held": 4, "idle": 1, "tls": 10, "tls-idle": 1, "h2": 10, "h2c": 4, "h2-idle": 1} {
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
