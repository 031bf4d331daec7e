package e2e

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// What the tests read about lb's processes in /proc, and other tests for Linux only.

// stat is the part of /proc/PID/stat that tests use.
type stat struct {
	pid, group int
	zombie     bool
}

// processes returns the processes of lb: the one that was started and, in mp, its
// workers.
func (p *process) processes(t *testing.T) (list []stat) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it is gone
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if group, _ := strconv.Atoi(fields[2]); group == p.Cmd.Process.Pid {
			list = append(list, stat{pid, group, fields[0] == "Z"})
		}
	}
	return list
}

// workers returns the process numbers of the workers.
func (p *process) workers(t *testing.T) (pids []int) {
	t.Helper()
	for _, s := range p.processes(t) {
		if s.pid != p.Cmd.Process.Pid && !s.zombie {
			pids = append(pids, s.pid)
		}
	}
	return pids
}

// descriptors returns how many are open in all processes of lb.
func (p *process) descriptors(t *testing.T) (n int) {
	t.Helper()
	for _, s := range p.processes(t) {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
		if err != nil {
			t.Fatal(err)
		}
		n += len(entries)
	}
	return n
}

// memory returns the bytes that lb's processes hold. Shared memory counts once.
func (p *process) memory(t *testing.T) int64 {
	t.Helper()
	n, err := pss(p.processes(t))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func pss(list []stat) (bytes int64, err error) {
	for _, s := range list {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid))
		if err != nil {
			return 0, err
		}
		_, after, _ := strings.Cut(string(text), "\nPss:")
		var kib int64
		if _, err := fmt.Sscan(after, &kib); err != nil {
			return 0, fmt.Errorf("no Pss in %q", text)
		}
		bytes += kib << 10
	}
	return bytes, nil
}

// watchMemory reads the memory again and again until the returned function is called,
// which fails the test if it grew by more than max bytes. With the race detector, which
// needs memory of its own, the growth is only logged.
func (p *process) watchMemory(t *testing.T) (wantGrowth func(max int64)) {
	t.Helper()
	base := p.memory(t)
	list, top, fault := p.processes(t), base, error(nil)
	end := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for fault == nil {
			select {
			case <-end:
				return
			case <-look.C:
				var now int64
				now, fault = pss(list)
				top = max(top, now)
			}
		}
	})
	stop := sync.OnceFunc(func() { close(end); watching.Wait() })
	t.Cleanup(stop)
	return func(max int64) {
		t.Helper()
		stop()
		t.Logf("memory grew by %d KiB from %d KiB", (top-base)>>10, base>>10)
		if fault != nil || top-base > max && !raceOn {
			t.Errorf("memory grew by %d bytes, %v; want %d at most", top-base, fault, max)
		}
	}
}

// With a killed worker its own conns end and nothing else: requests on new conns are
// always answered, and there is a new worker soon.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	p := start(t, "mp", setup{backends: to(demo(t, "127.0.0.1:0", "b").Addr()), admin: true})
	for round := range 3 {
		before := p.workers(t)
		if len(before) != 2 {
			t.Fatalf("workers %v, want 2", before)
		}
		if err := syscall.Kill(before[round%2], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		testkit.Until(t, "it to be gone", func() bool { // and no zombie, whose other threads may still run
			return !slices.ContainsFunc(p.processes(t), func(s stat) bool { return s.pid == before[round%2] })
		})
		for range 30 {
			resp, _ := get(t, newClient(t), p.url("/"))
			want200(t, resp, "b")
		}
		testkit.Until(t, "a new worker", func() bool {
			m := p.metrics(t)
			return m["lb_workers"] == 2 && m["lb_worker_restarts_total"] == float64(round+1)
		})
		after := p.workers(t)
		if len(after) != 2 || slices.Contains(after, before[round%2]) {
			t.Fatalf("workers %v after %v, of which %d was killed", after, before, before[round%2])
		}
	}
	if got := p.metrics(t)["lb_client_requests_total"]; got != 90 {
		t.Errorf("%v requests are counted, want all 90", got)
	}
}
