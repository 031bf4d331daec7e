package e2e

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// Backends of HTTP/2 that set limits, refuse, leave, and do not read.

// h2Once reports whether id is asked about for the first time.
type h2Once struct {
	mu   sync.Mutex
	seen map[string]int
}

func (o *h2Once) count(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[string]int{}
	}
	o.seen[id]++
	return o.seen[id]
}

// TestHTTP2Refusals are streams that a backend has not begun, which are asked for again,
// and those that it may have.
func TestHTTP2Refusals(t *testing.T) {
	var once h2Once
	goaway := func(s *h2Stream, begun bool) {
		last := s.id
		if !begun {
			last = max(s.id, 2) - 2
		}
		s.c.frame(http2.FrameGoAway, 0, 0, u32(last), u32(0))
	}
	acts := map[string]struct {
		first  func(s *h2Stream) // what becomes of the first attempt; later ones are answered
		again  bool
		status int
	}{
		"refused":         {func(s *h2Stream) { s.rst(http2.ErrCodeRefusedStream) }, true, 200},
		"left out":        {func(s *h2Stream) { goaway(s, false) }, true, 200},
		"left and shut":   {func(s *h2Stream) { goaway(s, false); s.c.leave() }, true, 200},
		"begun":           {func(s *h2Stream) { s.rst(http2.ErrCodeInternal) }, false, 502},
		"cancelled":       {func(s *h2Stream) { s.rst(http2.ErrCodeCancel) }, false, 502},
		"begun, and shut": {func(s *h2Stream) { goaway(s, true); s.c.leave() }, false, 502},
		"shut":            {func(s *h2Stream) { s.c.leave() }, false, 502},
		"answered and left": {func(s *h2Stream) {
			goaway(s, true)
			s.head(false, h2Fields(":status", "200"))
			s.data(true, []byte("ok"))
		}, false, 200},
		"answered by HTTP/1.1 required": {func(s *h2Stream) { s.rst(http2.ErrCodeHTTP11Required) }, false, 502},
	}
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "[eject]\nenabled = false\n[retry]\nbudget = 1.0\n", "", func(r *h2Request) {
			_, name, _ := strings.Cut(r.id, ": ")
			if act, is := acts[name]; is && once.count(mode+r.kind+r.id) == 1 {
				act.first(r.stream)
				return
			}
			r.reply(200, nil, "ok")
		})
		h := h2Client(t, l.clear)
		for _, kind := range []string{"h2c", "h2"} {
			for name, act := range acts {
				for _, how := range []string{"no content: ", "content: "} {
					id := how + name
					s := h.ask(how == "no content: ", h2Post(h2To, kind, h2Case, id))
					if how == "content: " {
						s.data(true, []byte("12345"))
					}
					a := s.answer()
					want := 1
					if act.again {
						want = 2
					}
					got := l.origins[kind].of(id)
					if !a.whole(act.status) || len(got) != want {
						t.Errorf("%s, %s: %v, %d attempts; want %d, %d", kind, id, a, len(got), act.status, want)
					}
					if last := len(got) - 1; last >= 0 && how == "content: " && got[last].body != "12345" {
						t.Errorf("%s, %s: the backend got %q", kind, id, got[last].body)
					}
				}
				if a := h.ask(true, h2Get(h2To, kind)).answer(); !a.whole(200) {
					t.Errorf("%s, after %s: %v", kind, name, a)
				}
			}
		}
	})
}

// h2Held has backends hold the answers to /held until release is called, at the latest
// when the test ends. running is how many wait on each conn, most how many at once of
// those that came after lb had acknowledged the backend's SETTINGS.
type h2Held struct {
	release func()
	opened  chan struct{}

	mu      sync.Mutex
	running map[*h2Conn]int
	most    int
}

func newH2Held() *h2Held {
	w := &h2Held{opened: make(chan struct{}), running: map[*h2Conn]int{}}
	w.release = sync.OnceFunc(func() { close(w.opened) })
	return w
}

func (w *h2Held) answer(r *h2Request) {
	if r.stream == nil || r.target != "/held" {
		r.reply(200, nil, "ok")
		return
	}
	h := r.stream.c
	w.mu.Lock()
	w.running[h]++
	if h.mu.Lock(); r.stream.told {
		w.most = max(w.most, w.running[h])
	}
	h.mu.Unlock()
	w.mu.Unlock()
	<-w.opened
	w.mu.Lock()
	w.running[h]--
	w.mu.Unlock()
	r.reply(200, nil, "ok")
}

// waiting returns how many requests wait, and on how many conns.
func (w *h2Held) waiting() (requests, conns int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.running {
		requests += n
	}
	return requests, len(w.running)
}

// atOnce returns most.
func (w *h2Held) atOnce() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// TestHTTP2BackendLimits has backends that allow two streams, and a small window.
func TestHTTP2BackendLimits(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		held := newH2Held()
		l := startH2(t, mode, "", "", "", held.answer)
		t.Cleanup(held.release)
		for _, kind := range []string{"h2c", "h2"} {
			o := l.origins[kind]
			o.mu.Lock()
			o.settings = []uint32{3, 2, 4, 100}
			o.mu.Unlock()
		}
		h := h2Client(t, l.clear)
		var list []*h2Stream
		for i := range 20 {
			list = append(list, h.ask(true, h2Get(h2To, []string{"h2c", "h2"}[i%2], ":path", "/held")))
		}
		testkit.Until(t, "requests to arrive", func() bool { n, _ := held.waiting(); return n >= 4 })
		held.release()
		for _, s := range list {
			if a := s.answer(); !a.whole(200) {
				t.Errorf("%v", a)
			}
		}
		if most := held.atOnce(); most > 2 {
			t.Errorf("%d streams at once on one conn to a backend that allows 2", most)
		}
		for _, kind := range []string{"h2c", "h2"} {
			s := h.ask(false, h2Post(h2To, kind, h2Case, "window"))
			s.data(true, make([]byte, 5000))
			if a := s.answer(); !a.whole(200) {
				t.Errorf("an upload through a window of 100 bytes: %v", a)
			}
			for _, r := range l.origins[kind].of("window") {
				if largest := r.stream.sofar().largest; len(r.body) != 5000 || largest > 100 {
					t.Errorf("the backend got %d bytes, and a frame of %d; want 5000, and 100 at most", len(r.body), largest)
				}
			}
		}
	})
}

// h2Sparing is a backend that allows so many streams on a conn, refuses more, and answers none
// before release is called.
type h2Sparing struct {
	mu      sync.Mutex
	allowed int
	running map[*h2Conn]int
	taken   int
	opened  chan struct{}
}

// allow begins a round.
func (b *h2Sparing) allow(n int) (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	opened := make(chan struct{})
	b.allowed, b.running, b.taken, b.opened = n, map[*h2Conn]int{}, 0, opened
	return sync.OnceFunc(func() { close(opened) })
}

func (b *h2Sparing) answer(r *h2Request) {
	b.mu.Lock()
	opened, h := b.opened, r.stream.c
	if b.running[h] >= b.allowed {
		b.mu.Unlock()
		r.stream.rst(http2.ErrCodeRefusedStream)
		return
	}
	b.running[h]++
	b.taken++
	b.mu.Unlock()
	<-opened
	r.reply(200, nil, "ok")
}

// TestHTTP2BackendSpares has bursts of requests for a backend that allows few streams, and then
// fewer, on conns whose SETTINGS have not come: what it refuses is asked again, and is no
// fault of the backend.
func TestHTTP2BackendSpares(t *testing.T) {
	const burst = 60
	eachMode(t, func(t *testing.T, mode string) {
		b := new(h2Sparing)
		l := startH2(t, mode, "", "", "", b.answer)
		o := l.origins["h2c"]
		for _, allowed := range []int{8, 3} {
			release := b.allow(allowed)
			t.Cleanup(release)
			o.mu.Lock()
			o.settings = []uint32{3, uint32(allowed)}
			old := slices.Clone(o.conns)
			o.mu.Unlock()
			for _, h := range old {
				h.leave()
			}
			h := h2Client(t, l.clear)
			var list []*h2Stream
			for i := range burst {
				s := h.ask(i%2 == 0, h2Post(h2To, "h2c"))
				if i%2 != 0 {
					s.data(true, []byte("12345"))
				}
				list = append(list, s)
			}
			failed := 0
			testkit.Until(t, "the backend to have taken what does not fail", func() bool {
				failed = 0
				for _, s := range list {
					if a := s.sofar(); a.ended || a.reset {
						failed++
					}
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.taken+failed >= burst
			})
			release()
			for _, s := range list {
				s.answer()
			}
			if failed > 0 {
				t.Errorf("%d of %d requests failed at a backend that allows %d streams", failed, burst, allowed)
			}
		}
	})
}

// stalledMax is how many bytes lb may take of an upload that its backend does not read.
const stalledMax = 512 << 10

// TestHTTP2BackendStalls has a backend that does not read one upload: others go on, on the
// same conns, and lb takes little from the client.
func TestHTTP2BackendStalls(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", nil)
		for _, o := range l.origins {
			o.mu.Lock()
			o.manual = true
			o.mu.Unlock()
		}
		h := h2Client(t, l.clear)
		var stalled []*h2Stream
		for _, kind := range []string{"h2c", "h2"} {
			for range 3 {
				stalled = append(stalled, h.ask(false, h2Post(h2To, kind)))
			}
		}
		for _, s := range stalled {
			go s.data(false, make([]byte, 10<<20))
		}
		for _, kind := range []string{"h2c", "h2"} {
			o := l.origins[kind]
			testkit.Until(t, "the backend's window to be used up", func() bool { return o.received() >= 65535 })
		}
		for range 20 {
			for _, kind := range h2Kinds {
				if a := h.ask(true, h2Get(h2To, kind)).answer(); !a.whole(200) {
					t.Errorf("%s: beside uploads that stand still: %v", kind, a)
				}
			}
		}
		var taken int64
		h.mu.Lock()
		for _, s := range stalled {
			taken += s.sent
		}
		h.mu.Unlock()
		if taken > 6*stalledMax {
			t.Errorf("%d bytes of 6 uploads are taken, of which the backends read none", taken)
		}
		for _, s := range stalled {
			s.rst(http2.ErrCodeCancel)
		}
	})
}

// received returns how many bytes of DATA have come.
func (o *h2Origin) received() (n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.conns {
		h.mu.Lock()
		for _, s := range h.streams {
			n += s.size
		}
		h.mu.Unlock()
	}
	return n
}

// TestHTTP2FewConns has many exchanges at once to one backend.
func TestHTTP2FewConns(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		held := newH2Held()
		l := startH2(t, mode, "", "", "", held.answer)
		t.Cleanup(held.release)
		var list []*h2Stream
		for i := range 120 {
			if i%30 == 0 {
				list = append(list, h2Client(t, l.clear).ask(true, h2Get(h2To, "h2c", ":path", "/held")))
				continue
			}
			list = append(list, list[i-1].c.ask(true, h2Get(h2To, "h2c", ":path", "/held")))
		}
		testkit.Until(t, "all requests to arrive", func() bool { n, _ := held.waiting(); return n == len(list) })
		_, n := held.waiting()
		held.release()
		for _, s := range list {
			if a := s.answer(); !a.whole(200) {
				t.Errorf("%v", a)
			}
		}
		if n > 8 {
			t.Errorf("%d conns for %d exchanges of two loops", n, len(list))
		}
	})
}

// wsAccept answers the key of a WebSocket, RFC 6455, 4.2.2.
func wsAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestHTTP2WebSocket opens tunnels by extended CONNECT, RFC 8441.
func TestHTTP2WebSocket(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", func(r *h2Request) {
			key, _ := base64.StdEncoding.DecodeString(strings.Join(r.all("sec-websocket-key"), ""))
			if r.in == nil || len(key) != 16 || r.target != "/ws" {
				r.reply(403, nil, "no")
				return
			}
			r.closed.Store(true)
			io.WriteString(r.conn, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: "+wsAccept(r.all("sec-websocket-key")[0]), "Sec-WebSocket-Protocol: chat"))
			io.Copy(r.conn, r.conn)
			r.conn.(*net.TCPConn).CloseWrite()
		})
		for _, addr := range []string{l.clear, l.secure} {
			h := h2Client(t, addr)
			h.want(t, "SETTINGS", func() bool { return h.settings > 0 })
			if h.peer[0x8] != 1 {
				t.Error("ENABLE_CONNECT_PROTOCOL is not announced")
			}
			open := func(pairs ...string) *h2Stream {
				return h.ask(false, append(h2Get(append([]string{":method", "CONNECT", ":path", "/ws"}, pairs...)...), h2Fields("sec-websocket-version", "13", "sec-websocket-protocol", "chat")...))
			}
			s := open(":protocol", "websocket", h2Case, "ws")
			h.want(t, "answer", func() bool { return s.headed || s.reset })
			if a := s.sofar(); a.status != 200 || h2Value(a.fields, "sec-websocket-protocol") != "chat" || h2Value(a.fields, "sec-websocket-accept") != "" {
				t.Fatalf("%v, %q", a, a.fields)
			}
			sent := strings.Repeat("frame", 50_000)
			s.data(false, []byte(sent))
			h.want(t, "the echo", func() bool { return s.size == int64(len(sent)) })
			s.data(true, []byte("end"))
			if a := s.answer(); !a.ended || a.body != sent+"end" {
				t.Errorf("%v, %d bytes", a, a.size)
			}
			if a := open(":protocol", "websocket", ":path", "/other").answer(); !a.whole(403) {
				t.Errorf("refused by the backend: %v", a)
			}
			for _, protocol := range []string{"foo", "", "websocket\r\nx-smuggled: 1"} {
				if a := open(":protocol", protocol).answer(); a.status < 400 && !a.reset {
					t.Errorf(":protocol %q: %v", protocol, a)
				}
			}
			for _, kind := range []string{"h2c", "h2"} {
				if a := open(":protocol", "websocket", h2To, kind).answer(); a.status < 400 && !a.reset {
					t.Errorf("to %s: %v", kind, a)
				}
			}
			if a := h.ask(true, h2Get()).answer(); a.status != 403 { // the backend wants a WebSocket
				t.Errorf("then %v", a)
			}
		}
		for _, r := range l.origins["http1"].of("ws") {
			if r.method != "GET" || !slices.Equal(r.all("upgrade"), []string{"websocket"}) || !strings.EqualFold(strings.Join(r.all("connection"), "|"), "upgrade") || len(r.all("sec-websocket-version")) != 1 {
				t.Errorf("the backend got %q", r.text)
			}
		}
	})
}

// TestHTTP2BackendFields has HTTP/1 clients send what an HTTP/2 backend must not get.
func TestHTTP2BackendFields(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", nil)
		for i, tc := range []struct {
			request string
			pass    func(r h2Request) bool
		}{
			{"GET /a?b HTTP/1.1\r\nHost: a.test:80\r\nX-Two: 1\r\nX-TWO: 2\r\n", func(r h2Request) bool {
				return r.method == "GET" && r.target == "/a?b" && r.host() == "a.test:80" && slices.Equal(r.all("x-two"), []string{"1", "2"}) && len(r.all("host"))+len(r.all(":authority")) >= 1
			}},
			{"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: trailers, deflate\r\nUpgrade: foo\r\n", func(r h2Request) bool {
				return len(r.all("x-hop"))+len(r.all("keep-alive"))+len(r.all("proxy-connection"))+len(r.all("connection"))+len(r.all("upgrade")) == 0
			}},
			{"OPTIONS * HTTP/1.1\r\nHost: a\r\n", func(r h2Request) bool { return r.target == "*" }},
			{"GET http://b.test/x HTTP/1.1\r\nHost: a\r\n", func(r h2Request) bool { return r.target == "/x" && r.host() == "b.test" }},
			{"GET / HTTP/1.0\r\n", func(r h2Request) bool { return r.host() != "" }},
			{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", func(r h2Request) bool {
				return r.body == "12345" && len(r.all("content-length"))+len(r.all("transfer-encoding")) == 0 && h2Value(r.trailers, "x-sum") == "five" && h2Value(r.trailers, "content-length") == ""
			}},
			{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n", func(r h2Request) bool {
				return r.body == "12345" && slices.Equal(r.all("content-length"), []string{"5"})
			}},
		} {
			for _, kind := range []string{"h2c", "h2"} {
				body, id := "", fmt.Sprintf("fields-%d", i)
				switch {
				case strings.Contains(tc.request, "chunked"):
					body = "2\r\n12\r\n3;x=y\r\n345\r\n0\r\nX-Sum: five\r\nContent-Length: 9\r\n\r\n"
				case strings.HasPrefix(tc.request, "POST"):
					body = "12345"
				}
				c, err := connect(l.addr)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(c, tc.request+"X-To: "+kind+"\r\nX-Case: "+id+"\r\n\r\n"+body)
				raw := newRawConn(c)
				if resp, got, err := raw.try(); err != nil || resp.StatusCode != 200 || got != "ok" {
					t.Errorf("%q: %v, %q, %v", tc.request, resp, got, err)
				}
				c.Close()
				if got := l.origins[kind].of(id); len(got) != 1 || !got[0].whole || !tc.pass(got[0]) {
					t.Errorf("%q: the backend got %v", tc.request, got)
				}
			}
		}
	})
}
