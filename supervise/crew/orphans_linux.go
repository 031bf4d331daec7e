package crew

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// workerPIDs are the workers of this process that were not waited for. Its lock is held
// to start one, so that the death of a worker is not taken for that of an orphan.
var workerPIDs = struct {
	sync.Mutex
	running map[int]bool
}{running: map[int]bool{}}

// ReapOrphans waits for processes that have ended and whose parent is gone. As process 1,
// of a container, this process is the only one that can. Workers are left to their keepers.
func ReapOrphans() {
	workerPIDs.Lock()
	defer workerPIDs.Unlock()
	for {
		pid := ended()
		if pid == 0 || workerPIDs.running[pid] { // its keeper waits for it; orphans after it are for the next time
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}

// ended returns a child that has ended, without waiting for it, or 0 if there is none.
func ended() (pid int) {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return 0
	}
	// Package unix has no name for si_pid, which follows three ints, aligned as a pointer.
	const word = unsafe.Sizeof(uintptr(0))
	const offset = (3*4 + word - 1) / word * word
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset)))
}
