package supervisetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ChildrenOf returns the processes, zombies included, that pid has started.
func ChildrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil {
			continue // it is gone
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children
}

// Kill sends sig to process pid.
func Kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if pid <= 0 { // which is a process group: that of this test, and of whatever runs it
		t.Fatal("there is no process to signal")
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// Stopped reports whether every thread of pid stands still.
func Stopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, threads, err)
	}
	return !slices.ContainsFunc(threads, func(path string) bool {
		stat, err := os.ReadFile(path)
		return err != nil || !bytes.Contains(stat, []byte(") T "))
	})
}

// Ended reports whether pid no longer runs; it may be a zombie that its new parent has not
// collected yet.
func Ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}
