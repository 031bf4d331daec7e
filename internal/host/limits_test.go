package host

import (
	"runtime"
	"syscall"
	"testing"
)

func TestConnsMax(t *testing.T) {
	for _, tc := range []struct {
		name              string
		limit             uint64
		configured        int
		index, loops, all int // all: loops in this process
		more              int // listeners besides the first
		want              int
	}{
		{"a worker, half of what is left", 1068, 0, 0, 4, 1, 0, 500},
		{"a thread, its part of that", 1080, 0, 3, 4, 4, 0, 125},
		{"configured, over all loops", 1 << 20, 1000, 0, 4, 1, 0, 250},
		{"the remainder goes to the first", 1 << 20, 10, 1, 4, 4, 0, 3},
		{"and not to the others", 1 << 20, 10, 2, 4, 4, 0, 2},
		{"more than the descriptors allow", 1068, 1 << 20, 0, 1, 1, 0, 500},
		{"never none, which would be no limit", 1 << 20, 1, 3, 4, 4, 0, 1},
		{"hardly any descriptors", 20, 0, 0, 1, 1, 0, 1},
		{"no limit on descriptors", ^uint64(0), 0, 0, 1, 1, 0, 1<<31 - 1},
		{"threads with three listeners", 1096, 0, 3, 4, 4, 2, 125},
	} {
		if got := ConnsMax(tc.limit, tc.configured, tc.index, tc.loops, tc.all, 1+tc.more); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestRaiseDescriptorLimit(t *testing.T) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
	low := lim
	low.Cur = 256
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	if got, err := RaiseDescriptorLimit(); err != nil || got != uint64(lim.Max) {
		t.Errorf("raised to %d, %v; want the hard limit %d", got, err, lim.Max)
	}
}

func TestLoopsFor(t *testing.T) {
	for _, tc := range []struct{ workers, connections, want int }{
		{3, 0, 3},
		{3, 3, 3},
		{3, 2, 2}, // a loop that may have none could not accept conns that it gets
	} {
		if got := LoopsFor(tc.workers, tc.connections); got != tc.want {
			t.Errorf("%d workers, %d connections: %d loops, want %d", tc.workers, tc.connections, got, tc.want)
		}
	}
}

// One loop per CPU means the same number at the start and at every reload, although loops
// of mt need more of Go's threads than there are CPUs.
func TestLoopsForGOMAXPROCS(t *testing.T) {
	want := LoopsFor(0, 0)
	if want < 1 || want > runtime.NumCPU() {
		t.Errorf("%d loops for %d CPUs", want, runtime.NumCPU())
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(want + 1))
	for _, env := range []string{"", "77"} {
		t.Setenv("GOMAXPROCS", env)
		if got := LoopsFor(0, 0); got != want {
			t.Errorf("GOMAXPROCS=%q, and %d running: %d loops, want %d", env, want+1, got, want)
		}
	}
}
