package backends

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// start runs a server until the end of the test and checks that it leaves no
// goroutine and no descriptor.
func start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Addr == "" && o.Listener == nil {
		o.Addr = "127.0.0.1:0"
	}
	warmUp(t)
	goroutines, files := runtime.NumGoroutine(), testkit.OpenFDs()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := s.slabs.Out(); n != 0 {
			t.Errorf("%d slabs not put back", n)
		}
		testkit.Until(t, "goroutines and descriptors as before", func() bool {
			return runtime.NumGoroutine() <= goroutines && testkit.OpenFDs() <= files
		})
	})
	return s
}

// warmUp makes Go open its own poller, which it keeps.
func warmUp(t testing.TB) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

// dial connects to s until the end of the test, with a deadline on all reads and
// writes.
func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	network, addr := "tcp", s.Addr()
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testkit.Patience))
	return c
}

// onLoop runs f on the loop of s and waits for it.
func onLoop(t testing.TB, s *Server, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !s.loop.Post(func() { defer close(done); f() }) {
		t.Fatal("the loop has ended")
	}
	<-done
}

func TestStart(t *testing.T) {
	t.Run("address taken", func(t *testing.T) {
		s := start(t, Options{})
		_, err := Start(Options{Addr: s.Addr()})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), s.Addr()) {
			t.Errorf("%v, want EADDRINUSE and the address", err)
		}
	})
	t.Run("bad name", func(t *testing.T) {
		before := testkit.OpenFDs()
		if _, err := Start(Options{Addr: "127.0.0.1:0", Name: "a\r\nb"}); err == nil {
			t.Error("no error")
		}
		testkit.Until(t, "descriptors as before", func() bool { return testkit.OpenFDs() <= before })
	})
	t.Run("listener taken over", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, Options{Listener: ln, Name: "given"})
		if got := talk(t, s, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "Hello from backend given\n") {
			t.Errorf("%q", got)
		}
	})
	t.Run("unix socket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "b.sock")
		s := start(t, Options{Addr: "unix:" + path})
		if got := talk(t, s, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "Hello from backend unix:"+path+"\n") {
			t.Errorf("%q", got)
		}
		s.Close()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("path still there: %v", err)
		}
	})
}

func TestCloseEndsEveryConn(t *testing.T) {
	s := start(t, Options{})
	resting, waiting, busy := dial(t, s), dial(t, s), dial(t, s)
	io.WriteString(waiting, "GET /delay/1h HTTP/1.1\r\nHost: a\r\n\r\n")
	io.WriteString(busy, "GET /bytes/1000000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
	testkit.Until(t, "all conns to be in use", func() bool {
		phases := map[phase]int{}
		onLoop(t, s, func() {
			for c := range s.conns {
				phases[c.phase]++
			}
		})
		return phases[phaseHead] == 1 && phases[phaseDelay] == 1 && phases[phaseAnswer] == 1
	})
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for _, c := range []net.Conn{resting, waiting, busy} {
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("conn still open")
		}
	}
}

// talk sends in and returns all that comes back, with fixed dates.
func talk(t *testing.T, s *Server, in string) string {
	t.Helper()
	c := dial(t, s)
	go io.WriteString(c, in)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%.60q: %v", in, err)
	}
	return undated(string(got))
}

// undated replaces the value of every Date field by "now".
func undated(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\r\nDate: ")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("\r\nDate: now")
		_, s, _ = strings.Cut(after, " GMT")
	}
}

const bye = "GET /status/204 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
const byeReply = "HTTP/1.1 204 No Content\r\nServer: lb-backend\r\nX-Backend: b\r\nDate: now\r\nConnection: close\r\n\r\n"

// reply returns an answer with text as the server b writes it.
func reply(status, more, text string) string {
	return "HTTP/1.1 " + status + "\r\nServer: lb-backend\r\nX-Backend: b\r\nDate: now\r\n" + plainText +
		"Content-Length: " + strconv.Itoa(len(text)) + "\r\n" + more + "\r\n" + text
}

func octetReply(framing, body string) string {
	return "HTTP/1.1 200 OK\r\nServer: lb-backend\r\nX-Backend: b\r\nDate: now\r\n" + octets + framing + "\r\n" + body
}

func patternText(n int) string {
	b := make([]byte, n)
	Pattern(b, 0)
	return string(b)
}

var wireCases = []struct{ name, in, want string }{
	{"hello", "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("200 OK", "", "Hello from backend b\nGET /\n") + byeReply},
	{"query", "GET /?x=/y HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("200 OK", "", "Hello from backend b\nGET /?x=/y\n") + byeReply},
	{"absolute-form", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("200 OK", "", "Hello from backend b\nGET http://a\n") + byeReply},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("200 OK", "", "Hello from backend b\nOPTIONS *\n") + byeReply},
	{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + bye, strings.TrimSuffix(reply("200 OK", "", "Hello from backend b\nHEAD /\n"), "Hello from backend b\nHEAD /\n") + byeReply},
	{"health", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("200 OK", "", "ok\n") + byeReply},
	{"headers", "GET /headers HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n" + bye, reply("200 OK", "", "GET /headers HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n") + byeReply},
	{"nowhere", "GET /no HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("404 Not Found", "", "404 Not Found\n") + byeReply},
	{"nowhere below", "GET /healthz/x HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("404 Not Found", "", "404 Not Found\n") + byeReply},
	{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", reply("501 Not Implemented", "Connection: close\r\n", "501 Not Implemented\n")},

	{"bytes", "GET /bytes/300 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Content-Length: 300\r\n", patternText(300)) + byeReply},
	{"no bytes", "GET /bytes/0 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Content-Length: 0\r\n", "") + byeReply},
	{"HEAD bytes", "HEAD /bytes/5000000000 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Content-Length: 5000000000\r\n", "") + byeReply},
	{"bytes of no number", "GET /bytes/-1 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("400 Bad Request", "", "400 Bad Request: want a number of bytes\n") + byeReply},
	{"chunked", "GET /chunked/300 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Transfer-Encoding: chunked\r\n", "12c\r\n"+patternText(300)+"\r\n0\r\n\r\n") + byeReply},
	{"no chunks", "GET /chunked/0 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Transfer-Encoding: chunked\r\n", "0\r\n\r\n") + byeReply},
	{"HEAD chunked", "HEAD /chunked/3 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Transfer-Encoding: chunked\r\n", "") + byeReply},
	{"chunked to HTTP/1.0", "GET /chunked/300 HTTP/1.0\r\n\r\n", octetReply("Connection: close\r\n", patternText(300))},

	{"status", "GET /status/503 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("503 Service Unavailable", "", "503 Service Unavailable\n") + byeReply},
	{"status without phrase", "GET /status/599 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("599 ", "", "599 \n") + byeReply},
	{"status 205", "GET /status/205 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("205 Reset Content", "", "") + byeReply},
	{"interim", "GET /status/103 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, "HTTP/1.1 103 Early Hints\r\n\r\n" + reply("200 OK", "", "200 OK\n") + byeReply},
	{"interim to HTTP/1.0", "GET /status/103 HTTP/1.0\r\n\r\n", reply("200 OK", "Connection: close\r\n", "200 OK\n")},
	{"status 101", "GET /status/101 HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("400 Bad Request", "", "400 Bad Request: want a status code, 100 to 599 without 101\n") + byeReply},
	{"delay", "GET /delay/1ms HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("200 OK", "", "200 OK: waited 1ms\n") + byeReply},
	{"delay too long", "GET /delay/2h HTTP/1.1\r\nHost: a\r\n\r\n" + bye, reply("400 Bad Request", "", "400 Bad Request: want a duration, such as 250ms, of at most 1h0m0s\n") + byeReply},

	{"echo of nothing", "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n" + bye, octetReply("Content-Length: 0\r\n", "") + byeReply},
	{"echo by length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + bye, octetReply("Content-Length: 5\r\n", "hello") + byeReply},
	{"HEAD echo", "HEAD /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + bye, octetReply("Content-Length: 5\r\n", "") + byeReply},
	{"body not asked for", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + bye, reply("200 OK", "", "Hello from backend b\nPOST /\n") + byeReply},
	{"chunked body not asked for", "POST /bytes/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n" + bye, octetReply("Content-Length: 2\r\n", "\x00\x01") + byeReply},
	{"empty chunked body", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + bye, octetReply("Transfer-Encoding: chunked\r\n", "0\r\n\r\n") + byeReply},
	{"continue", "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok" + bye, "HTTP/1.1 100 Continue\r\n\r\n" + octetReply("Content-Length: 2\r\n", "ok") + byeReply},

	{"HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", reply("200 OK", "Connection: close\r\n", "ok\n")},
	{"HTTP/1.0 kept", "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n", reply("200 OK", "Connection: keep-alive\r\n", "ok\n") + reply("200 OK", "Connection: close\r\n", "ok\n")},
	{"WebSocket without upgrade", "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n" + bye,
		strings.Replace(reply("426 Upgrade Required", "", "426 Upgrade Required: want a WebSocket\n"), "Content-Length", "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length", 1) + byeReply},
	{"WebSocket with a bad key", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n" + bye,
		reply("400 Bad Request", "", "400 Bad Request: bad Sec-WebSocket-Key\n") + byeReply},
	{"WebSocket, a frame behind the handshake", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + frame(0x81, "hi") + frame(0x88, ""),
		"HTTP/1.1 101 Switching Protocols\r\nServer: lb-backend\r\nX-Backend: b\r\nDate: now\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" + bare(0x81, "hi") + bare(0x88, "")},
}

func TestWire(t *testing.T) {
	s := start(t, Options{Name: "b"})
	for _, tc := range wireCases {
		if got := talk(t, s, tc.in); got != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.want)
		}
	}
}

// A chunked echo is compared by content: where its chunks end depends on how the
// bytes arrive.
func TestWireChunkedEcho(t *testing.T) {
	s := start(t, Options{Name: "b"})
	got := talk(t, s, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n"+bye)
	want := octetReply("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 7\r\n\r\n") + byeReply
	if got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestWireByteByByte(t *testing.T) {
	s := start(t, Options{Name: "b"})
	for _, tc := range wireCases {
		c := dial(t, s)
		go func() {
			for i := range len(tc.in) {
				io.WriteString(c, tc.in[i:i+1]) // TCP_NODELAY: a segment each
			}
		}()
		got, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if undated(string(got)) != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.want)
		}
	}
}

// A refused request is answered and the conn closed, even if the client goes on
// sending: the answer must not be lost in a reset.
func TestRefused(t *testing.T) {
	s := start(t, Options{Name: "b"})
	more := strings.Repeat("x", 1<<20)
	for _, tc := range []struct{ name, in, status string }{
		{"bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n" + more, "400"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n" + more, "400"},
		{"length and chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + more, "400"},
		{"head too long", "GET / HTTP/1.1\r\nHost: a\r\nX: " + more, "431"},
		{"target too long", "GET /" + more, "414"},
		{"version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n" + more, "505"},
		{"chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n" + more, "400"},
		{"trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n" + more, "400"},
	} {
		c := dial(t, s)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.WriteString(c, tc.in)
			c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		<-sent
		head, _, _ := strings.Cut(string(got), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 "+tc.status+" ") || !strings.Contains(head+"\r\n", "\r\nConnection: close\r\n") {
			t.Errorf("%s: %q, %v, want %s and a close", tc.name, head, err, tc.status)
		}
	}
}

// An echo whose body turns bad must not look complete.
func TestRefusedEchoLooksShort(t *testing.T) {
	s := start(t, Options{Name: "b"})
	got := talk(t, s, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nz\r\n")
	if want := octetReply("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"); got != want {
		t.Errorf("got %q, want %q and the end", got, want)
	}
}

func TestHalfClosedClientIsAnswered(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "b.sock")} {
		s := start(t, Options{Addr: addr, Name: "b"})
		c := dial(t, s)
		io.WriteString(c, "GET /delay/20ms HTTP/1.1\r\nHost: a\r\n\r\nGET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n")
		c.(interface{ CloseWrite() error }).CloseWrite()
		got, err := io.ReadAll(c)
		want := reply("200 OK", "", "200 OK: waited 20ms\n") + octetReply("Content-Length: 1000000\r\n", patternText(1000000))
		if err != nil || undated(string(got)) != want {
			t.Errorf("%s: %d bytes, %v, want %d", addr, len(got), err, len(want))
		}
	}
}

func TestPipeline(t *testing.T) {
	s := start(t, Options{Name: "b"})
	var in, want strings.Builder
	for i := range 5000 {
		n := strconv.Itoa(i * 7 % 997)
		in.WriteString("GET /bytes/" + n + " HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		want.WriteString(octetReply("Content-Length: "+n+"\r\n", patternText(i*7%997)))
		want.WriteString(octetReply("Content-Length: 3\r\n", "abc"))
	}
	if got := talk(t, s, in.String()+bye); got != want.String()+byeReply {
		t.Errorf("%d bytes, want %d; or others", len(got), want.Len()+len(byeReply))
	}
}

func TestPattern(t *testing.T) {
	b := make([]byte, 1<<20)
	Pattern(b, 0)
	for i, c := range b {
		if int(c) != i%251 {
			t.Fatalf("byte %d is %d", i, c)
		}
	}
	part := make([]byte, 1000)
	Pattern(part, 12345)
	if !bytes.Equal(part, b[12345:13345]) {
		t.Error("the pattern from 12345 on is not a part of it")
	}
}
