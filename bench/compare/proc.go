package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// stat is a part of /proc/PID/stat. Times are in clock ticks.
type stat struct {
	parent       int
	user, system uint64
}

// parseStat parses /proc/PID/stat. The name in it may contain spaces and
// parentheses, so fields count from the last parenthesis.
func parseStat(text string) (stat, error) {
	i := strings.LastIndexByte(text, ')')
	if i < 0 {
		return stat{}, errors.New("stat: no name")
	}
	f := strings.Fields(text[i+1:])
	if len(f) < 13 {
		return stat{}, fmt.Errorf("stat: %d fields behind the name, want 13 or more", len(f))
	}
	parent, err1 := strconv.Atoi(f[1])
	user, err2 := strconv.ParseUint(f[11], 10, 64)
	system, err3 := strconv.ParseUint(f[12], 10, 64)
	return stat{parent, user, system}, errors.Join(err1, err2, err3)
}

// parsePss returns Pss of /proc/PID/smaps_rollup in bytes: private memory, and a
// fair part of shared memory.
func parsePss(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("smaps_rollup: no Pss")
}

// tree returns pid and its descendants. parents has the parent of each process.
func tree(pid int, parents map[int]int) []int {
	children := make(map[int][]int)
	for child, parent := range parents {
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// processes returns the parent of every process.
func processes() map[int]int {
	parents := make(map[int]int)
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return parents
	}
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // it may just have ended
			parents[pid] = s.parent
		}
	}
	return parents
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(b))
}

// pss returns the memory of pid and its descendants in bytes.
func pss(pid int) (total int64, err error) {
	for _, p := range tree(pid, processes()) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			return 0, err
		}
		n, err := parsePss(string(b))
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", p, err)
		}
		total += n
	}
	return total, nil
}

// usage is the CPU time of some processes: the sum in nanoseconds, and its parts,
// which the kernel knows in ticks only.
type usage struct {
	ns           int64
	user, system uint64 // ticks
}

// used returns the CPU time of pid and its descendants so far.
func used(pid int) (u usage, err error) {
	for _, p := range tree(pid, processes()) {
		s, err := readStat(p)
		if err != nil {
			return usage{}, err
		}
		ns, err := cpuTime(p)
		if err != nil {
			return usage{}, err
		}
		u.ns += ns
		u.user += s.user
		u.system += s.system
	}
	return u, nil
}

// per returns the microseconds per request from before to u, for n requests.
func (u usage) per(before usage, n int64) (user, system float64) {
	total := float64(u.ns-before.ns) / 1e3 / float64(max(n, 1))
	du, ds := float64(u.user-before.user), float64(u.system-before.system)
	if du+ds == 0 {
		return 0, total
	}
	user = total * du / (du + ds)
	return user, total - user
}
