package supervise

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/supervise/supervisetest"
)

// set changes a backend of the pool "default", which has to succeed.
func (in *inside) set(t *testing.T, address string, action api.Action, weight int) api.Backend {
	t.Helper()
	b, err := in.control.SetBackend("default", address, action, weight)
	if err != nil {
		t.Fatalf("%s %s: %v", action, address, err)
	}
	return b
}

// shares returns how many of n requests each backend answered.
func (in *inside) shares(t *testing.T, n int) map[string]int {
	t.Helper()
	by := map[string]int{}
	for range n {
		a := supervisetest.Get(in.addr)
		if a.Err != nil || a.Status != http.StatusOK {
			t.Fatalf("%d, %v", a.Status, a.Err)
		}
		by[a.Body]++
	}
	return by
}

func TestSetBackend(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "b").URL)
		a, b := cfg.Pools[0].Backends[0].String(), cfg.Pools[0].Backends[1].String()
		in := serve(t, cfg, Options{})
		for _, action := range []api.Action{api.Drain, api.Disable} {
			want := map[api.Action]string{api.Drain: api.Drained, api.Disable: api.Disabled}[action]
			if got := in.set(t, a, action, 0); got.Admin != want || !got.Runtime || got.Address != a || got.Pool != "default" {
				t.Errorf("%s: %+v", action, got)
			}
			if by := in.shares(t, 10); by["a"] != 0 {
				t.Errorf("%s: answers by %v", action, by)
			}
			if got := in.set(t, a, api.Enable, 0); got.Admin != api.Enabled || got.Runtime {
				t.Errorf("enable: %+v", got)
			}
			if by := in.shares(t, 20); by["a"] == 0 {
				t.Errorf("enabled: answers by %v", by)
			}
		}
		if got := in.set(t, b, api.Weight, 9); got.Weight != 9 || got.ConfiguredWeight != 1 || !got.Runtime {
			t.Errorf("weight: %+v", got)
		}
		if by := in.shares(t, 100); by["b"] < 80 {
			t.Errorf("weights 1 and 9: answers by %v", by)
		}
		for _, weight := range []int{0, 1} { // both mean what the file says
			in.set(t, b, api.Weight, 9)
			if got := in.set(t, b, api.Weight, weight); got.Weight != 1 || got.Runtime {
				t.Errorf("weight %d: %+v", weight, got)
			}
		}
	})
}

// Changes at run time outlive reloads that do not touch the same thing. If the file
// changes it too, the file wins, and the reload says so.
func TestSetBackendAndReload(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		for _, text := range []string{"a", "b", "c"} {
			supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, text).URL)
		}
		var addr []string
		for _, b := range cfg.Pools[0].Backends {
			addr = append(addr, b.String())
		}
		in := serve(t, cfg, Options{})
		in.set(t, addr[0], api.Weight, 5)
		in.set(t, addr[0], api.Drain, 0)
		in.set(t, addr[1], api.Disable, 0)
		next := changed(cfg, func(c *config.Config) {
			slices.Reverse(c.Pools[0].Backends)
			c.Pools[0].Backends[0].Weight = 4 // c, which nobody changed
			c.Pools[0].Backends[1].Weight = 2 // b, of which another thing was changed
		})
		if r := in.reload(t, next); len(r.Notes) != 0 {
			t.Errorf("notes %q", r.Notes)
		}
		state := func() string {
			var words []string
			for _, b := range in.control.Status().Pools[0].Backends {
				words = append(words, fmt.Sprintf("%d %d %s %v", b.Weight, b.ConfiguredWeight, b.Admin, b.Runtime))
			}
			return strings.Join(words, "; ")
		}
		if got, want := state(), "4 4 enabled false; 2 2 disabled true; 5 1 draining true"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		r := in.reload(t, changed(next, func(c *config.Config) {
			c.Pools[0].Backends[1].Drain = true // b
			c.Pools[0].Backends[2].Weight = 3   // a
		}))
		if got, want := state(), "4 4 enabled false; 2 2 draining false; 3 3 draining true"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if len(r.Notes) != 2 || !strings.Contains(r.Notes[0], addr[1]) || !strings.Contains(r.Notes[0], "disabled") ||
			!strings.Contains(r.Notes[1], addr[0]+", changed at run time: weight 5 is overwritten by the file's 3") {
			t.Errorf("notes %q", r.Notes)
		}
		// No command takes back a drain = true of the file.
		if _, err := in.control.SetBackend("default", addr[1], api.Enable, 0); err == nil || !strings.Contains(err.Error(), "drain = true") {
			t.Errorf("enable: %v", err)
		}
		in.reload(t, changed(cfg, func(c *config.Config) { c.Pools[0].Backends = c.Pools[0].Backends[1:] }))
		in.reload(t, cfg)
		if got := in.control.Status().Pools[0].Backends[0]; got.Runtime {
			t.Errorf("one that was gone has what was said of it before: %+v", got)
		}
	})
}

// Backends are found in any spelling, and errors list what there is.
func TestSetBackendFinds(t *testing.T) {
	cfg := supervisetest.Config(config.MT)
	sock := filepath.Join(t.TempDir(), "app.sock")
	cfg.Pools[0].Backends = []config.Backend{
		{Host: "127.0.0.1", Port: 1, Weight: 1},
		{Host: "2001:db8::1", Port: 2, Weight: 1},
		{Host: "App.Test", Port: 3, Weight: 1},
		{Socket: sock, Weight: 1},
	}
	many := config.NewPool("many")
	for i := range 30 {
		many.Backends = append(many.Backends, config.Backend{Host: "127.0.0.1", Port: 1000 + i, Weight: 1})
	}
	cfg.Pools = append(cfg.Pools, many, config.NewPool("empty"))
	names := &supervisetest.FakeResolver{Name: "app.test"}
	names.Set("192.0.2.7")
	in := serve(t, cfg, Options{Resolver: names})
	for _, address := range []string{"192.0.2.7:3", "127.0.0.1:1", "[2001:db8::1]:2", "[2001:0DB8:0::1]:2", "app.test:3", "APP.TEST:3", "unix:" + sock} {
		if b := in.set(t, address, api.Drain, 0); b.Admin != api.Drained {
			t.Errorf("%s: %+v", address, b)
		}
	}
	for _, tc := range []struct{ pool, address, want string }{
		{"nowhere", "127.0.0.1:1", `there is no pool "nowhere"; there is default, many, empty`},
		{"default", "127.0.0.1:9", `pool default has no backend "127.0.0.1:9"; it has 127.0.0.1:1, [2001:db8::1]:2, 192.0.2.7:3, unix:` + sock},
		{"default", "http://127.0.0.1:1", `pool default has no backend "http://127.0.0.1:1"; it has 127.0.0.1:1,`},
		{"empty", "127.0.0.1:1", `pool empty has no backend "127.0.0.1:1"; it has none`},
		{"many", "127.0.0.1:1", "127.0.0.1:1019 and 10 more"},
	} {
		_, err := in.control.SetBackend(tc.pool, tc.address, api.Drain, 0)
		if _, notFound := errors.AsType[api.NotFoundError](err); !notFound || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s: %v, want %q", tc.pool, tc.address, err, tc.want)
		}
	}
	for _, tc := range []struct {
		action api.Action
		weight int
		want   string
	}{
		{api.Weight, -1, "out of range"},
		{api.Weight, 65536, "out of range"},
		{"explode", 0, "unknown action"},
	} {
		_, err := in.control.SetBackend("default", "127.0.0.1:1", tc.action, tc.weight)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %d: %v, want %q", tc.action, tc.weight, err, tc.want)
		}
	}
}

func TestStatus(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		probe := newProbed(t)
		supervisetest.AddBackend(t, cfg, probe.URL)
		cfg.Pools[0].Backends[0].MaxConnections, cfg.Pools[0].Backends[0].Weight = 50, 3
		cfg = withPool(t, checkedConfig(cfg, 10*time.Millisecond), newProbed(t).URL)
		begun := time.Now()
		in := serve(t, cfg, Options{Version: "v9"})
		supervisetest.Get(in.addr)
		probe.status.Store(http.StatusServiceUnavailable)
		in.wantHealth(t, 0, board.Down)
		st := in.control.Status()
		if st.Version != "v9" || st.Mode != string(cfg.Mode) || st.Address != in.addr || st.State != api.Serving || st.PID == 0 {
			t.Errorf("status: %+v", st)
		}
		if st.Started.Before(begun.Add(-time.Minute)) || st.Started.After(time.Now()) || st.Config.Loaded.Before(begun) {
			t.Errorf("started %v, loaded %v", st.Started, st.Config.Loaded)
		}
		if len(st.Loops) != 2 || st.Loops[0].PID == 0 || st.Loops[0].Since.IsZero() || st.Totals.Requests != 1 ||
			st.Loops[0].Requests+st.Loops[1].Requests != 1 {
			t.Errorf("loops: %+v, totals: %+v", st.Loops, st.Totals)
		}
		if len(st.Pools) != 2 || st.Pools[1].Name != "checked" || st.Pools[0].Strategy != config.RoundRobin {
			t.Fatalf("pools: %+v", st.Pools)
		}
		b := st.Pools[0].Backends[0]
		if b.Health != "down" || b.HealthReason != "status 503" || b.Since.Before(begun) || b.Since.After(time.Now()) ||
			b.MaxConnections != 50 || b.Weight != 3 || b.ConfiguredWeight != 3 || b.Attempts != 1 || b.Runtime {
			t.Errorf("backend: %+v", b)
		}
	})
}

// Many clients send commands at once, between reloads and traffic.
func TestCommandsAtOnce(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		backends := []*httptest.Server{supervisetest.HelloBackend(t, "a"), supervisetest.HelloBackend(t, "b")}
		for _, b := range backends {
			supervisetest.AddBackend(t, cfg, b.URL)
		}
		in := serve(t, cfg, Options{})
		other := changed(cfg, func(c *config.Config) { c.Pools[0].Backends[1].Weight = 2 })
		const rounds = 20
		done := make(chan error, 4)
		each := func(f func(i int) error) {
			for i := range rounds {
				if err := f(i); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}
		go each(func(i int) error {
			in.next.Store([]*config.Config{cfg, other}[i%2])
			_, err := in.control.Reload(false)
			if err != nil && strings.Contains(err.Error(), supervisetest.TooBusy) {
				err = nil
			}
			return err
		})
		go each(func(int) error {
			if st := in.control.Status(); len(st.Pools) != 1 || len(st.Pools[0].Backends) != 2 {
				return fmt.Errorf("status %+v", st)
			}
			return nil
		})
		go each(func(i int) error {
			_, err := in.control.SetBackend("default", cfg.Pools[0].Backends[0].String(), []api.Action{api.Drain, api.Enable}[i%2], 0)
			return err
		})
		go each(func(int) error {
			if a := supervisetest.Get(in.addr); a.Err != nil || a.Status != http.StatusOK {
				return fmt.Errorf("%d, %w", a.Status, a.Err)
			}
			return nil
		})
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
