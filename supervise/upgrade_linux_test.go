package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/admin/api"
	"lb/config"
	"lb/internal/host"
	"lb/internal/ipc"
	"lb/internal/testkit"
	"lb/supervise/handover"
	"lb/supervise/plan"
	"lb/supervise/supervisetest"
)

// nextEnv marks a process to which a test upgrades. Its value is a next in JSON.
const nextEnv = "LB_TEST_NEXT"

// next is the program that a test upgrades to.
type next struct {
	Config *config.Config
	Does   string // one of the following
}

const (
	servesWell   = ""
	killsParent  = "kills its parent before it is ready"
	diesAfterGo  = "dies when it is to take over"
	hangsAfterGo = "hangs when it is to take over"
	noAdmin      = "cannot open the address of the operator's server"
	outOfTurn    = "reports that it has taken over, and is not ready"
	isNoLB       = "writes its number to the PID file, says nothing and hangs"
)

func init() {
	roles[nextEnv] = func(text string) {
		if os.Getenv(ipc.UpgradeEnv) != "" {
			os.Exit(serveAsNext(text))
		}
	}
}

// serveAsNext is main of a process that a test upgrades to.
func serveAsNext(text string) (exitCode int) {
	var n next
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		ReportFault(err)
		return 99
	}
	switch n.Does {
	case servesWell, killsParent, noAdmin:
		o := Options{
			Version: "next",
			Log:     NewLog(os.Stderr, "error"),
			Runtime: func(api.Control) Runtime { return fakeRuntime{} },
			Sources: noSource,
		}
		if n.Does == noAdmin {
			o.Admin = func(*config.Config, Running) Admin {
				return &fakeAdmin{listenErr: fmt.Errorf("no admin here; %d sockets listen", listenersOpen())}
			}
		}
		if n.Does == killsParent {
			o.Resolver = supervisetest.ResolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
				syscall.Kill(os.Getppid(), syscall.SIGKILL)
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			})
		}
		code, err := Serve(n.Config, o)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return code
	}
	if n.Does == isNoLB {
		if err := host.WritePID(n.Config.PIDFile); err != nil {
			return 96
		}
		unix.Pause()
	}
	talk := talkOf(os.Getenv(ipc.UpgradeEnv))
	in, err := handover.Inherit(plan.NewRegistry())
	if err != nil {
		return 98
	}
	if n.Does == outOfTurn {
		in.Took([]int{0})
		return 97
	}
	if err := in.Ready("next"); err != nil || n.Does == diesAfterGo {
		return 7
	}
	awaitTalk(talk) // hangs until the old process releases it
	return 0
}

// listenersOpen returns how many listening sockets this process has open.
func listenersOpen() (n int) {
	for fd := range 256 {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil {
			n += on
		}
	}
	return n
}

// upgradeTo makes processes that are started from now on behave as n.
func upgradeTo(t *testing.T, n next) {
	t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(nextEnv, string(text))
}

// upgraded upgrades in; the new process ends with the test.
func (in *inside) upgraded(t *testing.T) api.Upgraded {
	t.Helper()
	u, err := in.control.Upgrade("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(u.PID, syscall.SIGTERM)
		testkit.Until(t, "the new process to end", func() bool { return vanished(u.PID) })
	})
	return u
}

// vanished reports whether process pid is gone, and reaped.
func vanished(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// An upgrade into the same mode or the other, with fewer loops or more: clients are
// answered meanwhile, and afterwards the new process is alone.
func TestUpgrade(t *testing.T) {
	for _, tc := range []struct {
		from, to config.Mode
		workers  int
	}{
		{config.MT, config.MT, 2},
		{config.MP, config.MP, 2},
		{config.MT, config.MP, 3},
		{config.MP, config.MT, 1},
	} {
		t.Run(fmt.Sprintf("%s to %s with %d", tc.from, tc.to, tc.workers), func(t *testing.T) {
			dir := t.TempDir()
			cfg := supervisetest.Config(tc.from)
			cfg.PIDFile, cfg.Admin.Socket = filepath.Join(dir, "lb.pid"), filepath.Join(dir, "lb.sock")
			supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
			in := serve(t, cfg, Options{})
			stop := supervisetest.Asking(t, in.addr, "well")
			after := *cfg
			after.Mode, after.Workers = tc.to, tc.workers
			upgradeTo(t, next{Config: &after})
			u := in.upgraded(t)
			if u.Version != "next" || u.PID == os.Getpid() {
				t.Errorf("upgraded to %+v", u)
			}
			if text, err := os.ReadFile(cfg.PIDFile); err != nil || string(text) != fmt.Sprintln(u.PID) {
				t.Errorf("the PID file has %q, %v; want %d", text, err, u.PID)
			}
			in.wantExit(t, 0)
			if stop() == 0 {
				t.Error("nobody has asked")
			}
			supervisetest.Get(in.addr).Want(t, "well")
			if group, err := syscall.Getpgid(u.PID); err != nil || group != syscall.Getpgrp() {
				t.Errorf("the new process is in group %d, %v; a terminal's signals go to %d", group, err, syscall.Getpgrp())
			}
			select {
			case <-in.admin.red:
				t.Error("health was shown red, while another process serves")
			default:
			}
			for _, path := range []string{cfg.PIDFile, cfg.Admin.Socket} {
				if _, err := os.Stat(path); err != nil {
					t.Errorf("the old process has taken %s with it: %v", path, err)
				}
			}
			if err := syscall.Kill(u.PID, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			testkit.Until(t, "the new process to end", func() bool { return vanished(u.PID) })
			if !supervisetest.Refused(in.addr) {
				t.Error("somebody still listens")
			}
			if entries, _ := os.ReadDir(dir); len(entries) > 0 {
				t.Errorf("files left: %v", entries)
			}
		})
	}
}

// A new process that cannot take over leaves the old one as it was.
func TestUpgradeRefused(t *testing.T) {
	testkit.Long(t)
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		testkit.WriteFileMode(t, path, text, mode)
		return path
	}
	for name, tc := range map[string]struct {
		binary string
		next   next
		want   string
	}{
		"no path":        {"lb", next{}, `"lb" is not an absolute path`},
		"missing":        {filepath.Join(dir, "missing"), next{}, "no such file"},
		"not executable": {script("plain", "#!/bin/sh\n", 0o600), next{}, "permission denied"},
		"exits":          {script("exits", "#!/bin/sh\nexit 7\n", 0o700), next{}, "exit status 7"},
		"is killed":      {script("killed", "#!/bin/sh\nkill -9 $$\n", 0o700), next{}, "signal: killed"},
		"hangs":          {script("hangs", "#!/bin/sh\nexec sleep 1000\n", 0o700), next{}, "not ready after 500ms"},
		"leaves a child": {script("child", "#!/bin/sh\nsleep 2 &\nexit 7\n", 0o700), next{}, "exit status 7"},
		"taken port":     {"", next{Config: elsewhere(t)}, "address already in use"},
		// Those of the operator, and two of the four that the loops are to have: what
		// the system would put into more would be reset.
		"no admin":       {"", next{Does: noAdmin}, "no admin here; 4 sockets listen"},
		"dies after go":  {"", next{Does: diesAfterGo}, "exit status 7"},
		"hangs after go": {"", next{Does: hangsAfterGo}, "not ready after 500ms"},
		"out of turn":    {"", next{Does: outOfTurn}, "out of turn"},
	} {
		t.Run(name, func(t *testing.T) { refuseUpgrade(t, tc.binary, tc.next, tc.want) })
	}
}

// refuseUpgrade upgrades to binary, which is refused because of want and changes
// nothing.
func refuseUpgrade(t *testing.T, binary string, next next, want string) {
	cfg := supervisetest.Config(config.MT)
	cfg.PIDFile, cfg.Admin.Socket = filepath.Join(t.TempDir(), "lb.pid"), filepath.Join(t.TempDir(), "lb.sock")
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	timeout := testkit.Patience
	if strings.Contains(want, "500ms") {
		timeout = 500 * time.Millisecond
	}
	var log testkit.Log
	in := serve(t, cfg, Options{Log: NewLog(&log, "error"), UpgradeTimeout: timeout})
	supervisetest.Get(in.addr).Want(t, "well")
	if next.Config == nil {
		after := *cfg
		after.Admin.Address = "127.0.0.1:1" // is not the one that is handed over
		after.Workers = 4
		next.Config = &after
	}
	upgradeTo(t, next)
	before := socketsOf(t, os.Getpid())
	stop := supervisetest.Asking(t, in.addr, "well")
	if _, err := in.control.Upgrade(binary); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want one with %q", err, want)
	}
	stop()
	if left := supervisetest.ChildrenOf(t, os.Getpid()); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	testkit.Until(t, "descriptors to be closed", func() bool { return socketsOf(t, os.Getpid()) == before })
	if st := in.control.Status(); st.State != api.Serving || !strings.Contains(st.UpgradeFault, want) {
		t.Errorf("state %q with %q, want to go on and to tell %q", st.State, st.UpgradeFault, want)
	}
	if !strings.Contains(log.String(), "upgrade failed") {
		t.Errorf("the log says nothing: %s", log.String())
	}
	if text, err := os.ReadFile(cfg.PIDFile); err != nil || string(text) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("the PID file has %q, %v; want this process", text, err)
	}
	if c, err := net.Dial("unix", cfg.Admin.Socket); err != nil {
		t.Errorf("the socket for commands: %v", err)
	} else {
		c.Close()
	}
	for range 8 {
		supervisetest.Get(in.addr).Want(t, "well")
	}
	if _, err := in.control.Reload(false); err != nil {
		t.Errorf("a reload after it: %v", err)
	}
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
}

// elsewhere is a configuration that cannot be served, because its port is taken.
func elsewhere(t *testing.T) *config.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cfg := supervisetest.Config(config.MT)
	cfg.Port = l.Addr().(*net.TCPAddr).Port
	return cfg
}

// While an upgrade is under way another one, and a reload, are refused. lb can be ended,
// which ends both processes.
func TestEndDuringUpgrade(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), "hangs")
	testkit.WriteFileMode(t, hangs, "#!/bin/sh\nexec sleep 1000\n", 0o700)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		cfg.Admin.Socket = filepath.Join(t.TempDir(), "lb.sock")
		in := serve(t, cfg, Options{})
		result := make(chan error, 1)
		go func() {
			_, err := in.control.Upgrade(hangs)
			result <- err
		}()
		testkit.Until(t, "the upgrade to begin", func() bool { return in.control.Status().State == api.Upgrading })
		if _, err := in.control.Upgrade(hangs); err == nil || !strings.Contains(err.Error(), "under way") {
			t.Errorf("a second upgrade: %v", err)
		}
		if _, err := in.control.Reload(false); err == nil || !strings.Contains(err.Error(), "upgrade is under way") {
			t.Errorf("a reload: %v", err)
		}
		in.signals <- syscall.SIGTERM
		in.wantExit(t, 0)
		if err := <-result; err == nil {
			t.Error("the upgrade has succeeded")
		}
		if left := supervisetest.ChildrenOf(t, os.Getpid()); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
		if _, err := os.Stat(cfg.Admin.Socket); !os.IsNotExist(err) {
			t.Errorf("the socket for commands: %v, want it gone", err)
		}
	})
}

// If the old process dies before it has decided, the new one goes on.
func TestOldDiesInUpgrade(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		cfg.PIDFile = filepath.Join(t.TempDir(), "lb.pid")
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
		after := *cfg
		after.Pools = slices.Clone(cfg.Pools)
		after.Pools[0].Backends = append(slices.Clone(cfg.Pools[0].Backends), config.Backend{Host: "app.test", Port: 1, Weight: 1, Drain: true})
		upgradeTo(t, next{Config: &after, Does: killsParent})
		lb := startLB(t, cfg)
		lb.process.Signal(t, syscall.SIGUSR2)
		testkit.Until(t, "the old process to be killed", func() bool { return supervisetest.Ended(lb.pid()) })
		testkit.Until(t, "the new process to write its number", func() bool {
			text, _ := os.ReadFile(cfg.PIDFile)
			return len(text) > 0 && string(text) != fmt.Sprintln(lb.pid())
		})
		for range 8 {
			supervisetest.Get(lb.addr).Want(t, "well")
		}
	})
}

// If the new process finds another address in the file, the old one gets no connections
// any longer. Clients of both are served all the time.
func TestUpgradeSamePort(t *testing.T) {
	for _, hosts := range [][2]string{{"127.0.0.1", "0.0.0.0"}, {"0.0.0.0", "127.0.0.1"}} {
		t.Run(hosts[0]+" to "+hosts[1], func(t *testing.T) {
			cfg := supervisetest.Config(config.MP)
			in, port := serveEverywhere(t, cfg)
			in.moveTo(t, cfg, hosts[0], port)
			stop := supervisetest.Asking(t, "127.0.0.1:"+port, "well")
			upgradeTo(t, next{Config: movedTo(t, cfg, hosts[1], port)})
			in.upgraded(t)
			in.wantExit(t, 0)
			if supervisetest.Get("127.0.0.1:"+port).Want(t, "well"); stop() == 0 {
				t.Error("nobody has asked")
			}
		})
	}
}

// A program that does not know lb's upgrades, and hangs, gets no socket: it could hold the
// port for longer than lb runs.
func TestUpgradeToNoLB(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		after := *cfg
		after.PIDFile = filepath.Join(t.TempDir(), "next.pid")
		upgradeTo(t, next{Config: &after, Does: isNoLB})
		lb := startLB(t, cfg)
		lb.process.Signal(t, syscall.SIGUSR2)
		testkit.Until(t, "the program to begin", func() bool {
			_, err := os.Stat(after.PIDFile)
			return err == nil
		})
		lb.process.Signal(t, syscall.SIGKILL)
		testkit.Until(t, "lb to end", func() bool { return supervisetest.Ended(lb.pid()) })
		testkit.Until(t, "the port to be free", func() bool { return supervisetest.Refused(lb.addr) })
	})
}

// Every later process has the same descriptors open as the first new one: neither
// supervisors nor workers inherit any that they do not use.
func TestUpgradesKeepDescriptors(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		cfg.PIDFile = filepath.Join(t.TempDir(), "lb.pid")
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
		upgradeTo(t, next{Config: cfg})
		lb := startLB(t, cfg)
		pid := lb.pid()
		var first string
		for round := range 4 {
			supervisetest.Kill(t, pid, syscall.SIGUSR2)
			old := pid
			testkit.Until(t, "the new process to write its number", func() bool {
				text, _ := os.ReadFile(cfg.PIDFile)
				return strings.HasSuffix(string(text), "\n") && string(text) != fmt.Sprintln(old)
			})
			text, err := os.ReadFile(cfg.PIDFile)
			if err == nil {
				_, err = fmt.Sscan(string(text), &pid)
			}
			if err != nil {
				t.Fatal(err)
			}
			testkit.Until(t, "the old process to end", func() bool { return supervisetest.Ended(old) })
			supervisetest.Get(lb.addr).Want(t, "well")
			has := socketsOf(t, pid)
			for _, worker := range supervisetest.ChildrenOf(t, pid) {
				has += "; worker " + socketsOf(t, worker)
				for _, name := range []string{ipc.UpgradeEnv, "LISTEN_FDS"} {
					if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", worker)); err != nil || strings.Contains(string(environ), name+"=") {
						t.Errorf("the worker has %s in its environment, %v", name, err)
					}
				}
			}
			if round == 0 {
				first = has
			}
			if has != first {
				t.Errorf("upgrade %d: open are %s, after the first were %s", round+1, has, first)
			}
		}
		supervisetest.Kill(t, pid, syscall.SIGTERM)
		testkit.Until(t, "the last process to end", func() bool { return supervisetest.Ended(pid) })
		if !supervisetest.Refused(lb.addr) {
			t.Error("somebody still listens")
		}
	})
}

// socketsOf returns what kinds of descriptors pid has open, and how many of each.
// Conns and the like come and go, so only what stays is counted.
func socketsOf(t *testing.T, pid int) string {
	t.Helper()
	count := map[string]int{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	listening := listeningInodes(t, pid)
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		kind, _, _ := strings.Cut(link, ":")
		if kind == "socket" && listening[link] {
			kind = "listening"
		}
		if kind != "socket" && kind != "pipe" {
			count[kind]++
		}
	}
	return fmt.Sprint(count)
}

// listeningInodes returns the listening sockets of IPv4, as /proc/PID/fd shows them.
func listeningInodes(t *testing.T, pid int) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 9 && fields[3] == "0A" {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
	return inodes
}

// A signal to end that comes while lb drains because it was replaced counts as the first
// one.
func TestSignalWhenReplaced(t *testing.T) {
	cfg := supervisetest.Config(config.MT)
	slow := supervisetest.AddSlowBackend(t, cfg)
	var log testkit.Log
	in := serve(t, cfg, Options{Log: NewLog(&log, "info")})
	a := slow.GetLater(t, in.addr)
	upgradeTo(t, next{Config: cfg})
	in.upgraded(t)
	in.signals <- syscall.SIGTERM
	testkit.Until(t, "the signal to be heard", func() bool { return strings.Contains(log.String(), "draining already") })
	close(slow.Release)
	(<-a).Want(t, "late")
	in.wantExit(t, 0)
}

// talkOf returns a second descriptor of the channel to the old process, of which
// text is the number.
func talkOf(text string) (fd int) {
	if fd, err := strconv.Atoi(text); err == nil {
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			return fd
		}
	}
	return -1
}

// awaitTalk returns when the old process has ended the talk.
func awaitTalk(fd int) {
	talk := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(talk, -1); err != unix.EINTR {
			return
		}
	}
}
