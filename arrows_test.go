package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the arrows into docs/design/architecture.md")

const (
	architecture = "docs/design/architecture.md"
	drawnBegin   = "<!-- arrows: go test . -run TestArrowsAreDrawn -update -->\n"
	drawnEnd     = "<!-- end of arrows -->\n"
)

// TestArrowsAreDrawn holds the drawing of the arrows to the table.
func TestArrowsAreDrawn(t *testing.T) {
	b, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(b), drawnBegin)
	drawn, after, ended := strings.Cut(rest, drawnEnd)
	if !begun || !ended {
		t.Fatalf("%s has no place for the arrows", architecture)
	}
	want := drawing()
	if *update {
		if err := os.WriteFile(architecture, []byte(before+drawnBegin+want+drawnEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if drawn != want {
		t.Errorf("%s draws other arrows than the table has; go test . -run TestArrowsAreDrawn -update", architecture)
	}
}

// drawing returns the arrows and the owners as text.
func drawing() string {
	var b strings.Builder
	b.WriteString("```\n")
	for _, from := range slices.Sorted(maps.Keys(arrows)) {
		to := "nothing of ours"
		if len(arrows[from]) > 0 {
			to = strings.Join(slices.Sorted(slices.Values(arrows[from])), "  ")
		}
		if from != "lb" {
			from = strings.TrimPrefix(from, "lb/")
		}
		fmt.Fprintf(&b, "%-20s -> %s\n", from, to)
	}
	b.WriteString("```\n\nWhat is not ours, and the rooms that may import it:\n\n```\n")
	for _, module := range slices.Sorted(maps.Keys(owners)) {
		fmt.Fprintf(&b, "%-36s %s\n", module, strings.ReplaceAll(strings.Join(owners[module], "  "), "lb/", ""))
	}
	b.WriteString("```\n")
	return b.String()
}
