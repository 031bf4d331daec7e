package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"lb/bench/report"
)

// machineHere describes this machine. Unknown values are left zero.
func machineHere(cpus int) report.Machine {
	info, _ := os.ReadFile("/proc/cpuinfo")
	mem, _ := os.ReadFile("/proc/meminfo")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kb, _ := strconv.ParseInt(strings.TrimSuffix(field(string(mem), "MemTotal"), " kB"), 10, 64)
	return report.Machine{
		CPU: field(string(info), "model name"), CPUs: cpus, Memory: kb << 10,
		Kernel: strings.TrimSpace(string(kernel)), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Virtual: strings.Contains(" "+field(string(info), "flags")+" ", " hypervisor "),
	}
}

// field returns the first value of that name in lines of "name : value", or "".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// versionsOf returns the versions of Go and of the installed proxies.
func versionsOf(ctx context.Context, p programs) map[string]string {
	v := map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}
	if p.nginx != "" {
		_, after, _ := strings.Cut(firstLine(ctx, p.nginx, "-v"), "nginx/")
		v["nginx"] = after
	}
	if p.haproxy != "" {
		after := strings.TrimPrefix(firstLine(ctx, p.haproxy, "-v"), "HAProxy version ")
		v["haproxy"], _, _ = strings.Cut(after, " ")
	}
	return v
}

// commitOf returns the commit of the module in dir, followed by "+" if files differ
// from it, or "unknown".
func commitOf(ctx context.Context, dir string) string {
	commit := firstLine(ctx, "git", "-C", dir, "rev-parse", "--short=10", "HEAD")
	if commit == "" || strings.Contains(commit, " ") {
		return "unknown"
	}
	if firstLine(ctx, "git", "-C", dir, "status", "--porcelain", "--untracked-files=no") != "" {
		commit += "+"
	}
	return commit
}

// firstLine returns the first line that a command writes to stdout or stderr, or ""
// if it fails.
func firstLine(ctx context.Context, argv ...string) string {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
