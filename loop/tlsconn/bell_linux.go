package tlsconn

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell wakes the thread of a Shaker. The thread sleeps in the kernel, with its goroutine: to
// park a goroutine that is locked to a thread, and to run it again, takes Go's scheduler
// three threads and some six system calls.
type bell struct{ state atomic.Uint32 }

const (
	silent = iota
	rung
	asleep // the thread sleeps, or is about to
)

// Operations of futex(2), on memory of this process alone.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)

func newBell() bell { return bell{} }

// ring ends the current or the next wait.
func (b *bell) ring() {
	if b.state.Swap(rung) == asleep {
		unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.state)), futexWake, 1, 0, 0, 0)
	}
}

// wait returns after a ring. One goroutine waits.
func (b *bell) wait() {
	for b.state.CompareAndSwap(silent, asleep) || b.state.Load() == asleep {
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.state)), futexWait, asleep, 0, 0, 0)
	}
	b.state.Store(silent)
}
