package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/backends"
	"lb/internal/testkit"
)

// The clients and backends of the tests.

// serve is a backend of net/http; it returns its address.
func serve(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// demo is a backend of lb/backends, which names itself in X-Backend.
func demo(t *testing.T, addr, name string) *backends.Server {
	t.Helper()
	s, err := backends.Start(backends.Options{Addr: addr, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// script is a backend that runs f for each conn, then closes it. At the end of
// the test all conns are closed.
func script(t *testing.T, f func(c net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

// readHead reads from c up to the end of a head and no further. It returns "" if the
// head does not come whole.
func readHead(c net.Conn) string {
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one...) {
		if _, err := c.Read(one); err != nil {
			return ""
		}
	}
	return string(head)
}

// newClient is a client of net/http with conns of its own.
func newClient(t *testing.T) *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000, TLSClientConfig: trusting(t)}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 3 * testkit.Patience}
}

// get returns the whole answer to a GET.
func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, body, err := tryGet(c, url)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// tryGet is get for any goroutine.
func tryGet(c *http.Client, url string) (*http.Response, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// want200 checks that the answer is 200 and from the backend with this name; "" is any.
func want200(t *testing.T, resp *http.Response, name string) {
	t.Helper()
	if got := resp.Header.Get("X-Backend"); resp.StatusCode != 200 || name != "" && got != name {
		t.Fatalf("%s from %q, want 200 from %q", resp.Status, got, name)
	}
}

// rawConn is a client that writes what the test says. Its methods are for the
// goroutine of the test, except try.
type rawConn struct {
	net.Conn
	in *bufio.Reader

	wrote time.Time // when traffic's last request was out
	late  bool      // that was lastCall after the one before
}

// dial opens a conn with a deadline that ends with the test.
func dial(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * testkit.Patience))
	return newRawConn(c)
}

func newRawConn(c net.Conn) *rawConn { return &rawConn{Conn: c, in: bufio.NewReader(c)} }

func (c *rawConn) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads the answer to a GET.
func (c *rawConn) answer(t *testing.T) (resp *http.Response, body string) {
	t.Helper()
	resp, body, err := c.try()
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// try is answer for any goroutine.
func (c *rawConn) try() (resp *http.Response, body string, err error) {
	resp, err = http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// wantEnd checks that the stream ends, and that nothing comes before.
func (c *rawConn) wantEnd(t *testing.T) {
	t.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("got %q, %v; want the end of the conn", b, err)
	}
}

// refused reports whether no process listens at addr.
func refused(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, testkit.Patience)
	if err != nil {
		return true
	}
	c.Close()
	return false
}

// block is what long bodies repeat. Its length is a prime number, so that a lost,
// doubled or misplaced slab shows.
var block = sync.OnceValue(func() []byte {
	b := make([]byte, 1048583)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// pattern reads size bytes of block after block.
type pattern struct{ off, size int64 }

// next returns the following bytes, at most limit, or none at the end.
func (p *pattern) next(limit int) []byte {
	b := block()[p.off%int64(len(block())):]
	b = b[:min(int64(len(b)), int64(limit), p.size-p.off)]
	p.off += int64(len(b))
	return b
}

// Read implements io.Reader.
func (p *pattern) Read(b []byte) (int, error) {
	if p.off == p.size {
		return 0, io.EOF
	}
	return copy(b, p.next(len(b))), nil
}

// WriteTo implements io.WriterTo.
func (p *pattern) WriteTo(w io.Writer) (n int64, err error) {
	for err == nil && p.off < p.size {
		var k int
		k, err = w.Write(p.next(256 << 10))
		n += int64(k)
	}
	return n, err
}

// writeUntilBlocked writes p's bytes to c until c takes none for as long as stuck, or
// all are written. It returns how many c took; p goes on after them.
func (p *pattern) writeUntilBlocked(c net.Conn, stuck time.Duration) (taken int64, err error) {
	for p.off < p.size {
		at := p.off
		c.SetWriteDeadline(time.Now().Add(stuck))
		n, err := c.Write(p.next(64 << 10))
		p.off = at + int64(n)
		taken += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
			break
		} else if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return taken, err
		}
	}
	c.SetWriteDeadline(time.Now().Add(2 * testkit.Patience))
	return taken, nil
}

// digest reads r to its end and returns its SHA-256 and length, as text.
func digest(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, onlyReader{r}, make([]byte, 256<<10))
	return fmt.Sprintf("%s of %d bytes", hex.EncodeToString(h.Sum(nil)), n), err
}

// onlyReader hides WriteTo, with which the reader would choose the size of the pieces.
type onlyReader struct{ io.Reader }

// lines returns a head of these lines.
func lines(text ...string) string { return strings.Join(text, "\r\n") + "\r\n\r\n" }
