package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lb/internal/testkit"
)

// lab is a network of hosts, which are namespaces on one bridge.
type lab struct {
	t      *testing.T
	prefix string // of the names of namespaces
	dir    string
	hosts  int
}

// host is a machine of a lab.
type host struct {
	lab  *lab
	ns   string
	name string
	addr string // 10.77.0.x
	cord string // its link in the bridge's namespace
}

// labs numbers the labs of this process.
var labs int

// newLab returns a lab with a bridge and no host. It is gone when the test ends.
func newLab(t *testing.T) *lab {
	t.Helper()
	testkit.Long(t)
	needs(t, "ip")
	labs++
	l := &lab{t: t, prefix: fmt.Sprintf("lbf%d-%d-", os.Getpid(), labs), dir: t.TempDir()}
	if out, err := exec.Command("ip", "netns", "add", l.bridge()).CombinedOutput(); err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatalf("no namespaces: %s", out)
		}
		t.Skipf("needs root and network namespaces: %s", strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { l.remove(l.bridge()) })
	l.ip("-n", l.bridge(), "link", "add", "br0", "type", "bridge")
	l.ip("-n", l.bridge(), "link", "set", "br0", "up")
	return l
}

func (l *lab) bridge() string { return l.prefix + "sw" }

// needs skips the test if a program is missing, unless LB_CI says that all are there.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("LB_CI") != "" {
			t.Fatalf("%s is missing", p)
		}
		t.Skipf("%s is missing", p)
	}
}

// remove ends what runs in a namespace, and removes it.
func (l *lab) remove(ns string) {
	out, _ := exec.Command("ip", "netns", "pids", ns).Output()
	for text := range strings.FieldsSeq(string(out)) {
		if pid, err := strconv.Atoi(text); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	exec.Command("ip", "netns", "del", ns).Run()
}

// ip runs ip, which must succeed.
func (l *lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// host adds a host.
func (l *lab) host(name string) *host {
	l.t.Helper()
	l.hosts++
	h := &host{lab: l, ns: l.prefix + name, name: name, addr: fmt.Sprintf("10.77.0.%d", l.hosts), cord: fmt.Sprintf("c%d", l.hosts)}
	l.ip("netns", "add", h.ns)
	l.t.Cleanup(func() { l.remove(h.ns) })
	l.ip("link", "add", h.cord, "netns", l.bridge(), "type", "veth", "peer", "name", "eth0", "netns", h.ns)
	l.ip("-n", l.bridge(), "link", "set", h.cord, "master", "br0", "up")
	h.ip("link", "set", "lo", "up")
	h.ip("addr", "add", h.addr+"/24", "dev", "eth0")
	h.ip("link", "set", "eth0", "up")
	return h
}

// ip runs ip in the host's namespace.
func (h *host) ip(args ...string) {
	h.lab.t.Helper()
	h.lab.ip(append([]string{"-n", h.ns}, args...)...)
}

// command returns a command that runs on the host.
func (h *host) command(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.ns}, args...)...)
}

// run runs a command on the host, which must succeed, and returns what it prints.
func (h *host) run(args ...string) string {
	h.lab.t.Helper()
	out, err := h.command(args...).CombinedOutput()
	if err != nil {
		h.lab.t.Fatalf("%s: %s: %v\n%s", h.name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// set sets a variable of the host's network, such as ipv4/fib_multipath_hash_policy.
func (h *host) set(name, value string) {
	h.lab.t.Helper()
	h.run("sh", "-c", "echo "+value+" >/proc/sys/net/"+name)
}

// start starts a program on the host.
func (h *host) start(args ...string) *testkit.Process {
	h.lab.t.Helper()
	return testkit.Start(h.lab.t, h.command(args...))
}

// powerOff has the host vanish: nothing that it sends arrives any longer, not even the end of a connection.
func (h *host) powerOff(processes ...*testkit.Process) {
	h.lab.t.Helper()
	h.lab.ip("-n", h.lab.bridge(), "link", "set", h.cord, "down")
	for _, p := range processes {
		syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
	}
}
