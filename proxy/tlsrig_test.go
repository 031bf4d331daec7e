package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
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

// tlsRig is a proxy on a real loop, with a listener for each of config.Listening and one
// backend that answers with the head of the request that it got.
type tlsRig struct {
	t        *testing.T
	l        *loop.Loop
	p        *Proxy
	board    *board.Board
	snapshot Snapshot
	ca       *testkit.CA
	addrs    map[string]string // where the listeners really are
	log      testkit.Log
	panics   chan any
	peers    []string // the clients of exchanges that have ended, for functions of do
}

// tlsRigNames are those of the certificate.
var tlsRigNames = []string{"lb.test", "*.lb.test"}

// newTLSRig returns a rig of cfg, whose addresses are "host:port" with any port: the rig
// listens at ports of the kernel's choice. change may change what it is made of.
func newTLSRig(t *testing.T, cfg *config.Config, change func(s *tlsconf.Secrets)) *tlsRig {
	r := &tlsRig{t: t, board: board.New(1, 1), ca: testkit.NewCA(t, "ca"), addrs: map[string]string{}, panics: make(chan any, 9)}
	backend := httptest.NewServer(http.HandlerFunc(echoHead))
	t.Cleanup(backend.Close)
	to := netip.MustParseAddrPort(backend.Listener.Addr().String())
	cfg.Pools[0].Backends = []config.Backend{{Host: to.Addr().String(), Port: int(to.Port()), Weight: 1}}
	leaf := r.ca.Issue(t, testkit.Leaf{Names: tlsRigNames})
	secrets := &tlsconf.Secrets{Number: 1, Certs: []tlsconf.Cert{{Chain: leaf.Cert, Key: leaf.Key}}, Tickets: [][]byte{make([]byte, 32)}}
	if change != nil {
		change(secrets)
	}
	set, err := tlsconf.Build(cfg, secrets)
	if err != nil {
		t.Fatal(err)
	}
	r.snapshot = Snapshot{Config: cfg, Number: 1, IDs: [][]int{{0}}, Loops: 1, Slots: []int{0}, TLS: set}
	k, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	r.l = loop.New(k, loop.Options{OnPanic: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }})
	log := slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.p = New(r.l, Options{Board: r.board, Snapshot: r.snapshot, Log: log, Record: r.note})
	for _, l := range cfg.Listening() {
		r.listen(l.Address)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.l.Run()
	}()
	t.Cleanup(func() {
		r.do(func() { r.p.Cut() })
		r.do(func() {
			if n := r.p.shared.Clients + int(r.p.counters.ClientConns.Load()); n != 0 {
				t.Errorf("%d clients after a cut", n)
			}
		})
		testkit.Until(t, "slabs to be put back", func() (none bool) {
			r.do(func() { none = r.p.arena.Out() == 0 })
			return none
		})
		r.l.Stop()
		<-ended
		r.p.Close()
	})
	return r
}

// note notes what a record says of its client.
func (r *tlsRig) note(rec *record.Record) {
	p := rec.Peer
	r.peers = append(r.peers, fmt.Sprintf("%s over %q %q, resumed %t", rec.Protocol(), p.TLS.Name(), p.TLS.Protocol, p.TLS.Resumed))
}

// echoHead answers with the head of the request, and asks for the host by http.
func echoHead(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Strict-Transport-Security", "max-age=1")
	fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
	r.Header.Set("Host", r.Host)
	r.Header.Write(w)
}

// listen opens a listener for the address.
func (r *tlsRig) listen(address string) {
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
	fd := int(f.Fd()) // which makes it block, each time
	if err := unix.SetNonblock(fd, true); err != nil {
		r.t.Fatal(err)
	}
	r.addrs[address] = ln.Addr().String()
	if err := r.l.Listen(fd, r.p.Door(address)); err != nil {
		r.t.Fatal(err)
	}
}

// do runs f on the loop, and waits for it.
func (r *tlsRig) do(f func()) {
	done := make(chan struct{})
	if !r.l.Post(func() { defer close(done); f() }) {
		r.t.Fatal("the loop has ended")
	}
	<-done
}

// dial returns a plain conn to a listener.
func (r *tlsRig) dial(address string) net.Conn {
	c, err := net.Dial("tcp", r.addrs[address])
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(testkit.Patience))
	r.t.Cleanup(func() { c.Close() })
	return c
}

// client is the configuration of a client that trusts the rig.
func (r *tlsRig) client() *tls.Config {
	return &tls.Config{RootCAs: r.ca.Pool(), ServerName: tlsRigNames[0]}
}

// secure returns a TLS conn to a listener.
func (r *tlsRig) secure(address string, cfg *tls.Config) *tls.Conn {
	c := tls.Client(r.dial(address), cfg)
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// reply is what a client got.
type reply struct {
	*http.Response
	body string
}

// ask sends a request on c and returns the answer.
func (r *tlsRig) ask(c net.Conn, request string) reply {
	r.t.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		r.t.Fatal(err)
	}
	return r.read(bufio.NewReader(c))
}

func (r *tlsRig) read(from *bufio.Reader) reply {
	r.t.Helper()
	a, err := http.ReadResponse(from, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{a, string(body)}
}

// handshakes returns the counts by end.
func (r *tlsRig) handshakes() [board.HandshakeEnds]uint64 { return r.board.Totals().Handshakes }

// tlsConfig is a configuration with a TLS, a redirecting and a plain listener.
func tlsConfig() *config.Config {
	cfg := config.Default()
	cfg.Listeners = []config.Listener{{Address: ":8443", TLS: true}, {Address: ":80", RedirectHTTPS: true}, {Address: ":8080"}}
	return cfg
}
