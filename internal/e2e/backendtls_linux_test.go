package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"lb/internal/testkit"
)

// secureServe is a backend of net/http with TLS and the certificate p. It returns its
// address, and how many conns it took and how many of them resumed a session.
func secureServe(t *testing.T, p *testkit.Pair, h http.HandlerFunc) (addr string, conns, resumed *atomic.Int32) {
	t.Helper()
	conns, resumed = new(atomic.Int32), new(atomic.Int32)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{p.TLS(t)}, VerifyConnection: func(c tls.ConnectionState) error {
		if conns.Add(1); c.DidResume {
			resumed.Add(1)
		}
		return nil
	}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String(), conns, resumed
}

// TestBackendsOverTLS: requests of any kind go to backends with TLS; sessions are resumed.
func TestBackendsOverTLS(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		addr, conns, resumed := secureServe(t, named(t), echo)
		s := begin(t, mode, setup{keys: "reuse = \"never\"\n", backends: overTLS(addr), tables: backendTLS(t, t.TempDir(), "")})
		c := newClient(t)
		for range 60 {
			body := strings.Repeat("x", 100<<10)
			resp, err := c.Post(s.url("/"), "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || !strings.Contains(string(all), body) {
				t.Fatalf("status %d, %d bytes, %v", resp.StatusCode, len(all), err)
			}
		}
		if full := conns.Load() - resumed.Load(); conns.Load() < 60 || full > 2 { // one for each worker
			t.Errorf("%d conns, of which %d are not resumed", conns.Load(), full)
		}
	})
}

// TestBackendTLSFaults: a fault says in reply, log, status and metrics what failed, a check says
// it once, and a file that is put right is taken up.
func TestBackendTLSFaults(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		dir := t.TempDir()
		addr, _, _ := secureServe(t, named(t), echo)
		late, _, _ := secureServe(t, ca(t).Issue(t, testkit.Leaf{Names: []string{"localhost"}}.Expired()), echo)
		tables := backendTLS(t, dir, "") + "[eject]\nenabled = false\n" +
			"[[pools]]\nname = \"late\"\n[pools.tls]\nca = " + fmt.Sprintf("%q", filepath.Join(dir, "backends.pem")) +
			"\nserver_name = \"localhost\"\n[pools.health]\ninterval = \"100ms\"\ninterval_down = \"100ms\"\n" +
			"[[pools.backends]]\nhost = \"127.0.0.1\"\ntls = true\nport = " + late[strings.LastIndex(late, ":")+1:] + "\n"
		other := testkit.NewCA(t, "other")
		other.Write(t, dir, "backends")
		s := begin(t, mode, setup{admin: true, backends: overTLS(addr), tables: tables})
		c := newClient(t)
		testkit.Until(t, "the other authority to be in use", func() bool {
			resp, _ := get(t, c, s.url("/"))
			return resp.StatusCode == 502
		})
		s.untilTold(1, `msg="backend fails"`, "cause=tls_chain", "its certificate is of an unknown authority")
		if out := s.want("status"); !strings.Contains(out, "its certificate is of an unknown authority") {
			t.Errorf("lb status:\n%s", out)
		}
		if n := s.metrics(t)[fmt.Sprintf("lb_backend_faults_total{backend=%q,cause=\"tls_chain\",pool=\"default\"}", addr)]; n < 1 {
			t.Errorf("%v faults are counted", n)
		}
		ca(t).Write(t, dir, "backends")
		testkit.Until(t, "the right authority to be in use", func() bool {
			resp, _ := get(t, c, s.url("/"))
			return resp.StatusCode == 200
		})
		s.untilTold(1, `msg="backend is down"`, "pool=late", `cause="tls: its certificate has expired: `)
		if out := s.want("status"); !strings.Contains(out, "its certificate has expired") {
			t.Errorf("lb status:\n%s", out)
		}
		if n := strings.Count(s.Log.String(), `msg="backend is down"`); n != 1 {
			t.Errorf("%d lines about one backend that is down", n)
		}
	})
}

// TestInsecureBackends: certificates of any kind are taken, with a warning at every start and
// every reload.
func TestInsecureBackends(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		addr, _, _ := secureServe(t, testkit.NewCA(t, "other").Issue(t, testkit.Leaf{}.Expired()), echo)
		s := begin(t, mode, setup{backends: overTLS(addr), tables: "[backend_tls]\ninsecure = true\n"})
		if resp, _ := get(t, newClient(t), s.url("/")); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
		s.untilTold(1, `msg="certificates of backends are not verified"`, "pool=default")
		s.want("reload")
		s.untilTold(2, `msg="certificates of backends are not verified"`, "pool=default")
	})
}

// TestRenegotiation: a backend that asks for another handshake is refused, and another
// request goes on.
func TestRenegotiation(t *testing.T) {
	testkit.Long(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	eachMode(t, func(t *testing.T, mode string) {
		dir := t.TempDir()
		cert, key := named(t).Write(t, dir, "far")
		addr := testkit.FreePort(t)
		far := exec.Command("openssl", "s_server", "-accept", addr, "-cert", cert, "-key", key, "-tls1_2")
		in, err := far.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out testkit.Log
		far.Stdout, far.Stderr = &out, &out
		p := testkit.Start(t, far)
		defer func() { in.Close(); p.Signal(t, syscall.SIGKILL); p.ExitCode(t) }()
		testkit.Until(t, "openssl to listen", func() bool { return strings.Contains(out.String(), "ACCEPT") })
		s := begin(t, mode, setup{backends: overTLS(addr), tables: backendTLS(t, dir, "")})
		got := make(chan int, 1)
		go func() {
			resp, _, err := tryGet(newClient(t), s.url("/"))
			if err != nil {
				got <- 0
				return
			}
			got <- resp.StatusCode
		}()
		testkit.Until(t, "the request", func() bool { return strings.Contains(out.String(), "GET / HTTP/1.1") })
		io.WriteString(in, "r\n")
		if status := testkit.Wait(t, got, "an answer"); status != 502 {
			t.Errorf("status %d", status)
		}
		s.untilTold(1, `msg="backend fails"`, "cause=tls ", "it asks for a renegotiation")
	})
}
