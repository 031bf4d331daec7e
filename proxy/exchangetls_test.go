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
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/loop"
)

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
			time.Sleep(time.Duration(p.r.IntN(3000)) * time.Microsecond)
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
		time.Sleep(time.Duration(s.r.IntN(3000)) * time.Microsecond)
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

func TestStressTLS(t *testing.T) {
	farCA := testkit.NewCA(t, "far")
	far := newTLSFar(t, farTLS(t, farCA.Issue(t, testkit.Leaf{Names: []string{farName}})), mirror)
	narrow(t, far.Listener.(*net.TCPListener))
	cfg := tlsConfig()
	var secrets *tlsconf.Secrets
	r := newTLSRig(t, cfg, func(s *tlsconf.Secrets) { secrets = s })
	after := farConfig(far)
	after.Listeners = cfg.Listeners
	after.Pools[0].Eject.Enabled = false
	secrets.Pools = []*tlsconf.PoolSecrets{{CA: farCA.Cert}}
	set, err := tlsconf.Build(after, secrets)
	if err != nil {
		t.Fatal(err)
	}
	snap := r.snapshot
	snap.Config, snap.TLS, snap.Number = after, set, 2
	snap.Addrs = [][][]loop.Addr{{{loop.Addr{IP: netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", far.port()))}}}}
	r.do(func() { r.p.Reload(snap) })
	rounds, _ := strconv.Atoi(os.Getenv("STRESS"))
	if rounds == 0 {
		rounds = 3
	}
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range rounds {
				rr := rand.New(rand.NewPCG(uint64(i), uint64(n)+rand.Uint64()))
				if err := stressOne(r, rr, data); err != nil {
					t.Errorf("client %d, round %d: %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	c := r.p.counters
	t.Log("conns of backends", far.conns.Load(), "resumed", far.resumed.Load(), "requests", c.Requests.Load())
}

func stressOne(r *tlsRig, rr *rand.Rand, data []byte) (err error) {
	raw, err := net.Dial("tcp", r.addrs[":8443"])
	if err != nil {
		return err
	}
	defer raw.Close()
	if rr.IntN(3) > 0 {
		raw.(*net.TCPConn).SetReadBuffer(4 << 10)
		raw.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	ccfg := r.client()
	ccfg.MaxVersion = tls.VersionTLS12 + uint16(rr.IntN(2))
	ccfg.DynamicRecordSizingDisabled = rr.IntN(2) == 0
	c := tls.Client(raw, ccfg)
	c.SetDeadline(time.Now().Add(testkit.Patience))
	kinds := make([]int, 1+rr.IntN(6))
	bodies := make([][]byte, len(kinds))
	for i := range kinds {
		kinds[i] = rr.IntN(2)
		n := rr.IntN(1 << (1 + rr.IntN(19)))
		at := rr.IntN(len(data) - n)
		bodies[i] = data[at : at+n]
	}
	if rr.IntN(2) == 0 {
		kinds[len(kinds)-1] = 2 + rr.IntN(2)
	}
	w := rand.New(rand.NewPCG(rr.Uint64(), 2))
	sent := make(chan error, 1)
	opened := make(chan struct{})
	go func() {
		out := bufio.NewWriterSize(pieces{c, w}, 1+w.IntN(30<<10))
		for i, k := range kinds {
			b := bodies[i]
			switch k {
			case 0:
				fmt.Fprintf(out, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", i, len(b))
				out.Write(b)
			case 1, 2:
				end := ""
				if k == 2 {
					end = "X-End: 1\r\n"
				}
				fmt.Fprintf(out, "POST /%d HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: chunked\r\n\r\n", i, end)
				chunked(out, bytes.NewReader(b), w)
			case 3:
				fmt.Fprintf(out, "GET /%d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", i)
				out.Flush()
				<-opened
				out.Write(b)
			}
		}
		err := out.Flush()
		if err == nil && kinds[len(kinds)-1] == 3 {
			err = c.CloseWrite()
		}
		sent <- err
	}()
	from := bufio.NewReader(slowly{c, rr})
	for i, k := range kinds {
		a, err := http.ReadResponse(from, nil)
		if err != nil {
			return fmt.Errorf("answer %d of %v: %w", i, kinds, err)
		}
		var got []byte
		if k == 3 {
			close(opened)
			got, err = io.ReadAll(from)
		} else {
			got, err = io.ReadAll(a.Body)
		}
		if err != nil || !bytes.Equal(got, bodies[i]) {
			return fmt.Errorf("answer %d of %v, %d: %d of %d bytes: %w", i, kinds, a.StatusCode, len(got), len(bodies[i]), err)
		}
	}
	return <-sent
}
