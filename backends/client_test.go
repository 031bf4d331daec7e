package backends

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lb/internal/testkit"
	"lb/loop"
)

// client returns Go's HTTP client, which is independent of our parser.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{ExpectContinueTimeout: testkit.Patience, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 6 * testkit.Patience}
}

func patternHash(n int64) []byte {
	h := sha256.New()
	b := make([]byte, 1<<20)
	for off := int64(0); off < n; off += int64(len(b)) {
		b = b[:min(int64(len(b)), n-off)]
		Pattern(b, off)
		h.Write(b)
	}
	return h.Sum(nil)
}

// counted reads all of r.
func counted(t *testing.T, r io.Reader) (n int64, sum []byte) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Error(err)
	}
	return n, h.Sum(nil)
}

func TestDownload(t *testing.T) {
	s, cl := start(t, Options{}), client(t)
	const size = 32<<20 + 12345
	for path, length := range map[string]int64{"bytes": size, "chunked": -1} {
		resp, err := cl.Get(fmt.Sprintf("http://%s/%s/%d", s.Addr(), path, size))
		if err != nil {
			t.Fatal(err)
		}
		n, sum := counted(t, resp.Body)
		resp.Body.Close()
		if n != size || !bytes.Equal(sum, patternHash(size)) || resp.ContentLength != length {
			t.Errorf("%s: %d bytes with length %d, want %d with %d; or others", path, n, resp.ContentLength, size, length)
		}
	}
}

// patternReader gives the first n bytes of the pattern.
type patternReader struct{ off, n int64 }

func (p *patternReader) Read(b []byte) (int, error) {
	b = b[:min(int64(len(b)), p.n-p.off)]
	if len(b) == 0 {
		return 0, io.EOF
	}
	Pattern(b, p.off)
	p.off += int64(len(b))
	return len(b), nil
}

func TestEcho(t *testing.T) {
	s, cl := start(t, Options{}), client(t)
	const size = 16<<20 + 321
	for _, length := range []int64{size, -1} {
		for _, expect := range []string{"", "100-continue"} {
			req, _ := http.NewRequest("POST", "http://"+s.Addr()+"/echo", &patternReader{n: size})
			req.ContentLength = length
			if expect != "" {
				req.Header.Set("Expect", expect)
			}
			asked := false
			req = req.WithContext(httptrace.WithClientTrace(context.Background(),
				&httptrace.ClientTrace{Got100Continue: func() { asked = true }}))
			resp, err := cl.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			n, sum := counted(t, resp.Body)
			resp.Body.Close()
			if n != size || !bytes.Equal(sum, patternHash(size)) || resp.ContentLength != length {
				t.Errorf("length %d: %d bytes with length %d; or others", length, n, resp.ContentLength)
			}
			if asked != (expect != "") {
				t.Errorf("100 Continue: %v, with Expect: %q", asked, expect)
			}
		}
	}
}

func TestUploadIsReadBeforeTheAnswer(t *testing.T) {
	s, cl := start(t, Options{}), client(t)
	body := &patternReader{n: 8 << 20}
	resp, err := cl.Post("http://"+s.Addr()+"/status/201", "", body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 201 || body.off != body.n {
		t.Errorf("status %d after %d bytes, want 201 after %d", resp.StatusCode, body.off, body.n)
	}
}

func TestInterim(t *testing.T) {
	s, cl := start(t, Options{}), client(t)
	got := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { got = code; return nil },
	})
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+"/status/103", nil)
	resp, err := cl.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got != 103 || resp.StatusCode != 200 {
		t.Errorf("%d, then %d, want 103, then 200", got, resp.StatusCode)
	}
}

func TestFieldsOfEveryAnswer(t *testing.T) {
	s, cl := start(t, Options{Name: "blue"}), client(t)
	for _, path := range []string{"/", "/bytes/1", "/chunked/1", "/status/204", "/status/500", "/no", "/echo", "/delay/0s"} {
		resp, err := cl.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		date, err := http.ParseTime(resp.Header.Get("Date"))
		if age := time.Since(date); err != nil || age < -time.Second || age > testkit.Patience {
			t.Errorf("%s: Date %q", path, resp.Header.Get("Date"))
		}
		if resp.Header.Get("Server") != "lb-backend" || resp.Header.Get("X-Backend") != "blue" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

func TestDelay(t *testing.T) {
	s, cl := start(t, Options{}), client(t)
	began := time.Now()
	resp, err := cl.Post("http://"+s.Addr()+"/delay/100ms", "", strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if d := time.Since(began); d < 100*time.Millisecond || d > testkit.Patience {
		t.Errorf("answered after %v, want 100ms", d)
	}
}

// A conn whose client leaves during a delay is closed at once.
func TestClientLeavesDuringDelay(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	io.WriteString(c, "GET /delay/1h HTTP/1.1\r\nHost: a\r\n\r\n")
	conns := func() (n int) {
		onLoop(t, s, func() {
			for c := range s.conns {
				if c.phase == phaseDelay {
					n++
				}
			}
		})
		return n
	}
	testkit.Until(t, "the delay begins", func() bool { return conns() == 1 })
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	testkit.Until(t, "the conn is gone", func() bool { return conns() == 0 })
}

// A client that sends requests and does not read costs at most two slabs, whatever
// it requests.
func TestBackpressure(t *testing.T) {
	s := start(t, Options{Addr: "unix:" + filepath.Join(t.TempDir(), "b.sock")})
	requests := []string{
		"GET /bytes/1073741824 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /chunked/1073741824 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n",
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + strings.Repeat(frame(0x82, strings.Repeat("a", 60000)), 100),
		strings.Repeat("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 300000),
	}
	for _, in := range requests {
		c := dial(t, s)
		go func() {
			io.WriteString(c, in)
			io.Copy(c, &patternReader{n: 1 << 30})
		}()
	}
	testkit.Until(t, "every conn waits for its client", func() bool {
		blocked := 0
		onLoop(t, s, func() {
			for c := range s.conns {
				if !c.Writable() && (c.out != nil && c.out.Len() > 0 || c.run > 0) {
					blocked++
				}
			}
		})
		return blocked == len(requests)
	})
	onLoop(t, s, func() {
		if n := s.slabs.Out(); n > 2*len(requests) {
			t.Errorf("%d slabs for %d conns, want at most two each", n, len(requests))
		}
	})
}

func dialWebSocket(t *testing.T, s *Server) (context.Context, *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	t.Cleanup(cancel)
	c, _, err := websocket.Dial(ctx, "ws://"+s.Addr()+"/ws", &websocket.DialOptions{HTTPClient: client(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return ctx, c
}

func TestWebSocket(t *testing.T) {
	s := start(t, Options{})
	ctx, c := dialWebSocket(t, s)
	for _, m := range []struct {
		kind websocket.MessageType
		text string
	}{
		{websocket.MessageText, "hello"}, {websocket.MessageText, ""}, {websocket.MessageBinary, "\x00\xff"},
		{websocket.MessageBinary, patternText(125)}, {websocket.MessageBinary, patternText(126)},
		{websocket.MessageBinary, patternText(65536)}, {websocket.MessageBinary, patternText(5 << 20)},
	} {
		sent := make(chan error, 1)
		go func() { sent <- c.Write(ctx, m.kind, []byte(m.text)) }()
		kind, got, err := c.Read(ctx)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if err != nil || kind != m.kind || string(got) != m.text {
			t.Fatalf("%v of %d bytes came back as %v of %d bytes, %v", m.kind, len(m.text), kind, len(got), err)
		}
	}
}

func TestWebSocketFragments(t *testing.T) {
	s := start(t, Options{})
	ctx, c := dialWebSocket(t, s)
	w, err := c.Writer(ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		io.WriteString(w, "piece ")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, got, err := c.Read(ctx)
	if want := strings.Repeat("piece ", 100); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWebSocketPingAndClose(t *testing.T) {
	s := start(t, Options{})
	ctx, c := dialWebSocket(t, s)
	rest := c.CloseRead(ctx)
	if err := c.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
	<-rest.Done()
	testkit.Until(t, "the conn is gone", func() (gone bool) {
		onLoop(t, s, func() { gone = len(s.conns) == 0 })
		return gone
	})
}

// get makes a small GET on c, without an allocation of its own.
func get(t testing.TB, c net.Conn, request, space []byte, want int) {
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, space[:want]); err != nil {
		t.Fatal(err)
	}
}

var smallRequest = []byte("GET /bytes/128 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")

// firstAnswer returns the length of the answer to smallRequest (bytes).
func firstAnswer(t testing.TB, c net.Conn, space []byte) int {
	c.Write(smallRequest)
	n, err := io.ReadAtLeast(c, space, 128)
	if head := bytes.Index(space[:n], []byte("\r\n\r\n")); err != nil || n != head+4+128 {
		t.Fatalf("answer of %d bytes with a head of %d, %v", n, head, err)
	}
	return n
}

func TestNoAllocationPerExchange(t *testing.T) {
	s := start(t, Options{Name: "b"})
	c := dial(t, s)
	space := make([]byte, 4096)
	n := firstAnswer(t, c, space)
	if a := testing.AllocsPerRun(2000, func() { get(t, c, smallRequest, space, n) }); a != 0 {
		t.Errorf("%v allocations per exchange, want 0", a)
	}
}

// counting is a kernel that counts the calls that a small exchange makes once each.
type counting struct {
	loop.Kernel
	reads, writes atomic.Int64
}

func (k *counting) Read(fd int, b []byte) (int, error) {
	k.reads.Add(1)
	return k.Kernel.Read(fd, b)
}

func (k *counting) Write(fd int, b []byte) (int, error) {
	k.writes.Add(1)
	return k.Kernel.Write(fd, b)
}

func (k *counting) Writev(fd int, x, y, z []byte) (int, error) {
	k.writes.Add(1)
	return k.Kernel.Writev(fd, x, y, z)
}

func (k *counting) CloseKernel() { k.Kernel.(loop.KernelCloser).CloseKernel() }

func TestOneReadAndOneWritePerExchange(t *testing.T) {
	kernel, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	k := &counting{Kernel: kernel}
	s, err := open(Options{Addr: "127.0.0.1:0", Name: "b"}, k)
	if err != nil {
		t.Fatal(err)
	}
	go s.run()
	defer s.Close()
	c := dial(t, s)
	space := make([]byte, 4096)
	n := firstAnswer(t, c, space)
	reads, writes := k.reads.Load(), k.writes.Load()
	for range 100 {
		get(t, c, smallRequest, space, n)
	}
	if r, w := k.reads.Load()-reads, k.writes.Load()-writes; r != 100 || w != 100 {
		t.Errorf("%d reads and %d writes for 100 exchanges", r, w)
	}
}

func BenchmarkSmallGet(b *testing.B) {
	s := start(b, Options{Name: "b"})
	c := dial(b, s)
	c.SetDeadline(time.Time{})
	space := make([]byte, 4096)
	n := firstAnswer(b, c, space)
	b.ReportAllocs()
	for b.Loop() {
		get(b, c, smallRequest, space, n)
	}
}

func BenchmarkDownload(b *testing.B) {
	s := start(b, Options{Name: "b"})
	c := dial(b, s)
	c.SetDeadline(time.Time{})
	const size = 64 << 20
	request := fmt.Appendf(nil, "GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n", size)
	head := len(octetReply(fmt.Sprintf("Content-Length: %d\r\n", size), "")) + len(time.Now().UTC().Format(http.TimeFormat)) - len("now")
	space := make([]byte, 1<<20)
	b.SetBytes(size)
	for b.Loop() {
		c.Write(request)
		for left := head + size; left > 0; {
			n, err := c.Read(space[:min(left, len(space))])
			if err != nil {
				b.Fatal(err)
			}
			left -= n
		}
	}
}
