package fleet

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// eachMode runs f in mt and in mp, one after the other: each has a dozen processes.
func eachMode(t *testing.T, f func(t *testing.T, mode string)) {
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) { f(t, mode) })
	}
}

// config is that of every lb of a fleet. keys stand at its top.
func config(mode, keys string) string {
	return fmt.Sprintf(`mode = %q
workers = 2
host = "0.0.0.0"
port = 80
strategy = "hash"
hash = { key = "header:x-user" }
%s
[admin]
address = "0.0.0.0:9900"
[timeouts]
connect = "1s"
drain_delay = "1s"
[health]
type = "tcp"
interval = "300ms"
interval_down = "300ms"
timeout = "500ms"
`, mode, keys)
}

// vip is the address that a fleet serves.
const vip = "10.77.0.200"

// TestPair: keepalived keeps a virtual address on one of two machines. When that machine
// vanishes, only what was in flight on it is lost.
func TestPair(t *testing.T) {
	needs(t, "keepalived")
	eachMode(t, func(t *testing.T, mode string) {
		l := newLab(t)
		user, back, a, b := l.host("user"), l.host("back"), l.host("lba"), l.host("lbb")
		back.backend(back.addr + ":8000")
		file := filepath.Join(l.dir, "lb.toml")
		testkit.WriteFile(t, file, config(mode, "")+fmt.Sprintf("[[backends]]\nhost = %q\nport = 8000\n", back.addr))
		first, second := a.lb(file), b.lb(file)
		keeper := a.keepalived(110)
		testkit.Until(t, "the address on the first machine", func() bool { return a.has(vip) })
		b.keepalived(100)

		gone := begin(user, vip, 1)
		testkit.Until(t, "requests", func() bool { return a.requests() > clients })
		a.powerOff(first, keeper)
		at := time.Now()
		testkit.Until(t, "the address on the second machine", func() bool { return b.has(vip) })
		testkit.Until(t, "requests there", func() bool { return b.requests() > 10*clients })
		gone.end().wantInFlight(t, at, "the first machine of a pair vanishes")
		if second.Ended() {
			t.Error("the second lb has ended")
		}
	})
}

// keepalived starts keepalived with this priority, bound to the health of lb.
func (h *host) keepalived(priority int) *testkit.Process {
	h.lab.t.Helper()
	dir := filepath.Join(h.lab.dir, h.name)
	conf := filepath.Join(dir, "keepalived.conf")
	testkit.WriteFile(h.lab.t, conf, fmt.Sprintf(`global_defs {
	router_id %s
	vrrp_version 3
	vrrp_rt_priority 50
	script_user root
	enable_script_security
}
vrrp_script lb {
	script "/usr/bin/curl -fs -o /dev/null http://%s:9900/healthz"
	interval 1
	timeout 5
	fall 3
	rise 1
}
vrrp_instance lb {
	interface eth0
	state BACKUP
	virtual_router_id 77
	priority %d
	advert_int 0.5
	virtual_ipaddress {
		%s/24
	}
	track_script {
		lb
	}
}
`, h.name, h.addr, priority, vip))
	return h.start("keepalived", "--dont-fork", "--log-console", "--use-file", conf,
		"--pid", filepath.Join(dir, "keepalived.pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"), "--checkers_pid", filepath.Join(dir, "checkers.pid"))
}

// has reports whether the host has an address.
func (h *host) has(addr string) bool {
	return strings.Contains(h.run("ip", "-4", "-o", "addr", "show", "dev", "eth0"), addr+"/")
}

// requests returns how many requests the lb of the host has had.
func (h *host) requests() (n int) {
	out, _ := h.command("curl", "-fs", "http://"+h.addr+":9900/metrics").Output()
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(line, " "); ok && (name == "lb_requests_total" || strings.HasPrefix(name, "lb_requests_total{")) {
			var k int
			fmt.Sscan(value, &k)
			n += k
		}
	}
	return n
}

// fleet is three lbs that serve vip by equal-cost routes, with configuration and backends in
// etcd.
type fleet struct {
	*lab
	mode              string
	user, store       *host
	lbs, backs        []*host
	processes, behind []*testkit.Process
	router            *testkit.Process
}

// webConfig is the configuration of a fleet.
func (f *fleet) webConfig(more string) string {
	return config(f.mode, fmt.Sprintf("discover = \"etcd://%s:2379/lb/web/\"\n", f.store.addr)) + more
}

// newFleet returns a fleet whose router knows all of its machines.
func newFleet(t *testing.T, mode string) *fleet {
	t.Helper()
	needs(t, "etcd", "etcdctl", "curl")
	f := &fleet{lab: newLab(t), mode: mode}
	f.user, f.store = f.host("user"), f.host("store")
	f.store.etcd()
	for i := range 3 {
		b := f.host(fmt.Sprint("back", i))
		f.backs = append(f.backs, b)
		f.behind = append(f.behind, b.backend(b.addr+":8000"))
		f.store.put("/lb/web/"+b.name, b.entry())
	}
	f.store.put("/lb/config", f.webConfig(""))
	hosts := []string{vip}
	for i := range 3 {
		h := f.host(fmt.Sprint("lb", i))
		h.ip("addr", "add", vip+"/32", "dev", "lo")
		// The address is on all of them: none may answer for it by ARP.
		h.set("ipv4/conf/all/arp_ignore", "1")
		h.set("ipv4/conf/all/arp_announce", "2")
		f.lbs = append(f.lbs, h)
		f.processes = append(f.processes, h.lb(fmt.Sprintf("etcd://%s:2379/lb/config", f.store.addr)))
		hosts = append(hosts, h.addr)
	}
	f.user.set("ipv4/fib_multipath_hash_policy", "1")
	f.router = f.user.start(f.user.play("router", hosts...)...)
	testkit.Until(t, "routes to all machines", func() bool { return strings.Contains(f.router.Out.String(), strings.Join(hosts[1:], " ")) })
	return f
}

// awaitTraffic waits until every lb has had some more requests.
func (f *fleet) awaitTraffic(lbs ...*host) {
	f.t.Helper()
	for _, h := range lbs {
		had := h.requests()
		testkit.Until(f.t, "requests at "+h.name, func() bool { return h.requests() > had+clients })
	}
}

// awaitStatus waits until the status of every lb has text, or has it no longer.
func (f *fleet) awaitStatus(text string, has bool, lbs ...*host) {
	f.t.Helper()
	for _, h := range lbs {
		testkit.Until(f.t, fmt.Sprintf("%q in the status of %s: %v", text, h.name, has), func() bool {
			return strings.Contains(h.ctl("status"), text) == has
		})
	}
}

// TestFleet: machines that have found configuration and backends for themselves agree where a
// key goes, and nothing is lost when backends come and go, when the configuration changes, and
// when all are upgraded one after the other.
func TestFleet(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		f := newFleet(t, mode)

		traffic := begin(f.user, vip, 5)
		f.awaitTraffic(f.lbs...)
		r := traffic.end()
		r.wantNoLoss(t, "nothing happens")
		for key, backends := range r.Backends {
			if len(backends) != 1 {
				t.Errorf("%s went to %v: the machines do not agree", key, backends)
			}
		}

		traffic = begin(f.user, vip, 5)
		added := f.host("back3")
		added.backend(added.addr + ":8000")
		f.store.put("/lb/web/"+added.name, added.entry())
		f.awaitStatus(added.addr+":8000", true, f.lbs...)
		f.awaitTraffic(f.lbs...)
		f.store.del("/lb/web/" + f.backs[0].name)
		f.awaitStatus(f.backs[0].addr+":8000", false, f.lbs...)
		f.awaitTraffic(f.lbs...)
		r = traffic.end()
		r.wantNoLoss(t, "a backend is added, and one is removed")
		if !slices.ContainsFunc(slices.Collect(maps.Values(r.Backends)), func(b []string) bool { return slices.Contains(b, added.name) }) {
			t.Error("no request has reached the backend that was added")
		}

		traffic = begin(f.user, vip, 5)
		f.store.put("/lb/config", f.webConfig("[[routes]]\npath = \"/none\"\npool = \"default\"\n"))
		for _, h := range f.lbs {
			testkit.Until(t, "the configuration at "+h.name, func() bool { return strings.Contains(h.ctl("config", "show"), "/none") })
		}
		for _, h := range f.lbs {
			h.ctl("upgrade")
			f.awaitTraffic(h)
		}
		traffic.end().wantNoLoss(t, "the configuration changes, and all are upgraded one after the other")
	})
}

// TestFleetDeaths: of what is killed, only what was in flight there is lost.
func TestFleetDeaths(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		f := newFleet(t, mode)

		traffic := begin(f.user, vip, 1)
		f.awaitTraffic(f.lbs...)
		f.behind[0].Process.Kill()
		testkit.Wait(t, f.behind[0].Exited, "the backend to end")
		at := time.Now()
		f.awaitStatus("down", true, f.lbs...)
		f.awaitTraffic(f.lbs...)
		traffic.end().wantInFlight(t, at, "a backend is killed")

		traffic = begin(f.user, vip, 1)
		f.awaitTraffic(f.lbs...)
		f.lbs[1].powerOff(f.processes[1])
		at = time.Now()
		f.awaitTraffic(f.lbs[0], f.lbs[2])
		f.awaitTraffic(f.lbs[0], f.lbs[2])
		traffic.end().wantInFlight(t, at, "one of three machines vanishes")

		// One that leaves by itself is red before its door closes: nothing is refused. What is
		// open over its route when that goes is cut by any router.
		traffic = begin(f.user, vip, 1)
		f.awaitTraffic(f.lbs[0], f.lbs[2])
		f.processes[2].Signal(t, syscall.SIGTERM)
		testkit.Until(t, "the route to go", func() bool { return strings.HasSuffix(f.router.Out.String(), "routes "+f.lbs[0].addr+"\n") })
		at = time.Now()
		if code := f.processes[2].ExitCode(t); code != 0 {
			t.Errorf("an lb that drains ends with %d", code)
		}
		f.awaitTraffic(f.lbs[0])
		traffic.end().wantInFlight(t, at, "a machine is taken out of service")
	})
}
