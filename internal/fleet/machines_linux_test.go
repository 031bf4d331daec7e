package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// traffic is a load that runs.
type traffic struct {
	t     *testing.T
	p     *testkit.Process
	stdin io.Closer
}

// clients is how many requests a load has in flight at most.
const clients = 24

// begin begins a load from h to addr:80, with so many requests on each conn.
func begin(h *host, addr string, each int) *traffic {
	t := h.lab.t
	t.Helper()
	cmd := h.command(h.play("load", addr+":80", fmt.Sprint(clients), fmt.Sprint(each))...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &traffic{t: t, p: testkit.Start(t, cmd), stdin: stdin}
	testkit.Until(t, "the load to begin", func() bool { return strings.Contains(l.p.Out.String(), "begun") })
	return l
}

// end ends the load and returns what it has seen.
func (l *traffic) end() (r result) {
	l.t.Helper()
	l.stdin.Close()
	if code := l.p.ExitCode(l.t); code != 0 {
		l.t.Fatalf("the load ends with %d", code)
	}
	_, text, _ := strings.Cut(l.p.Out.String(), "\n")
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		l.t.Fatalf("%v: %s", err, text)
	}
	return r
}

// wantNoLoss fails the test if a request was lost.
func (r result) wantNoLoss(t *testing.T, while string) {
	t.Helper()
	if len(r.Lost) > 0 || r.Good < clients {
		t.Errorf("%s: %d requests were lost, %d answered: %v", while, len(r.Lost), r.Good, r.Lost[:min(len(r.Lost), 5)])
	}
}

// wantInFlight fails the test if a request was lost that began after at, when something was
// killed: those before it were in flight.
func (r result) wantInFlight(t *testing.T, at time.Time, while string) {
	t.Helper()
	later := slices.DeleteFunc(slices.Clone(r.Lost), func(l lost) bool { return !l.Began.After(at) })
	if len(later) > 0 || len(r.Lost) > clients {
		t.Errorf("%s: %d requests were lost, %d of which began later: %v", while, len(r.Lost), len(later), later[:min(len(later), 5)])
	}
	t.Logf("%s: %d requests answered, %d lost that were in flight", while, r.Good, len(r.Lost))
}

// count reads how many requests were answered so far, or 0 if it has not ended.
func (h *host) backend(addr string) *testkit.Process {
	p := h.start(h.play("backend", h.name, addr)...)
	h.awaitPort(strings.TrimPrefix(addr[strings.LastIndexByte(addr, ':'):], ":"))
	return p
}

// awaitPort waits until something listens at a port of the host.
func (h *host) awaitPort(port string) {
	h.lab.t.Helper()
	testkit.Until(h.lab.t, "port "+port+" of "+h.name, func() bool {
		out, err := h.command("ss", "-Hltn", "sport = :"+port).Output()
		return err == nil && len(out) > 0
	})
}

// lb starts an lb with a folder of its own for its socket and its state.
func (h *host) lb(config string) *testkit.Process {
	h.lab.t.Helper()
	dir := filepath.Join(h.lab.dir, h.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.lab.t.Fatal(err)
	}
	p := h.start("env", "XDG_RUNTIME_DIR="+dir, "STATE_DIRECTORY="+dir, lbExe, "serve", "--log-format", "text", "-c", config)
	if p.Serving(h.lab.t) == "" {
		h.lab.t.Fatalf("%s: lb has ended:\n%s", h.name, p.Log.String())
	}
	return p
}

// ctl runs a command of lb on the host.
func (h *host) ctl(args ...string) string {
	h.lab.t.Helper()
	return h.run(append([]string{"env", "XDG_RUNTIME_DIR=" + filepath.Join(h.lab.dir, h.name), lbExe}, args...)...)
}

// etcd starts etcd on the host.
func (h *host) etcd() *testkit.Process {
	h.lab.t.Helper()
	client, peer := "http://"+h.addr+":2379", "http://"+h.addr+":2380"
	p := h.start("env", "ETCD_UNSUPPORTED_ARCH=arm64", "etcd", "--name", "e", "--data-dir", filepath.Join(h.lab.dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "e="+peer)
	testkit.Until(h.lab.t, "etcd", func() bool { return h.command("etcdctl", "--endpoints", client, "endpoint", "health").Run() == nil })
	return p
}

// put puts a value into the etcd of the host.
func (h *host) put(key, value string) {
	h.lab.t.Helper()
	h.run("etcdctl", "--endpoints", "http://"+h.addr+":2379", "put", "--", key, value)
}

// del removes a key from the etcd of the host.
func (h *host) del(key string) {
	h.lab.t.Helper()
	h.run("etcdctl", "--endpoints", "http://"+h.addr+":2379", "del", key)
}

// entry is the value of a backend on this host.
func (h *host) entry() string { return fmt.Sprintf(`{"host": %q, "port": 8000}`, h.addr) }
