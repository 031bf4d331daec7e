package supervise

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lb/config"
	"lb/internal/testkit"
)

// eachMode runs f in mt and in mp.
func eachMode(t *testing.T, f func(t *testing.T, cfg *config.Config)) {
	for _, mode := range []config.Mode{config.MT, config.MP} {
		t.Run(string(mode), func(t *testing.T) { f(t, testConfig(mode)) })
	}
}

// testConfig has two loops on a free port of 127.0.0.1 and no backend.
func testConfig(mode config.Mode) *config.Config {
	cfg := config.Default()
	cfg.Mode, cfg.Host, cfg.Port, cfg.Workers = mode, "127.0.0.1", 0, 2
	cfg.LogLevel = "error"
	cfg.Admin.Address, cfg.Admin.Socket = "127.0.0.1:0", config.SocketOff
	cfg.Pools[0].Backends = nil
	cfg.Timeouts.Drain = testkit.Patience
	return cfg
}

// addBackend adds what url, of an httptest.Server, points at, by IP address.
func addBackend(t *testing.T, cfg *config.Config, url string) {
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

// helloBackend is a backend that answers with text.
func helloBackend(t *testing.T, text string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

// slowBackend is a backend that answers with "late" when the test says so.
type slowBackend struct {
	*httptest.Server
	began   chan struct{} // gets a value for every request that has arrived
	release chan struct{} // closed: answer
}

func newSlowBackend(t *testing.T) *slowBackend {
	t.Helper()
	s := &slowBackend{began: make(chan struct{}, 64), release: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.began <- struct{}{}
		select {
		case <-s.release:
			io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// answer is what one request on a connection of its own brought.
type answer struct {
	status int
	body   string
	err    error
}

func get(addr string) answer {
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: testkit.Patience}
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), err}
}

// getLater is get on a goroutine.
func getLater(addr string) <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- get(addr) }()
	return c
}

// want fails the test if a is not 200 with body.
func (a answer) want(t *testing.T, body string) {
	t.Helper()
	if a.err != nil || a.status != http.StatusOK || a.body != body {
		t.Fatalf("got %d %q, %v; want 200 %q", a.status, a.body, a.err, body)
	}
}

// tooBusy is what lb says of a loop for which it does not wait any longer: on a
// busy machine a new worker may need more than that to begin.
const tooBusy = "has not taken up configuration"

// refused reports whether nobody listens at addr.
func refused(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, testkit.Patience)
	if err != nil {
		return true
	}
	c.Close()
	return false
}

func wantCut(t *testing.T, a <-chan answer) {
	t.Helper()
	if got := <-a; got.err == nil && got.status == 200 {
		t.Errorf("got 200 %q, want an answer that was cut off", got.body)
	}
}

func backendsAt(t *testing.T, url string) []config.Backend {
	t.Helper()
	cfg := &config.Config{Pools: []config.Pool{{}}}
	addBackend(t, cfg, url)
	return cfg.Pools[0].Backends
}

// asking sends requests on new conns, one behind the other, until stop, which
// returns how many there were. Every one has to be answered with body.
func asking(t *testing.T, addr, body string) (stop func() int) {
	var n atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !isClosed(end) {
			if a := get(addr); a.err != nil || a.status != 200 || a.body != body {
				t.Errorf("request %d: %d %q, %v", n.Load(), a.status, a.body, a.err)
				return
			}
			n.Add(1)
		}
	}()
	return sync.OnceValue(func() int { close(end); <-ended; return int(n.Load()) })
}

type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// fakeResolver knows one name.
type fakeResolver struct {
	name string
	addr atomic.Pointer[netip.Addr] // nil: not found
}

func (r *fakeResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a := r.addr.Load(); a != nil && host == r.name {
		return []netip.Addr{*a}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (r *fakeResolver) set(text string) {
	a := netip.MustParseAddr(text)
	r.addr.Store(&a)
}

// descriptors returns how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// isClosed reports whether c is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
