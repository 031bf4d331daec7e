package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

// pause lets others run for a while.
func pause(r *rand.Rand) {
	for range r.IntN(300) {
		runtime.Gosched()
	}
}

// pieces writes in pieces of random sizes, and now and then waits.
type pieces struct {
	io.Writer
	r *rand.Rand
}

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) {
		k := min(len(b)-n, 1+p.r.IntN(1<<p.r.IntN(17)))
		if _, err := p.Writer.Write(b[n : n+k]); err != nil {
			return n, err
		}
		n += k
		if p.r.IntN(200) == 0 {
			pause(p.r)
		}
	}
	return n, nil
}

// slowly reads at most so many bytes, and now and then waits.
type slowly struct {
	io.Reader
	r *rand.Rand
}

func (s slowly) Read(b []byte) (int, error) {
	if s.r.IntN(200) == 0 {
		pause(s.r)
	}
	return s.Reader.Read(b[:min(len(b), 1+s.r.IntN(1<<s.r.IntN(17)))])
}

// mirror answers each request with its body.
func mirror(c *tls.Conn, from *bufio.Reader) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for {
		req, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		if req.Header.Get("Upgrade") != "" {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			io.Copy(pieces{c, r}, slowly{from, r})
			c.CloseWrite()
			c.SetWriteDeadline(time.Time{})
			return
		}
		end := req.Header.Get("X-End") != ""
		switch {
		case end:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			io.Copy(pieces{c, r}, slowly{req.Body, r})
			c.CloseWrite()
			c.SetWriteDeadline(time.Time{})
			io.Copy(io.Discard, from)
			return
		case req.ContentLength >= 0:
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", req.ContentLength)
			io.Copy(pieces{c, r}, slowly{req.Body, r})
		default:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			chunked(pieces{c, r}, slowly{req.Body, r}, r)
		}
	}
}

// chunked writes what comes from from in chunks of random sizes.
func chunked(w io.Writer, from io.Reader, r *rand.Rand) error {
	b := make([]byte, 40<<10)
	for {
		n, err := from.Read(b[:1+r.IntN(len(b))])
		if n > 0 {
			if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", n, b[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			_, err = io.WriteString(w, "0\r\n\r\n")
			return err
		} else if err != nil {
			return err
		}
	}
}

// narrow sets small buffers for a socket, which those that it accepts inherit.
func narrow(t *testing.T, f interface{ File() (*os.File, error) }) {
	file, err := f.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd := int(file.Fd())
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
	unix.SetNonblock(fd, true)
}

// TestBothSidesTLS: whatever comes, in whatever pieces, goes through lb and back over TLS on
// both sides, while other clients leave at any byte. STRESS is how many rounds there are.
func TestBothSidesTLS(t *testing.T) {
	testkit.Long(t)
	r := newBothSides(t)
	rounds, err := strconv.Atoi(os.Getenv("STRESS"))
	if err != nil {
		rounds = 4
	}
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range rounds {
				rr := rand.New(rand.NewPCG(uint64(i), rand.Uint64()))
				if n%4 == 3 {
					leave(r, rr, data)
				} else if err := talk(r, rr, data); err != nil {
					t.Errorf("client %d, round %d: %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	testkit.Until(t, "handshakes to be let go of", func() bool { return !strings.Contains(stacks(), "tlsconn.(*handshake).read") })
}

// newBothSides returns a rig whose backend, a mirror, speaks TLS over small buffers.
func newBothSides(t *testing.T) *tlsRig {
	farCA := testkit.NewCA(t, "far")
	far := newTLSFar(t, farTLS(t, farCA.Issue(t, testkit.Leaf{Names: []string{farName}})), mirror)
	narrow(t, far.Listener.(*net.TCPListener))
	cfg := tlsConfig()
	var secrets *tlsconf.Secrets
	r := newTLSRig(t, cfg, func(s *tlsconf.Secrets) { secrets = s })
	after := farConfig(far)
	after.Listeners, after.Pools[0].Eject.Enabled = cfg.Listeners, false
	secrets.Pools = []*tlsconf.PoolSecrets{{CA: farCA.Cert}}
	set, err := tlsconf.Build(after, secrets)
	if err != nil {
		t.Fatal(err)
	}
	found(&after.Pools[0].Backends[0])
	r.snapshot.Config, r.snapshot.TLS, r.snapshot.Number = after, set, 2
	r.do(func() { r.p.Reload(r.snapshot) })
	return r
}

// What a client of talk asks for.
const (
	sized = iota
	inChunks
	untilEnd // the answer ends with its conn
	tunnelled
)

// question is one request of talk.
type question struct {
	kind int
	body []byte
}

// questions returns some requests, which may stand on one conn in this order.
func questions(r *rand.Rand, data []byte) []question {
	all := make([]question, 1+r.IntN(6))
	for i := range all {
		n := r.IntN(1 << (1 + r.IntN(19)))
		at := r.IntN(len(data) - n)
		all[i] = question{r.IntN(2), data[at : at+n]}
	}
	if r.IntN(2) == 0 {
		all[len(all)-1].kind = untilEnd + r.IntN(2)
	}
	return all
}

// put writes q. A tunnel's bytes follow once it is open.
func (q question) put(out *bufio.Writer, r *rand.Rand, open <-chan struct{}) {
	switch q.kind {
	case sized:
		fmt.Fprintf(out, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(q.body))
		out.Write(q.body)
	case tunnelled:
		fmt.Fprintf(out, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		out.Flush()
		<-open
		out.Write(q.body)
	default:
		end := "" // of the answer
		if q.kind == untilEnd {
			end = "X-End: 1\r\n"
		}
		fmt.Fprintf(out, "POST / HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: chunked\r\n\r\n", end)
		chunked(out, bytes.NewReader(q.body), r)
	}
}

// talk is a client that sends requests without waiting, and compares the answers.
func talk(r *tlsRig, rr *rand.Rand, data []byte) error {
	raw, err := net.Dial("tcp", r.addrs[":8443"])
	if err != nil {
		return err
	}
	defer raw.Close()
	if rr.IntN(3) > 0 {
		raw.(*net.TCPConn).SetReadBuffer(4 << 10)
		raw.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	cfg := r.client()
	cfg.MaxVersion = tls.VersionTLS12 + uint16(rr.IntN(2))
	cfg.DynamicRecordSizingDisabled = rr.IntN(2) == 0
	c := tls.Client(raw, cfg)
	c.SetDeadline(time.Now().Add(testkit.Patience))
	all, w := questions(rr, data), rand.New(rand.NewPCG(rr.Uint64(), 2))
	sent, open := make(chan error, 1), make(chan struct{})
	go func() {
		out := bufio.NewWriterSize(pieces{c, w}, 1+w.IntN(30<<10))
		for _, q := range all {
			q.put(out, w, open)
		}
		err := out.Flush()
		if err == nil && all[len(all)-1].kind == tunnelled {
			err = c.CloseWrite()
		}
		sent <- err
	}()
	from := bufio.NewReader(slowly{c, rr})
	for i, q := range all {
		a, err := http.ReadResponse(from, nil)
		if err != nil {
			return fmt.Errorf("answer %d of %d: %w", i, len(all), err)
		}
		var body io.Reader = a.Body
		if q.kind == tunnelled {
			close(open)
			body = from
		}
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, q.body) {
			return fmt.Errorf("answer %d of %d, kind %d, status %d: %d of %d bytes, %w", i, len(all), q.kind, a.StatusCode, len(got), len(q.body), err)
		}
	}
	return <-sent
}

// cutConn ends itself after so many bytes, by a reset or an end.
type cutConn struct {
	*net.TCPConn
	left  int
	reset bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left > 0 {
		return c.TCPConn.Write(b)
	}
	n, _ := c.TCPConn.Write(b[:len(b)+c.left])
	if c.reset {
		c.SetLinger(0)
	}
	c.Close()
	return n, net.ErrClosed
}

// leave is a client that leaves somewhere, in the handshake or after it.
func leave(r *tlsRig, rr *rand.Rand, data []byte) {
	raw, err := net.Dial("tcp", r.addrs[":8443"])
	if err != nil {
		return
	}
	cut := &cutConn{raw.(*net.TCPConn), 1 + rr.IntN(1<<(1+rr.IntN(17))), rr.IntN(2) == 0}
	defer raw.Close()
	c := tls.Client(cut, r.client())
	c.SetDeadline(time.Now().Add(testkit.Patience))
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(data))
	c.Write(data)
}

// stacks returns those of all goroutines.
func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}
