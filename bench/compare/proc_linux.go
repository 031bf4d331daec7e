package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time of process pid in nanoseconds, from its CPU clock.
// The number of the clock is that of clock_getcpuclockid(3). /proc/PID/stat has
// the same time only in ticks of 10 ms.
func cpuTime(pid int) (int64, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: exact, not sampled
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return t.Nano(), nil
}
