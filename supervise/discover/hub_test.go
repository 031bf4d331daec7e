package discover

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lb/config"
)

// fakeNamer answers what the test says. It is for bubbles of synctest.
type fakeNamer struct {
	mu    sync.Mutex
	says  map[string]func(q Query) (Answer, error)
	asked map[string][]time.Time // by name and family, when
}

func (f *fakeNamer) Addrs(ctx context.Context, q Query) (Answer, error) {
	f.mu.Lock()
	key := q.Name + " A"
	if q.IPv6 {
		key = q.Name + " AAAA"
	}
	if f.asked == nil {
		f.asked = map[string][]time.Time{}
	}
	f.asked[key] = append(f.asked[key], time.Now())
	say := f.says[key]
	f.mu.Unlock()
	if say == nil {
		return Answer{}, ErrNoName
	}
	a, err := say(q)
	if errors.Is(err, errSilent) {
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
		}
	}
	return a, err
}

var errSilent = errors.New("no answer")

func (f *fakeNamer) set(key string, say func(q Query) (Answer, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.says == nil {
		f.says = map[string]func(Query) (Answer, error){}
	}
	f.says[key] = say
}

func (f *fakeNamer) times(key string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked[key])
}

// is returns an answer with these addresses.
func is(ttl time.Duration, addrs ...string) func(Query) (Answer, error) {
	a := Answer{TTL: ttl}
	for _, text := range addrs {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
	}
	return func(Query) (Answer, error) { return a, nil }
}

func fails(err error) func(Query) (Answer, error) {
	return func(Query) (Answer, error) { return Answer{}, err }
}

// pass lets d go by on the clock of a bubble, which costs no time: it moves on as soon as all
// in the bubble wait.
func pass(d time.Duration) { <-time.After(d) }

// rig is a hub in a bubble.
type rig struct {
	*testing.T
	*Hub
	namer   fakeNamer
	log     bytes.Buffer
	changes int
	cfg     *config.Config
}

func newRig(t *testing.T, o Options, pools ...config.Pool) *rig {
	r := &rig{T: t, cfg: &config.Config{Pools: pools}}
	for i := range pools {
		pools[i].ResolveMin, pools[i].ResolveMax = time.Second, 30*time.Second
	}
	o.Log = slog.New(slog.NewTextHandler(&r.log, nil))
	if o.Namer == nil {
		o.Namer = &r.namer
	}
	o.Changed = func(<-chan struct{}) { r.changes++ }
	r.Hub = New(o)
	return r
}

// wants fails the test unless the pool has these backends.
func (r *rig) wants(when string, pool int, want ...string) {
	r.Helper()
	synctest.Wait()
	var got []string
	for _, b := range r.Effective(r.cfg).Pools[pool].Backends {
		got = append(got, b.String())
	}
	if !slices.Equal(got, want) {
		r.Errorf("%s: %v, want %v", when, got, want)
	}
}

func (r *rig) logged(text string, want int) {
	r.Helper()
	synctest.Wait()
	if got := strings.Count(r.log.String(), text); got != want {
		r.Errorf("%q is in the log %d times, want %d:\n%s", text, got, want, r.log.String())
	}
}

func webPool(backends ...config.Backend) config.Pool {
	return config.Pool{Name: "web", Backends: backends}
}

var app = config.Backend{Host: "app.test", Port: 80, Weight: 3}

func TestNameIsItsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{}, webPool(config.Backend{Host: "10.0.0.9", Port: 80}, app, config.Backend{Host: "10.0.0.1", Port: 80}, config.Backend{Socket: "/s"}))
		defer r.Close()
		r.namer.set("app.test A", is(5*time.Second, "10.0.0.2", "10.0.0.1"))
		r.namer.set("app.test AAAA", is(5*time.Second, "2001:db8::1"))
		r.Follow(r.cfg)
		r.Await(t.Context())
		want := []string{"10.0.0.9:80", "10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80", "unix:/s"}
		r.wants("first", 0, want...)
		list := r.Effective(r.cfg).Pools[0].Backends
		if b := list[1]; b.Name != "app.test" || b.Weight != 3 {
			t.Errorf("%+v: want the name, and what the file says of it", b)
		}
		r.namer.set("app.test A", is(5*time.Second, "10.0.0.1", "10.0.0.2"))
		pass(6 * time.Second)
		r.wants("turned round", 0, want...)
		if again := r.Effective(r.cfg).Pools[0].Backends; &again[0] != &list[0] {
			t.Error("the list is another, and nothing has changed")
		}
		r.logged("pool has other members", 1)
		r.namer.set("app.test A", is(5*time.Second, "10.0.0.3"))
		pass(6 * time.Second)
		r.wants("changed", 0, "10.0.0.9:80", "10.0.0.3:80", "[2001:db8::1]:80", "10.0.0.1:80", "unix:/s")
		r.logged(`added=10.0.0.3:80 removed="10.0.0.1:80,10.0.0.2:80"`, 0) // 10.0.0.1 is the file's
		r.logged(`added=10.0.0.3:80 removed=10.0.0.1:80,10.0.0.2:80 members=5 source="name app.test"`, 1)
	})
}

// Without names and sources a configuration is used as it is.
func TestNothingToFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{}, webPool(config.Backend{Host: "10.0.0.9", Port: 80}))
		defer r.Close()
		r.Follow(r.cfg)
		r.Await(t.Context())
		if r.Effective(r.cfg) != r.cfg {
			t.Error("the configuration was copied")
		}
	})
}

// Errors keep what is known; an empty answer counts the second time.
func TestLastKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{}, webPool(app))
		defer r.Close()
		r.namer.set("app.test A", is(time.Second, "10.0.0.1"))
		r.namer.set("app.test AAAA", is(time.Second))
		r.Follow(r.cfg)
		r.wants("first", 0, "10.0.0.1:80")
		for _, err := range []error{ErrNoName, errSilent, errors.New("SERVFAIL")} {
			r.namer.set("app.test A", fails(err))
			pass(time.Minute)
			r.wants(err.Error(), 0, "10.0.0.1:80")
		}
		r.logged("name does not resolve", 1)
		r.namer.set("app.test A", is(time.Second, "10.0.0.1"))
		pass(35 * time.Second)
		r.logged("name resolves again", 1)
		r.namer.set("app.test A", is(time.Second))
		pass(9 * time.Second)
		r.wants("empty, once", 0, "10.0.0.1:80")
		pass(3 * time.Second)
		r.wants("empty for ten seconds", 0)
		r.namer.set("app.test A", is(time.Second, "10.0.0.2"))
		pass(1200 * time.Millisecond)
		r.wants("back", 0, "10.0.0.2:80")
		if got := r.Without(r.cfg); len(got) != 0 {
			t.Errorf("without address: %v", got)
		}
	})
}

// One family is used whatever becomes of the other, and is asked on its own schedule.
func TestFamiliesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{}, webPool(app))
		defer r.Close()
		r.namer.set("app.test A", is(time.Second, "10.0.0.1"))
		r.namer.set("app.test AAAA", fails(errSilent))
		r.Follow(r.cfg)
		begun := time.Now()
		r.Await(t.Context())
		if took := time.Since(begun); took != grace {
			t.Errorf("waited %v for the other family", took)
		}
		r.wants("one family", 0, "10.0.0.1:80")
		pass(20*time.Second - grace)
		if n := len(r.namer.times("app.test A")); n < 20 {
			t.Errorf("asked %d times in 20 s at a TTL of 1 s", n)
		}
		if n := len(r.namer.times("app.test AAAA")); n > 5 {
			t.Errorf("a silent family is asked %d times in 20 s", n)
		}
		r.logged("does not resolve", 0)
		r.namer.set("app.test AAAA", is(time.Second, "2001:db8::1"))
		pass(40 * time.Second)
		r.wants("both", 0, "10.0.0.1:80", "[2001:db8::1]:80")
		r.namer.set("app.test AAAA", is(time.Second))
		pass(2 * time.Second)
		r.wants("one again", 0, "10.0.0.1:80")
	})
}

// A family that is empty once does not leave a name with the addresses of the other alone
// that this machine has no way to.
func TestEmptyBesideUnrouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Routed: netip.Addr.Is4}, webPool(app))
		defer r.Close()
		r.namer.set("app.test A", is(time.Second, "10.0.0.1"))
		r.namer.set("app.test AAAA", is(time.Second, "2001:db8::1"))
		r.Follow(r.cfg)
		pass(5 * time.Second)
		r.wants("both", 0, "10.0.0.1:80")
		r.namer.set("app.test A", is(time.Second))
		pass(8 * time.Second)
		r.wants("empty for a while", 0, "10.0.0.1:80")
		r.namer.set("app.test A", is(time.Second, "10.0.0.2"))
		pass(2 * time.Second)
		r.wants("again", 0, "10.0.0.2:80")
		r.namer.set("app.test A", is(time.Second))
		pass(8 * time.Second)
		r.wants("empty again", 0, "10.0.0.2:80")
		pass(5 * time.Second)
		r.wants("empty twice", 0, "[2001:db8::1]:80")
	})
}

// TTLs hold between resolve_min and resolve_max, and a name without address is asked for
// every second.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := map[string]struct {
			say      func(Query) (Answer, error)
			low, top int // questions in a minute
		}{
			"zero.test": {is(0, "10.0.0.1"), 60, 62},
			"five.test": {is(5*time.Second, "10.0.0.1"), 12, 13},
			"day.test":  {is(24*time.Hour, "10.0.0.1"), 2, 3},
			"none.test": {fails(ErrNoName), 50, 70},
			"dead.test": {fails(errSilent), 13, 17},
		}
		var backends []config.Backend
		r := newRig(t, Options{})
		defer r.Close()
		for name, of := range names {
			r.namer.set(name+" A", of.say)
			r.namer.set(name+" AAAA", fails(ErrNoName))
			backends = append(backends, config.Backend{Host: name, Port: 80})
		}
		r.cfg.Pools = []config.Pool{{Name: "web", Backends: backends, ResolveMin: time.Second, ResolveMax: 30 * time.Second}}
		r.Follow(r.cfg)
		pass(time.Minute)
		synctest.Wait()
		for name, of := range names {
			if n := len(r.namer.times(name + " A")); n < of.low || n > of.top {
				t.Errorf("%s is asked for %d times in a minute, want %d to %d", name, n, of.low, of.top)
			}
		}
	})
}

// Faults of connects have a name asked for at once, and once in resolve_min at most.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{}, webPool(config.Backend{Host: "App.test.", Port: 80}))
		defer r.Close()
		r.namer.set("app.test. A", is(time.Minute, "10.0.0.1"))
		r.namer.set("app.test. AAAA", is(time.Minute))
		r.Follow(r.cfg)
		pass(10 * time.Second)
		for range 30 { // three seconds
			r.Ask("App.test") // as it is in the configuration
			pass(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(r.namer.times("app.test. A")); n < 4 || n > 5 {
			t.Errorf("asked for %d times, want one at the start and one for each second of faults", n)
		}
		if b := r.Effective(r.cfg).Pools[0].Backends[0]; b.Name != "App.test" {
			t.Errorf("name %q", b.Name)
		}
	})
}

// fakeSource reports what the test says.
type fakeSource struct {
	report func([]config.Backend, error)
	begun  chan struct{}
	asked  int
}

func (f *fakeSource) Run(ctx context.Context, report func([]config.Backend, error)) {
	f.report = report
	close(f.begun)
	<-ctx.Done()
}

func (f *fakeSource) Ask() { f.asked++ }

func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{begun: make(chan struct{})}
		pool := webPool(config.Backend{Host: "10.0.0.9", Port: 80, Weight: 7})
		pool.Discover = "etcd://user:geheim@127.0.0.1:1/lb/web/"
		r := newRig(t, Options{Make: func(config.Pool) (Source, error) { return src, nil }}, pool)
		defer r.Close()
		r.namer.set("app.test A", is(time.Minute, "10.0.0.1"))
		r.Follow(r.cfg)
		<-src.begun
		src.report([]config.Backend{{Host: "10.0.0.9", Port: 80}, {Host: "10.0.0.5", Port: 80}, app}, nil)
		r.Await(t.Context())
		r.wants("first", 0, "10.0.0.9:80", "10.0.0.5:80", "10.0.0.1:80")
		if list := r.Effective(r.cfg).Pools[0].Backends; list[0].Weight != 7 || list[1].Weight != 1 {
			t.Errorf("weights of %+v: the file comes first, and 0 is 1", list)
		}
		src.report(nil, errors.New("refused"))
		src.report(nil, errors.New("refused"))
		r.wants("an error", 0, "10.0.0.9:80", "10.0.0.5:80", "10.0.0.1:80")
		r.logged("source of backends fails", 1)
		src.report(nil, nil)
		r.logged("source of backends answers again", 1)
		r.wants("empty once", 0, "10.0.0.9:80", "10.0.0.5:80", "10.0.0.1:80")
		pass(9 * time.Second)
		src.report(nil, nil)
		r.wants("empty too soon", 0, "10.0.0.9:80", "10.0.0.5:80", "10.0.0.1:80")
		r.Ask("app.test")
		if src.asked != 1 {
			t.Errorf("the source of the name was asked %d times", src.asked)
		}
		pass(time.Second)
		src.report(nil, nil)
		r.wants("empty twice", 0, "10.0.0.9:80")
		r.logged("geheim", 0)
		states := r.States()
		if len(states) != 1 || states[0].Pool != "web" || !states[0].Up || strings.Contains(states[0].Source, "geheim") || states[0].Errors != 2 {
			t.Errorf("states: %+v", states)
		}
	})
}

// Changes are collected for 200 ms.
func TestHoldDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{begun: make(chan struct{})}
		pool := webPool()
		pool.Discover = "file:///x"
		r := newRig(t, Options{Make: func(config.Pool) (Source, error) { return src, nil }}, pool)
		defer r.Close()
		r.Follow(r.cfg)
		<-src.begun
		pass(time.Second)
		synctest.Wait()
		before := r.changes
		for i := range 100 {
			src.report([]config.Backend{{Host: "10.0.0.9", Port: 80 + i}}, nil)
			pass(10 * time.Millisecond)
		}
		pass(time.Second)
		synctest.Wait()
		if n := r.changes - before; n < 4 || n > 6 {
			t.Errorf("100 changes in a second made %d, want 5", n)
		}
	})
}

// A source that panics is begun again.
func TestSourcePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := webPool()
		pool.Discover = "file:///x"
		r := newRig(t, Options{Make: func(config.Pool) (Source, error) { return panicky{}, nil }}, pool)
		defer r.Close()
		r.Follow(r.cfg)
		r.Await(t.Context())
		pass(12 * time.Second)
		r.logged("panic in a source of backends", 3)
		r.logged("source of backends fails", 1)
	})
}

type panicky struct{}

func (panicky) Run(context.Context, func([]config.Backend, error)) { panic("oops") }

func TestDNSSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := webPool()
		pool.Discover = "dns://app.test:8080"
		r := newRig(t, Options{}, pool)
		defer r.Close()
		r.namer.set("app.test A", is(time.Second, "10.0.0.1", "10.0.0.2"))
		r.Follow(r.cfg)
		r.Await(t.Context())
		r.wants("two", 0, "10.0.0.1:8080", "10.0.0.2:8080")
		if s := r.States(); len(s) != 2 || s[0].Source != "dns://app.test:8080" || s[0].Backends != 2 || s[1].Source != "app.test" {
			t.Errorf("states: %+v", s)
		}
		r.namer.set("app.test A", fails(ErrNoName))
		pass(3 * time.Second)
		synctest.Wait()
		if s := r.States()[0]; s.Up || s.Fault != ErrNoName.Error() || s.Backends != 2 {
			t.Errorf("state without the name: %+v", s)
		}
		r.cfg = &config.Config{Pools: []config.Pool{webPool()}}
		r.Follow(r.cfg)
		r.wants("followed no longer", 0)
		if s := r.States(); len(s) != 0 {
			t.Errorf("states: %+v", s)
		}
	})
}

// What is known is there for the next start, before a name server has answered; and for a
// reload that goes back.
func TestCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lb", "known.json")
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{begun: make(chan struct{})}
		o := Options{Cache: file, Make: func(config.Pool) (Source, error) { return src, nil }}
		other := config.Pool{Name: "other", Discover: "etcd://u:geheim@h:1/p"}
		r := newRig(t, o, webPool(app), other)
		r.namer.set("app.test A", is(time.Minute, "10.0.0.1"))
		r.namer.set("app.test AAAA", is(time.Minute, "2001:db8::1"))
		r.Follow(r.cfg)
		<-src.begun
		src.report([]config.Backend{{Host: "10.0.0.5", Port: 81}}, nil)
		pass(time.Second)
		synctest.Wait()
		if text, _ := os.ReadFile(file); !strings.Contains(string(text), "10.0.0.1") {
			t.Errorf("a second after the first answers the cache has %q", text)
		}
		pass(9 * time.Second)
		r.Follow(&config.Config{})
		r.namer.set("app.test A", fails(errSilent))
		r.namer.set("app.test AAAA", fails(errSilent))
		src.begun = make(chan struct{})
		r.Follow(r.cfg)
		r.wants("followed again", 0, "10.0.0.1:80", "[2001:db8::1]:80")
		r.Close()
		text, _ := os.ReadFile(file)
		if strings.Contains(string(text), "geheim") {
			t.Errorf("a password is in the cache: %s", text)
		}

		src.begun = make(chan struct{})
		next := newRig(t, o, webPool(app), other)
		next.namer.set("app.test A", fails(errSilent))
		next.namer.set("app.test AAAA", fails(errSilent))
		next.Follow(next.cfg)
		next.wants("next start", 0, "10.0.0.1:80", "[2001:db8::1]:80")
		next.wants("next start", 1, "10.0.0.5:81")
		third := newRig(t, Options{Make: o.Make})
		if err := third.Import(next.Export()); err != nil {
			t.Error(err)
		}
		next.Close()
		src.begun = make(chan struct{})
		third.cfg = next.cfg
		third.Follow(third.cfg)
		third.wants("handed over", 0, "10.0.0.1:80", "[2001:db8::1]:80")
		third.Close()
	})
	for what, text := range map[string]string{"broken": `{"version":1,"na`, "newer": `{"version":2}`,
		"old": `{"version":1,"written":"2020-01-01T00:00:00Z","names":[{"name":"app.test","v4":["10.0.0.1"]}]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, Options{Cache: file}, webPool(app))
		if !strings.Contains(r.log.String(), "cache of addresses is not used") || len(r.parked.names) > 0 {
			t.Errorf("%s: %s", what, r.log.String())
		}
		r.Close()
	}
}

// A cache that cannot be written is one warning.
func TestCacheUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Cache: filepath.Join(file, "known.json")}, webPool(app))
		r.namer.set("app.test A", is(time.Minute, "10.0.0.1"))
		r.Follow(r.cfg)
		pass(3 * time.Hour)
		r.Close()
		r.logged("cache of addresses cannot be written", 1)
	})
}

// A name whose families were answered for different names of the search list has the
// addresses of the first.
func TestRank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Routed: netip.Addr.Is4}, webPool(app))
		defer r.Close()
		r.namer.set("app.test A", func(Query) (Answer, error) {
			return Answer{Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Rank: 1}, nil
		})
		r.namer.set("app.test AAAA", is(0, "2001:db8::1"))
		r.Follow(r.cfg)
		r.wants("different names", 0, "[2001:db8::1]:80")
		r.namer.set("app.test A", is(0, "10.0.0.1"))
		pass(2 * time.Second)
		r.wants("the same, without a way by IPv6", 0, "10.0.0.1:80")
	})
}

func FuzzCache(f *testing.F) {
	f.Add([]byte(`{"version":1,"written":"2026-01-01T00:00:00Z","names":[{"name":"app.test","v4":["10.0.0.1"],"v6":["::1","10.0.0.1"]}],` +
		`"sources":[{"pool":"web","source":"00","backends":[{"Host":"10.0.0.1","Port":80,"Weight":99999},{"Host":"","Port":0}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := readKnown(text, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
		if err != nil {
			return
		}
		for _, n := range k.Names {
			if n.Name == "" || slices.ContainsFunc(n.V4, netip.Addr.Is6) || slices.ContainsFunc(n.V6, netip.Addr.Is4) {
				t.Errorf("%+v", n)
			}
		}
		for _, s := range k.Sources {
			for _, b := range s.Backends {
				if b.Weight < 1 || b.Weight > 65535 || b.Socket == "" && (b.Host == "" || b.Port < 1 || b.Port > 65535) {
					t.Errorf("%+v", b)
				}
			}
		}
	})
}
