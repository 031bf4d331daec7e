package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// sendTo starts clients that send requests to one listener.
func (s *service) sendTo(addr string, kept, fresh int) *traffic {
	s.t.Helper()
	return send(s.t, func() string { return addr }, kept, fresh)
}

// wantServed sends a request to each address, on a new conn.
func wantServed(t *testing.T, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		c, err := redial(addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		c.send(t, "GET /1/100/length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if resp, body := c.answer(t); resp.StatusCode != 200 || body != string(bodyOf(1, 100)) {
			t.Errorf("%s: %s", addr, resp.Status)
		}
		c.Close()
	}
}

// wantRefused wants none of the addresses to be served.
func wantRefused(t *testing.T, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		testkit.Until(t, addr+" to be refused", func() bool {
			c, err := redial(addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
}

// wantNoFile wants nothing at the path of a unix socket.
func wantNoFile(t *testing.T, addr string) {
	t.Helper()
	if _, err := os.Lstat(strings.TrimPrefix(addr, "unix:")); err == nil {
		t.Errorf("%s is left behind", addr)
	}
}

// Ports and a unix socket are served, shown with their role, and gone with lb.
func TestListeners(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		a, b, path := testkit.FreePort(t), testkit.FreePort(t), "unix:"+s.file("s")
		s.setup.listeners = []string{"127.0.0.1:0", a + "\nredirect_https = true\n", path, b + "\ntls = true\n"}
		s.setup = s.setup.withCert(t, s.dir)
		s.start()
		wantServed(t, s.addr, path)
		st := s.status()
		if got := fmt.Sprint(st.Listeners); got != fmt.Sprintf("[{%s http} {%s redirect} {%s http} {%s https}]", s.addr, a, path, b) || st.Address != s.addr {
			t.Errorf("listeners %s, address %s", got, st.Address)
		}
		for _, want := range []string{s.addr + " (http)", a + " (redirect)", path + " (http)", b + " (https)"} {
			if out := s.want("status"); !strings.Contains(out, want) {
				t.Errorf("lb status does not show %q:\n%s", want, out)
			}
		}
		for _, want := range []string{"msg=listening address=" + a + " role=redirect", "msg=listening address=" + path + " role=http"} {
			s.untilTold(1, want)
		}
		s.stop()
		wantRefused(t, s.addr, a, b)
		wantNoFile(t, path)
	})
}

// Under load, reloads add, remove and move listeners and change what they are called. The
// others lose no request and no kept conn.
func TestListenersReload(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		a, b, c := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
		_, port, _ := net.SplitHostPort(a)
		path, other := "unix:"+s.file("s"), "unix:"+s.file("t")
		s.setup.listeners = []string{a, path}
		s.start()
		onA, onPath := s.sendTo(a, 4, 3), s.sendTo(path, 4, 3)
		use := func(listeners ...string) {
			t.Helper()
			s.setup.listeners = listeners
			s.reload()
			onA.more(t, 50)
			onPath.more(t, 50)
			wantServed(t, a, path)
		}
		use(a, b, path)
		wantServed(t, b)
		use(path, c, a)
		wantServed(t, c)
		wantRefused(t, b)
		use("localhost:"+port, other, path) // the same address, by its name
		wantServed(t, other)
		wantRefused(t, c)
		s.setup.workers = 3
		use(a, path)
		wantNoFile(t, other)
		s.setup.workers = 1
		use(b, path, a)
		wantServed(t, b)
		if st := s.status(); len(st.Listeners) != 3 || st.Address != b {
			t.Errorf("listeners %v", st.Listeners)
		}
		for _, want := range []string{`msg="no longer listening" address=` + c + " role=http", "msg=listening address=" + b + " role=http"} {
			testkit.Until(t, "the log to say "+want, func() bool { return s.told(want) > 0 })
		}
		onA.wantNone(t)
		onPath.wantNone(t)
	})
}

// A reload changes what a listener does for the clients that come after it, and for no
// other listener. Clients that connect at that moment are not refused.
func TestListenerChangesRole(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		s.setup = s.setup.withCert(t, s.dir)
		a, b, other := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
		use := func(first string) { s.setup.listeners = []string{first, b + "\ntls = true\n", other} }
		use(a)
		s.start()
		w := s.sendTo(other, 3, 2)
		connects := gather(t, 2, func(_ int, stop <-chan struct{}) error {
			c, err := net.DialTimeout("tcp", a, testkit.Patience)
			if err == nil {
				c.Close()
			}
			pause(2*time.Millisecond, stop)
			return err
		})
		for range 2 {
			wantServed(t, a)
			use(a + "\nredirect_https = true\n")
			s.reload()
			c := dial(t, a)
			c.send(t, "GET /x HTTP/1.1\r\nHost: lb.test\r\n\r\n")
			if resp, _ := c.answer(t); resp.StatusCode != 308 {
				t.Errorf("the listener that redirects answers %s", resp.Status)
			}
			use(a + "\ntls = true\n")
			s.reload()
			noteListener(t, a, true)
			wantServed(t, a, other)
			noteListener(t, a, false)
			use(a)
			s.reload()
			w.more(t, 20)
		}
		connects.leave()
		w.wantNone(t)
	})
}

// A listener that goes while clients use it answers every request that it has taken.
func TestListenerLeaves(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		a, path := testkit.FreePort(t), "unix:"+s.file("s")
		s.setup.listeners = []string{a, path}
		s.start()
		w := s.sendTo(path, 0, 6)
		w.more(t, 100)
		s.setup.listeners = []string{a}
		s.reload()
		wantRefused(t, path)
		w.end()
		for _, l := range w.lost() {
			if l.how != refusedConn {
				t.Errorf("a request went missing: %v", l)
			}
		}
		wantNoFile(t, path)
	})
}

// Upgrades under load keep every listener, also while one goes and another comes. The path
// of a unix socket is removed by the process that serves it last.
func TestListenersUpgrade(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		a, b, c := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
		path, gone := "unix:"+s.file("s"), "unix:"+s.file("t")
		s.setup.listeners = []string{a, gone, b, path}
		s.start()
		onA, onPath := s.sendTo(a, 4, 3), s.sendTo(path, 4, 3)
		next := func() {
			t.Helper()
			old := s.pid
			s.upgrade()
			onA.more(t, 100)
			onPath.more(t, 100)
			s.wantExitOf(old, 0)
			onA.more(t, 50)
			onPath.more(t, 50)
			wantServed(t, a, path)
		}
		next()
		wantServed(t, b, gone)
		s.setup.listeners = []string{path, c, a}
		s.write(s.text())
		next()
		wantServed(t, c)
		wantRefused(t, b)
		wantNoFile(t, gone)
		s.setup.backends = s.setup.backends[:1]
		s.reload()
		s.failUpgrade("/bin/false", "")
		onA.more(t, 50)
		onPath.more(t, 50)
		wantServed(t, a, c, path)
		onA.wantNone(t)
		onPath.wantNone(t)
		s.stop()
		wantNoFile(t, path)
	})
}

// While a worker is down, others accept from its sockets, for every listener.
func TestListenersOfDeadWorker(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		if mode == "mt" {
			t.Skip("a thread does not die alone")
		}
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		a, b, path := testkit.FreePort(t), testkit.FreePort(t), "unix:"+s.file("s")
		s.setup.listeners = []string{a, b, path}
		s.start()
		for range 3 { // in a row, so that the last successors are late
			st := s.until("two workers", func(st status) bool { return len(st.serving()) == 2 })
			s.killWorker(st.serving()[0].PID)
			s.until("its death to be noticed", func(now status) bool {
				return len(now.serving()) == 1 || now.serving()[0].PID != st.serving()[0].PID && now.serving()[1].PID != st.serving()[0].PID
			})
			for range 10 {
				wantServed(t, a, b, path)
			}
		}
	})
}

// A listener that cannot be opened refuses the reload, with the key and what to do. Nothing
// changes.
func TestListenerRefused(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		live, err := net.Listen("unix", s.file("live"))
		if err != nil {
			t.Fatal(err)
		}
		defer live.Close()
		a, b := testkit.FreePort(t), testkit.FreePort(t)
		s.setup.listeners = []string{a}
		s.start()
		w := s.sendTo(a, 2, 2)
		for _, tc := range []struct{ address, why string }{
			{taken.Addr().String(), fmt.Sprintf("address already in use: process %d (", os.Getpid())},
			{"unix:" + s.file("live"), fmt.Sprintf("another process listens there (process %d (", os.Getpid())},
			{"unix:" + s.file("lb.toml"), "there is a file that is no socket"},
			{"unix:" + s.file("none/s"), "there is no folder"},
		} {
			s.setup.listeners, s.setup.workers = []string{b, a, tc.address}, 3
			s.write(s.text())
			s.refuses([]string{"reload"}, "listeners[2].address: ", tc.why)
			wantRefused(t, b)
		}
		if st := s.status(); len(st.Listeners) != 1 || len(st.serving()) != 2 || !strings.Contains(st.Config.Fault, "listeners[2]") {
			t.Errorf("after reloads that were refused: %+v", st)
		}
		w.more(t, 20)
		w.wantNone(t)
		if c, err := net.Dial("unix", s.file("live")); err != nil {
			t.Errorf("the socket of the other process: %v", err)
		} else {
			c.Close()
		}
	})
}

// A unix socket that a killed lb has left behind is replaced.
func TestListenerStale(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.file("s"), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		s.setup.listeners = []string{"127.0.0.1:0", "unix:" + s.file("s")}
		s.start()
		wantServed(t, s.addr, "unix:"+s.file("s"))
		if info, err := os.Lstat(s.file("s")); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("%v, %v; want mode 0666", info, err)
		}
	})
}

// Each of two sockets of systemd serves the listener at its address, whatever their order,
// also after an upgrade; lb opens the third.
func TestListenersOfSystemd(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		var addrs []string
		var listeners []net.Listener
		for range 2 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			listeners, addrs = append(listeners, l), append(addrs, l.Addr().String())
		}
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		free := testkit.FreePort(t)
		plain := s.setup
		s.setup.listeners = []string{addrs[1], addrs[0] + "\ntls = true\n", free}
		s.setup = s.setup.withCert(t, s.dir)
		s.given = filesOf(t, listeners...)
		s.start()
		want := fmt.Sprintf("[{%s http} {%s https} {%s http}]", addrs[1], addrs[0], free)
		wantAll := func() {
			t.Helper()
			wantServed(t, addrs[1], free)
			if got := fmt.Sprint(s.status().Listeners); got != want {
				t.Errorf("listeners %s, want %s", got, want)
			}
		}
		wantAll()
		s.setup.workers = 3
		s.reload()
		wantAll()
		s.upgrade()
		wantAll()
		s.setup = plain
		s.setup.listeners = []string{addrs[0], addrs[1]}
		s.reload()
		want = fmt.Sprintf("[{%s http} {%s http}]", addrs[0], addrs[1])
		free = addrs[0]
		wantAll()
		s.stop()
		for _, addr := range addrs { // the sockets stay open: connections wait for the next lb
			c, err := net.DialTimeout("tcp", addr, testkit.Patience)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
	})
}
