package host

import (
	"math"
	"os"
	"runtime"
	"syscall"
)

// descriptorReserve is how many descriptors a process keeps for everything but traffic:
// standard streams, listeners, board, channels, admin conns, files of the resolver.
const descriptorReserve = 64

const (
	// loopDescriptors is how many a loop needs for itself, with one listener: poller,
	// wake-up, socket, and that of the supervisor.
	loopDescriptors = 4
	// listenerDescriptors is how many each further listener needs for a loop.
	listenerDescriptors = 2
)

// RaiseDescriptorLimit raises the soft limit on descriptors to the hard one and returns
// the limit that holds then. Package syscall does the same when a process begins, except for
// one descriptor and where the system has a lower bound of its own. A limit that cannot
// be raised is no error.
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

// ConnsMax returns how many client conns a loop may have open. limit is the descriptor limit
// of its process, which has here loops; a client conn may need a backend conn as well.
// listeners is how many there are, each with a socket for every loop. limits.connections is
// another matter: it is one number for all loops.
func ConnsMax(limit uint64, here, listeners int) int {
	reserve := uint64(descriptorReserve + here*(loopDescriptors+(listeners-1)*listenerDescriptors))
	if limit <= reserve {
		return 1
	}
	return max(1, int(min((limit-reserve)/2/uint64(here), math.MaxInt32)))
}

// LoopsFor returns the number of loops: workers, or for 0 one for each CPU that this
// process may use.
func LoopsFor(workers int) int {
	if workers == 0 {
		return usableCPUs()
	}
	return workers
}

// usableCPUs goes by package runtime, which knows affinity, and by the cgroup. It does
// not go by GOMAXPROCS, which is about how Go runs, and which the loops of mt raise.
func usableCPUs() int {
	cpus := runtime.NumCPU()
	if quota := cpuQuota(os.DirFS("/")); quota > 0 {
		cpus = min(cpus, quota)
	}
	return cpus
}
