package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// cpuTime returns the nanoseconds of CPU time that process pid has used, by
// its CPU clock: clock_getcpuclockid(3) makes the number of that clock in the
// same way. /proc/PID/stat says the same in ticks of 10 ms.
func cpuTime(pid int) (int64, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: by the scheduler's account, not by samples
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return t.Nano(), nil
}
