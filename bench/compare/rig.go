package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"lb/bench"
	"lb/bench/report"
)

//go:embed templates
var templateFiles embed.FS

// templates are the configurations of lb, nginx and HAProxy. They get backends as
// nginx writes them: "address:port" or "unix:/path".
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"haproxy": func(backend string) string { return strings.Replace(backend, "unix:", "unix@", 1) },
	"lb":      lbBackend,
}).ParseFS(templateFiles, "templates/*"))

// lbBackend returns the keys of a backend under [[backends]].
func lbBackend(backend string) string {
	if path, ok := strings.CutPrefix(backend, "unix:"); ok {
		return fmt.Sprintf("socket = %q", path)
	}
	host, port, _ := net.SplitHostPort(backend)
	return fmt.Sprintf("host = %q\nport = %s", host, port)
}

// proxyConfig is the data of the templates.
type proxyConfig struct {
	Dir       string
	Name      string // of the proxy, for its files
	Mode      string // of lb
	Port      int
	Workers   int
	Backends  []string
	KeepAlive int // idle conns to backends that each worker of nginx keeps
	FilesMax  uint64
	ConnsMax  uint64 // conns that HAProxy can serve with FilesMax

	H2  bool // clients speak HTTP/2
	H2C bool // backends speak HTTP/2

	Cert string // path of a PEM file with a certificate and its key; "": no TLS

	// BigBuffers gives nginx and HAProxy larger buffers: more memory for each
	// active conn, and fewer system calls for long bodies. Of 16 KiB to 128 KiB
	// each has the size that costs the least CPU time here.
	BigBuffers bool
}

// programs are the files of the programs that a run starts.
type programs struct{ self, lb, before, nginx, haproxy, h2load string }

// target is a proxy, or the backends themselves, to put load on.
type target struct {
	name  string
	host  string   // of the URL
	addrs []string // to connect to
	pid   int      // of the proxy; 0 for direct
	tls   bool
	h2    bool
}

// rig is running backends and proxies.
type rig struct {
	setting
	cores    cores
	launcher *launcher
	programs programs
	backends []string
	cert     string // file of the certificate and its key; "" without TLS
	children []*child
	targets  []target
}

// newRig starts the backends of a setting and the proxies named.
func newRig(ctx context.Context, h *launcher, p programs, cpus []int, s setting, names []string) (*rig, error) {
	r := &rig{setting: s, cores: split(cpus, s.workers), launcher: h, programs: p}
	err := r.startBackends(ctx)
	if err == nil && s.tls {
		r.cert, err = makeCert(h.dir)
	}
	if err != nil {
		r.stop()
		return nil, err
	}
	for _, name := range names {
		if s.tls && name == "direct" || (s.tls || s.h2) && name == "relay" {
			continue
		}
		t, err := r.startTarget(name)
		if err == nil {
			err = r.awaitAnswer(ctx, t)
		}
		if err != nil {
			r.stop()
			return nil, err
		}
		r.targets = append(r.targets, t)
	}
	return r, nil
}

// stop ends all processes of the rig.
func (r *rig) stop() { r.launcher.stop(r.children) }

// startBackends starts one process for all backends.
func (r *rig) startBackends(ctx context.Context) error {
	var where string
	if r.unix {
		for i := range r.setting.backends {
			r.backends = append(r.backends, fmt.Sprintf("unix:%s/backend%d.sock", r.launcher.dir, i))
		}
		where = strings.ReplaceAll(strings.Join(r.backends, ","), "unix:", "")
	} else {
		port, err := freePort()
		if err != nil {
			return err
		}
		where = strconv.Itoa(port)
		r.backends = loopbacks(r.setting.backends, port)
	}
	c, err := r.launcher.start("backends", r.cores.Backends, r.programs.self, asBackends, where)
	if err != nil {
		return err
	}
	r.children = append(r.children, c)
	return r.awaitAnswer(ctx, r.direct())
}

// loopbacks returns n loopback addresses with the same port.
func loopbacks(n, port int) []string {
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("127.0.%d.%d:%d", i/250, 1+i%250, port)
	}
	return addrs
}

func (r *rig) direct() target {
	t := target{name: "direct", host: r.backends[0], addrs: r.backends, h2: r.h2}
	if r.unix {
		t.host = "backend"
	}
	return t
}

// startTarget starts the proxy of that name.
func (r *rig) startTarget(name string) (target, error) {
	if name == "direct" {
		return r.direct(), nil
	}
	port, err := freePort()
	if err != nil {
		return target{}, err
	}
	argv, err := r.command(name, port)
	if err != nil {
		return target{}, err
	}
	c, err := r.launcher.start(name, r.cores.Proxy, argv...)
	if err != nil {
		return target{}, err
	}
	r.children = append(r.children, c)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	return target{name: name, host: addr, addrs: []string{addr}, pid: c.cmd.Process.Pid, tls: r.tls, h2: r.h2}, nil
}

// command writes the configuration of the proxy of that name and returns the
// command that starts it.
func (r *rig) command(name string, port int) ([]string, error) {
	cfg := proxyConfig{Dir: r.launcher.dir, Name: name, Port: port, Workers: r.workers, Backends: r.backends,
		H2: r.h2, H2C: r.h2c, Cert: r.cert}
	cfg.KeepAlive = 1024 + r.setting.backends
	cfg.FilesMax = filesMax()
	cfg.ConnsMax = cfg.FilesMax/2 - 100
	plain, big := strings.CutSuffix(name, report.BigBuffers)
	cfg.BigBuffers = big
	switch plain {
	case "relay":
		return []string{r.programs.self, asRelay, strconv.Itoa(r.workers), strconv.Itoa(port), strings.Join(r.backends, ",")}, nil
	case "nginx":
		file, err := r.write("nginx.conf", name+".conf", cfg)
		return []string{r.programs.nginx, "-e", filepath.Join(r.launcher.dir, name+".err"), "-c", file}, err
	case "haproxy":
		file, err := r.write("haproxy.cfg", name+".cfg", cfg)
		return []string{r.programs.haproxy, "-db", "-f", file}, err
	}
	who, mode, _ := strings.Cut(name, "-")
	program := r.programs.lb
	if who == "before" {
		program = r.programs.before
	}
	cfg.Mode = mode
	file, err := r.write("lb.toml", name+".toml", cfg)
	return []string{program, "serve", "-c", file}, err
}

// write executes a template into a file of that name and returns its path.
func (r *rig) write(tmpl, name string, cfg proxyConfig) (string, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, tmpl, cfg); err != nil {
		return "", err
	}
	file := filepath.Join(r.launcher.dir, name)
	return file, os.WriteFile(file, b.Bytes(), 0o644)
}

// readyTimeout is the time that a process has to answer its first request.
const readyTimeout = 30 * time.Second

// awaitAnswer waits until t answers, or returns why it does not. The child started
// last must be that of t.
func (r *rig) awaitAnswer(ctx context.Context, t target) error {
	c := r.children[len(r.children)-1]
	deadline := time.Now().Add(readyTimeout)
	for {
		err := ask(t)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return fmt.Errorf("%s has ended: %s", c.name, c.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w; it says: %s", c.name, err, c.said())
		}
	}
}

// ask makes one request to t.
func ask(t target) error {
	if t.h2 {
		if err := askH2(t); err != nil || !t.tls {
			return err
		}
	}
	c, err := dialTarget(t)
	if err != nil {
		return err
	}
	defer c.Close()
	if t.tls { // it has agreed to the other version as it should
		old, err := dialTLS(t.addrs[0], "1.2")
		if err != nil {
			return err
		}
		old.Close()
	}
	return exchange(c, t.host)
}

func dialTarget(t target) (net.Conn, error) {
	if path, ok := strings.CutPrefix(t.addrs[0], "unix:"); ok {
		return net.Dial("unix", path)
	}
	if t.tls {
		return dialTLS(t.addrs[0], "1.3")
	}
	return net.Dial("tcp", t.addrs[0])
}

// exchange makes one request on c and reads the answer.
func exchange(c net.Conn, host string) error {
	c.SetDeadline(time.Now().Add(readyTimeout))
	if _, err := fmt.Fprintf(c, "GET /bytes/1 HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	var b [4096]byte
	for n := 0; ; {
		k, err := c.Read(b[n:])
		n += k
		if bytes.HasSuffix(b[:n], []byte("\r\n\r\n\x00")) { // the body is one byte of the pattern
			break
		}
		if err == nil && n == len(b) {
			err = errors.New("a long answer")
		}
		if err != nil {
			return fmt.Errorf("%w after %q", err, b[:n])
		}
	}
	if want := []byte("HTTP/1.1 200 "); !bytes.HasPrefix(b[:], want) {
		return fmt.Errorf("answers %q", b[:len(want)])
	}
	return nil
}

// run runs a load on t, in a process of its own.
func (r *rig) run(ctx context.Context, t target, l load) (*bench.Result, error) {
	if l.Streams > 0 {
		return r.runH2load(ctx, t, l)
	}
	l.URL, l.Addrs = t.scheme()+"://"+t.host+l.Path, t.addrs
	spec, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	out, err := r.launcher.output(ctx, r.cores.Load, bytes.NewReader(spec), r.programs.self, asLoad)
	if err != nil {
		return nil, fmt.Errorf("load on %s: %w", t.name, err)
	}
	var result bench.Result
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("load on %s: %w", t.name, err)
	}
	return &result, nil
}

// The ports of proxies and backends are below the ports that the system gives to
// outgoing conns, of which a run has many.
const (
	portMin = 10_000
	portMax = 32_000
)

// freePort returns a port that no socket listens on now.
func freePort() (port int, err error) {
	for range 100 {
		port = portMin + rand.IntN(portMax-portMin)
		var ln net.Listener
		if ln, err = net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port)); err == nil {
			return port, ln.Close()
		}
	}
	return 0, err
}

// filesMax returns the number of descriptors that a process may open.
func filesMax() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return min(uint64(limit.Max), 1<<20)
}
