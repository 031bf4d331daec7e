package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/loop/looptest"
	"lb/proxy/h2back"
	"lb/proxy/record"
)

// TestBackendH2StuckDial: a conn that does not come about is joined for a moment only; later
// requests dial another one.
func TestBackendH2StuckDial(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	f := newFar(t, func(c net.Conn) { // takes conns, and never shakes hands
		for b := make([]byte, 512); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	})
	cfg := h2Config(config.ProtocolH2, f)
	cfg.Timeouts.Connect, cfg.Retry.Attempts = h2back.Joinable+500*time.Millisecond, 0
	r := newBackRig(t, cfg, &tlsconf.PoolSecrets{CA: ca.Cert})
	ended := make(chan int, 3)
	ask := func() {
		c := r.client()
		go func() {
			status, _, _ := c.ask("GET / HTTP/1.1\nHost: a\n\n")
			ended <- status
		}()
	}
	ask()
	testkit.Until(t, "a conn", func() bool { return f.opened.Load() == 1 })
	begun := time.Now() // not before the dial
	ask()
	testkit.Until(t, "the time of joining to be over", func() bool { return time.Since(begun) > h2back.Joinable })
	ask()
	testkit.Until(t, "another conn", func() bool { return f.opened.Load() >= 2 })
	for range 3 {
		if status := testkit.Wait(t, ended, "an answer"); status != 504 {
			t.Errorf("status %d", status)
		}
	}
	testkit.Until(t, "the end of the conns", func() bool { _, all, _ := r.conns(); return all == 0 })
}

// TestBackendH2Old: an old conn gets no new streams, and ends with its last one.
func TestBackendH2Old(t *testing.T) {
	over := make(chan http2.ErrCode, 2)
	far := newFramedFar(t, nil, func(_ int, f *framed) {
		for {
			id, _, ok := f.request()
			if !ok {
				over <- http2.ErrCodeNo
				return
			}
			f.hello(id)
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	r.do(func() { r.p.backs.H2.MaxAge = 2 })
	c := r.client()
	c.wants(200, "hello")
	r.do(func() { r.p.backs.H2.MaxAge = h2back.MaxAge })
	c.wants(200, "hello")
	c.wants(200, "hello")
	testkit.Wait(t, over, "the end of the old conn")
	if far.opened.Load() != 2 {
		t.Errorf("%d conns", far.opened.Load())
	}
}

// TestBackendH2Panic: a panic while an exchange is run costs the conn on which its event came;
// the others on it get an answer, and later ones another conn.
func TestBackendH2Panic(t *testing.T) {
	came := make(chan uint32, 1)
	far := newFramedFar(t, nil, func(i int, f *framed) {
		var held uint32
		for {
			id, fields, ok := f.request()
			switch {
			case !ok:
				return
			case fields[":path"] == "/hold":
				held = id
				came <- id
			case i == 0 && held == 0:
				t.Error("nothing is held")
			default:
				f.hello(id)
			}
		}
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, far), nil)
	ended := make(chan string, 1)
	c := r.client()
	go func() {
		status, _, err := c.ask("GET /hold HTTP/1.1\nHost: a\n\n")
		ended <- fmt.Sprint(status, err)
	}()
	testkit.Wait(t, came, "the request that is held")
	r.do(func() {
		r.p.record = func(*record.Record) {
			r.p.record = nil
			panic("a mistake")
		}
	})
	io.WriteString(r.client(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := testkit.Wait(t, ended, "an answer to the other"); got != "500 <nil>" {
		t.Errorf("the other got %s", got)
	}
	r.client().wants(200, "hello")
	if n := r.p.counters.Panics.Load(); n != 1 {
		t.Errorf("%d panics", n)
	}
}

// TestBackendH2Evacuate: streams that wait at a backend which is found down are asked for
// elsewhere, and the backend hears that they are cancelled.
func TestBackendH2Evacuate(t *testing.T) {
	came, code := make(chan uint32, 1), make(chan http2.ErrCode, 1)
	silent := newFramedFar(t, nil, func(_ int, f *framed) {
		for id, _, ok := f.request(); ok; id, _, ok = f.request() {
			came <- id
			if c, ok := f.reset(id); ok {
				code <- c
			}
		}
	})
	well, _ := newH2Far(t, nil, nil, sayHello)
	r := newBackRig(t, h2Config(config.ProtocolH2C, silent, well), nil)
	r.do(func() { r.board.SetHealth(1, board.Down, board.ReasonConnect, 0, int64(r.l.Now())) })
	ended := make(chan string, 1)
	c := r.client()
	go func() {
		status, body, err := c.ask("GET / HTTP/1.1\nHost: a\n\n")
		ended <- fmt.Sprintf("%d %s %v", status, body, err)
	}()
	testkit.Wait(t, came, "the request")
	r.do(func() {
		r.board.SetHealth(1, board.Up, board.ReasonOK, 0, int64(r.l.Now()))
		r.board.SetHealth(0, board.Down, board.ReasonConnect, 0, int64(r.l.Now()))
	})
	if got := testkit.Wait(t, ended, "an answer"); got != "200 hello <nil>" {
		t.Error(got)
	}
	if got := testkit.Wait(t, code, "RST_STREAM"); got != http2.ErrCodeCancel {
		t.Errorf("reset with %v", got)
	}
}

// TestBackendH2LongerHeads: after a reload that allows longer heads, answers may have them.
func TestBackendH2LongerHeads(t *testing.T) {
	f, _ := newH2Far(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 12<<10))
		sayHello(w, r)
	})
	cfg := h2Config(config.ProtocolH2C, f)
	cfg.Limits.HeaderBytes = 8 << 10
	r := newBackRig(t, cfg, nil)
	c := r.client()
	if status, _, err := c.ask("GET / HTTP/1.1\nHost: a\n\n"); status != 502 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	longer := h2Config(config.ProtocolH2C, f)
	longer.Limits.HeaderBytes = 16 << 10
	r.reload(longer, nil)
	c.wants(200, "hello")
}

// Frames that a backend sends by hand.
const (
	handSettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	handAnswer   = "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"                             // 200 in stream 1, its end
	handGoAway   = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00" // of streams after 1
)

// TestBackendH2LastWords: a write that fails may come before the read of what the backend has
// said at last: an answer, and that another stream was not begun.
func TestBackendH2LastWords(t *testing.T) {
	cfg := rigConfig(1)
	cfg.Pools[0].Protocol = config.ProtocolH2C
	r := newRig(t, 1, cfg, false)
	var backends []*looptest.Peer
	r.onEveryConnect(func(_ int, p *looptest.Peer) {
		backends = append(backends, p)
		p.Send([]byte(handSettings))
	})
	first, second := r.k.Connect(r.listener, rigClient), r.k.Connect(r.listener, rigClient)
	first.Send([]byte(ask))
	r.pass(100 * time.Millisecond)
	second.Send([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"))
	r.l.Post(func() { // between the read of the request and its write
		backends[0].Send([]byte(handAnswer + handGoAway))
		backends[0].Reset()
		r.k.Advance(100 * time.Millisecond)
	})
	r.k.Advance(100 * time.Millisecond)
	r.pass(100 * time.Millisecond)
	if len(backends) != 2 {
		t.Fatalf("%d conns to the backend; the clients have %q, %q", len(backends), first.Received(), second.Received())
	}
	backends[1].Send([]byte(handAnswer))
	r.pass(100 * time.Millisecond)
	for _, c := range []*looptest.Peer{first, second} {
		if got := string(c.Received()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("a client got %q", got)
		}
	}
}
