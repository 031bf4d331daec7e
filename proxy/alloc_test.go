package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/h1back"
	"lb/proxy/shake"
	"lb/upstream"
)

// bareKernel is a kernel for one client and its backends. It allocates nothing and does no
// work worth measuring: bytes from the far ends are put into in, and bytes to them are
// counted.
type bareKernel struct {
	now    tick.Instant
	socks  [bareSocks]bareSock
	open   int // descriptors in use, including the listener
	events [bareSocks]loop.Event
	queued int
}

type bareSock struct {
	gen  uint32
	in   string // not read yet
	sunk int    // bytes written
}

const (
	bareListener = 0
	bareClient   = 1
	bareBackend  = 2
	bareSocks    = 20
)

func (k *bareKernel) Now() tick.Instant { return k.now }
func (k *bareKernel) Wake()             {}

func (k *bareKernel) Wait(events []loop.Event, _ time.Duration) (int, error) {
	n := copy(events, k.events[:k.queued])
	k.queued = 0
	return n, nil
}

func (k *bareKernel) tell(fd int, f loop.Flags) {
	k.events[k.queued] = loop.Event{FD: int32(fd), Gen: k.socks[fd].gen, Flags: f}
	k.queued++
}

func (k *bareKernel) Watch(fd int, gen uint32) error {
	k.socks[fd].gen = gen
	k.tell(fd, loop.Writable)
	return nil
}

func (k *bareKernel) WatchListener(int, uint32) error { return nil }
func (k *bareKernel) Unwatch(int) error               { return nil }

func (k *bareKernel) Accept(int) (int, netip.AddrPort, error) {
	if k.open > bareClient {
		return -1, netip.AddrPort{}, nil
	}
	k.open = bareClient + 1
	return bareClient, rigClient, nil
}

func (k *bareKernel) Dial(*loop.Addr) (int, error) {
	k.open++
	return k.open - 1, nil
}

func (k *bareKernel) DialResult(int) error { return nil }

func (k *bareKernel) Read(fd int, b []byte) (int, error) {
	s := &k.socks[fd]
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (k *bareKernel) Write(fd int, b []byte) (int, error) { return k.Writev(fd, b, nil, nil) }

func (k *bareKernel) Writev(fd int, a, b, c []byte) (int, error) {
	n := len(a) + len(b) + len(c)
	k.socks[fd].sunk += n
	return n, nil
}

func (*bareKernel) GiveUp(int, time.Duration) {}
func (k *bareKernel) Takes(int) bool          { return true }

func (k *bareKernel) ShutdownWrite(int) error { return unix.ENOTCONN }
func (k *bareKernel) Close(int, bool)         {}

// steady is a proxy that runs the same exchange again and again, over one conn to each
// side.
type steady struct {
	k                 *bareKernel
	l                 *loop.Loop
	p                 *Proxy
	request, response string
	up, down          int // bytes that lb sends for one exchange, to the backend and to the client
	conns             int // to backends
}

// newSteady warms the proxy up, until each backend has a conn.
func newSteady(t testing.TB, cfg *config.Config, request, response string) *steady {
	t.Helper()
	return newSteadyOn(t, rigOptions(cfg), request, response)
}

func newSteadyOn(t testing.TB, o Options, request, response string) *steady {
	t.Helper()
	return newSteadyBy(t, o, func(p *Proxy) loop.Acceptor { return p.Door("") }, request, response)
}

func newSteadyBy(t testing.TB, o Options, door func(*Proxy) loop.Acceptor, request, response string) *steady {
	t.Helper()
	k := &bareKernel{now: 1}
	s := &steady{k: k, l: loop.New(k, loop.Options{}), request: request, response: response}
	s.p = New(s.l, o)
	for _, q := range s.p.now.pools {
		q.Seed(1)
		if q.cfg.Sticky != "" {
			q.UseSticky([]byte(rigSecret))
		}
	}
	if err := s.l.Listen(bareListener, door(s.p)); err != nil {
		t.Fatal(err)
	}
	k.tell(bareListener, loop.Readable)
	s.l.Turn(false)
	for range 50 { // the response before decides how much is read at once
		s.exchange()
	}
	s.up, s.down = s.sunk()
	s.conns = k.open - bareBackend
	s.check(t)
	return s
}

// exchange sends the request to lb and, when lb has passed it on, the response.
func (s *steady) exchange() {
	for i := range s.k.socks[:s.k.open] {
		s.k.socks[i].sunk = 0
	}
	s.k.now = s.k.now.Add(h1back.Rest) // a conn that carried a HEAD or a 204 is not used sooner
	s.send(bareClient, s.request)
	for fd := bareBackend; fd < s.k.open; fd++ {
		if s.k.socks[fd].sunk > 0 {
			s.send(fd, s.response)
			return
		}
	}
}

// sunk returns the bytes that lb sent in the last exchange, either way.
func (s *steady) sunk() (up, down int) {
	for fd := bareBackend; fd < s.k.open; fd++ {
		up += s.k.socks[fd].sunk
	}
	return up, s.k.socks[bareClient].sunk
}

// send makes in arrive at fd and turns the loop until nothing is left to do.
func (s *steady) send(fd int, in string) {
	s.k.socks[fd].in = in
	s.k.tell(fd, loop.Readable)
	for s.l.Turn(false); s.k.queued > 0 || s.k.socks[fd].in != ""; {
		s.l.Turn(false)
	}
}

// check fails the test if the last exchange was not like those before.
func (s *steady) check(t testing.TB) {
	if up, down := s.sunk(); up != s.up || down != s.down || up == 0 || down == 0 {
		t.Fatalf("%d bytes up and %d down, want %d and %d", up, down, s.up, s.down)
	}
	if n := s.k.open - bareBackend; n != s.conns || s.p.arena.Out() != 0 {
		t.Fatalf("%d conns to backends, want %d; %d slabs out", n, s.conns, s.p.arena.Out())
	}
}

// exchanges are the exchanges that are measured and must not allocate.
var exchanges = []struct {
	name, request, response string
	bytes                   int64 // of the bodies
}{
	{"GET", get, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", 5},
	{"HEAD", "HEAD" + get[3:], "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 0},
	{"POST 16 KiB", "POST" + get[3:len(get)-2] + "Content-Length: 16384\r\n\r\n" + strings.Repeat("x", 16<<10),
		"HTTP/1.1 204 No Content\r\n\r\n", 16 << 10},
	{"POST chunked", "POST" + get[3:len(get)-2] + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 40) + "0\r\nX-Sum: 1\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n", 40 * 256},
	{"chunked", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		strings.Repeat("400\r\n"+strings.Repeat("x", 1<<10)+"\r\n", 30) + "0\r\nX-Sum: 1\r\n\r\n", 30 << 10},
	{"256 KiB", get, "HTTP/1.1 200 OK\r\nContent-Length: 262144\r\n\r\n" + strings.Repeat("x", 256<<10), 256 << 10},
	{"interim", "POST" + get[3:len(get)-2] + "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
	{"many fields", get[:len(get)-2] + strings.Repeat("X-Some-Field: some value of a usual length\r\n", 20) + "\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Some-Field: some value of a usual length\r\n", 20) + "Content-Length: 5\r\n\r\nhello", 5},
}

const get = "GET /some/path?and=query HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

// TestAllocations: in steady state a whole exchange allocates nothing, from the first event
// to the last write.
func TestAllocations(t *testing.T) {
	for _, tc := range exchanges {
		s := newSteady(t, rigConfig(1), tc.request, tc.response)
		if n := testing.AllocsPerRun(100, func() { s.exchange(); s.check(t) }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
	}
}

// bareTransport is a transport that passes bytes as they are.
type bareTransport struct{ c *loop.Conn }

func (t *bareTransport) Read(b []byte) (int, error) { return t.c.ReadRaw(b) }
func (t *bareTransport) Pending() bool              { return false }
func (t *bareTransport) Partial() bool              { return false }
func (t *bareTransport) Owes() bool                 { return false }
func (t *bareTransport) Flush() (bool, error)       { return true, nil }
func (t *bareTransport) CloseWrite() error          { return nil }
func (t *bareTransport) Moved(to *loop.Conn)        { t.c = to }
func (t *bareTransport) Closed()                    {}
func (t *bareTransport) Writev(x, y, z []byte) (int, error) {
	n := 0
	for _, b := range [...][]byte{x, y, z} {
		if len(b) > 0 {
			k, err := t.c.WriteRaw(b)
			if n += k; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// bareDoor takes conns as after a handshake, of a client with a certificate.
type bareDoor struct{ p *Proxy }

// Accepted implements loop.Acceptor.
func (d *bareDoor) Accepted(fd int, peer netip.AddrPort) {
	var c loop.Conn
	if err := d.p.loop.Adopt(&c, nil, fd); err != nil {
		panic(err)
	}
	c.SetTransport(&bareTransport{&c})
	d.p.shared.Clients++
	d.p.clients.Shaken(shake.Over{Conn: &c, Addr: peer.Addr(), Way: front.TLS, Cert: "X-Client-Cert-Verified: yes\r\n"})
}

// TestTLSAllocations: nor does an exchange of a client over TLS, beside what TLS itself costs.
func TestTLSAllocations(t *testing.T) {
	cfg := rigConfig(1)
	cfg.TLS.HSTS = time.Hour
	cfg.Routes = []config.Route{{Path: "/some", Scheme: "https"}}
	for _, tc := range exchanges {
		s := newSteadyBy(t, rigOptions(cfg), func(p *Proxy) loop.Acceptor { return &bareDoor{p} }, tc.request, tc.response)
		if n := testing.AllocsPerRun(100, func() { s.exchange(); s.check(t) }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
	}
}

// TestBalancingAllocations: an exchange allocates nothing with any strategy either, nor
// with affinity or routes.
func TestBalancingAllocations(t *testing.T) {
	cookie := upstream.StickyValue([]byte(rigSecret), config.DefaultPool, rigConfig(1).Pools[0].Backends[0].String())
	request := get[:len(get)-2] + "X-User: anna\r\nCookie: a=b; lb_at=" + cookie + "\r\n\r\n"
	for _, tc := range []struct {
		name string
		set  func(c *config.Config)
	}{
		{"random", func(c *config.Config) { c.Pools[0].Strategy = config.Random }},
		{"p2c", func(c *config.Config) { c.Pools[0].Strategy = config.P2C }},
		{"least_conn", func(c *config.Config) { c.Pools[0].Strategy = config.LeastConn }},
		{"least_time", func(c *config.Config) { c.Pools[0].Strategy = config.LeastTime }},
		{"hash", func(c *config.Config) { hashOn(c, config.KeyClientIP, "") }},
		{"hash by path", func(c *config.Config) { hashOn(c, config.KeyPath, "") }},
		{"hash by header", func(c *config.Config) { hashOn(c, config.KeyHeader, "x-user") }},
		{"hash by cookie", func(c *config.Config) { hashOn(c, config.KeyCookie, "lb_at") }},
		{"sticky", func(c *config.Config) { c.Pools[0].Sticky = "lb_at" }},
		{"sticky, no cookie yet", func(c *config.Config) { c.Pools[0].Sticky = "other" }},
		{"max_connections", func(c *config.Config) {
			for i := range c.Pools[0].Backends {
				c.Pools[0].Backends[i].MaxConnections = 2
			}
		}},
		{"route", func(c *config.Config) {
			c.Routes = []config.Route{{
				Host: "*.example.com", Path: "/some", Methods: []string{"GET"}, StripPrefix: true,
				Headers:            []config.Field{{Name: "x-user", Value: "anna"}},
				SetRequestHeaders:  []config.Field{{Name: "Host", Value: "inner"}, {Name: "X-Tenant", Value: "blue"}},
				SetResponseHeaders: []config.Field{{Name: "Cache-Control", Value: "no-store"}},
			}}
		}},
	} {
		cfg := rigConfig(4)
		tc.set(cfg)
		s := newSteady(t, cfg, request, exchanges[0].response)
		if n := testing.AllocsPerRun(100, func() { s.exchange(); s.check(t) }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
	}
}

// TestFieldAllocations: nor do fields that are read as claims or aliases, and paths that have
// several readings.
func TestFieldAllocations(t *testing.T) {
	routed := func(c *config.Config) {
		for _, paths := range []config.Paths{"", config.PathsNormalize, config.PathsRaw} {
			c.Routes = append(c.Routes, config.Route{Path: "/r" + string(paths), Paths: paths, Headers: []config.Field{{Name: "x-user", Value: "anna"}}})
		}
	}
	trusts := func(c *config.Config) {
		c.TrustedProxies = []netip.Prefix{netip.PrefixFrom(rigClient.Addr(), 24)}
		c.Forwarded = true
		hashOn(c, config.KeyClientIP, "")
	}
	const claims = "X-Forwarded-For: 192.0.2.9:81, [2001:db8::1]:5\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 192.0.2.9\r\n" +
		"Forwarded: for=\"[2001:db8::1]:5\";proto=https, for=192.0.2.9\r\nX_Forwarded_For: 1.2.3.4\r\n"
	for _, tc := range []struct {
		name, path, fields string
		set                func(c *config.Config)
	}{
		{"a stranger's claims", "/", claims, func(*config.Config) {}},
		{"a stranger's claims, hash", "/", claims, func(c *config.Config) { hashOn(c, config.KeyHeader, "x-forwarded-for") }},
		{"a trusted proxy", "/", claims, trusts},
		{"reject", "/r/%7Ea//b;c/./d\\e", "X_User: anna\r\n", routed},
		{"normalize", "/rnormalize/%7Ea//b;c/./d\\e", "X-User: anna\r\n", routed},
		{"raw", "/rraw/%7Ea//b;c/./d\\e", "X-User: anna\r\n", routed},
		{"TE", "/", "TE: trailers\r\nConnection: TE, X-A\r\nX-A: b\r\n", func(*config.Config) {}},
		{"bytes of browsers", "/{|}?%&\"<>", "", func(*config.Config) {}},
	} {
		cfg := rigConfig(1)
		tc.set(cfg)
		s := newSteady(t, cfg, "GET "+tc.path+" HTTP/1.1\r\nHost: a.example\r\n"+tc.fields+"\r\n", exchanges[0].response)
		if n := testing.AllocsPerRun(100, func() { s.exchange(); s.check(t) }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
	}
}

func hashOn(c *config.Config, key, name string) {
	c.Pools[0].Strategy, c.Pools[0].Hash = config.HashOnKey, config.Hash{Key: key, Name: name, BalanceFactor: 1.25}
}
