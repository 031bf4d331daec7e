package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

const (
	lateTries = 200
	lateGap   = 200 * time.Microsecond // between an answer and the one too many
	lateMost  = time.Millisecond       // a later one is not sent: no proxy could tell whose it is
)

// tardy is a backend that sends a second answer a moment after each.
type tardy struct {
	addr  string
	conns atomic.Int64 // on which a request has come, and which are open
	sent  atomic.Int64 // answers too many
	stood atomic.Int64 // of these, how many may have been sent later than lateMost
}

func newTardy(t *testing.T) *tardy {
	b := &tardy{}
	b.addr = script(t, func(c net.Conn) {
		head := readHead(c)
		if head == "" {
			return
		}
		b.conns.Add(1)
		defer b.conns.Add(-1)
		for ; head != ""; head = readHead(c) {
			target := strings.Fields(head)[1]
			at := time.Now() // before lb has the answer, however long we stand still after the write
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(target), target)
			for wrote := time.Now(); time.Since(wrote) < lateGap; { // a sleep would be longer
				runtime.Gosched()
			}
			if time.Since(at) > lateMost {
				return
			}
			b.sent.Add(1)
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
			if time.Since(at) > lateMost { // it stood still before it wrote
				b.stood.Add(1)
			}
			if err != nil {
				return
			}
		}
	})
	return b
}

// strays asks for two answers each time, by two clients, and counts the answers that are
// not to the request, unless the backend stood still before one too many. It waits for the backend's conns to end before it goes on.
func (b *tardy) strays(t *testing.T, addr string) (n int) {
	for i := range lateTries {
		stood := b.stood.Load()
		wrong := 0
		for _, who := range []string{"first", "second"} {
			c := dial(t, addr)
			target := fmt.Sprintf("/%d/%s", i, who)
			c.send(t, lines("GET "+target+" HTTP/1.1", "Host: x"))
			if _, body := c.answer(t); body != target {
				wrong++
			}
			c.Close()
		}
		testkit.Until(t, "the backend's conns to end", func() bool { return b.conns.Load() == 0 })
		if b.stood.Load() == stood {
			n += wrong
		}
	}
	return n
}

// An answer too many, which a backend sends a moment after a whole one, meets the request
// of no other client, unless any request may ride on any conn.
func TestLateAnswers(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	eachMode(t, func(t *testing.T, mode string) {
		for _, reuse := range []string{"safe", "never", "always"} {
			b := newTardy(t)
			p := start(t, mode, setup{workers: 1, keys: fmt.Sprintf("reuse = %q\n", reuse), backends: to(b.addr)})
			n := b.strays(t, p.addr)
			t.Logf("%s: %d wrong answers in %d tries, %d sent", reuse, n, lateTries, b.sent.Load())
			if reuse != "always" && n > 0 {
				t.Errorf("%s: %d of %d tries ended with another client's answer", reuse, n, lateTries)
			}
		}
	})
}

// A client that sends all of a large body before it reads still gets the refusal, and no
// reset before it.
func TestRefusalReachesSender(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		const size = 100 << 20
		p := start(t, mode, setup{tables: "[limits]\nbody_bytes = 1000\n", backends: to(serve(t, echo))})
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked"} {
			c := dial(t, p.addr)
			c.send(t, lines("POST / HTTP/1.1", "Host: x", framing))
			part := bytes.Repeat([]byte{'x'}, 1<<20)
			if strings.HasPrefix(framing, "T") {
				part = fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part)
			}
			for range size >> 20 {
				if _, err := c.Write(part); err != nil {
					t.Fatalf("%s: %v", framing, err)
				}
			}
			closeWrite(c.Conn)
			if resp, _ := c.answer(t); resp.StatusCode != 413 {
				t.Errorf("%s: %s", framing, resp.Status)
			}
			c.wantEnd(t)
		}
	})
}

// An upgrade may have a body, as that of docker exec: the tunnel begins after it, and a
// request that is refused is one as any other.
func TestUpgradeWithBody(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(script(t, func(c net.Conn) {
			body := make([]byte, 4)
			head := readHead(c)
			if !strings.Contains(head, "Upgrade: shout\r\n") {
				return
			}
			if _, err := io.ReadFull(c, body); err != nil || string(body) != "body" {
				io.WriteString(c, lines("HTTP/1.1 400 Bad Request", "Content-Length: 0"))
				return
			}
			io.WriteString(c, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: shout"))
			heard, _ := io.ReadAll(c)
			c.Write(bytes.ToUpper(heard))
		}))})
		head := lines("POST /exec HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: shout", "Content-Length: 4")
		c := dial(t, p.addr)
		c.send(t, head+"body"+"first ")
		if resp, _ := c.answer(t); resp.StatusCode != 101 {
			t.Fatalf("got %s", resp.Status)
		}
		c.send(t, "second")
		closeWrite(c.Conn)
		if got, err := io.ReadAll(c.in); err != nil || string(got) != "FIRST SECOND" {
			t.Errorf("through the tunnel: %q, %v", got, err)
		}
		c = dial(t, p.addr)
		c.send(t, head+"BODY"+lines("GET / HTTP/1.1", "Host: x"))
		if resp, _ := c.answer(t); resp.StatusCode != 400 {
			t.Fatalf("got %s", resp.Status)
		}
	})
}

// The requests of clients that close while they wait for room are not sent; one that has
// only ended its side is answered if it need not wait.
func TestQueueAbandoned(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		var asked atomic.Int64
		release, began := make(chan struct{}), make(chan struct{}, 1)
		addr := script(t, func(c net.Conn) {
			for head := readHead(c); head != ""; head = readHead(c) {
				if asked.Add(1); strings.HasPrefix(head, "GET /slow") {
					began <- struct{}{}
					<-release
				}
				io.WriteString(c, emptyAnswer)
			}
		})
		p := start(t, mode, setup{admin: true, backends: []backend{{addr: addr, keys: "max_connections = 1\n"}},
			tables: "[timeouts]\nqueue = \"1h\"\nresponse = \"1h\"\n"})
		slow := dial(t, p.addr)
		slow.send(t, lines("GET /slow HTTP/1.1", "Host: x"))
		testkit.Wait(t, began, "the request to arrive")
		closeWrite(slow.Conn)
		for range 20 {
			c := dial(t, p.addr)
			c.send(t, lines("GET /abandoned HTTP/1.1", "Host: x"))
			c.Close()
		}
		testkit.Until(t, "those that left to be gone", func() bool {
			m := p.metrics(t)
			return m["lb_client_connections_accepted_total"] == 21 && m["lb_client_connections"] == 1 && m["lb_exchanges"] == 1
		})
		close(release)
		if resp, _ := slow.answer(t); resp.StatusCode != 200 {
			t.Errorf("the one that waits: %s", resp.Status)
		}
		last := dial(t, p.addr)
		last.send(t, lines("GET /last HTTP/1.1", "Host: x"))
		if resp, _ := last.answer(t); resp.StatusCode != 200 || asked.Load() != 2 {
			t.Errorf("%s, %d requests at the backend, want 2", resp.Status, asked.Load())
		}
	})
}

// A tunnel whose backend has ended its side holds no place, and one of which a side has
// ended is given up.
func TestTunnelHalfClosed(t *testing.T) {
	testkit.Long(t)
	eachListener(t, func(t *testing.T, mode string) {
		ended := make(chan error, 1)
		addr := script(t, func(c net.Conn) {
			if head := readHead(c); !strings.Contains(head, "Upgrade: shout\r\n") {
				io.WriteString(c, emptyAnswer)
				return
			}
			io.WriteString(c, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: shout"))
			c.(*net.TCPConn).CloseWrite()
			_, err := io.ReadAll(c)
			ended <- err
		})
		p := start(t, mode, setup{backends: []backend{{addr: addr, keys: "max_connections = 1\n"}},
			tables: "[timeouts]\nqueue = \"1h\"\ntunnel_half_closed = \"3s\"\n"})
		c := dial(t, p.addr)
		c.send(t, upgradeRequest)
		if resp, _ := c.answer(t); resp.StatusCode != 101 {
			t.Fatalf("got %s", resp.Status)
		}
		c.wantEnd(t)
		other := dial(t, p.addr)
		other.send(t, lines("GET / HTTP/1.1", "Host: x"))
		if resp, _ := other.answer(t); resp.StatusCode != 200 {
			t.Errorf("beside the tunnel: %s", resp.Status)
		}
		testkit.Wait(t, ended, "the tunnel to end")
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.ErrNoProgress) {
			t.Errorf("after it: %v", err)
		}
	})
}
