package supervise

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop"
)

// threads are the loops of mt: goroutines of this process, each locked to a
// thread of its own.
type threads struct{ engines []*engine }

// startThreads returns when every loop accepts connections, or one could not
// begin. o is for all of them; the listeners ls stay the caller's.
func startThreads(o engineOptions, ls []*os.File, limit uint64) (*threads, error) {
	// One more than there are loops, so that the control plane never waits for one.
	if n := len(ls) + 1; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
	t := &threads{}
	for i, l := range ls {
		fd, err := unix.FcntlInt(l.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.stop()
			return nil, os.NewSyscallError("dup", err)
		}
		o.Index, o.Loops, o.Listener = i, len(ls), fd
		o.ConnsMax = connsMax(limit, o.Config.Limits.Connections, i, len(ls), len(ls))
		e, err := startEngine(o)
		if err != nil {
			t.stop()
			return nil, err
		}
		t.engines = append(t.engines, e)
	}
	return t, nil
}

func (t *threads) setAddrs(at place, addrs []loop.Addr) {
	for _, e := range t.engines {
		e.setAddrs(at, addrs)
	}
}

// finish drains all loops at once and returns when they have ended: after
// timeout, or when now is closed, what still runs is cut off. It returns how
// many exchanges that were.
func (t *threads) finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	var total atomic.Int64
	var all sync.WaitGroup
	for _, e := range t.engines {
		all.Go(func() { total.Add(int64(e.finish(timeout, now))) })
	}
	all.Wait()
	return int(total.Load())
}

func (t *threads) stop() {
	for _, e := range t.engines {
		e.stop()
	}
}
