package board

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A futex wakes the writer of the access log, because it works over processes without a
// descriptor, and costs a loop nothing while the writer keeps up. Its operations are those
// for memory that processes share. See futex(2).
const (
	futexWait = 0
	futexWake = 1
)

// sleepLog sleeps while the word is 1, at most for timeout.
func sleepLog(word *uint64, timeout time.Duration) {
	ts := unix.NsecToTimespec(int64(timeout))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, 1, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// wakeLog wakes everyone who sleeps.
func wakeLog(word *uint64) {
	if atomic.LoadUint64(word) == 1 {
		atomic.StoreUint64(word, 0)
		wake(word)
	}
}

// wake wakes all that sleep, whatever the word is.
func wake(word *uint64) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32, 0, 0, 0)
}
