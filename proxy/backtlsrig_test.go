package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/proxy/record"
)

// backRig is a proxy on a real loop whose backends speak TLS, with a plain listener.
type backRig struct {
	t     *testing.T
	l     *loop.Loop
	p     *Proxy
	board *board.Board
	addr  string
	seats Snapshot
	rec   *recorder // for functions of do
}

// farName is the name of backends in backRig.
const farName = "backend.test"

// farConfig has one backend with TLS for each address, and no pauses.
func farConfig(fars ...*far) *config.Config {
	cfg := config.Default()
	cfg.Pools[0].Backends, cfg.Pools[0].Reuse = nil, config.ReuseAlways
	cfg.Pools[0].TLS.CA, cfg.Pools[0].TLS.ServerName = "ca.pem", farName
	for _, f := range fars {
		cfg.Pools[0].Backends = append(cfg.Pools[0].Backends,
			config.Backend{Host: "127.0.0.1", Port: f.port(), Weight: 1, TLS: true})
	}
	return cfg
}

// newBackRig returns a rig of cfg. Its backends' files have these contents.
func newBackRig(t *testing.T, cfg *config.Config, files *tlsconf.PoolSecrets) *backRig {
	r := &backRig{t: t, board: board.New(1, 8), rec: &recorder{t: t, live: make(map[*record.Record]bool)}}
	r.seats = Snapshot{Loops: 1, Slots: []int{0}}
	r.next(cfg, files)
	k, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	r.l = loop.New(k, loop.Options{OnPanic: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }})
	r.p = New(r.l, Options{Board: r.board, Snapshot: r.seats, Log: slog.New(slog.DiscardHandler), Record: r.rec.record})
	r.rec.attach(r.p)
	r.listen()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.l.Run()
	}()
	t.Cleanup(func() {
		r.do(func() { r.p.Cut() })
		testkit.Until(t, "slabs, conns and exchanges to be put back", func() (none bool) {
			r.do(func() {
				c := r.p.counters
				none = r.p.arena.Out() == 0 && c.BackendConns.Load() == 0 && c.BackendIdle.Load() == 0 && c.Exchanges.Load() == 0
			})
			return none
		})
		r.l.Stop()
		<-ended
		r.p.Close()
	})
	return r
}

// next makes the snapshot of cfg.
func (r *backRig) next(cfg *config.Config, files *tlsconf.PoolSecrets) {
	set, err := tlsconf.Build(cfg, &tlsconf.Secrets{Pools: []*tlsconf.PoolSecrets{files}})
	if err != nil {
		r.t.Fatal(err)
	}
	set.Keep(r.seats.TLS)
	r.seats.Config, r.seats.TLS = cfg, set
	r.seats.Number++
	var ids []int
	for i := range cfg.Pools[0].Backends {
		ids = append(ids, i)
		found(&cfg.Pools[0].Backends[i])
	}
	r.seats.IDs = [][]int{ids}
}

// found gives a backend that is given by a name the address of this machine.
func found(b *config.Backend) {
	if !b.Addr().IsValid() {
		b.Name, b.Host = b.Host, "127.0.0.1"
	}
}

// reload makes cfg the configuration.
func (r *backRig) reload(cfg *config.Config, files *tlsconf.PoolSecrets) {
	r.next(cfg, files)
	r.do(func() { r.p.Reload(r.seats) })
}

func (r *backRig) listen() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	fd := int(f.Fd()) // once: it makes the socket block
	if err := unix.SetNonblock(fd, true); err != nil {
		r.t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	if err := r.l.Listen(fd, r.p.Door("")); err != nil {
		r.t.Fatal(err)
	}
}

// do runs f on the loop, and waits for it.
func (r *backRig) do(f func()) {
	done := make(chan struct{})
	if !r.l.Post(func() { defer close(done); f() }) {
		r.t.Fatal("the loop has ended")
	}
	<-done
}

// client is a plain conn to the proxy.
type client struct {
	*net.TCPConn
	t    testing.TB
	from *bufio.Reader
}

func (r *backRig) client() *client {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(testkit.Patience))
	r.t.Cleanup(func() { c.Close() })
	return &client{c.(*net.TCPConn), r.t, bufio.NewReader(c)}
}

// ask sends a request and returns status and body; err is what ended the body.
func (c *client) ask(request string) (status int, body string, err error) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	a, err := http.ReadResponse(c.from, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer a.Body.Close()
	all, err := io.ReadAll(a.Body)
	return a.StatusCode, string(all), err
}

// wants asks for / and compares.
func (c *client) wants(status int, body string) {
	c.t.Helper()
	if s, b, err := c.ask("GET / HTTP/1.1\nHost: a\n\n"); s != status || b != body || err != nil {
		c.t.Errorf("status %d, body %q, %v; want %d, %q", s, b, err, status, body)
	}
}

// far is a backend that speaks TLS, or something else.
type far struct {
	net.Listener
	conns, resumed atomic.Int32 // handshakes that were good; of those the resumed ones
	opened         atomic.Int32
}

func (f *far) port() int { return f.Addr().(*net.TCPAddr).Port }

// newFar returns a backend that does this with each conn.
func newFar(t *testing.T, do func(c net.Conn)) *far {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{Listener: ln}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.opened.Add(1)
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(testkit.Patience))
				do(c)
			}()
		}
	}()
	return f
}

// newTLSFar returns a backend that does this with each conn once the handshake is over.
func newTLSFar(t *testing.T, cfg *tls.Config, do func(c *tls.Conn, from *bufio.Reader)) *far {
	var f *far
	ready := make(chan struct{})
	f = newFar(t, func(raw net.Conn) {
		<-ready
		c := tls.Server(raw, cfg)
		if c.Handshake() != nil {
			return
		}
		f.conns.Add(1)
		if c.ConnectionState().DidResume {
			f.resumed.Add(1)
		}
		do(c, bufio.NewReader(c))
		c.Close()
	})
	close(ready)
	return f
}

// hello is the answer of most backends.
const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// serve answers requests without a body with hello until the end.
func serve(c *tls.Conn, from *bufio.Reader) {
	for nextHead(from) {
		if _, err := io.WriteString(c, hello); err != nil {
			return
		}
	}
}

// nextHead reads the head of a request.
func nextHead(from *bufio.Reader) bool {
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return true
		}
	}
}

// farTLS is the configuration of a backend with the certificate p.
func farTLS(t *testing.T, p *testkit.Pair) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.TLS(t)}, MinVersion: tls.VersionTLS10}
}

// state returns the state of backend i.
func (r *backRig) state(i int) *board.State { return r.board.State(slices.Clone(r.seats.IDs[0])[i]) }
