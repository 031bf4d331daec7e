package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// A side that stops reading makes lb stop reading from the other. The bytes in between
// are in socket buffers and in a slab. The tests set the buffers of the peers small;
// the system may let lb's own grow to some 30 MiB.
const (
	flowBytes     = 96 << 20
	flowBufBytes  = 64 << 10
	flowConns     = 3                      // at once
	blocked       = 500 * time.Millisecond // how long a side takes no byte
	underWayMax   = 48 << 20               // bytes, of flowBytes
	flowMemoryMax = 4 << 20                // how much lb may grow meanwhile
)

// stalled is what a sender has measured after the other side had stopped reading.
type stalled struct {
	taken int64
	err   error
}

// If a client stops reading, lb stops reading from the backend. When the client goes
// on, it gets all of the answer.
func TestClientStopsReading(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	eachListenerAlone(t, func(t *testing.T, mode string) {
		want, _ := digest(&pattern{size: flowBytes})
		found := make(chan stalled, flowConns)
		p := start(t, mode, setup{backends: to(script(t, func(c net.Conn) {
			c.(*net.TCPConn).SetWriteBuffer(flowBufBytes)
			if readHead(c) == "" {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", flowBytes)
			body := &pattern{size: flowBytes}
			taken, err := body.writeUntilBlocked(c, blocked)
			found <- stalled{taken, err}
			if err == nil {
				body.WriteTo(c)
			}
			io.Copy(io.Discard, c)
		}))})
		dial(t, p.addr).Close() // what the first handshake makes is made once
		memory := p.watchMemory(t)
		var answers []*http.Response
		for range flowConns {
			c := dial(t, p.addr)
			tcp(c.Conn).SetReadBuffer(flowBufBytes)
			c.send(t, lines("GET / HTTP/1.1", "Host: x"))
			resp, err := http.ReadResponse(c.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, resp)
		}
		for range answers {
			wantStalled(t, testkit.Wait(t, found, "the backend to be blocked"))
		}
		for _, resp := range answers {
			if got, err := digest(resp.Body); got != want || err != nil {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
		}
		memory(flowMemoryMax)
	})
}

// If a backend stops reading, lb stops reading from the client. When the backend goes
// on, it gets all of the request.
func TestBackendStopsReading(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	eachListenerAlone(t, func(t *testing.T, mode string) {
		want, _ := digest(&pattern{size: flowBytes})
		goOn := make(chan struct{})
		p := start(t, mode, setup{backends: to(script(t, func(c net.Conn) {
			c.(*net.TCPConn).SetReadBuffer(flowBufBytes)
			if readHead(c) == "" {
				return
			}
			<-goOn
			got, err := digest(io.LimitReader(c, flowBytes))
			text := fmt.Sprint(got, ", ", err)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			io.Copy(io.Discard, c)
		}))})
		dial(t, p.addr).Close() // what the first handshake makes is made once
		memory := p.watchMemory(t)
		type upload struct {
			c     *rawConn
			taken atomic.Int64 // bytes, of pieces that were taken whole
		}
		var uploads []*upload
		for range flowConns {
			u := &upload{c: dial(t, p.addr)}
			uploads = append(uploads, u)
			tcp(u.c.Conn).SetWriteBuffer(flowBufBytes)
			u.c.send(t, fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", flowBytes))
			go func() { // without a deadline: a write of TLS that was broken off cannot go on
				for body := (&pattern{size: flowBytes}); body.off < body.size; {
					n, err := u.c.Write(body.next(64 << 10))
					if u.taken.Add(int64(n)); err != nil {
						return
					}
				}
			}()
		}
		for _, u := range uploads {
			last, since := int64(0), time.Now()
			testkit.Until(t, "the client to be blocked", func() bool {
				if now := u.taken.Load(); now != last {
					last, since = now, time.Now()
				}
				return time.Since(since) > blocked
			})
			wantStalled(t, stalled{last, nil})
		}
		close(goOn)
		for _, u := range uploads {
			if _, got := u.c.answer(t); got != want+", <nil>" {
				t.Errorf("the backend got %s, want %s", got, want)
			}
		}
		memory(flowMemoryMax)
	})
}

func wantStalled(t *testing.T, s stalled) {
	t.Helper()
	if s.err != nil || s.taken > underWayMax {
		t.Errorf("%d bytes of %d were taken from a sender that nobody reads, %v; want %d at most", s.taken, flowBytes, s.err, underWayMax)
	}
	t.Logf("%d KiB under way", s.taken>>10)
}

// A client that stops reading holds up no other client of the same loop.
func TestStalledClientHoldsNobodyUp(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(demo(t, "127.0.0.1:0", "b").Addr())})
		for range 16 {
			dial(t, p.addr).send(t, lines(fmt.Sprintf("GET /bytes/%d HTTP/1.1", 1<<30), "Host: x"))
		}
		for range 8 { // conns, so that some are on either loop
			client := newClient(t)
			for range 50 {
				if _, body := get(t, client, p.url("/bytes/1000")); len(body) != 1000 {
					t.Fatalf("%d bytes, want 1000", len(body))
				}
			}
		}
		p.Signal(t, syscall.SIGQUIT) // what is stalled will not end
		p.wantExit(t, 3)
	})
}
