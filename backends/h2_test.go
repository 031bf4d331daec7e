package backends

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/internal/testkit"
)

// h2client returns a client that speaks HTTP/2 by prior knowledge, on one conn.
func h2client(t testing.TB) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testkit.Patience}
}

// h2do makes a request and returns the answer with its whole body.
func h2do(t testing.TB, c *http.Client, method, url string, body io.Reader, fields ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	if answer.ProtoMajor != 2 {
		t.Errorf("%s: answered in %s", url, answer.Proto)
	}
	return answer, string(b)
}

func TestH2(t *testing.T) {
	s := start(t, Options{Name: "b"})
	c, base := h2client(t), "http://"+s.Addr()
	for _, tc := range []struct {
		method, path, sent string
		code               int
		want               string
	}{
		{"GET", "/?q", "", 200, "Hello from backend b\nGET /?q\n"},
		{"GET", "/healthz", "", 200, "ok\n"},
		{"GET", "/bytes/0", "", 200, ""},
		{"GET", "/bytes/100", "", 200, patternText(100)},
		{"GET", "/bytes/1000000", "", 200, patternText(1_000_000)},
		{"GET", "/chunked/300000", "", 200, patternText(300_000)},
		{"HEAD", "/bytes/100", "", 200, ""},
		{"POST", "/bytes/10", strings.Repeat("x", 500_000), 200, patternText(10)},
		{"POST", "/echo", "abc", 200, "abc"},
		{"POST", "/echo", patternText(700_000), 200, patternText(700_000)},
		{"GET", "/status/103", "", 200, "200 OK\n"},
		{"GET", "/status/503", "", 503, "503 Service Unavailable\n"},
		{"GET", "/status/204", "", 204, ""},
		{"GET", "/status/99", "", 400, "400 Bad Request: want a status code, 100 to 599 without 101\n"},
		{"GET", "/delay/1ms", "", 200, "200 OK: waited 1ms\n"},
		{"GET", "/bytes/x", "", 400, "400 Bad Request: want a number of bytes\n"},
		{"GET", "/nothing", "", 404, "404 Not Found\n"},
	} {
		answer, got := h2do(t, c, tc.method, base+tc.path, strings.NewReader(tc.sent))
		if answer.StatusCode != tc.code || got != tc.want || answer.Header.Get("X-Backend") != "b" {
			t.Errorf("%s %s: %d, %d bytes %.60q, fields %v", tc.method, tc.path, answer.StatusCode, len(got), got, answer.Header)
		}
	}
	testkit.Until(t, "no stream is left", func() (done bool) {
		onLoop(t, s, func() {
			for m := range s.h2conns {
				done = m.Active() == 0 && len(s.h2conns) == 1
			}
		})
		return done
	})
}

// A gRPC call gets its messages back, with the status in the trailers; an echo repeats
// trailers.
func TestH2Trailers(t *testing.T) {
	s := start(t, Options{})
	c, base := h2client(t), "http://"+s.Addr()
	message := "\x00\x00\x00\x00\x03abc"
	answer, got := h2do(t, c, "POST", base+"/pkg.Service/Method", strings.NewReader(message), "Content-Type", "application/grpc+proto")
	if got != message || answer.Trailer.Get("Grpc-Status") != "0" || answer.ContentLength != -1 {
		t.Errorf("%q, trailers %v, length %d", got, answer.Trailer, answer.ContentLength)
	}
	r, _ := http.NewRequest("POST", base+"/echo", io.NopCloser(strings.NewReader("abc")))
	r.Trailer = http.Header{"X-Sum": {"7"}}
	echoed, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer echoed.Body.Close()
	if b, err := io.ReadAll(echoed.Body); err != nil || string(b) != "abc" || echoed.Trailer.Get("X-Sum") != "7" {
		t.Errorf("%q, %v, trailers %v", b, err, echoed.Trailer)
	}
}

// Many streams of one conn are answered at once, long bodies too.
func TestH2Streams(t *testing.T) {
	s := start(t, Options{})
	c, base := h2client(t), "http://"+s.Addr()
	h2do(t, c, "GET", base+"/healthz", nil) // so that all share its conn
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			n := 200_000 + i
			sent := bytes.Repeat([]byte{byte(i)}, n)
			_, echo := h2do(t, c, "POST", base+"/echo", bytes.NewReader(sent))
			if echo != string(sent) {
				t.Errorf("echo of %d bytes has %d", n, len(echo))
			}
			_, got := h2do(t, c, "GET", fmt.Sprintf("%s/bytes/%d", base, n), nil)
			if sha256.Sum256([]byte(got)) != sha256.Sum256([]byte(patternText(n))) {
				t.Errorf("%d bytes of the pattern are wrong", n)
			}
		})
	}
	all.Wait()
}

// A client that leaves its streams, whatever they do, leaves nothing behind.
func TestH2ClientLeaves(t *testing.T) {
	s := start(t, Options{})
	c, base := h2client(t), "http://"+s.Addr()
	for _, path := range []string{"/delay/1h", "/bytes/100000000", "/echo"} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", base+path, io.NopCloser(strings.NewReader("abc")))
		go func() {
			if answer, err := c.Do(r); err == nil {
				time.AfterFunc(time.Millisecond, func() { answer.Body.Close() })
			}
		}()
	}
	testkit.Until(t, "a conn with streams", func() (any bool) {
		onLoop(t, s, func() {
			for m := range s.h2conns {
				any = any || m.Active() > 0
			}
		})
		return any
	})
}

// The preface may come in pieces, and a conn that ends within it leaves nothing behind.
func TestH2Preface(t *testing.T) {
	s := start(t, Options{})
	for _, part := range []string{"P", "PRI", "PRI * HTTP/2.0\r\n"} {
		c := dial(t, s)
		for i := range len(part) {
			if _, err := c.Write([]byte(part[i : i+1])); err != nil {
				t.Fatal(err)
			}
		}
		c.(interface{ CloseWrite() error }).CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("%q: %q, %v", part, got, err)
		}
	}
	if got := talk(t, s, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"); !strings.HasSuffix(got, "ab") {
		t.Errorf("POST is taken for a preface: %q", got)
	}
}
