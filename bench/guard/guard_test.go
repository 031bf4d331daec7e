package main

import (
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// No watched benchmark allocates more than bench/results/guard.json says.
func TestAllocations(t *testing.T) {
	testkit.Long(t)
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := readCounts(filepath.Join(root, keptFile))
	if err != nil {
		t.Fatal(err)
	}
	var now Counts
	if now.Benchmarks, err = allocations(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if text, grown := compare(kept, now); grown > 0 {
		t.Errorf("allocations have grown:\n%s", text)
	}
}

func TestCompare(t *testing.T) {
	kept := Counts{Go: "go1", Benchmarks: []Count{{"p", "B", 0, 100}, {"p", "C", 100, 0}, {"p", "Gone", 1, 1}}}
	for _, tc := range []struct {
		name  string
		now   Counts
		grown int
	}{
		{"the same", kept, 0},
		{"less", Counts{"go1", []Count{{"p", "B", 0, 50}, {"p", "C", 10, 0}}}, 0},
		{"3 % more", Counts{"go1", []Count{{"p", "B", 0, 103}, {"p", "C", 103, 0}}}, 0},
		{"4 % more", Counts{"go1", []Count{{"p", "B", 0, 104}, {"p", "C", 104, 0}}}, 2},
		{"one allocation where there was none", Counts{"go1", []Count{{"p", "B", 1, 100}}}, 1},
		{"not counted", Counts{"go1", []Count{{"p", "B", 0, 0}, {"p", "C", 100, 7}}}, 0},
		{"another Go", Counts{"go2", []Count{{"p", "B", 0, 500}}}, 0},
		{"another Go that allocates", Counts{"go2", []Count{{"p", "B", 2, 500}}}, 1},
		{"new", Counts{"go1", []Count{{"q", "B", 9, 900}}}, 0},
	} {
		if text, grown := compare(kept, tc.now); grown != tc.grown || !strings.Contains(text, "B ") {
			t.Errorf("%s: %d have grown, want %d:\n%s", tc.name, grown, tc.grown, text)
		}
	}
}

func TestParse(t *testing.T) {
	got := parseAllocations(`goos: linux
BenchmarkRequest/small-2  	     300	       172.6 ns/op	 486.61 MB/s	       8 B/op	       0 allocs/op
BenchmarkPick/backends=10/retry  	     300	        16.29 ns/op	       0 B/op	       3 allocs/op
BenchmarkArmFire-16        	     300	     14379 ns/op	        14.38 ns/timer	       0 B/op	      12 allocs/op
BenchmarkNoReport-2        	     300	     14379 ns/op
PASS
`)
	want := map[string]float64{"BenchmarkRequest/small": 0, "BenchmarkPick/backends=10/retry": 3, "BenchmarkArmFire": 12}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	n, err := parseInstructions("PASS\n==7914== \n==7914== Events    : Ir\n==7914== Collected : 70344087\n==7914== \n")
	if err != nil || n != 70344087 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := parseInstructions("==1== Aborted\n"); err == nil {
		t.Errorf("nothing counted is read as %d", n)
	}
}

func TestCountsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.json")
	want := Counts{Go: "go1", Benchmarks: []Count{{"p", "B/x", 1, 2.5}}}
	if err := want.write(file); err != nil {
		t.Fatal(err)
	}
	if got, err := readCounts(file); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}
