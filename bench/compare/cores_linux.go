package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// cpusAllowed returns the CPUs that this process may use. Second threads of a core
// come last.
func cpusAllowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var first, second []int
	for n := range len(set) * 64 {
		switch {
		case !set.IsSet(n):
		case secondThread(n, &set):
			second = append(second, n)
		default:
			first = append(first, n)
		}
	}
	return append(first, second...), nil
}

// secondThread reports whether CPU n shares its core with a lower one of set.
func secondThread(n int, set *unix.CPUSet) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", n))
	var lowest int
	if _, err := fmt.Sscan(strings.FieldsFunc(string(b)+" ", func(r rune) bool { return r == ',' || r == '-' })[0], &lowest); err != nil {
		return false
	}
	return lowest < n && set.IsSet(lowest)
}

// pin limits the calling thread, and the processes it starts, to cpus.
func pin(cpus []int) error {
	var set unix.CPUSet
	for _, n := range cpus {
		set.Set(n)
	}
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
}
