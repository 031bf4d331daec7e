package host

import (
	"math"
	"os"
	"runtime"
	"syscall"
)

// descriptorReserve is what a process keeps for what is not traffic: standard
// streams, listeners, board, control channel, admin conns, files of the resolver.
const descriptorReserve = 64

// loopDescriptors is what a loop needs for itself: poller, wake-up, listener.
const loopDescriptors = 4

// RaiseDescriptorLimit raises the soft limit to the hard one and returns what is
// in force. Package syscall does the same when a process begins, but for one
// descriptor and where the system sets a lower bound of its own; what it cannot
// do is no error here either.
func RaiseDescriptorLimit() (limit uint64, err error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	if lim.Cur < lim.Max-1 {
		raised := lim
		raised.Cur = lim.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			lim = raised
		}
	}
	return uint64(lim.Cur), nil
}

// ConnsMax returns how many client conns loop number index of loops may have
// open. limit is the descriptor limit of its process, shared with here-1 other
// loops of that process; a client conn may need a backend conn beside it.
// configured is for all loops together, 0 for as many as the descriptors allow.
func ConnsMax(limit uint64, configured, index, loops, here int) int {
	reserve := uint64(descriptorReserve + here*loopDescriptors)
	room := 1
	if limit > reserve {
		room = int(min((limit-reserve)/2/uint64(here), math.MaxInt32))
	}
	if configured > 0 {
		share := configured / loops
		if index < configured%loops {
			share++
		}
		room = min(room, share)
	}
	return max(room, 1)
}

// LoopsFor returns the number of loops: workers, or one for each CPU that this
// process may use, and no more than connections, if that is not 0: a loop that
// may have none could not take what the system gives it.
func LoopsFor(workers, connections int) int {
	if workers == 0 {
		workers = usableCPUs()
	}
	if connections > 0 {
		workers = min(workers, connections)
	}
	return workers
}

// usableCPUs asks Go, which knows affinity, and the cgroup. It does not ask
// GOMAXPROCS, which says how Go should run, and which threads raises for its loops.
func usableCPUs() int {
	cpus := runtime.NumCPU()
	if quota := cpuQuota(os.DirFS("/")); quota > 0 {
		cpus = min(cpus, quota)
	}
	return cpus
}
