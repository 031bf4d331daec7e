package dns

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/discover"
)

// dnsmasq is the name server of that name.
type dnsmasq struct {
	addr, hosts string
	process     *os.Process
}

// startDnsmasq starts dnsmasq with arguments besides those that it always gets.
func startDnsmasq(t *testing.T, args ...string) *dnsmasq {
	t.Helper()
	path, err := exec.LookPath("dnsmasq")
	if err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatal("dnsmasq is missing; .ci/run installs it")
		}
		t.Skip("dnsmasq is missing: apt-get install dnsmasq-base")
	}
	d := &dnsmasq{hosts: filepath.Join(t.TempDir(), "hosts")}
	testkit.WriteFile(t, d.hosts, "")
	os.Chmod(filepath.Dir(d.hosts), 0o755)
	os.Chmod(d.hosts, 0o644)
	// Its port has to be free for UDP and TCP; it ends at once if another was faster.
	for range 20 {
		port := strconv.Itoa(testkit.HoldPort(t))
		d.addr = net.JoinHostPort("127.0.0.1", port)
		var out bytes.Buffer
		cmd := exec.Command(path, append([]string{"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts", "--user=root",
			"--bind-interfaces", "--listen-address=127.0.0.1", "--port=" + port, "--addn-hosts=" + d.hosts, "--local-ttl=1", "--local=/test/", "--log-facility=-"}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); cmd.Wait() }()
		serves := false
		testkit.Until(t, "dnsmasq to serve or end", func() bool {
			c, err := net.Dial("tcp", d.addr)
			if err == nil {
				c.Close()
				serves = true
			}
			return serves || testkit.IsClosed(ended)
		})
		if serves && !testkit.IsClosed(ended) {
			d.process = cmd.Process
			t.Cleanup(func() { cmd.Process.Kill(); <-ended })
			return d
		}
		cmd.Process.Kill()
		<-ended
		t.Logf("dnsmasq on port %s: %s", port, out.String())
	}
	t.Fatal("dnsmasq does not start")
	return nil
}

// setHosts gives it other names.
func (d *dnsmasq) setHosts(t *testing.T, text string) {
	t.Helper()
	testkit.WriteFile(t, d.hosts, text)
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// A hub follows names, a service, and their changes, at dnsmasq; more addresses than a
// datagram holds come by TCP.
func TestDnsmasq(t *testing.T) {
	d := startDnsmasq(t, "--srv-host=_http._tcp.web.test,app.test,8001,1,5", "--srv-host=_http._tcp.web.test,spare.test,8002,2",
		"--cname=alias.test,app.test", "--edns-packet-max=512")
	many := ""
	for i := range 100 {
		many += fmt.Sprintf("10.0.1.%d many.test\n", i)
	}
	d.setHosts(t, many+"10.0.0.1 app.test\n10.0.0.2 app.test\nfd00::1 app.test\n10.0.0.9 spare.test\n")
	c := New()
	hub := discover.New(discover.Options{Log: testLog(t), Namer: c,
		Make: func(p config.Pool) (discover.Source, error) { return c.Service(p) }})
	defer hub.Close()
	cfg := &config.Config{Pools: []config.Pool{
		{Name: "app", Resolver: d.addr, Backends: []config.Backend{{Host: "alias.test", Port: 80}}},
		{Name: "web", Resolver: d.addr, Discover: "srv://_http._tcp.web.test"},
		{Name: "many", Resolver: d.addr, Discover: "dns://many.test:80"},
	}}
	hub.Follow(cfg)
	pool := func(i int) (list []string) {
		for _, b := range hub.Effective(cfg).Pools[i].Backends {
			list = append(list, b.String()+map[bool]string{true: " backup"}[b.Backup])
		}
		return list
	}
	is := func(i int, want ...string) {
		t.Helper()
		testkit.Until(t, fmt.Sprint("pool ", i, " to be ", want), func() bool { return slices.Equal(pool(i), want) })
	}
	is(0, "10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80")
	is(1, "10.0.0.1:8001", "10.0.0.2:8001", "[fd00::1]:8001", "10.0.0.9:8002 backup")
	testkit.Until(t, "100 addresses", func() bool { return len(pool(2)) == 100 })
	d.setHosts(t, many+"10.0.0.3 app.test\n")
	is(0, "10.0.0.3:80")
	is(1, "10.0.0.3:8001", "10.0.0.9:8002 backup")
	d.setHosts(t, many)
	testkit.Until(t, "the name to be missed", func() bool {
		return slices.ContainsFunc(hub.States(), func(s api.Discovery) bool { return s.Source == "alias.test" && !s.Up && s.Fault != "" })
	})
	is(0, "10.0.0.3:80")
	is(1, "10.0.0.3:8001", "10.0.0.9:8002 backup")
}
