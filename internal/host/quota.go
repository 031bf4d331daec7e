package host

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// cpuQuota returns how many CPUs the quota of this process's cgroup amounts to, rounded
// up, or 0 if there is none that can be read. root is the root of the file system. Go
// knows the quota too, but never takes it for less than two.
func cpuQuota(root fs.FS) (cpus int) {
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) < 3 {
			continue
		}
		for _, mount := range cgroupMounts(parts[1]) {
			// Every group above limits it as well. In a container the path may be the
			// host's, and only the top exists.
			for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
				if n := quotaIn(root, path.Join(mount, dir)); n > 0 && (cpus == 0 || n < cpus) {
					cpus = n
				}
				if dir == "/" {
					break
				}
			}
		}
	}
	return cpus
}

// cgroupMounts returns where the hierarchy of controllers usually is mounted; "" is that
// of cgroup version 2.
func cgroupMounts(controllers string) []string {
	const top = "sys/fs/cgroup"
	for c := range strings.SplitSeq(controllers, ",") {
		switch c {
		case "":
			return []string{top, top + "/unified"}
		case "cpu":
			return []string{top + "/cpu", top + "/" + controllers}
		}
	}
	return nil
}

// quotaIn returns how many CPUs the group in dir may use, or 0 if it has no quota.
func quotaIn(root fs.FS, dir string) int {
	b, err := fs.ReadFile(root, dir+"/cpu.max") // version 2: both numbers
	if err != nil {
		quota, _ := fs.ReadFile(root, dir+"/cpu.cfs_quota_us")
		period, _ := fs.ReadFile(root, dir+"/cpu.cfs_period_us")
		b = append(append(quota, ' '), period...)
	}
	fields := strings.Fields(string(b))
	if len(fields) != 2 {
		return 0
	}
	quota, _ := strconv.ParseInt(fields[0], 10, 64) // "max" or -1 for none
	period, _ := strconv.ParseInt(fields[1], 10, 64)
	if quota <= 0 || period <= 0 {
		return 0
	}
	return int((quota-1)/period + 1)
}
