package main

import (
	"strings"
	"testing"
	"time"
)

// TestReport: the tables are whole, and a run repeats.
func TestReport(t *testing.T) {
	var a, b strings.Builder
	report(&a, []int{1, 4}, 5)
	report(&b, []int{1, 4}, 5)
	if a.String() != b.String() {
		t.Error("two runs differ")
	}
	if n := strings.Count(a.String(), "\n| "); n < 16 {
		t.Errorf("%d rows:\n%s", n, a.String())
	}
	if _, err := parseSizes("10,x"); err == nil {
		t.Error("x is a size")
	}
}

// TestHashing: only the keys of a backend that goes down move, and the order of a list does
// not matter.
func TestHashing(t *testing.T) {
	if got := movedByDown(10); got < 0.08 || got > 0.12 {
		t.Errorf("%.4f of the keys move with 1 of 10 down", got)
	}
	if got := movedByLeaving(10); got < 0.08 || got > 0.13 {
		t.Errorf("%.4f of the keys move when 1 of 10 leaves", got)
	}
	if got := disagreement(10); got != 0 {
		t.Errorf("%.4f of the keys differ between two machines", got)
	}
	if got := movedByModulo(10); got < 0.88 || got > 0.92 {
		t.Errorf("%.4f of the clients move", got)
	}
}

// TestLimits: one machine is exact, several without a store let through as much each, and
// with one they let through the rate in the long run.
func TestLimits(t *testing.T) {
	m := limitModel{rate: 100, burst: 200, sync: 100 * time.Millisecond, offered: 10}
	sum := func(p passed) (n int) {
		for _, k := range p {
			n += k
		}
		return n
	}
	exact := 60*100 + 200
	if got := sum(m.without(1)); got < exact-2 || got > exact+2 {
		t.Errorf("one machine let %d through, want %d", got, exact)
	}
	if got := sum(m.without(4)); got < 4*exact-10 || got > 4*exact+10 {
		t.Errorf("four machines without a store let %d through, want %d", got, 4*exact)
	}
	// Each may spend a bucket before it hears of the others.
	if got := sum(m.with(4)); got < exact-10 || got > exact+3*200 {
		t.Errorf("four machines with a store let %d through, want %d to %d", got, exact, exact+3*200)
	}
}

// TestQueueing: without load a request takes one service time, and machines that see less
// choose no better.
func TestQueueing(t *testing.T) {
	if w := queueing(1, 10, 8, 0.05); w.mean < 0.95 || w.mean > 1.05 {
		t.Errorf("mean %.3f without load", w.mean)
	}
	if one, many := queueing(1, 20, 8, 0.8), queueing(50, 20, 8, 0.8); many.mean < one.mean {
		t.Errorf("50 machines wait %.3f, one that sees everything %.3f", many.mean, one.mean)
	}
	c := checks{interval: 5 * time.Second, fall: 3, faults: 3}
	if got := c.lastToSee(1); got < 12*time.Second || got > 13*time.Second {
		t.Errorf("one machine sees it after %v", got)
	}
}
