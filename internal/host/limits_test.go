package host

import (
	"runtime"
	"syscall"
	"testing"
)

func TestConnsMax(t *testing.T) {
	for _, tc := range []struct {
		name  string
		limit uint64
		here  int // loops in this process
		more  int // listeners besides the first
		want  int
	}{
		{"a worker, half of what is left", 1068, 1, 0, 500},
		{"a thread, its part of that", 1080, 4, 0, 125},
		{"never none, which would be no limit", 20, 1, 0, 1},
		{"no limit on descriptors", ^uint64(0), 1, 0, 1<<31 - 1},
		{"threads with three listeners", 1096, 4, 2, 125},
	} {
		if got := ConnsMax(tc.limit, tc.here, 1+tc.more); got != tc.want {
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

// One loop per CPU means the same number at the start and at every reload, although loops
// of mt need more of Go's threads than there are CPUs.
func TestLoopsForGOMAXPROCS(t *testing.T) {
	want := LoopsFor(0)
	if want < 1 || want > runtime.NumCPU() {
		t.Errorf("%d loops for %d CPUs", want, runtime.NumCPU())
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(want + 1))
	for _, env := range []string{"", "77"} {
		t.Setenv("GOMAXPROCS", env)
		if got := LoopsFor(0); got != want {
			t.Errorf("GOMAXPROCS=%q, and %d running: %d loops, want %d", env, want+1, got, want)
		}
	}
}
