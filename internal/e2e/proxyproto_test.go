package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"lb/internal/testkit"
	"lb/proxyproto"
)

const (
	proxiedClient = "192.0.2.1:5555"
	proxiedTo     = "198.51.100.9:443"
)

func header(v proxyproto.Version, tlvs ...byte) []byte {
	return v.Append(nil, netip.MustParseAddrPort(proxiedClient), netip.MustParseAddrPort(proxiedTo), tlvs)
}

// slowly is a conn whose first bytes go out one by one.
type slowly struct{ net.Conn }

func (c slowly) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = c.Conn.Write(b[n : n+1])
		n += k
	}
	return n, err
}

// first is a conn whose first write goes out in one with what stands before it.
type first struct {
	net.Conn
	before []byte
}

func (c *first) Write(b []byte) (int, error) {
	whole := append(c.before, b...)
	n, err := c.Conn.Write(whole)
	n = max(0, n-len(c.before))
	c.before = nil
	return n, err
}

// proxiedClientOf returns a client whose conns begin with text, in one write with what follows
// or byte by byte, from an address of this machine.
func proxiedClientOf(t *testing.T, addr, from string, text []byte, slow bool, protocols func(*http.Protocols)) *http.Client {
	tr := &http.Transport{TLSClientConfig: trusting(t), Protocols: new(http.Protocols)}
	protocols(tr.Protocols)
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := reach(ctx, addr, from)
		switch {
		case err != nil:
			return nil, err
		case slow:
			_, err := slowly{c}.Write(text)
			return c, err
		}
		return &first{c, text}, nil
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testkit.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func reach(ctx context.Context, addr, from string) (net.Conn, error) {
	var d net.Dialer
	if path, is := strings.CutPrefix(addr, "unix:"); is {
		return d.DialContext(ctx, "unix", path)
	}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, "tcp", addr)
}

// origins answers with what a backend learns of a client.
func origins(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func h2TLS(p *http.Protocols) { p.SetHTTP2(true) }
func h2c(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }

// proxiedLab is an lb with listeners of each kind that have proxy_protocol. A header has to come
// within a given time.
type proxiedLab struct {
	*process
	plain, secure, redirect, unix, log string
}

func startProxied(t *testing.T, mode, within string) *proxiedLab {
	t.Helper()
	dir, err := os.MkdirTemp("", "lb-") // a short path: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &proxiedLab{secure: testkit.FreePort(t), redirect: testkit.FreePort(t), unix: "unix:" + filepath.Join(dir, "s"), log: filepath.Join(dir, "log")}
	const on = "\nproxy_protocol = true\n"
	s := setup{admin: true, workers: 3, backends: to(serve(t, origins)), keys: "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n",
		listeners: []string{"127.0.0.1:0" + on, l.secure + on + "tls = true\n", l.redirect + on + "redirect_https = true\n", l.unix + on},
		tables:    fmt.Sprintf("[access_log]\npath = %q\n[timeouts]\nclient_header = %q\n", l.log, within)}
	l.process = start(t, mode, s.withCert(t, dir))
	l.plain = l.addr
	return l
}

// refused returns lb_proxy_protocol_refused_total for a reason.
func (l *proxiedLab) refused(t *testing.T, reason string) string {
	t.Helper()
	resp, err := http.Get("http://" + l.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(string(b), `lb_proxy_protocol_refused_total{reason="`+reason+`"} `)
	n, _, _ := strings.Cut(rest, "\n")
	return n
}

// want asks with a client, and wants an answer.
func wantAnswer(t *testing.T, what string, c *http.Client, url, want string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	req.Header.Set("X-Forwarded-For", "203.0.113.7")
	resp, err := c.Do(req)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if got := strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, b)); got != want && !(want == "308" && resp.StatusCode == 308) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// Each listener believes the header of a trusted proxy, however it comes, and the client in it
// is not a trusted proxy itself.
func TestProxyProtocolIn(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startProxied(t, mode, "5m")
		v1, v2 := header(proxyproto.V1), header(proxyproto.V2, proxyproto.AppendTLV(nil, proxyproto.Authority, []byte("sni.example"))...)
		local := proxyproto.V2.Append(nil, netip.AddrPort{}, netip.AddrPort{}, nil)
		inner := proxyproto.V1.Append(nil, netip.MustParseAddrPort("10.0.0.7:1"), netip.MustParseAddrPort(proxiedTo), nil)
		for _, tc := range []struct {
			name, addr, scheme string
			protocols          func(*http.Protocols)
			want, asProxy      string
		}{
			{"plain", l.plain, "http", http1, "200 192.0.2.1 http", "200 203.0.113.7, 127.0.0.1 http"},
			{"h2c", l.plain, "http", h2c, "200 192.0.2.1 http", "200 203.0.113.7, 127.0.0.1 http"},
			{"TLS", l.secure, "https", http1, "200 192.0.2.1 https", "200 203.0.113.7, 127.0.0.1 https"},
			{"h2", l.secure, "https", h2TLS, "200 192.0.2.1 https", "200 203.0.113.7, 127.0.0.1 https"},
			{"redirect", l.redirect, "http", http1, "308", "308"},
			{"unix", l.unix, "http", http1, "200 192.0.2.1 http", "200  http"},
		} {
			for _, slow := range []bool{false, true} {
				ask := func(what string, text []byte, want string) {
					t.Helper()
					c := proxiedClientOf(t, tc.addr, "", text, slow, tc.protocols)
					for range 2 { // the second goes over the same conn
						wantAnswer(t, fmt.Sprintf("%s, %s, slow %t", tc.name, what, slow), c, tc.scheme+"://localhost/", want)
					}
				}
				ask("v1", v1, tc.want)
				ask("v2", v2, tc.want)
				ask("local", local, tc.asProxy)
				ask("unknown", []byte("PROXY UNKNOWN\r\n"), tc.asProxy)
				ask("a trusted client", inner, strings.Replace(tc.want, "192.0.2.1", "203.0.113.7, 10.0.0.7", 1))
			}
		}
		testkit.Until(t, "the log to name the proxy", func() bool {
			b, _ := os.ReadFile(l.log)
			return strings.Contains(string(b), `"client":"192.0.2.1"`) && strings.Contains(string(b), `"proxy":{"address":"127.0.0.1","authority":"sni.example"}`)
		})
		for _, reason := range []string{"untrusted", "malformed", "cut", "timeout"} {
			if n := l.refused(t, reason); n != "0" {
				t.Errorf("%s conns were refused: %s", n, reason)
			}
		}
	})
}

// A conn without a good header gets nothing; checks of a port that say nothing do not count.
func TestProxyProtocolRefused(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startProxied(t, mode, "5m")
		ends := func(addr, from, text string) {
			t.Helper()
			c, err := reach(t.Context(), addr, from)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, text)
			if strings.HasSuffix(text, "T") { // it ends within the header
				c.(*net.TCPConn).CloseWrite()
			}
			if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") {
				t.Errorf("%q is answered with %q, %v", text, b, err)
			}
		}
		for _, addr := range []string{l.plain, l.secure, l.redirect} {
			c, err := reach(t.Context(), addr, "")
			if err != nil {
				t.Fatal(err)
			}
			c.Close() // a check of the port
			ends(addr, "", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			ends(addr, "", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
			ends(addr, "127.0.0.2", string(header(proxyproto.V1))+"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			ends(addr, "", "PROXY T")
		}
		for reason, want := range map[string]string{"malformed": "6", "untrusted": "3", "cut": "3", "timeout": "0"} {
			testkit.Until(t, want+" conns to be refused: "+reason, func() bool { return l.refused(t, reason) == want })
		}
		for _, want := range []string{"its address is not in trusted_proxies", "client=127.0.0.2 mend=", "or take proxy_protocol off this listener"} {
			testkit.Until(t, "the log to say "+want, func() bool { return strings.Contains(l.Log.String(), want) })
		}
	})
}

// A header that does not come in time ends its conn.
func TestProxyProtocolLate(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startProxied(t, mode, "300ms")
		for _, addr := range []string{l.plain, l.secure, l.redirect} {
			for _, text := range []string{"", "PROXY", string(header(proxyproto.V2)[:27])} {
				c, err := reach(t.Context(), addr, "")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				io.WriteString(c, text)
				if b, _ := io.ReadAll(c); len(b) > 0 {
					t.Errorf("%q is answered with %q", text, b)
				}
			}
		}
		testkit.Until(t, "nine conns to be late", func() bool { return l.refused(t, "timeout") == "9" })
	})
}

// curl speaks version 1.
func TestCurlHaproxyProtocol(t *testing.T) {
	installed(t, "curl")
	eachMode(t, func(t *testing.T, mode string) {
		l := startProxied(t, mode, "5m")
		for _, args := range [][]string{{"http://" + l.plain}, {"https://" + l.secure}, {"--http2", "https://" + l.secure}, {"--http2-prior-knowledge", "http://" + l.plain}} {
			if out, _ := curl(t, nil, append([]string{"--haproxy-protocol"}, args...)...); !strings.HasPrefix(out, "127.0.0.1 http") {
				t.Errorf("%v: %q", args, out)
			}
		}
	})
}

// helloListener is a listener whose conns begin with a PROXY header.
type helloListener struct{ net.Listener }

func (l helloListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &helloConn{Conn: c, in: bufio.NewReader(c)}, nil
}

type helloConn struct {
	net.Conn
	in   *bufio.Reader
	once sync.Once
	err  error
	said proxyproto.Header
	text string
}

// read reads the header, once.
func (c *helloConn) read() {
	for n := 1; ; n++ {
		b, err := c.in.Peek(n)
		h, st := proxyproto.Parse(b)
		switch {
		case err != nil:
			c.err = err
			return
		case st == proxyproto.Bad:
			c.err = fmt.Errorf("no PROXY header: %q", b)
			return
		case st == proxyproto.Done:
			c.said, c.text = h, string(b)
			c.in.Discard(n)
			return
		}
	}
}

func (c *helloConn) Read(b []byte) (int, error) {
	if c.once.Do(c.read); c.err != nil {
		return 0, c.err
	}
	return c.in.Read(b)
}

// heard is what a backend says of a request: the client in the header, its own address there,
// the number of its conn, and the requests that this has had.
type heard struct {
	From, To    string
	Conn, Asked int
	Known       bool
	Text        string
}

// helloBackend is a backend that wants a header on each conn, and answers with heard. It speaks
// TLS with these protocols, or HTTP/1 and HTTP/2 in the clear.
func helloBackend(t *testing.T, protocols ...string) (addr string, texts func() []string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	var mu sync.Mutex
	var conns []*helloConn
	asked := map[*helloConn]int{}
	s := &http.Server{Protocols: new(http.Protocols), ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		if over, is := c.(*tls.Conn); is {
			c = over.NetConn()
		}
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c.(*helloConn))
		return context.WithValue(ctx, key{}, c)
	}}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(len(protocols) > 1)
	s.Protocols.SetUnencryptedHTTP2(len(protocols) == 0)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(key{}).(*helloConn)
		if r.Header.Get("Upgrade") != "" {
			echoSocket(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		asked[c]++
		at := 0
		for conns[at] != c {
			at++
		}
		json.NewEncoder(w).Encode(heard{c.said.Source.String(), c.said.Destination.String(), at, asked[c], c.said.Kind == proxyproto.IP, c.text})
	})
	if len(protocols) > 0 {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{named(t).TLS(t)}, NextProtos: protocols}
		go s.ServeTLS(helloListener{ln}, "", "")
	} else {
		go s.Serve(helloListener{ln})
	}
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String(), func() (list []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			if c.once.Do(c.read); c.err == nil {
				list = append(list, c.text)
			}
		}
		return list
	}
}

// echoSocket is a WebSocket that sends back what comes.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

// asker is one client conn to lb, which asks a pool.
type asker struct {
	*http.Client
	local atomic.Value
}

func newAsker(t *testing.T, addr string) *asker {
	a := &asker{}
	tr := &http.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := reach(ctx, addr, "")
		if err == nil {
			a.local.Store(c.LocalAddr().String())
		}
		return c, err
	}}
	a.Client = &http.Client{Transport: tr, Timeout: testkit.Patience}
	t.Cleanup(tr.CloseIdleConnections)
	return a
}

func (a *asker) ask(t *testing.T, pool, forwarded string) (h heard) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/", nil)
	req.Header.Set("X-To", pool)
	if forwarded != "" {
		req.Header.Set("X-Forwarded-For", forwarded)
	}
	resp, err := a.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", pool, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(b, &h); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %q", pool, resp.Status, b)
	}
	return h
}

// sendProxyPools are pools with send_proxy of each protocol and version, and routes to them.
func sendProxyPools(t *testing.T, dir string, addrs map[string]string) (names []string, text string) {
	var b strings.Builder
	for _, protocol := range []string{"http1", "https1", "h2c", "h2", "auto", "auto-http1"} {
		for _, v := range []string{"v1", "v2"} {
			name := protocol + "-" + v
			names = append(names, name)
			secure := protocol != "http1" && protocol != "h2c"
			proto := strings.TrimSuffix(strings.Replace(protocol, "https", "http", 1), "-http1")
			fmt.Fprintf(&b, "[[pools]]\nname = %q\nprotocol = %q\nsend_proxy = %q\n", name, proto, v)
			addr := addrs["plain"]
			if secure {
				addr = addrs["tls"]
				fmt.Fprintf(&b, "[pools.tls]\nca = %q\nserver_name = \"localhost\"\n", ca(t).Write(t, dir, "backends"))
			}
			if protocol == "auto-http1" {
				addr = addrs["tls1"]
			}
			host, port, _ := net.SplitHostPort(addr)
			fmt.Fprintf(&b, "[[pools.backends]]\nhost = %q\nport = %s\ntls = %t\n[[routes]]\nheaders = { \"x-to\" = %q }\npool = %q\n", host, port, secure, name, name)
		}
	}
	return names, b.String()
}

// wantNoBackendConns has the clients leave, and wants the conns to go that were for them.
func wantNoBackendConns(t *testing.T, admin string, askers []*asker, more *http.Client) {
	t.Helper()
	for _, a := range askers {
		a.CloseIdleConnections()
	}
	more.CloseIdleConnections()
	testkit.Until(t, "the conns of clients that have left to end", func() bool {
		resp, err := http.Get("http://" + admin + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(b), "\nlb_backend_connections 0\n")
	})
}

// Each conn to a backend begins with the address of the client that it is for, and carries the
// requests of no other one.
func TestSendProxy(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		plain, _ := helloBackend(t)
		secure, _ := helloBackend(t, "h2", "http/1.1")
		secure1, _ := helloBackend(t, "http/1.1")
		dir, err := os.MkdirTemp("", "lb-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		names, pools := sendProxyPools(t, dir, map[string]string{"plain": plain, "tls": secure, "tls1": secure1})
		path, proxied := "unix:"+filepath.Join(dir, "s"), testkit.FreePort(t)
		p := start(t, mode, setup{admin: true, workers: 1, backends: to(serve(t, origins)), keys: "trusted_proxies = [\"127.0.0.1\"]\nwatch = false\n", tables: pools,
			listeners: []string{"127.0.0.1:0", path, proxied + "\nproxy_protocol = true\n"}})
		var askers []*asker
		for _, name := range names {
			one, two, third := newAsker(t, p.addr), newAsker(t, p.addr), newAsker(t, path)
			askers = append(askers, one, two, third)
			a := one.ask(t, name, "")
			if a.From != one.local.Load() || a.To != p.addr || !a.Known {
				t.Errorf("%s: %+v, want %s to %s", name, a, one.local.Load(), p.addr)
			}
			b, u := two.ask(t, name, ""), third.ask(t, name, "")
			if b.From != two.local.Load() || b.Conn == a.Conn || u.Known || u.Conn == a.Conn || u.Conn == b.Conn {
				t.Errorf("%s: %+v after %+v, by a unix socket %+v", name, b, a, u)
			}
			if again := one.ask(t, name, ""); again.Conn != a.Conn || again.Asked != 2 || again.From != a.From {
				t.Errorf("%s: %+v after %+v", name, again, a)
			}
			if x := one.ask(t, name, "203.0.113.7"); x.From != "203.0.113.7:0" || x.To != p.addr || x.Conn == a.Conn {
				t.Errorf("%s, behind a trusted proxy: %+v", name, x)
			}
			if strings.HasPrefix(a.Text, "PROXY ") != strings.HasSuffix(name, "v1") {
				t.Errorf("%s: %q", name, a.Text)
			}
		}
		c := proxiedClientOf(t, proxied, "", header(proxyproto.V2), false, http1)
		if h := (&asker{Client: c}).ask(t, names[0], ""); h.From != proxiedClient || h.To != proxiedTo {
			t.Errorf("from one header to the next: %+v", h)
		}
		wantNoBackendConns(t, p.admin, askers, c)
		for _, name := range []string{"http1-v1", "https1-v2", "auto-v2"} {
			o := wsOptions(t)
			o.HTTPHeader = http.Header{"X-To": {name}}
			ws, _, err := websocket.Dial(t.Context(), "ws://"+p.addr, o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			ws.Write(t.Context(), websocket.MessageText, []byte("hello"))
			if _, b, err := ws.Read(t.Context()); string(b) != "hello" {
				t.Errorf("%s, WebSocket: %q, %v", name, b, err)
			}
			ws.CloseNow()
		}
	})
}

// Checks of each kind begin with a header, too.
func TestSendProxyChecks(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		for _, v := range []string{"v1", "v2"} {
			for _, kind := range []string{"http", "tcp", "grpc"} {
				addr, texts := helloBackend(t)
				p := start(t, mode, setup{admin: true, workers: 1, backends: to(addr), keys: fmt.Sprintf("send_proxy = %q\nprotocol = %q\n", v, map[bool]string{false: "http1", true: "h2c"}[kind == "grpc"]),
					tables: fmt.Sprintf("[health]\ntype = %q\ninterval = \"20ms\"\n", kind)})
				want := "PROXY TCP4 127.0.0.1 127.0.0.1 "
				if v == "v2" {
					want = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
				}
				testkit.Until(t, "two checks of "+kind+" with "+v, func() bool {
					list := texts()
					return len(list) > 1 && strings.HasPrefix(list[0], want) && strings.HasPrefix(list[1], want)
				})
				p.stop(t)
			}
		}
	})
}
