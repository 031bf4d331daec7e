package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// answeredBy counts by X-Backend the answers to n GETs, one after the other. The
// conn is one throughout, and so is the loop, which takes turns exactly.
func (c *rawConn) answeredBy(t *testing.T, n int) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range n {
		c.send(t, lines("GET / HTTP/1.1", "Host: x"))
		resp, _ := c.answer(t)
		want200(t, resp, "")
		counts[resp.Header.Get("X-Backend")]++
	}
	return counts
}

// Weights of 3 and 1 are kept exactly, over whatever conns the requests come. Loops
// begin at different places, so each may be off by a part of a period.
func TestWeights(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		heavy, light := demo(t, "127.0.0.1:0", "heavy"), demo(t, "127.0.0.1:0", "light")
		p := start(t, mode, setup{backends: []backend{{addr: heavy.Addr(), weight: 3}, {addr: light.Addr(), weight: 1}}})
		if got := dial(t, p.addr).answeredBy(t, 400); got["heavy"] != 300 || got["light"] != 100 {
			t.Errorf("400 requests on one conn were answered by %v, want 300 and 100", got)
		}
		byHeavy := 0
		for range 200 {
			c := dial(t, p.addr)
			byHeavy += c.answeredBy(t, 1)["heavy"]
			c.Close()
		}
		if byHeavy < 148 || byHeavy > 152 {
			t.Errorf("%d of 200 requests on conns of their own were answered by the heavy one, want 150", byHeavy)
		}
	})
}

// Backends on all kinds of addresses, and a client on IPv6.
func TestAddresses(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		names := []string{"v4", "name", "unix"}
		v4, name := demo(t, "127.0.0.1:0", "v4"), demo(t, "127.0.0.1:0", "name")
		unix := demo(t, "unix:"+filepath.Join(t.TempDir(), "s"), "unix")
		_, port, _ := net.SplitHostPort(name.Addr())
		list := to(v4.Addr(), net.JoinHostPort("localhost", port), unix.Addr())
		hosts := []string{"127.0.0.1", "localhost"}
		if hasIPv6() {
			list = append(list, to(demo(t, "[::1]:0", "v6").Addr())...)
			names = append(names, "v6")
			hosts = append(hosts, "::1", "::")
		} else {
			t.Log("this machine has no IPv6 on its loopback interface: not tried")
		}
		for _, host := range hosts {
			p := start(t, mode, setup{host: host, backends: list})
			if host == "::" { // both families
				_, port, _ := net.SplitHostPort(p.addr)
				p.addr = net.JoinHostPort("127.0.0.1", port)
			}
			got := dial(t, p.addr).answeredBy(t, 5*len(names))
			for _, name := range names {
				if got[name] != 5 {
					t.Errorf("listening on %s: answered by %v, want 5 by each", host, got)
				}
			}
		}
	})
}

func hasIPv6() bool {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// ownProcess is a backend that can be killed.
type ownProcess struct {
	*testkit.Process
	addr string
}

// startBackend runs `lb demo-backends`, at a port that is held for it while it is down.
func startBackend(t *testing.T) *ownProcess {
	t.Helper()
	b := &ownProcess{addr: testkit.FreePort(t)}
	b.again(t)
	return b
}

// again starts a backend at its address, which a client's conn may occupy for a moment.
func (b *ownProcess) again(t *testing.T) {
	t.Helper()
	_, port, _ := net.SplitHostPort(b.addr)
	testkit.Until(t, "a backend at "+b.addr, func() bool { return b.start(t, port) == b.addr })
}

// start returns the address, or "" if the process cannot listen there.
func (b *ownProcess) start(t *testing.T, port string) (addr string) {
	t.Helper()
	b.Process = testkit.Start(t, exec.Command(lbExe, "demo-backends", "--port", port))
	testkit.Until(t, "lb demo-backends to say where it listens", func() bool {
		ended := b.Ended()
		line, _, whole := strings.Cut(b.Out.String(), "/\n")
		if whole {
			addr = strings.TrimPrefix(line, "backend on http://")
		}
		return whole || ended
	})
	return addr
}

// kill kills the process and waits for its end. It may be called again.
func (b *ownProcess) kill() {
	b.Cmd.Process.Kill()
	<-b.Exited
}

// A backend that is killed costs no GET: neither the conns that were kept to it,
// nor refused ones, as long as the retry budget lasts. With no backend left, the
// answer is 502, at once, for GET and POST.
func TestBackendKilled(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{backends: to(a.addr, b.addr), tables: noHurry})
		client := dial(t, p.addr)
		if got := client.answeredBy(t, 40); got[a.addr] != 20 || got[b.addr] != 20 {
			t.Fatalf("answered by %v, want 20 by each", got)
		}
		a.kill()
		if got := client.answeredBy(t, 12); got[b.addr] != 12 {
			t.Errorf("answered by %v, want all by %s", got, b.addr)
		}
		b.kill()
		for _, method := range []string{"GET", "POST"} {
			client.send(t, lines(method+" / HTTP/1.1", "Host: x", "Content-Length: 4")+"body")
			if resp, _ := client.answer(t); resp.StatusCode != 502 {
				t.Errorf("%s with all backends down: %s, want 502", method, resp.Status)
			}
		}
	})
}

// A backend that comes back is used again.
func TestBackendReturns(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		first := demo(t, "unix:"+filepath.Join(t.TempDir(), "s"), "first")
		p := start(t, mode, setup{backends: to(first.Addr())})
		client := newClient(t)
		resp, _ := get(t, client, p.url("/"))
		want200(t, resp, "first")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if resp, _ := get(t, client, p.url("/")); resp.StatusCode != 502 {
			t.Errorf("without a backend: %s, want 502", resp.Status)
		}
		demo(t, first.Addr(), "second")
		resp, _ = get(t, client, p.url("/"))
		want200(t, resp, "second")
	})
}

// Requests that follow each other on one conn without waiting are answered in
// their order, though the backends take turns.
func TestPipelining(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		slow, fast := demo(t, "127.0.0.1:0", "slow"), demo(t, "127.0.0.1:0", "fast")
		p := start(t, mode, setup{backends: to(slow.Addr(), fast.Addr())})
		c := dial(t, p.addr)
		var requests strings.Builder
		const n = 50
		for i := range n {
			path := fmt.Sprintf("/?n=%d", i)
			if i%10 == 0 {
				path = "/delay/30ms?n=" + fmt.Sprint(i)
			}
			requests.WriteString(lines("GET "+path+" HTTP/1.1", "Host: x"))
			fmt.Fprintf(&requests, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d", i)
		}
		c.send(t, requests.String())
		for i := range n {
			resp, body := c.answer(t)
			if resp.StatusCode != 200 || i%10 > 0 && !strings.Contains(body, fmt.Sprintf("/?n=%d\n", i)) {
				t.Fatalf("answer %d: %s, %q", 2*i, resp.Status, body)
			}
			if _, body = c.answer(t); body != fmt.Sprintf("%03d", i) {
				t.Fatalf("answer %d: %q, want %03d", 2*i+1, body, i)
			}
		}
	})
}
