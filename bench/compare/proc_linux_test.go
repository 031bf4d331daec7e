package main

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestOwnUsage(t *testing.T) {
	pid := os.Getpid()
	before, err := used(pid)
	start := ownTime(t)
	if err != nil {
		t.Fatal(err)
	}
	for ownTime(t) < start+20*time.Millisecond {
	}
	after, err := used(pid)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Duration(after.ns - before.ns); d < 19*time.Millisecond || d > 10*time.Second {
		t.Errorf("20 ms of CPU time are reported as %v", d)
	}
	if n, err := pss(pid); err != nil || n < 1<<20 {
		t.Errorf("our memory: %d bytes, %v", n, err)
	}
	if _, err := used(1 << 30); err == nil {
		t.Error("the CPU time of nobody is known")
	}
}

// ownTime returns the CPU time of this process by getrusage.
func ownTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestCPUsAllowed(t *testing.T) {
	cpus, err := cpusAllowed()
	if err != nil || len(cpus) == 0 {
		t.Errorf("%v, %v; want one or more", cpus, err)
	}
}
