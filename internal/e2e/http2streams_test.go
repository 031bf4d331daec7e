package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// Streams of clients: windows, limits, ends and order.

// h2Acting is a backend that does what the path says: /size/N answers with N bytes,
// /hang never, and everything else with "ok". gone gets the X-Case of each request to
// /hang that has ended.
func h2Acting(gone chan<- string) func(r *h2Request) {
	return func(r *h2Request) {
		var n int64
		switch _, err := fmt.Sscanf(r.target, "/size/%d", &n); {
		case err == nil:
			b, _ := io.ReadAll(&pattern{size: n})
			r.reply(200, nil, string(b))
		case strings.HasPrefix(r.target, "/hang"):
			if r.closed.Store(true); r.stream == nil {
				r.conn.Read(make([]byte, 1))
			} else {
				r.stream.c.wait(func() bool { return r.stream.reset })
			}
			gone <- r.id
		default:
			r.reply(200, nil, "ok")
		}
	}
}

// TestHTTP2Streams are cases of one lb each.
func TestHTTP2Streams(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		gone := make(chan string, 1000)
		l := startH2(t, mode, "", "", "", h2Acting(gone))
		t.Run("all", func(t *testing.T) {
			for name, f := range map[string]func(t *testing.T, l *h2Lab){
				"windows": h2Windows, "window that shrinks": h2WindowShrinks, "stalled streams": h2StalledStreams, "priorities": h2Priorities,
				"ping": h2PingInBulk, "begin": h2Begin, "frames that do no harm": h2Harmless, "upgrade": h2cUpgrade,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					f(t, l)
				})
			}
			t.Run("ends", func(t *testing.T) {
				t.Parallel()
				for _, kind := range h2Kinds {
					h2Ends(t, l, kind, gone)
				}
			})
		})
	})
}

// wantSize waits for n bytes of s, and wants no more after a PING has been answered.
func (s *h2Stream) wantSize(t *testing.T, what string, n int64) {
	t.Helper()
	s.c.want(t, what, func() bool { return s.size >= n })
	s.c.ping(t)
	if a := s.sofar(); a.size != n {
		t.Errorf("%s: %d bytes, want %d", what, a.size, n)
	}
}

// ping sends a PING and waits for the answer: everything that was to be written before
// has come.
func (h *h2Conn) ping(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	want := h.pongs + 1
	h.mu.Unlock()
	h.frame(http2.FramePing, 0, 0, []byte("12345678"))
	h.want(t, "answer to a PING", func() bool { return h.pongs >= want })
}

// manually stops to open windows.
func (h *h2Conn) manually() *h2Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.manual = true
	return h
}

// opens gives lb a window of n more, of the conn if s is nil.
func (h *h2Conn) opens(s *h2Stream, n uint32) {
	var id uint32
	if s != nil {
		id = s.id
	}
	h.frame(http2.FrameWindowUpdate, 0, id, u32(n))
}

func h2Windows(t *testing.T, l *h2Lab) {
	for _, kind := range h2Kinds {
		h := h2Client(t, l.clear, 4, 1000).manually()
		s := h.ask(true, h2Get(h2To, kind, ":path", "/size/300000"))
		s.wantSize(t, "the first window", 1000)
		h.opens(s, 1)
		s.wantSize(t, "a window of one byte", 1001)
		h.opens(s, 1<<20)
		s.wantSize(t, "the window of the conn", 65535)
		h.opens(nil, 1)
		s.wantSize(t, "one byte more of it", 65536)
		h.opens(nil, 1<<20)
		a, want := s.answer(), &pattern{size: 300000}
		if sum, _ := digest(want); !a.whole(200) || a.digest != sum {
			t.Errorf("%s: %v, %s; want %s", kind, a, a.digest, sum)
		}
	}
}

func h2WindowShrinks(t *testing.T, l *h2Lab) {
	h := h2Client(t, l.secure, 4, 20000).manually()
	s := h.ask(true, h2Get(":path", "/size/60000"))
	s.wantSize(t, "the first window", 20000)
	h.frame(http2.FrameSettings, 0, 0, h2Settings(4, 0))
	h.opens(s, 10000) // it is -10,000 now
	s.wantSize(t, "a window below 0", 20000)
	h.frame(http2.FrameSettings, 0, 0, h2Settings(4, 10001))
	s.wantSize(t, "one byte", 20001)
	h.frame(http2.FrameSettings, 0, 0, h2Settings(4, 60000))
	if a := s.answer(); !a.whole(200) || a.size != 60000 {
		t.Errorf("%v, %d bytes", a, a.size)
	}
}

// h2StalledStreams has many streams that no window is opened for: others go on, and
// little is taken from backends.
func h2StalledStreams(t *testing.T, l *h2Lab) {
	h := h2Client(t, l.clear, 4, 0)
	h.opens(nil, 1<<30)
	var list []*h2Stream
	for i := range 90 {
		list = append(list, h.ask(true, h2Get(h2To, h2Kinds[i%len(h2Kinds)], ":path", "/size/300000")))
	}
	for _, s := range list {
		h.want(t, "heads of streams without a window", func() bool { return s.headed })
	}
	for _, kind := range h2Kinds {
		s := h.ask(true, h2Get(h2To, kind, ":path", "/size/100000"))
		h.opens(s, 1<<20)
		if a := s.answer(); !a.whole(200) || a.size != 100000 {
			t.Errorf("%s: another stream: %v, %d bytes", kind, a, a.size)
		}
		up := h.ask(false, h2Post(h2To, kind))
		h.opens(up, 1<<20)
		if up.data(true, make([]byte, 200000)); !up.answer().whole(200) {
			t.Errorf("%s: an upload: %v", kind, up.answer())
		}
	}
	for _, s := range list {
		h.opens(s, 1<<20)
	}
	for _, s := range list {
		if a := s.answer(); !a.whole(200) || a.size != 300000 {
			t.Fatalf("a stream that went on: %v, %d bytes, GOAWAY %v", a, a.size, h.goaways)
		}
	}
}

// h2Priorities has answers wait for the window of the conn: it goes to the most urgent.
func h2Priorities(t *testing.T, l *h2Lab) {
	h := h2Client(t, l.clear, 4, 1<<20).manually()
	first := h.ask(true, h2Get(":path", "/size/65535"))
	first.wantSize(t, "what uses up the window of the conn", 65535)
	var list []*h2Stream
	for _, urgency := range []string{"u=7", "u=5, i", "u=3", "u=0"} {
		list = append(list, h.ask(true, h2Get(":path", "/size/50000", "priority", urgency)))
	}
	changed := h.ask(true, h2Get(":path", "/size/50000", "priority", "u=7"))
	h.frame(0x10, 0, 0, u32(changed.id), []byte("u=1"))
	list = []*h2Stream{list[3], changed, list[2], list[1], list[0]}
	for _, s := range list {
		h.want(t, "heads", func() bool { return s.headed })
	}
	h.ping(t)
	for i, s := range list { // a window for one answer at a time
		h.opens(nil, 50000)
		h.want(t, fmt.Sprintf("end of the answer whose urgency is number %d", i), func() bool { return s.ended })
		if i < len(list)-1 {
			if a := list[len(list)-1].sofar(); a.size > 0 {
				t.Errorf("%d bytes of the least urgent answer before the end of number %d", a.size, i)
			}
		}
	}
}

func h2PingInBulk(t *testing.T, l *h2Lab) {
	for _, addr := range []string{l.clear, l.secure} {
		h := h2Client(t, addr, 4, 1<<20)
		h.opens(nil, 1<<30)
		s := h.ask(true, h2Get(":path", "/size/12000000"))
		for i := range 20 {
			h.want(t, "bulk", func() bool { return s.size > int64(i)*500000 })
			h.ping(t)
		}
		if s.sofar().ended {
			t.Log("the answer was over before the last PING")
		}
		if a := s.answer(); !a.whole(200) || a.size != 12000000 || a.largest > 16384 {
			t.Errorf("%v, %d bytes, the largest frame has %d", a, a.size, a.largest)
		}
	}
}

// dripping writes one byte at a time.
type dripping struct{ net.Conn }

func (d dripping) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		_, err = d.Conn.Write(b[n : n+1])
		n++
	}
	return n, err
}

// h2Begin are ways in which a conn begins.
func h2Begin(t *testing.T, l *h2Lab) {
	for _, addr := range []string{l.clear, l.secure} {
		for _, c := range []net.Conn{dialH2(t, addr), dripping{dialH2(t, addr)}} {
			h := newH2Conn(c, false, nil)
			s := h.ask(true, h2Get()) // together with the preface
			h.start()
			if a := s.answer(); !a.whole(200) {
				t.Errorf("head together with the preface: %v", a)
			}
			h.end(t)
		}
	}
	for name, text := range map[string]string{"HTTP/1 after ALPN h2": lines("GET /begin HTTP/1.1", "Host: a"), "half a preface": "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "HEADERS first": http2.ClientPreface + string(h2Head(1, endStream, ":path", "/begin"))} {
		c := dialH2(t, l.secure)
		c.SetDeadline(time.Now().Add(testkit.Patience))
		io.WriteString(c, text)
		if got, err := io.ReadAll(c); strings.Contains(string(got), "ok") || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		c.Close()
	}
	plain := trusting(t) // ALPN http/1.1
	c, err := tls.Dial("tcp", l.secure, plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(c, http2.ClientPreface+string(h2Frame(http2.FrameSettings, 0, 0, nil))+string(h2Head(1, endStream, ":path", "/begin")))
	if resp, err := io.ReadAll(c); !bytes.HasPrefix(resp, []byte("HTTP/1.1 4")) && !bytes.HasPrefix(resp, []byte("HTTP/1.1 5")) && len(resp) > 0 {
		t.Errorf("the preface after ALPN http/1.1: %q, %v", resp, err)
	}
	for kind, o := range l.origins {
		for _, r := range o.all() {
			if r.target == "/begin" {
				t.Errorf("%s got %q", kind, r.text)
			}
		}
	}
}

// h2Harmless are frames that lb has to take.
func h2Harmless(t *testing.T, l *h2Lab) {
	h := h2Client(t, l.clear, 4, 1<<20, 0x9, 1, 0xfafa, 7, 4, 1<<19, 4, 1<<20) // one setting twice
	h.frame(http2.FramePriority, 0, 101, u32(0), []byte{200})
	h.frame(0x10, 0, 0, u32(1), []byte("u=0, i"))
	h.frame(0xf0, 0xff, 0, []byte("unknown"))
	h.frame(http2.FramePing, 0xfe, 0, []byte("12345678"))
	s := h.open()
	h.frame(http2.FrameHeaders, endHeaders|http2.FlagHeadersPadded|http2.FlagHeadersPriority, s.id, []byte{9}, u32(0), []byte{15}, h2Block(h2Post(h2Case, "harmless")), make([]byte, 9))
	h.frame(0xf1, 0xff, s.id, []byte("unknown"))
	h.frame(http2.FramePriority, 0, s.id, u32(1<<31), []byte{1})
	for range 30 {
		h.frame(http2.FrameData, http2.FlagDataPadded, s.id, []byte{100}, make([]byte, 1000), make([]byte, 100))
	}
	h.frame(http2.FrameData, endStream|http2.FlagDataPadded, s.id, []byte{0}, make([]byte, 10))
	if a := s.answer(); !a.whole(200) {
		t.Errorf("%v, GOAWAY %v", a, h.goaways)
	}
	if got := l.origins["http1"].of("harmless"); len(got) != 1 || len(got[0].body) != 30010 {
		t.Errorf("the backend got %v", got)
	}
	h.frame(http2.FrameSettings, 0, 0, h2Settings(1, 0)) // no table for lb
	for range 3 {
		if a := h.ask(true, h2Get()).answer(); !a.whole(200) {
			t.Errorf("%v", a)
		}
	}
	big := h2Get(":path", "/a", h2Case, "long")
	for i := range 30 {
		big = append(big, h2Field{fmt.Sprintf("x-long-%d", i), strings.Repeat("v", 1000)})
	}
	if a := h.ask(true, big).answer(); !a.whole(200) {
		t.Errorf("a head of 30 KiB: %v", a)
	}
}

// h2cUpgrade has HTTP/1 ask for an upgrade to HTTP/2, which no backend hears of.
func h2cUpgrade(t *testing.T, l *h2Lab) {
	for _, kind := range h2Kinds {
		c := dial(t, l.clear)
		c.send(t, lines("GET /upgrade HTTP/1.1", "Host: a", "X-To: "+kind, "X-Case: upgrade", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
		if resp, _ := c.answer(t); resp.StatusCode != 200 {
			t.Errorf("%s: %s", kind, resp.Status)
		}
		for _, r := range l.origins[kind].of("upgrade") {
			if len(r.all("upgrade"))+len(r.all("http2-settings")) > 0 {
				t.Errorf("%s got %q", kind, r.text)
			}
		}
	}
}

// h2Ends are clients that leave, of one stream or altogether: the backend hears of it,
// and no other stream does.
func h2Ends(t *testing.T, l *h2Lab, kind string, gone <-chan string) {
	t.Helper()
	o := l.origins[kind]
	h := h2Client(t, l.clear)
	other := h.ask(true, h2Get(h2To, kind, ":path", "/hang", h2Case, "stays"))
	s := h.ask(true, h2Get(h2To, kind, ":path", "/hang", h2Case, "leaves"))
	testkit.Until(t, "the requests to arrive", func() bool { return len(o.of("leaves")) == 1 && len(o.of("stays")) == 1 })
	s.rst(http2.ErrCodeCancel)
	if got := testkit.Wait(t, gone, "the backend to hear of it"); got != "leaves" {
		t.Errorf("%s: %s has ended", kind, got)
	}
	if a := other.sofar(); a.reset || a.ended {
		t.Errorf("%s: the other stream: %v", kind, a)
	}
	up := h.ask(false, h2Post(h2To, kind, h2Case, "upload", "content-length", "10000"))
	up.data(false, make([]byte, 3000))
	testkit.Until(t, "the upload to arrive", func() bool { return len(o.of("upload")) == 1 })
	up.rst(http2.ErrCodeCancel)
	if a := h.ask(true, h2Get(h2To, kind)).answer(); !a.whole(200) {
		t.Errorf("%s: then %v", kind, a)
	}
	h.Conn.Close()
	if got := testkit.Wait(t, gone, "the backend to hear of it"); got != "stays" {
		t.Errorf("%s: %s has ended", kind, got)
	}
	if got := o.of("upload"); len(got) != 1 || got[0].whole {
		t.Errorf("%s: an upload that was broken off: %v", kind, got)
	}
}

// TestHTTP2Limits are the limits of heads, bodies and streams.
func TestHTTP2Limits(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		gone := make(chan string, 1000)
		l := startH2(t, mode, "", "[limits]\nheader_bytes = 8192\nfields = 50\nbody_bytes = 50000\n[http2]\nstreams = 10\n", "", h2Acting(gone))
		h := h2Client(t, l.clear)
		if h.want(t, "SETTINGS", func() bool { return h.settings > 0 }); h.peer[http2.SettingMaxConcurrentStreams] != 10 {
			t.Errorf("%d streams are announced, want 10", h.peer[http2.SettingMaxConcurrentStreams])
		}
		long, many := h2Get(), h2Get()
		for i := range 60 {
			long, many = append(long, h2Field{fmt.Sprintf("x-%d", i), strings.Repeat("v", 400)}), append(many, h2Field{fmt.Sprintf("x-%d", i), "v"})
		}
		huge := h2Get("x-huge", strings.Repeat("v", 40000))
		for name, fields := range map[string][]h2Field{"long": long, "many": many, "huge": huge} {
			if a := h.ask(true, fields).answer(); !a.whole(431) {
				t.Errorf("a head that is too %s: %v, want 431", name, a)
			}
		}
		if a := h.ask(false, h2Post("content-length", "50001")).answer(); !a.whole(413) {
			t.Errorf("a body that is announced too large: %v, want 413", a)
		}
		s := h.ask(false, h2Post(h2Case, "grows"))
		s.data(true, make([]byte, 200000))
		if a := s.answer(); a.status != 413 {
			t.Errorf("a body that grows too large: %v, want 413", a)
		}
		for _, r := range l.origins["http1"].of("grows") {
			if r.whole {
				t.Errorf("the backend got %d bytes", len(r.body))
			}
		}
		var list []*h2Stream
		for i := range 11 {
			list = append(list, h.ask(true, h2Get(":path", "/hang", h2Case, fmt.Sprint(i))))
		}
		if a := list[10].answer(); !a.reset || a.code != http2.ErrCodeRefusedStream {
			t.Errorf("one stream too many: %v, want REFUSED_STREAM", a)
		}
		list[0].rst(http2.ErrCodeCancel)
		testkit.Wait(t, gone, "the stream to end")
		if a := h.ask(true, h2Get()).answer(); !a.whole(200) {
			t.Errorf("a stream in its place: %v", a)
		}
		if n := l.metrics(t)["lb_http2_refused_streams_total"]; n != 1 {
			t.Errorf("%v refused streams are counted, want 1", n)
		}
	})
}

// TestHTTP2Stalls are many clients that never finish a head or a body, or that open no
// window: each of them is ended in time, and others are served.
func TestHTTP2Stalls(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		const stalls = 2 * time.Second
		l := startH2(t, mode, "", "[timeouts]\nhandshake = \"1m\"\n"+strings.ReplaceAll("client_header = D\nclient_body = D\nclient_write = D\nclient_idle = D\n", "D", fmt.Sprintf("%q", stalls)), "", h2Acting(nil))
		memory := l.watchMemory(t)
		var all sync.WaitGroup
		for i := range 150 {
			for name, stall := range h2Stalls {
				all.Go(func() {
					h, err := tryH2([]string{l.clear, l.secure}[i%2], 4, 0)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					defer h.close()
					if ended := stall(h); !h.wait(ended) {
						t.Errorf("%s: never ends", name)
					}
				})
			}
		}
		for i := range 20 {
			testkit.Until(t, "another client to be served", func() bool {
				begun := time.Now()
				err := h2Served([]string{l.clear, l.secure}[i%2], i/2%2)
				if err != nil && time.Since(begun) < stalls { // else it was late itself, beside so many
					t.Error(err)
				}
				return err == nil || t.Failed()
			})
		}
		all.Wait()
		memory(64 << 20)
		testkit.Until(t, "nothing to be left of them", func() bool { m := l.metrics(t); return m["lb_client_connections"] == 0 && m["lb_exchanges"] == 0 })
	})
}

// h2Stalls return what lb does about them.
var h2Stalls = map[string]func(h *h2Conn) (ended func() bool){
	"a preface": func(h *h2Conn) func() bool { return func() bool { return h.over } },
	"a head": func(h *h2Conn) func() bool {
		h.send(h2Frame(http2.FrameHeaders, 0, h.nextID(), h2Block(h2Get())))
		return func() bool { return h.over }
	},
	"a body": func(h *h2Conn) func() bool {
		s := h.ask(false, h2Post("content-length", "1000"))
		s.data(false, make([]byte, 10))
		return func() bool { return s.reset || s.headed || h.over }
	},
	"a window": func(h *h2Conn) func() bool {
		s := h.ask(true, h2Get(":path", "/size/100000"))
		return func() bool { return s.reset || h.over }
	},
}

// TestHTTP2Secure is what belongs to TLS: redirects, HSTS, and certificates of clients.
func TestHTTP2Secure(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		dir := t.TempDir()
		o := newH2Origin(t, "http1", func(r *h2Request) { r.reply(200, nil, "ok") })
		secure := testkit.FreePort(t)
		s := setup{backends: to(o.addr), listeners: []string{"127.0.0.1:0\nredirect_https = true", secure + "\ntls = true"}}.withCert(t, dir)
		s.keys += fmt.Sprintf("tls.hsts = \"1h\"\ntls.client_auth = \"request\"\ntls.client_ca = %q\n", ca(t).Write(t, dir, "clients"))
		p := start(t, mode, s)
		if a := h2Client(t, p.addr).ask(true, h2Get(":path", "/x?y")).answer(); a.status != 308 || !strings.HasPrefix(h2Value(a.fields, "location"), "https://a.test") || !strings.HasSuffix(h2Value(a.fields, "location"), "/x?y") {
			t.Errorf("in the clear: %v, %q", a, a.fields)
		}
		cfg := trusting(t)
		cfg.Certificates = []tls.Certificate{ca(t).Issue(t, testkit.Leaf{Names: []string{"client.test"}, Client: true}).TLS(t)}
		secureAddrs.Store(secure, cfg)
		t.Cleanup(func() { secureAddrs.Delete(secure) })
		a := h2Client(t, secure).ask(true, h2Get(":scheme", "https", h2Case, "cert", "x-client-cert-verified", "no")).answer()
		if !a.whole(200) || h2Value(a.fields, "strict-transport-security") != "max-age=3600" {
			t.Errorf("over TLS: %v, %q", a, a.fields)
		}
		got := o.of("cert")
		if len(got) != 1 || strings.Join(got[0].all("x-client-cert-verified"), "|") != "yes" || got[0].all("x-client-cert-subject")[0] != "CN=client.test" || got[0].all("x-forwarded-proto")[0] != "https" {
			t.Errorf("the backend got %v", got)
		}
	})
}

// TestHTTP2Off is lb without HTTP/2.
func TestHTTP2Off(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "[http2]\nenabled = false\n", "", nil)
		if c, err := connectH2(l.secure); err == nil {
			c.Close()
			t.Error("ALPN has chosen h2")
		}
		c := dial(t, l.clear)
		c.send(t, http2.ClientPreface)
		if resp, err := http.ReadResponse(c.in, nil); err != nil || resp.StatusCode < 400 {
			t.Errorf("the preface: %v, %v", resp, err)
		}
		for i := range 2 {
			if err := h2Served([]string{l.clear, l.secure}[i], 0); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestHTTP2EarlyAnswers has backends answer before they have read the request.
func TestHTTP2EarlyAnswers(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", func(r *h2Request) {
			r.closed.Store(true)
			if r.reply(401, nil, "no"); r.stream == nil {
				r.conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, r.conn)
			}
		})
		for _, o := range l.origins {
			o.mu.Lock()
			o.early = true
			o.mu.Unlock()
		}
		h := h2Client(t, l.clear)
		for _, kind := range h2Kinds {
			for _, length := range []string{"", "300000"} {
				fields := h2Post(h2To, kind)
				if length != "" {
					fields = append(fields, h2Field{"content-length", length})
				}
				s := h.ask(false, fields)
				s.data(false, make([]byte, 100))
				h.want(t, "answer", func() bool { return s.ended || s.reset })
				if a := s.sofar(); !a.whole(401) || a.body != "no" {
					t.Errorf("%s, length %q: %v", kind, length, a)
				}
				s.data(true, make([]byte, 299900))
			}
			if a := h.ask(true, h2Get(h2To, kind)).answer(); !a.whole(401) {
				t.Errorf("%s: then %v, GOAWAY %v", kind, a, h.goaways)
			}
		}
	})
}
