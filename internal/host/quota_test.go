package host

import (
	"testing"
	"testing/fstest"
)

func TestCPUQuota(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"not Linux", nil, 0},
		{"version 2, no quota", map[string]string{
			"proc/self/cgroup":          "0::/app\n",
			"sys/fs/cgroup/app/cpu.max": "max 100000\n",
		}, 0},
		{"version 2, one CPU", map[string]string{
			"proc/self/cgroup":          "0::/app\n",
			"sys/fs/cgroup/app/cpu.max": "100000 100000\n",
		}, 1},
		{"in a container with groups of its own", map[string]string{
			"proc/self/cgroup":      "0::/\n",
			"sys/fs/cgroup/cpu.max": "250000 100000\n",
		}, 3},
		{"outside of the groups that can be seen", map[string]string{
			"proc/self/cgroup":      "0::/../other\n",
			"sys/fs/cgroup/cpu.max": "50000 100000\n",
		}, 1},
		{"the group above has less", map[string]string{
			"proc/self/cgroup":              "0::/app/web\n",
			"sys/fs/cgroup/app/web/cpu.max": "400000 100000\n",
			"sys/fs/cgroup/app/cpu.max":     "200000 100000\n",
		}, 2},
		{"version 1", map[string]string{
			"proc/self/cgroup": "5:memory:/app\n4:cpu,cpuacct:/app\n",
			"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us":  "150000\n",
			"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
		}, 2},
		{"version 1, no quota", map[string]string{
			"proc/self/cgroup":                    "4:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 0},
		{"version 1, in a container with the path of the host", map[string]string{
			"proc/self/cgroup":                    "4:cpu:/docker/abc\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "100000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 1},
		{"nonsense", map[string]string{
			"proc/self/cgroup":      "\n0\n0::\n4:cpu:app\n",
			"sys/fs/cgroup/cpu.max": "1 0 2\n",
		}, 0},
	} {
		root := fstest.MapFS{}
		for name, text := range tc.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := cpuQuota(root); got != tc.want {
			t.Errorf("%s: %d CPUs, want %d", tc.name, got, tc.want)
		}
	}
}
