package engine

import (
	"slices"
	"testing"

	"lb/upstream"
)

// TestTables: loops that ask for the same table get one, another list makes another, and the
// list that a loop has asked for last is the one that it gets.
func TestTables(t *testing.T) {
	var b tables
	got := make(chan upstream.Table, 10)
	one, two := []upstream.Share{{Name: "a:1", Weight: 1}, {Name: "b:1", Weight: 1}}, []upstream.Share{{Name: "c:1", Weight: 2}, {Name: "d:1", Weight: 1}}
	take := func(table upstream.Table) { got <- table }
	b.mu.Lock() // so that nothing begins yet
	b.busy = true
	b.jobs = []tableJob{{0, "p", one, take}, {1, "p", one, take}, {1, "q", two, take}}
	b.mu.Unlock()
	b.ask(tableJob{1, "q", one, take})
	go b.run()
	first, second, third := <-got, <-got, <-got
	if &first[0] != &second[0] {
		t.Error("two loops have two tables")
	}
	if want := upstream.MakeTable(one, nil); !slices.Equal(first, want) || !slices.Equal(third, want) {
		t.Error("another table")
	}
	b.ask(tableJob{0, "p", two, take})
	if !slices.Equal(<-got, upstream.MakeTable(two, nil)) {
		t.Error("another table, after a while")
	}
}
