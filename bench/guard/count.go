package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// watched are the benchmarks that are counted: those that wait for nothing. runs is
// how often each runs under valgrind, for a few million instructions.
var watched = []struct {
	pkg, name string
	runs      int
}{
	{"httpparse", "BenchmarkRequest/small", 10000},
	{"httpparse", "BenchmarkRequest/wide", 1000},
	{"httpparse", "BenchmarkResponse", 4000},
	{"httpparse", "BenchmarkAppendFields/small", 20000},
	{"httpparse", "BenchmarkChunks/1024", 20000},
	{"arena", "BenchmarkGetPut", 200000},
	{"upstream", "BenchmarkPick/backends=10", 50000},
	{"upstream", "BenchmarkPick/backends=10/retry", 20000},
	{"loop", "BenchmarkArmLater", 200000},
	{"loop", "BenchmarkArmDisarm", 50000},
	{"loop", "BenchmarkArmFire", 100},
	{"proxy", "BenchmarkExchange/GET", 5000},
	{"proxy", "BenchmarkExchange/POST_16_KiB", 2000},
	{"proxy", "BenchmarkExchange/chunked", 500},
	{"proxy", "BenchmarkExchange/many_fields", 2000},
	{"proxy", "BenchmarkBurst/h1", 400},  // 16 requests of one HTTP/2 conn
	{"proxy", "BenchmarkBurst/h2c", 400}, // with a backend of HTTP/2
}

// allocationRuns is high enough that allocations made once, at the start, round to
// none per run.
const allocationRuns = "1000x"

// packages returns the packages of watched, in order.
func packages() (all []string) {
	for _, w := range watched {
		if len(all) == 0 || all[len(all)-1] != w.pkg {
			all = append(all, w.pkg)
		}
	}
	return all
}

// benchmarks returns a pattern for the watched benchmarks of a package. The others
// may take long.
func benchmarks(pkg string) string {
	var names []string
	for _, w := range watched {
		if name, _, _ := strings.Cut(w.name, "/"); w.pkg == pkg {
			names = append(names, name)
		}
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// allocations counts the allocations of every watched benchmark.
func allocations(ctx context.Context, root string) ([]Count, error) {
	found := make(map[string]float64) // by package and name
	for _, pkg := range packages() {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", benchmarks(pkg), "-benchmem", "-benchtime", allocationRuns, "./"+pkg)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", pkg, err, out)
		}
		for name, n := range parseAllocations(string(out)) {
			found[pkg+" "+name] = n
		}
	}
	var all []Count
	for _, w := range watched {
		n, ok := found[w.pkg+" "+w.name]
		if !ok {
			return nil, fmt.Errorf("%s: there is no %s any more", w.pkg, w.name)
		}
		all = append(all, Count{Package: w.pkg, Name: w.name, Allocations: n})
	}
	return all, nil
}

// resultLine matches the result of a benchmark: its name, which may end in the
// number of CPUs, and the figures.
var resultLine = regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s.*?([\d.]+) allocs/op`)

// parseAllocations returns the allocations per run of each benchmark.
func parseAllocations(text string) map[string]float64 {
	found := make(map[string]float64)
	for _, m := range resultLine.FindAllStringSubmatch(text, -1) {
		if n, err := strconv.ParseFloat(m[2], 64); err == nil {
			found[m[1]] = n
		}
	}
	return found
}

// instructions counts the instructions of every watched benchmark, into counts.
func instructions(ctx context.Context, root string, counts []Count) error {
	dir, err := os.MkdirTemp("", "lb-guard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, pkg := range packages() {
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(dir, pkg+".test"), "./"+pkg)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", pkg, err, out)
		}
	}
	for i, w := range watched {
		program := filepath.Join(dir, w.pkg+".test")
		few, err := underValgrind(ctx, program, filepath.Join(root, w.pkg), w.name, w.runs)
		if err != nil {
			return err
		}
		many, err := underValgrind(ctx, program, filepath.Join(root, w.pkg), w.name, 4*w.runs)
		if err != nil {
			return err
		}
		counts[i].Instructions = math.Round(10*float64(many-few)/float64(3*w.runs)) / 10
	}
	return nil
}

// attemptsMax is how often a count is tried: now and then valgrind crashes on Go's
// use of threads.
const attemptsMax = 3

// underValgrind returns the instructions of a test binary that runs one benchmark
// runs times.
func underValgrind(ctx context.Context, program, dir, name string, runs int) (n int64, err error) {
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	for range attemptsMax {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
			program, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", fmt.Sprintf("%dx", runs))
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
		// One thread, no collection and no preemption, whose time varies.
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
		if err = cmd.Run(); err == nil {
			if n, err = parseInstructions(out.String()); err == nil {
				return n, nil
			}
		}
		err = fmt.Errorf("%s under valgrind: %w\n%s", name, err, out.String())
		if ctx.Err() != nil {
			break
		}
	}
	return 0, err
}

var collectedLine = regexp.MustCompile(`(?m)^==\d+== Collected : (\d+)$`)

// parseInstructions returns the count of callgrind.
func parseInstructions(text string) (int64, error) {
	m := collectedLine.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("no count")
	}
	return strconv.ParseInt(m[1], 10, 64)
}
