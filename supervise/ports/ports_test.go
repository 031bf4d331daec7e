package ports

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/listen"
	"lb/supervise/supervisetest"
)

// listening returns a configuration with these addresses; one that begins with "tls:" or
// "redirect:" has that role.
func listening(addresses ...string) *config.Config {
	cfg := config.Default()
	for _, a := range addresses {
		l := config.Listener{Address: a}
		if rest, ok := strings.CutPrefix(a, "tls:"); ok {
			l = config.Listener{Address: rest, TLS: true}
		} else if rest, ok := strings.CutPrefix(a, "redirect:"); ok {
			l = config.Listener{Address: rest, RedirectHTTPS: true}
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	return cfg
}

// serving returns Ports that serve addresses with two loops; no descriptor is left after
// the test.
func serving(t *testing.T, addresses ...string) *Ports {
	t.Helper()
	fds := testkit.OpenFDs()
	p := New(net.DefaultResolver, slog.New(slog.DiscardHandler))
	if err := p.Open(listening(addresses...), 2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if n := testkit.OpenFDs(); n > fds {
			t.Errorf("%d descriptors are left", n-fds)
		}
	})
	return p
}

// prepare has p use these addresses.
func (p *Ports) prepare(t *testing.T, addresses ...string) []*listen.Set {
	t.Helper()
	next, err := p.Prepare(listening(addresses...), 2)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func reached(address string) bool {
	network := "tcp"
	if path := listen.PathOf(address); path != "" {
		network, address = "unix", path
	}
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// A reload adds and removes listeners, and the others keep their sockets, wherever they
// stand in the list.
func TestSwap(t *testing.T) {
	a, b, c := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
	path := "unix:" + filepath.Join(t.TempDir(), "s")
	p := serving(t, a, b, path)
	before := slices.Clone(p.InUse())
	next := p.prepare(t, path, "tls:"+c, "redirect:"+a)
	if next[0] != before[2] || next[2] != before[0] {
		t.Error("a listener that stays has other sockets")
	}
	p.Swap(next)
	for address, want := range map[string]bool{a: true, b: false, c: true, path: true} {
		if reached(address) != want {
			t.Errorf("%s: reached is %v", address, !want)
		}
	}
	if got := Shown(listening(path, "tls:"+c, "redirect:"+a), p.InUse()).String(); got != path+" (http), "+c+" (https), "+a+" (redirect)" {
		t.Errorf("shown as %q", got)
	}
	p.Swap(p.prepare(t, a))
	if _, err := os.Lstat(listen.PathOf(path)); err == nil || reached(path) {
		t.Error("the path of a unix socket is left behind by a reload that drops it")
	}
}

// A port goes from every address of both families to those of IPv4, to one of them, and
// back, and clients reach it all the time.
func TestSwapWithinPort(t *testing.T) {
	port := fmt.Sprint(testkit.HoldPort(t))
	p := serving(t, ":"+port)
	for _, host := range []string{"0.0.0.0", "127.0.0.1", "", "127.0.0.1", "[::]", "0.0.0.0"} {
		next := p.prepare(t, host+":"+port)
		if next[0] == p.InUse()[0] {
			t.Errorf("%s: the sockets of another address", host)
		}
		if !reached("127.0.0.1:" + port) {
			t.Errorf("before the swap to %s: not reached", host)
		}
		p.Swap(next)
		if !reached("127.0.0.1:" + port) {
			t.Errorf("after the swap to %s: not reached", host)
		}
	}
}

// After an error nothing is left of what was opened for it, and the error names the key.
func TestPrepareAllOrNone(t *testing.T) {
	a, b := testkit.FreePort(t), testkit.FreePort(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	live, err := net.Listen("unix", dir+"/live")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	p := serving(t, a)
	_, port, _ := net.SplitHostPort(a)
	for _, tc := range []struct {
		addresses []string
		want      []string
	}{
		{[]string{a, b, taken.Addr().String()}, []string{"listeners[2].address: ", taken.Addr().String(), "address already in use", "choose another port"}},
		{[]string{b, "unix:" + dir + "/new", "unix:" + dir + "/live"}, []string{"listeners[2].address: ", dir + "/live", "another process listens there", "choose another path"}},
		{[]string{a, "localhost:" + port}, []string{"listeners[1].address: ", "the address of " + a}},
		{[]string{b, a, "unix:" + dir + "/none/s"}, []string{"listeners[2].address: ", "there is no folder " + dir + "/none"}},
	} {
		fds := testkit.OpenFDs()
		_, err := p.Prepare(listening(tc.addresses...), 3)
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %q in it", tc.addresses, err, want)
			}
		}
		if n := testkit.OpenFDs(); n != fds {
			t.Errorf("%v: %d descriptors are open that were not", tc.addresses, n-fds)
		}
		if reached(b) {
			t.Errorf("%v: %s is open", tc.addresses, b)
		}
		if _, err := os.Lstat(dir + "/new"); err == nil {
			t.Errorf("%v: a unix socket is left", tc.addresses)
		}
	}
	if !reached(a) || !reached("unix:"+dir+"/live") {
		t.Error("what was open before is gone")
	}
	if len(p.InUse()[0].Deal(1)[0]) != 2 {
		t.Error("sockets were opened for loops that do not come: nobody would accept from them")
	}
}

// An error of a listener that is not in a list is as it was.
func TestPrepareHostAndPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := config.Default()
	cfg.Host, cfg.Port = "127.0.0.1", taken.Addr().(*net.TCPAddr).Port
	_, err = New(net.DefaultResolver, slog.New(slog.DiscardHandler)).Prepare(cfg, 1)
	if err == nil || !strings.HasPrefix(err.Error(), "listen tcp4 127.0.0.1:") {
		t.Errorf("error %v", err)
	}
}

// The new process of an upgrade serves some sets and not the others; each path of a unix
// socket is removed by one of the two.
func TestHandOver(t *testing.T) {
	a, b := testkit.FreePort(t), testkit.FreePort(t)
	dir := t.TempDir()
	kept, left := "unix:"+dir+"/kept", "unix:"+dir+"/left"
	old := serving(t, a, b, kept, left)
	var inherited []*listen.Set
	for _, set := range old.All() {
		h, fds := set.Hand()
		var own []int
		for _, fd := range fds {
			n, err := syscall.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			own = append(own, n)
		}
		taken, err := listen.Take(h, own)
		if err != nil {
			t.Fatal(err)
		}
		inherited = append(inherited, taken)
	}
	next := New(net.DefaultResolver, slog.New(slog.DiscardHandler))
	next.Take(inherited)
	if err := next.Open(listening(kept, b), 2); err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if got := next.Serving(inherited); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("sets %v are served, want 1 and 2", got)
	}
	next.Own()
	old.HandOver(func(i int) bool { return !slices.Contains(next.Serving(inherited), i) })
	old.Finish()
	for address, want := range map[string]bool{a: false, b: true, kept: true, left: false} {
		if reached(address) != want {
			t.Errorf("%s: reached is %v", address, !want)
		}
	}
	next.Finish()
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// Prepare does not wait for ever for a name server that does not answer.
func TestNameTimeout(t *testing.T) {
	testkit.Long(t)
	hung := supervisetest.ResolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := New(hung, slog.New(slog.DiscardHandler)).Prepare(listening("app.test:0"), 1); err == nil {
			t.Error("want an error")
		}
	}()
	testkit.Wait(t, ended, "the wait for the name server to end")
}

func TestMends(t *testing.T) {
	denied := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
	for _, want := range []string{"setcap", "AmbientCapabilities", "sysctl net.ipv4.ip_unprivileged_port_start=80"} {
		if got := Mend(denied, ":80"); !strings.Contains(got.Error(), want) {
			t.Errorf("port 80: %v", got)
		}
	}
	for _, port := range []int{0, 1024} {
		if got := Mend(denied, fmt.Sprintf("127.0.0.1:%d", port)); got != error(denied) {
			t.Errorf("port %d: %v", port, got)
		}
	}
	foreign := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}
	if got := Mend(foreign, "192.0.2.1:8080"); !strings.Contains(got.Error(), "no interface of this machine has it") {
		t.Errorf("an address of another machine: %v", got)
	}
	if got := Mend(denied, "unix:/run/x/s"); !strings.Contains(got.Error(), "may not write in /run/x;") {
		t.Errorf("a folder of root: %v", got)
	}
	if Mend(nil, ":80") != nil || Mend(nil, "unix:/s") != nil {
		t.Error("an error out of nothing")
	}
}
