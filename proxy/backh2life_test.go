package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

func sayHello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// idle returns how many conns to backends count as idle, and how many there are.
func (r *backRig) conns() (idle, all, h2 uint64) {
	r.do(func() {
		c := r.p.counters
		idle, all, h2 = uint64(c.BackendIdle.Load()), uint64(c.BackendConns.Load()), uint64(c.HTTP2BackendConns.Load())
	})
	return idle, all, h2
}

// TestBackendH2Idle: a conn without streams counts as idle, and ends when it has been so for
// long enough.
func TestBackendH2Idle(t *testing.T) {
	f, _ := newH2Far(t, nil, nil, sayHello)
	cfg := h2Config(config.ProtocolH2C, f)
	cfg.Timeouts.BackendIdle = 50 * time.Millisecond
	r := newBackRig(t, cfg, nil)
	r.client().wants(200, "hello")
	testkit.Until(t, "the end of the conn", func() bool {
		idle, all, h2 := r.conns()
		return idle == 0 && all == 0 && h2 == 0
	})
	r.client().wants(200, "hello")
	if f.conns.Load() != 2 {
		t.Errorf("%d conns", f.conns.Load())
	}
}

// TestBackendH2Reload: a conn stays over a reload that changes nothing of it, and gets no new
// streams when its backend is gone, or the pool speaks another protocol.
func TestBackendH2Reload(t *testing.T) {
	hold := make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-hold
		}
		fmt.Fprint(w, "hello ", r.ProtoMajor)
	}
	f, _ := newH2Far(t, nil, []string{"http/1.1"}, h)
	r := newBackRig(t, h2Config(config.ProtocolH2C, f), nil)
	r.client().wants(200, "hello 2")
	r.reload(h2Config(config.ProtocolH2C, f), nil)
	c := r.client()
	c.wants(200, "hello 2")
	if f.conns.Load() != 1 {
		t.Errorf("%d conns", f.conns.Load())
	}
	io.WriteString(c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
	testkit.Until(t, "the request", func() bool { idle, _, _ := r.conns(); return idle == 0 })
	cfg := h2Config(config.ProtocolH2C, f)
	cfg.Pools[0].Protocol = config.ProtocolHTTP1
	r.reload(cfg, nil)
	r.client().wants(200, "hello 1")
	close(hold)
	a, err := http.ReadResponse(c.from, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(a.Body); string(body) != "hello 2" {
		t.Errorf("the running request got %q", body)
	}
	testkit.Until(t, "the end of the conn", func() bool { _, _, h2 := r.conns(); return h2 == 0 })
}

// TestBackendH2Shutdown: a server that shuts down costs no request, however many come.
func TestBackendH2Shutdown(t *testing.T) {
	var servers [2]*http.Server
	var fars [2]*far
	for i := range fars {
		fars[i], servers[i] = newH2Far(t, nil, nil, sayHello)
	}
	r := newBackRig(t, h2Config(config.ProtocolH2C, fars[:]...), nil)
	var all sync.WaitGroup
	var n atomic.Int32
	stop := make(chan struct{})
	for range 8 {
		all.Go(func() {
			c := r.client()
			for {
				select {
				case <-stop:
					return
				default:
					c.wants(200, "hello")
					n.Add(1)
				}
			}
		})
	}
	testkit.Until(t, "requests", func() bool { return n.Load() > 50 })
	if err := servers[0].Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	before := n.Load()
	testkit.Until(t, "more requests", func() bool { return n.Load() > before+50 })
	close(stop)
	all.Wait()
}

// TestBackendH2Both: an answer that comes before the request has ended goes on both ways.
func TestBackendH2Both(t *testing.T) {
	f, _ := newH2Far(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		for lines := bufio.NewReader(r.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, strings.ToUpper(line))
			w.(http.Flusher).Flush()
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, f), nil)
	c := r.client()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	a, err := http.ReadResponse(c.from, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := bufio.NewReader(a.Body)
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(line), line)
		if back, err := got.ReadString('\n'); back != strings.ToUpper(line) {
			t.Fatalf("%q, %v", back, err)
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(got); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	c.wants(200, "")
}

// TestBackendH2Refused: a port that nothing listens at, asked by many at once.
func TestBackendH2Refused(t *testing.T) {
	cfg, to := h2Config(config.ProtocolH2C), netip.MustParseAddrPort(testkit.RefusingAddr(t))
	cfg.Pools[0].Backends = []config.Backend{{Host: "127.0.0.1", Port: int(to.Port()), Weight: 1}}
	r := newBackRig(t, cfg, nil)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if status, _, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != 502 || err != nil {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
	all.Wait()
}

// TestBackendH2Silent: a backend that says nothing, and one that speaks another protocol.
func TestBackendH2Silent(t *testing.T) {
	for _, tc := range []struct {
		says   string
		status int
	}{{"", 504}, {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 502}, {"220 mail.example ESMTP\r\n", 502}} {
		f := newFar(t, func(c net.Conn) {
			io.WriteString(c, tc.says)
			io.Copy(io.Discard, c)
		})
		cfg := h2Config(config.ProtocolH2C, f)
		if cfg.Retry.Attempts = 0; tc.says == "" {
			cfg.Timeouts.Response = 200 * time.Millisecond
		}
		r := newBackRig(t, cfg, nil)
		if status, body, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != tc.status || err != nil {
			t.Errorf("%q: status %d %q, %v", tc.says, status, body, err)
		}
	}
}

// TestBackendAutoUpgrade: with auto, a request for another protocol goes over HTTP/1.1, and
// others over HTTP/2; a pool of HTTP/2 alone answers it without the upgrade.
func TestBackendAutoUpgrade(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	cert := ca.Issue(t, testkit.Leaf{Names: []string{farName}})
	f, _ := newH2Far(t, cert, []string{"h2", "http/1.1"}, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.Header.Get("Upgrade") == "echo" {
			c, from, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(c, from)
			c.Close()
			return
		}
		fmt.Fprint(w, "hello ", r.ProtoMajor)
	})
	const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
	for _, protocol := range []string{config.ProtocolAuto, config.ProtocolH2} {
		r := newBackRig(t, h2Config(protocol, f), &tlsconf.PoolSecrets{CA: ca.Cert})
		r.client().wants(200, "hello 2")
		c := r.client()
		io.WriteString(c, upgrade+"first")
		a, err := http.ReadResponse(c.from, nil)
		if err != nil || (a.StatusCode == 101) != (protocol == config.ProtocolAuto) {
			t.Fatalf("%s: %v, %v", protocol, a, err)
		}
		if a.StatusCode == 101 {
			c.CloseWrite()
			if all, err := io.ReadAll(c.from); string(all) != "first" || err != nil {
				t.Errorf("%q, %v", all, err)
			}
		}
		r.client().wants(200, "hello 2")
	}
}
