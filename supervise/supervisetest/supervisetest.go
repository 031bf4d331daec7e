// Package supervisetest holds what the tests of several rooms of supervise share:
// a configuration, backends, clients, fake resolvers and looks into /proc. It does
// not know any of the rooms, and nothing but tests imports it.
package supervisetest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lb/config"
	"lb/internal/testkit"
)

// EachMode runs f in mt and in mp.
func EachMode(t *testing.T, f func(t *testing.T, cfg *config.Config)) {
	for _, mode := range []config.Mode{config.MT, config.MP} {
		t.Run(string(mode), func(t *testing.T) { f(t, Config(mode)) })
	}
}

// Config has two loops on a free port of 127.0.0.1 and no backend.
func Config(mode config.Mode) *config.Config {
	cfg := config.Default()
	cfg.Mode, cfg.Host, cfg.Port, cfg.Workers = mode, "127.0.0.1", 0, 2
	cfg.LogLevel = "error"
	cfg.Admin.Address, cfg.Admin.Socket = "127.0.0.1:0", config.SocketOff
	cfg.Pools[0].Backends = nil
	cfg.Timeouts.Drain = testkit.Patience
	return cfg
}

// AddBackend adds what url, of an httptest.Server, points at, by IP address.
func AddBackend(t *testing.T, cfg *config.Config, url string) {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	b := config.Backend{Host: host, Weight: 1}
	if b.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	cfg.Pools[0].Backends = append(cfg.Pools[0].Backends, b)
}

// HelloBackend is a backend that answers with text.
func HelloBackend(t *testing.T, text string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

// SlowBackend is a backend that answers with "late" when the test says so.
type SlowBackend struct {
	*httptest.Server
	Began   chan struct{} // gets a value for every request that has arrived
	Release chan struct{} // closed: answer
}

// AddSlowBackend adds a SlowBackend that ends with the test to the first pool.
func AddSlowBackend(t *testing.T, cfg *config.Config) *SlowBackend {
	t.Helper()
	s := &SlowBackend{Began: make(chan struct{}, 64), Release: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Began <- struct{}{}
		select {
		case <-s.Release:
			io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	AddBackend(t, cfg, s.URL)
	return s
}

// GetLater is the function GetLater, but returns only once the request has arrived at s.
func (s *SlowBackend) GetLater(t *testing.T, addr string) <-chan Answer {
	t.Helper()
	a := GetLater(addr)
	testkit.Wait(t, s.Began, "the request to arrive")
	return a
}

// Answer is what one request on a connection of its own brought.
type Answer struct {
	Status int
	Body   string
	Err    error
}

// Get sends one request to addr on a connection of its own.
func Get(addr string) Answer {
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: testkit.Patience}
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, string(body), err}
}

// GetLater is get on a goroutine.
func GetLater(addr string) <-chan Answer {
	c := make(chan Answer, 1)
	go func() { c <- Get(addr) }()
	return c
}

// Want fails the test if a is not 200 with body.
func (a Answer) Want(t *testing.T, body string) {
	t.Helper()
	if a.Err != nil || a.Status != http.StatusOK || a.Body != body {
		t.Fatalf("got %d %q, %v; want 200 %q", a.Status, a.Body, a.Err, body)
	}
}

// TooBusy is what lb says of a loop for which it does not wait any longer: on a
// busy machine a new worker may need more than that to begin.
const TooBusy = "has not taken up configuration"

// Refused reports whether nobody listens at addr.
func Refused(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, testkit.Patience)
	if err != nil {
		return true
	}
	c.Close()
	return false
}

// WantCut fails the test if the answer is a whole 200.
func WantCut(t *testing.T, a <-chan Answer) {
	t.Helper()
	if got := <-a; got.Err == nil && got.Status == 200 {
		t.Errorf("got 200 %q, want an answer that was cut off", got.Body)
	}
}

// BackendsAt returns the backend at url, see AddBackend.
func BackendsAt(t *testing.T, url string) []config.Backend {
	t.Helper()
	cfg := &config.Config{Pools: []config.Pool{{}}}
	AddBackend(t, cfg, url)
	return cfg.Pools[0].Backends
}

// Asking sends requests on new conns, one after the other, until stop, which
// returns how many there were. Every one has to be answered with body.
func Asking(t *testing.T, addr, body string) (stop func() int) {
	var n atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !testkit.IsClosed(end) {
			if a := Get(addr); a.Err != nil || a.Status != 200 || a.Body != body {
				t.Errorf("request %d: %d %q, %v", n.Load(), a.Status, a.Body, a.Err)
				return
			}
			n.Add(1)
		}
	}()
	return sync.OnceValue(func() int { close(end); <-ended; return int(n.Load()) })
}

// ResolverFunc is a function as a resolver of names.
type ResolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

// LookupNetIP calls f.
func (f ResolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// FakeResolver knows one name.
type FakeResolver struct {
	Name string
	Addr atomic.Pointer[netip.Addr] // nil if it is not found
}

// LookupNetIP returns the address of the one name, if it has one.
func (r *FakeResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a := r.Addr.Load(); a != nil && host == r.Name {
		return []netip.Addr{*a}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// Set gives the name another address.
func (r *FakeResolver) Set(text string) {
	a := netip.MustParseAddr(text)
	r.Addr.Store(&a)
}
