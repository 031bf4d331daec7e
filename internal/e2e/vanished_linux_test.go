package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// farMachine is a network namespace that a pair of veth connects with the test's. It has no
// process: the test listens in it. It is gone with its thread and its sockets.
type farMachine struct {
	t    *testing.T
	ip   string
	jobs chan func() error // run there
	errs chan error
}

// newFarMachine makes one, or skips the test where that is not allowed.
func newFarMachine(t *testing.T) *farMachine {
	t.Helper()
	installed(t, "ip")
	f := &farMachine{t: t, jobs: make(chan func() error), errs: make(chan error)}
	ended := make(chan struct{})
	go apart(func() { // its thread ends with it, and the namespace with that
		defer close(ended)
		for job := range f.jobs {
			f.errs <- job()
		}
	})
	t.Cleanup(func() { close(f.jobs); <-ended })
	tid := 0
	if err := f.run(func() error { tid = unix.Gettid(); return unix.Unshare(unix.CLONE_NEWNET) }); err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatalf("no namespace: %v", err)
		}
		t.Skipf("no namespace: %v", err)
	}
	n := rand.Uint32() // of 198.18.0.0/15, which is for tests
	net4 := fmt.Sprintf("198.%d.%d.", 18+n>>31, n>>8&0xff)
	near, far := fmt.Sprintf("%s%d", net4, n&0xfc+1), fmt.Sprintf("%s%d", net4, n&0xfc+2)
	f.ip = far
	cord := fmt.Sprintf("e%08x", n)
	f.ip0("link", "add", cord, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(tid))
	t.Cleanup(func() { exec.Command("ip", "link", "del", cord).Run() })
	f.ip0("addr", "add", near+"/30", "dev", cord)
	f.ip0("link", "set", cord, "up")
	f.there("addr", "add", far+"/30", "dev", "eth0")
	f.there("link", "set", "eth0", "up")
	return f
}

// apart runs work on a thread that ends with it. That is not the first thread of the process,
// which never ends, and by which /proc/self shows the network.
func apart(work func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		work()
		return
	}
	begun := make(chan struct{})
	go func() { // on another one, since this one is taken
		runtime.LockOSThread()
		close(begun)
		work()
	}()
	<-begun
	runtime.UnlockOSThread()
}

// run runs job in the namespace.
func (f *farMachine) run(job func() error) error {
	f.jobs <- job
	return <-f.errs
}

// ip0 runs ip in the test's namespace.
func (f *farMachine) ip0(args ...string) {
	f.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		f.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// there runs ip in the machine.
func (f *farMachine) there(args ...string) {
	f.t.Helper()
	if err := f.run(func() error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}); err != nil {
		f.t.Fatalf("ip %s: %v", strings.Join(args, " "), err)
	}
}

// serve serves h there, HTTP/2 without TLS included, and returns its address.
func (f *farMachine) serve(h http.Handler) (addr string) {
	f.t.Helper()
	var ln net.Listener
	if err := f.run(func() (err error) { ln, err = net.Listen("tcp", f.ip+":0"); return err }); err != nil {
		f.t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan struct{})
	go func() { s.Serve(ln); close(ended) }()
	f.t.Cleanup(func() { s.Close(); <-ended })
	testkit.Until(f.t, "the machine to be reached", func() bool {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), testkit.Patience)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return ln.Addr().String()
}

// losePower ends the machine, for whoever talks to it.
func (f *farMachine) losePower() { f.there("link", "set", "eth0", "down") }

// namedHolding answers with a name, after it has held requests for /held for as long as held says.
// /ws becomes a tunnel that says nothing.
func namedHolding(name string, got chan<- string, held <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/ws":
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			io.WriteString(c, lines("HTTP/1.1 101 Switching Protocols", "Upgrade: silence", "Connection: upgrade"))
			got <- r.Method
			<-held
			return
		case "/held":
			got <- r.Method
			<-held
		}
		io.WriteString(w, name+string(body))
	})
}

// TestVanishedMachine: a backend's machine loses its power while requests wait there. A GET
// is asked elsewhere once checks find that; a POST, which may have been acted on, gets an
// error soon after; and a tunnel ends. Without checks, the system's limit ends all of it.
func TestVanishedMachine(t *testing.T) {
	testkit.Long(t)
	for name, tables := range map[string]string{
		"checks":    "[health]\ninterval = \"100ms\"\ninterval_down = \"200ms\"\ntimeout = \"1s\"\nfall = 2\n",
		"no checks": "",
	} {
		for _, protocol := range []string{"http1", "h2c"} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				eachMode(t, func(t *testing.T, mode string) {
					vanish(t, mode, protocol, tables)
				})
			})
		}
	}
}

func vanish(t *testing.T, mode, protocol, tables string) {
	f := newFarMachine(t)
	got, held := make(chan string, 10), make(chan struct{})
	far := f.serve(namedHolding("far", got, held))
	t.Cleanup(func() { close(held) }) // before the end of the server
	released := make(chan struct{})
	close(released)
	near := serve(t, namedHolding("near", make(chan string, 100), released).ServeHTTP)
	backup := backend{addr: near, keys: "backup = true\n"}
	keys := fmt.Sprintf("protocol = %q\n", protocol)
	if protocol == "h2c" { // near has to speak it, too
		backup.addr = serveH2C(t, namedHolding("near", make(chan string, 100), released))
	}
	p := start(t, mode, setup{admin: true, keys: keys, backends: []backend{{addr: far}, backup},
		tables: tables + "[timeouts]\nresponse = \"10m\"\nbackend_write = \"5s\"\nconnect = \"1s\"\n"})
	client := newClient(t)
	if _, text := get(t, client, p.url("/")); text != "far" {
		t.Fatalf("%q answers, want far", text)
	}
	reads := make([]<-chan lateAnswer, 4)
	for i := range reads {
		reads[i] = later(newClient(t), p.url("/held"))
	}
	write := make(chan error, 1)
	go func() {
		resp, err := newClient(t).Post(p.url("/held"), "text/plain", strings.NewReader("x"))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != 504 {
				err = fmt.Errorf("the POST: %s, want 504", resp.Status)
			}
		}
		write <- err
	}()
	arrived := len(reads) + 1
	tunnel := (*rawConn)(nil)
	if protocol == "http1" {
		tunnel = dial(t, p.addr)
		tunnel.send(t, lines("GET /ws HTTP/1.1", "Host: x", "Connection: upgrade", "Upgrade: silence"))
		if resp, err := http.ReadResponse(tunnel.in, nil); err != nil || resp.StatusCode != 101 {
			t.Fatalf("%v, %v", resp, err)
		}
		arrived++
	}
	for range arrived {
		testkit.Wait(t, got, "all requests to be at the far machine")
	}

	f.losePower()
	for _, r := range reads {
		if a := testkit.Wait(t, r, "a GET to be answered"); a.status != 200 || a.body != "near" {
			t.Errorf("a GET: %d %q, %v; want 200 of near", a.status, a.body, a.err)
		}
	}
	if err := testkit.Wait(t, write, "the POST to be answered"); err != nil {
		t.Error(err)
	}
	if tunnel != nil {
		if b, err := tunnel.in.ReadByte(); err == nil {
			t.Errorf("got %q in the tunnel, want its end", b)
		}
	}
	p.untilMetrics(t, map[string]float64{"lb_exchanges": 0, "lb_tunnels": 0})
}

// serveH2C serves h by HTTP/2 without TLS, until the end of the test.
func serveH2C(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan struct{})
	go func() { s.Serve(ln); close(ended) }()
	t.Cleanup(func() { s.Close(); <-ended })
	return ln.Addr().String()
}
