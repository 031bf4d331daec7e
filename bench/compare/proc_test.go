package main

import (
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 4242 4242 0 -1 4194560 1 2 3 4 17 29 5 6 20 0 4 0 12345 1000000 500 18446744073709551615"
	for _, name := range []string{"(nginx)", "(a b)", "(x) R 7 (y)", "()"} {
		got, err := parseStat("4242 " + name + rest)
		if want := (stat{parent: 1, user: 17, system: 29}); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "1 (a", "1 (a) S", "1 (a) S x 1 1 0 -1 0 0 0 0 0 1 1", "1 (a) S 1 1 1 0 -1 0 0 0 0 0 x 1", "1 (a) S 1 1 1 0 -1 0 0 0 0 0 1 -1"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q is accepted: %+v", bad, got)
		}
	}
}

func TestParsePss(t *testing.T) {
	text := "00400000-7fff rollup\nRss:  20 kB\nPss:                1234 kB\nPss_Dirty:  7 kB\n"
	if got, err := parsePss(text); err != nil || got != 1234<<10 {
		t.Errorf("%d, %v; want %d", got, err, 1234<<10)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Pss: many kB\n"} {
		if got, err := parsePss(bad); err == nil {
			t.Errorf("%q is accepted: %d", bad, got)
		}
	}
}

func TestTree(t *testing.T) {
	parents := map[int]int{1: 0, 10: 1, 11: 10, 12: 10, 13: 11, 20: 1, 21: 20}
	got := tree(10, parents)
	slices.Sort(got)
	if want := []int{10, 11, 12, 13}; !slices.Equal(got, want) {
		t.Errorf("descendants of 10: %v, want %v", got, want)
	}
	if got := tree(99, parents); !slices.Equal(got, []int{99}) {
		t.Errorf("of one that has none: %v", got)
	}
}

func TestUsagePerRequest(t *testing.T) {
	before := usage{ns: 1e9, user: 100, system: 100}
	after := usage{ns: 3e9, user: 150, system: 250}
	user, system := after.per(before, 100_000)
	if user != 5 || system != 15 { // 20 us, a quarter of it in user space
		t.Errorf("%v and %v us, want 5 and 15", user, system)
	}
	if user, system := before.per(before, 0); user != 0 || system != 0 {
		t.Errorf("nothing used: %v and %v us", user, system)
	}
}
