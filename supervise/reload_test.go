package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// changed returns a copy of cfg, changed by set.
func changed(cfg *config.Config, set func(c *config.Config)) *config.Config {
	c := *cfg
	c.Pools = slices.Clone(cfg.Pools)
	for i := range c.Pools {
		c.Pools[i].Backends = slices.Clone(c.Pools[i].Backends)
	}
	set(&c)
	return &c
}

// reload has in take up cfg. It tries again while loops are too busy.
func (in *inside) reload(t *testing.T, cfg *config.Config) api.Reloaded {
	t.Helper()
	in.next.Store(cfg)
	r, err := in.control.Reload(false)
	testkit.Until(t, "every loop to take it up", func() bool {
		if err != nil && strings.Contains(err.Error(), supervisetest.TooBusy) {
			_, err = in.control.Reload(false)
		}
		return err == nil || !strings.Contains(err.Error(), supervisetest.TooBusy)
	})
	if err != nil {
		t.Fatalf("reload: %v", err)
	}
	return r
}

// wantRefused wants cfg to be refused for a reason, and nothing changed by it.
func (in *inside) wantRefused(t *testing.T, cfg *config.Config, why string) {
	t.Helper()
	before := in.control.Status()
	in.next.Store(cfg)
	r, err := in.control.Reload(false)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("reload: %+v, %v; want an error with %q", r, err, why)
	}
	after := in.control.Status()
	if !strings.Contains(after.Config.Fault, why) || after.Config.FaultAt.IsZero() {
		t.Errorf("status has the fault %q at %v", after.Config.Fault, after.Config.FaultAt)
	}
	if after.Config.Number != before.Config.Number || after.Address != before.Address || len(after.Loops) != len(before.Loops) ||
		after.AdminAddress != before.AdminAddress {
		t.Errorf("after a refusal:\n%+v\nbefore:\n%+v", after, before)
	}
	if after.Totals.ReloadFaults != before.Totals.ReloadFaults+1 || after.Totals.Reloads != before.Totals.Reloads {
		t.Errorf("reloads %d, refused %d; were %d, %d", after.Totals.Reloads, after.Totals.ReloadFaults,
			before.Totals.Reloads, before.Totals.ReloadFaults)
	}
}

// ids returns where the backends of the first pool are on the board.
func (in *inside) ids() []int { return in.running.View().IDs[0] }

func TestReload(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		in := serve(t, cfg, Options{Version: "v1"})
		supervisetest.Get(in.addr).Want(t, "a")
		a := in.ids()[0]
		next := changed(cfg, func(c *config.Config) { c.Pools[0].Backends = nil })
		supervisetest.AddBackend(t, next, supervisetest.HelloBackend(t, "b").URL)
		r := in.reload(t, next)
		if r.Number != 2 || len(r.Changes) != 2 {
			t.Errorf("reloaded: %+v, want number 2 and 2 changes", r)
		}
		for range 10 {
			supervisetest.Get(in.addr).Want(t, "b")
		}
		if b := in.ids()[0]; b == a {
			t.Error("another backend has the ID of the first")
		}
		both := changed(next, func(c *config.Config) { c.Pools[0].Backends = append(c.Pools[0].Backends, cfg.Pools[0].Backends...) })
		in.reload(t, both)
		if got := in.ids()[1]; got != a {
			t.Errorf("the first one comes back with ID %d, had %d", got, a)
		}
		if n := in.running.Board.BackendTotals(a).Attempts; n != 1 {
			t.Errorf("and with %d attempts, had 1", n)
		}
		if in.running.Board.State(a).RecoveredAt.Load() == 0 {
			t.Error("it begins at once with full weight")
		}
		if r := in.reload(t, both); r.Number != 4 || len(r.Changes) != 0 {
			t.Errorf("nothing changed: %+v", r)
		}
		st := in.control.Status()
		if st.Config.Number != 4 || st.Totals.Reloads != 3 || st.State != api.Serving || st.Version != "v1" || len(st.Pools[0].Backends) != 2 {
			t.Errorf("status: %+v", st)
		}
	})
}

// The words of the board stay with a backend wherever it is in the file.
func TestReloadKeepsState(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "b").URL)
		in := serve(t, cfg, Options{})
		for range 4 {
			supervisetest.Get(in.addr)
		}
		a, b := in.ids()[0], in.ids()[1]
		in.running.Board.State(b).EjectedUntil.Store(1 << 62)
		in.running.Board.Changed()
		attempts := in.running.Board.BackendTotals(a).Attempts
		in.reload(t, changed(cfg, func(c *config.Config) {
			slices.Reverse(c.Pools[0].Backends)
			c.Pools[0].Strategy = config.P2C
		}))
		if !slices.Equal(in.ids(), []int{b, a}) {
			t.Errorf("IDs %v, want %v", in.ids(), []int{b, a})
		}
		for range 4 {
			supervisetest.Get(in.addr).Want(t, "a")
		}
		if got := in.running.Board.BackendTotals(a).Attempts; got != attempts+4 {
			t.Errorf("%d attempts, want %d", got, attempts+4)
		}
		if st := in.control.Status().Pools[0].Backends[0]; !st.Ejected || st.Attempts != 2 {
			t.Errorf("status of the ejected one: %+v", st)
		}
	})
}

// A plan says the same as the reload, and changes nothing.
func TestReloadPlan(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		in := serve(t, cfg, Options{})
		if _, err := in.control.SetBackend("default", cfg.Pools[0].Backends[0].String(), api.Weight, 9); err != nil {
			t.Fatal(err)
		}
		next := changed(cfg, func(c *config.Config) {
			c.Pools[0].Backends[0].Weight = 3
			c.Workers, c.Timeouts.Connect = 3, time.Minute
		})
		supervisetest.AddBackend(t, next, supervisetest.HelloBackend(t, "b").URL)
		in.next.Store(next)
		before := in.control.Status()
		plan, err := in.control.Reload(true)
		if err != nil || !plan.Plan || plan.Number != 1 || len(plan.Changes) != 4 || len(plan.Notes) != 1 {
			t.Errorf("plan: %+v, %v", plan, err)
		}
		after := in.control.Status()
		if len(after.Loops) != 2 || after.Config.Number != 1 || after.Pools[0].Backends[0].Weight != 9 ||
			after.Totals.Reloads != before.Totals.Reloads {
			t.Errorf("after a plan: %+v", after)
		}
		supervisetest.Get(in.addr).Want(t, "a")
		if n := in.running.Board.Backends(); n != 1 {
			t.Errorf("%d IDs are claimed", n)
		}
		done := in.reload(t, next)
		if !slices.Equal(done.Changes, plan.Changes) || !slices.Equal(done.Notes, plan.Notes) {
			t.Errorf("planned %v, %v; done %v, %v", plan.Changes, plan.Notes, done.Changes, done.Notes)
		}
		in.next.Store(changed(cfg, func(c *config.Config) { c.Mode = "other" }))
		if _, err := in.control.Reload(true); err == nil {
			t.Error("a plan of another mode is accepted")
		}
		if st := in.control.Status(); st.Config.Fault != "" {
			t.Errorf("a plan left the fault %q", st.Config.Fault)
		}
	})
}

func TestReloadOtherMode(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		in := serve(t, cfg, Options{})
		other := map[config.Mode]config.Mode{config.MT: config.MP, config.MP: config.MT}[cfg.Mode]
		in.wantRefused(t, changed(cfg, func(c *config.Config) { c.Mode = other }), "lb upgrade")
		supervisetest.Get(in.addr).Want(t, "a")
		if r := in.reload(t, cfg); r.Number != 2 {
			t.Errorf("a good one after it: %+v", r)
		}
		if st := in.control.Status(); st.Config.Fault != "" {
			t.Errorf("the fault stays: %q", st.Config.Fault)
		}
	})
}

// A broken file changes nothing, in whatever way it is broken. The log and the error say
// what is wrong and where.
func TestReloadBrokenFile(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		backend := supervisetest.HelloBackend(t, "a")
		_, port, _ := net.SplitHostPort(backend.Listener.Addr().String())
		path := filepath.Join(t.TempDir(), "lb.toml")
		good := "host = \"127.0.0.1\"\nport = 0\nworkers = 1\nwatch = false\nlog_level = \"error\"\nmode = \"" + string(cfg.Mode) +
			"\"\nadmin = { address = \"127.0.0.1:0\", socket = \"off\" }\n" +
			"[[backends]]\nhost = \"127.0.0.1\"\nport = " + port + "\n"
		testkit.WriteFile(t, path, good)
		first, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		var log testkit.Log
		in := serve(t, first, Options{Log: NewLog(&log, "warn"), Load: func() (*config.Config, error) { return config.Load(path) }})
		for _, tc := range []struct{ what, text, key string }{
			{"syntax", good + "[[", ""},
			{"unknown key", "wrokers = 2\n" + good, "wrokers"},
			{"wrong type", "via = 2\n" + good, "via"},
			{"bad port", strings.Replace(good, "port = 0", "port = 99999", 1), "port"},
			{"unknown pool", good + "[[routes]]\npath = \"/x\"\npool = \"nowhere\"\n", "routes[0].pool"},
			{"empty", " \n", ""},
			{"comments", "# " + strings.ReplaceAll(good, "\n", "\n# "), ""},
			{"cut off", good[:strings.Index(good, "[[backends]]")], ""},
			{"no file", "", ""},
		} {
			testkit.WriteFile(t, path, tc.text)
			if tc.text == "" {
				os.Remove(path)
			}
			_, err := in.control.Reload(false)
			var list config.Errors
			if tc.text != "" && !errors.As(err, &list) || tc.text == "" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", tc.what, err)
			}
			if len(list) > 0 && (list[0].Key != tc.key || list[0].Line == 0) {
				t.Errorf("%s: %v, want the key %q", tc.what, err, tc.key)
			}
			if got := log.String(); len(list) > 0 && !strings.Contains(got, fmt.Sprintf("file=%s line=%d key=%s", path, list[0].Line, quoted(tc.key))) {
				t.Errorf("%s: log:\n%s", tc.what, got)
			}
			supervisetest.Get(in.addr).Want(t, "a")
			if st := in.control.Status(); st.Config.Fault != err.Error() || st.Config.Number != 1 {
				t.Errorf("%s: status %+v", tc.what, st.Config)
			}
		}
	})
}

func quoted(key string) string {
	if key == "" {
		return `""`
	}
	return key
}

// A refused step leaves everything as it was, and what earlier steps have opened is closed.
func TestReloadRefusedSteps(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		dir := t.TempDir()
		cfg.PIDFile = filepath.Join(dir, "lb.pid")
		cfg.Admin.Socket = filepath.Join(dir, "lb.sock")
		backend := supervisetest.HelloBackend(t, "a")
		backend.Config.SetKeepAlivesEnabled(false) // a conn that is kept has goroutines
		supervisetest.AddBackend(t, cfg, backend.URL)
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		in := serve(t, cfg, Options{})
		goroutines := runtime.NumGoroutine()
		everything := func(c *config.Config) { // changes everything that is prepared before the sockets for traffic
			c.PIDFile = filepath.Join(dir, "other.pid")
			c.Admin.Address = "127.0.0.2:0"
			c.Admin.Socket = filepath.Join(dir, "other.sock")
			c.Pools[0].Backends[0].Weight = 7
			c.LogLevel = "debug"
		}
		for _, tc := range []struct {
			what string
			set  func(c *config.Config)
			why  string
		}{
			{"port", func(c *config.Config) { c.Port = taken.Addr().(*net.TCPAddr).Port }, "address already in use"},
			{"host", func(c *config.Config) { c.Host = "192.0.2.1" }, "192.0.2.1"},
			{"pid file", func(c *config.Config) { c.PIDFile = filepath.Join(dir, "no", "lb.pid") }, "pid file"},
			{"socket", func(c *config.Config) { c.Admin.Socket = filepath.Join(dir, "no", "lb.sock") }, "lb.sock"},
			{"workers", func(c *config.Config) { c.Workers = 10_000 }, "workers"},
		} {
			t.Run(tc.what, func(t *testing.T) {
				in.wantRefused(t, changed(cfg, func(c *config.Config) { everything(c); tc.set(c) }), tc.why)
				supervisetest.Get(in.addr).Want(t, "a")
				left, err := filepath.Glob(filepath.Join(dir, "*"))
				if want := []string{cfg.PIDFile, cfg.Admin.Socket}; err != nil || !slices.Equal(left, want) {
					t.Errorf("files %v, %v; want %v", left, err, want)
				}
				if w := in.control.Status().Pools[0].Backends[0].Weight; w != 1 {
					t.Errorf("weight %d", w)
				}
			})
		}
		testkit.Until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
}

// A new address is served, and the old one no longer.
func TestReloadAddress(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		dir := t.TempDir()
		cfg.PIDFile = filepath.Join(dir, "lb.pid")
		var admins []*fakeAdmin
		in := serve(t, cfg, Options{Admin: func(*config.Config, Running) Admin {
			admins = append(admins, &fakeAdmin{red: make(chan struct{})})
			return admins[len(admins)-1]
		}})
		old := in.control.Status()
		in.reload(t, changed(cfg, func(c *config.Config) {
			c.Host, c.PIDFile, c.Admin.Address = "127.0.0.2", filepath.Join(dir, "other.pid"), "127.0.0.2:0"
		}))
		st := in.control.Status()
		host, _, err := net.SplitHostPort(st.Address)
		if err != nil || host != "127.0.0.2" {
			t.Fatalf("serves %s", st.Address)
		}
		supervisetest.Get(st.Address).Want(t, "a")
		testkit.Until(t, "the old address to be refused", func() bool { return supervisetest.Refused(old.Address) })
		if !supervisetest.Refused(old.AdminAddress) {
			t.Error("after a reload, the old server of the operator still listens")
		}
		if supervisetest.Refused(st.AdminAddress) || len(admins) != 2 {
			t.Errorf("%d servers for the operator, at %s", len(admins), st.AdminAddress)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); !slices.Equal(left, []string{filepath.Join(dir, "other.pid")}) {
			t.Errorf("pid files %v", left)
		}
		in.reload(t, changed(in.next.Load(), func(c *config.Config) { c.Admin.Address = "" }))
		testkit.Until(t, "no server for the operator", func() bool { return supervisetest.Refused(st.AdminAddress) })
		if st := in.control.Status(); st.AdminAddress != "" {
			t.Errorf("status has one at %q", st.AdminAddress)
		}
		in.signals <- syscall.SIGTERM
		in.wantExit(t, 0)
	})
}

// The socket for commands moves while a command is running.
func TestReloadSocket(t *testing.T) {
	cfg := supervisetest.Config(config.MT)
	dir := t.TempDir()
	cfg.Admin.Socket = filepath.Join(dir, "a.sock")
	in := serve(t, cfg, Options{})
	sockets := func() []string {
		list, _ := filepath.Glob(filepath.Join(dir, "*"))
		for i := range list {
			list[i] = filepath.Base(list[i])
		}
		return list
	}
	for _, tc := range []struct {
		socket string
		want   []string
	}{
		{filepath.Join(dir, "b.sock"), []string{"b.sock"}},
		{config.SocketOff, nil},
		{cfg.Admin.Socket, []string{"a.sock"}},
	} {
		in.reload(t, changed(cfg, func(c *config.Config) { c.Admin.Socket = tc.socket }))
		if got := sockets(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: sockets %v, want %v", tc.socket, got, tc.want)
		}
	}
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
	if got := sockets(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// The socket for commands comes back when it was deleted. What another program has put at its
// path stays.
func TestSocketComesBack(t *testing.T) {
	testkit.Long(t)
	cfg := supervisetest.Config(config.MT)
	cfg.Admin.Socket = filepath.Join(t.TempDir(), "a.sock")
	log := &testkit.Log{}
	in := serve(t, cfg, Options{Log: NewLog(log, "info")})
	alive := func() bool {
		c, err := net.Dial("unix", cfg.Admin.Socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	for n := range 2 {
		if err := os.Remove(cfg.Admin.Socket); err != nil {
			t.Fatal(err)
		}
		testkit.Until(t, "the socket", func() bool { return strings.Count(log.String(), "is there again") > n && alive() })
	}
	other, err := net.Listen("unix", cfg.Admin.Socket+".other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	testkit.Rename(t, cfg.Admin.Socket+".other", cfg.Admin.Socket)
	testkit.Until(t, "a word in the log", func() bool { return strings.Contains(log.String(), "another file is there") })
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
	if !alive() {
		t.Error("the socket of another program is gone")
	}
}

func TestReloadWorkers(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		in := serve(t, cfg, Options{})
		for _, n := range []int{4, 1, 3} {
			in.reload(t, changed(cfg, func(c *config.Config) { c.Workers = n }))
			testkit.Until(t, fmt.Sprint(n, " loops"), func() bool {
				loops := in.control.Status().Loops
				return len(loops) == n && !slices.ContainsFunc(loops, func(l api.Loop) bool { return l.State != api.LoopServing })
			})
			for range 4 * n {
				supervisetest.Get(in.addr).Want(t, "a")
			}
		}
	})
}

func TestReloadLogLevel(t *testing.T) {
	var out testkit.Log
	cfg := supervisetest.Config(config.MT)
	log := OpenLog(&out, nil, "text", "error")
	in := serve(t, cfg, Options{Log: log.Logger, LogSettings: log})
	in.reload(t, changed(cfg, func(c *config.Config) { c.LogLevel, c.LogFormat = "debug", "json" }))
	if log.Level() != "debug" {
		t.Errorf("level %v", log.Level())
	}
	log.Debug("now as JSON")
	if text := out.String(); !strings.Contains(text, `"msg":"now as JSON"`) {
		t.Errorf("the log has %s", text)
	}
}

// TestReloadEndsRuntimeLevel: a reload gives back the level of the configuration, and says so
// in its notes and in the log, however little that shows. Without a level of run time it says
// nothing.
func TestReloadEndsRuntimeLevel(t *testing.T) {
	var out testkit.Log
	cfg := supervisetest.Config(config.MT)
	cfg.LogLevel, cfg.LogFormat = "error", "text"
	log := OpenLog(&out, nil, "text", cfg.LogLevel)
	in := serve(t, cfg, Options{Log: log.Logger, LogSettings: log})
	if err := in.control.SetLogLevel("debug"); err != nil {
		t.Fatal(err)
	}
	const note, line = "log_level, changed at run time: debug is overwritten by the configuration's error", `msg="log level is that of the configuration again" from=debug to=error`
	if got := in.reload(t, changed(cfg, func(*config.Config) {})); !slices.Equal(got.Notes, []string{note}) || log.Level() != "error" || strings.Count(out.String(), line) != 1 {
		t.Errorf("%q, level %s, the log has\n%s", got.Notes, log.Level(), out.String())
	}
	if got := in.reload(t, changed(cfg, func(c *config.Config) { c.LogLevel = "warn" })); len(got.Notes) > 0 || strings.Count(out.String(), "configuration again") != 1 {
		t.Errorf("once more: %q, the log has\n%s", got.Notes, out.String())
	}
}

// A name that does not resolve in time neither delays a reload nor refuses it.
func TestReloadNames(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		port := supervisetest.HelloBackend(t, "a").Listener.Addr().(*net.TCPAddr).Port
		names := &supervisetest.FakeResolver{Name: "app.test"}
		names.Set("127.0.0.1")
		answer := make(chan struct{})
		resolver := supervisetest.ResolverFunc(func(ctx context.Context, network, host string) ([]netip.Addr, error) {
			if host == "late.test" {
				select {
				case <-answer:
					return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return names.LookupNetIP(ctx, network, host)
		})
		in := serve(t, cfg, Options{Resolver: resolver, ResolveEvery: 10 * time.Millisecond})
		at := func(host string) *config.Config {
			return changed(cfg, func(c *config.Config) {
				c.Pools[0].Backends = []config.Backend{{Host: host, Port: port, Weight: 1}}
			})
		}
		if r := in.reload(t, at("app.test")); len(r.Notes) != 0 {
			t.Errorf("notes %q", r.Notes)
		}
		supervisetest.Get(in.addr).Want(t, "a")
		if r := in.reload(t, at("late.test")); len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "late.test") {
			t.Errorf("notes %q, want the name without address", r.Notes)
		}
		close(answer)
		untilAnswered(t, in.addr, "a")
	})
}

// After a hundred reloads that add and remove backends no goroutine, descriptor, checker or
// watch is left over, and there are as many IDs as there were backends.
func TestReloadLeavesNothing(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, newProbed(t).URL)
		supervisetest.AddBackend(t, cfg, newProbed(t).URL)
		path := filepath.Join(t.TempDir(), "lb.toml")
		testkit.WriteFile(t, path, "x")
		cfg.Source = path
		checkedConfig(cfg, 10*time.Millisecond)
		in := serve(t, cfg, Options{})
		less := changed(cfg, func(c *config.Config) {
			c.Pools[0].Backends = c.Pools[0].Backends[:1]
			c.Pools[0].Backends[0].Weight = 3
			c.Watch = false
		})
		other := changed(cfg, func(c *config.Config) { c.Pools[0].Health.Interval *= 2 })
		in.reload(t, less)
		in.reload(t, cfg)
		testkit.Until(t, "the watch", func() bool { return in.control.Status().Config.Watching })
		goroutines, fds := runtime.NumGoroutine(), testkit.OpenFDs()
		for i := range 99 {
			in.reload(t, []*config.Config{less, other, cfg}[i%3])
		}
		testkit.Until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines+8 }) // of two probes
		testkit.Until(t, "descriptors to be closed", func() bool { return testkit.OpenFDs() <= fds+4 })
		if n := in.running.Board.Backends(); n != 2 {
			t.Errorf("%d IDs for 2 backends", n)
		}
	})
}

// A storm of SIGHUPs makes few reloads, and the last one sees the newest file.
func TestHangupStorm(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		in := serve(t, cfg, Options{})
		const storm = 500
		for range storm {
			in.signals <- syscall.SIGHUP
		}
		in.next.Store(changed(cfg, func(c *config.Config) { c.Timeouts.Connect = 77 * time.Second }))
		in.signals <- syscall.SIGHUP
		testkit.Until(t, "the newest", func() bool { return in.running.View().Config.Timeouts.Connect == 77*time.Second })
		if n := in.control.Status().Totals.Reloads; n > storm/10 {
			t.Errorf("%d reloads for %d signals", n, storm)
		}
	})
}

// In a drain reloads and changes are refused, and status still works.
func TestCommandsInDrain(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		in := serve(t, cfg, Options{})
		a := slow.GetLater(t, in.addr)
		if err := in.control.Drain(); err != nil {
			t.Fatal(err)
		}
		testkit.Wait(t, in.admin.red, "health to turn red")
		if _, err := in.control.Reload(false); err == nil || !strings.Contains(err.Error(), "draining") {
			t.Errorf("reload in a drain: %v", err)
		}
		if _, err := in.control.Upgrade(""); err == nil {
			t.Error("an upgrade in a drain")
		}
		if err := in.control.Drain(); err == nil || !strings.Contains(err.Error(), "draining already") {
			t.Errorf("a second drain: %v", err)
		}
		in.signals <- syscall.SIGHUP
		st := in.control.Status()
		if st.State != api.Draining || len(st.Loops) != 2 || st.Loops[0].State != api.LoopRetiring || st.Totals.Exchanges != 1 {
			t.Errorf("status: %+v", st)
		}
		close(slow.Release)
		(<-a).Want(t, "late")
		in.wantExit(t, 0)
	})
}

func TestReloadRefusedAmidUpgrade(t *testing.T) {
	s := &desk{moving: &upgrading{}, o: Options{Load: func() (*config.Config, error) { return nil, nil }}}
	if err := s.refusal(); err == nil || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("amid an upgrade: %v", err)
	}
	s = &desk{}
	if err := s.refusal(); err == nil {
		t.Error("without a way to read the configuration")
	}
}

// A conn stays open over a reload.
func TestReloadKeepsConns(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		in := serve(t, cfg, Options{})
		c, err := net.Dial("tcp", in.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(testkit.Patience))
		for i := range 5 {
			next := changed(cfg, func(c *config.Config) {
				c.Pools[0].Backends[0].Weight = 1 + i
				c.Timeouts.ClientIdle = testkit.Patience
			})
			in.reload(t, next)
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			var got []byte
			for !bytes.HasSuffix(got, []byte("\r\n\r\na")) {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatalf("reload %d: %q, %v", i, got, err)
				}
				got = append(got, buf[:n]...)
			}
		}
		if n := in.running.Board.Totals().Accepted; n != 1 {
			t.Errorf("%d conns were accepted, want the one", n)
		}
	})
}
