package metrics

import "golang.org/x/sys/unix"

// giveWay lets the threads go first that wait for the core of this one. Without it a loop
// that has become ready waits until this thread has had its slice, 1.4 ms and more. Where no
// thread waits it takes less than a microsecond. The collector need not wait for a thread
// that is in it, as it would for one of low priority.
func giveWay() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
