package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const (
	keptFile  = "bench/results/guard.json"
	tolerance = .03
)

// Counts are the counts of one run, as the file keeps them.
type Counts struct {
	Go         string  `json:"go"` // version that the instructions were counted with
	Benchmarks []Count `json:"benchmarks"`
}

// Count is the counts of one benchmark.
type Count struct {
	Package      string  `json:"package"`
	Name         string  `json:"name"`
	Allocations  float64 `json:"allocations"`            // per run
	Instructions float64 `json:"instructions,omitempty"` // per run; 0: not counted
}

// readCounts reads kept counts.
func readCounts(file string) (c Counts, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func (c Counts) write(file string) error {
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// find returns the count of that benchmark, or nil if there is none.
func (c Counts) find(pkg, name string) *Count {
	for i := range c.Benchmarks {
		if b := &c.Benchmarks[i]; b.Package == pkg && b.Name == name {
			return b
		}
	}
	return nil
}

// compare returns a line for each benchmark of now and the number of counts that
// have grown too much. A benchmark that was not kept has not grown.
func compare(kept, now Counts) (text string, grown int) {
	var b strings.Builder
	sameGo := kept.Go == now.Go
	if !sameGo {
		fmt.Fprintf(&b, "kept with %s and counted with %s: instructions are not compared\n", kept.Go, now.Go)
	}
	for _, n := range now.Benchmarks {
		k := kept.find(n.Package, n.Name)
		if k == nil {
			fmt.Fprintf(&b, "%-10s %-34s %4.0f allocations, %9.1f instructions, new\n", n.Package, n.Name, n.Allocations, n.Instructions)
			continue
		}
		verdict := ""
		if hasGrown(k.Allocations, n.Allocations) {
			verdict += fmt.Sprintf("  ALLOCATIONS, %g before", k.Allocations)
			grown++
		}
		if sameGo && k.Instructions > 0 && n.Instructions > 0 {
			verdict += fmt.Sprintf("  %+.1f %%", 100*(n.Instructions/k.Instructions-1))
			if hasGrown(k.Instructions, n.Instructions) {
				verdict += fmt.Sprintf("  INSTRUCTIONS, %.1f before", k.Instructions)
				grown++
			}
		}
		fmt.Fprintf(&b, "%-10s %-34s %4.0f allocations, %9.1f instructions%s\n", n.Package, n.Name, n.Allocations, n.Instructions, verdict)
	}
	return b.String(), grown
}

// hasGrown reports whether now is more than tolerance above before.
func hasGrown(before, now float64) bool { return now > before*(1+tolerance) }
