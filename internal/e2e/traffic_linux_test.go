package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lb/internal/testkit"
)

// checked is a backend that answers each request with bodyOf.
func checked(t *testing.T) (addr string) {
	t.Helper()
	return script(t, func(c net.Conn) { answerBody(t, c) })
}

// checkedMany returns the addresses of n checked backends.
func checkedMany(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		addrs = append(addrs, checked(t))
	}
	return addrs
}

// traffic is a crowd that sends requests to checked backends, on conns that it keeps and
// on conns for one request, and compares every byte of the answers. A wrong answer fails
// the test at once; missing answers are kept for the test to look at.
type traffic struct {
	*crowd
	addr  func() string
	id    atomic.Uint64
	whole atomic.Int64 // right answers, to the last byte
	conns []*rawConn   // of those clients that keep them

	mu     sync.Mutex
	losses []loss
}

// loss is a request without an answer.
type loss struct {
	how   lossKind
	port  int // of the client, or 0 on a unix socket
	fresh bool
	post  bool
	at    time.Time
	err   error
}

// lossKind says how far a request had come.
type lossKind string

const (
	refusedConn lossKind = "refused" // no conn
	staleConn   lossKind = "stale"   // on a conn that has had an answer before, without a byte of this one
	cutConn     lossKind = "cut"     // on a new conn, or within an answer
)

func (l loss) String() string {
	return fmt.Sprintf("%s at %v (port %d, fresh %v, POST %v): %v", l.how, l.at.UTC().Format("15:04:05.000"), l.port, l.fresh, l.post, l.err)
}

// send starts clients that keep their conns, and clients that do not. addr returns where
// lb serves, which may change.
func send(t *testing.T, addr func() string, kept, fresh int) *traffic {
	t.Helper()
	w := &traffic{addr: addr, conns: make([]*rawConn, kept)}
	w.crowd = gather(t, kept+fresh, w.turn)
	t.Cleanup(w.end)
	return w
}

// end waits until all clients have left and closes their conns. It may be called again.
func (w *traffic) end() {
	w.leave()
	for i, c := range w.conns {
		if c != nil {
			c.Close()
			w.conns[i] = nil
		}
	}
}

// send starts clients that send requests to s.
func (s *service) send(kept, fresh int) *traffic {
	s.t.Helper()
	addr := s.addr
	return send(s.t, func() string { return addr }, kept, fresh)
}

// turn is one request of client i.
func (w *traffic) turn(i int, stop <-chan struct{}) error {
	pause(rand.N(4*time.Millisecond), stop)
	fresh := i >= len(w.conns)
	var c *rawConn
	if !fresh {
		c = w.conns[i]
	}
	used := c != nil
	l := loss{fresh: fresh, post: rand.IntN(3) == 0}
	if c == nil {
		var err error
		if c, err = redial(w.addr()); err != nil {
			l.how, l.err = refusedConn, err
			w.lose(l)
			pause(10*time.Millisecond, stop)
			return nil
		}
	}
	c.SetDeadline(time.Now().Add(2 * testkit.Patience))
	if at, ok := c.LocalAddr().(*net.TCPAddr); ok {
		l.port = at.Port
	}
	goOn, started, err := w.exchange(c, l.post)
	if !fresh && goOn {
		w.conns[i] = c
		return nil
	}
	c.Close()
	if !fresh {
		w.conns[i] = nil
	}
	if wrong, is := err.(wrongAnswer); is {
		return wrong
	}
	if err != nil && !(used && !started && c.late) {
		l.how, l.err = cutConn, err
		if used && !started {
			l.how = staleConn
		}
		w.lose(l)
	}
	return nil
}

func (w *traffic) lose(l loss) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.at = time.Now()
	w.losses = append(w.losses, l)
}

// lost returns the requests without an answer so far.
func (w *traffic) lost() []loss {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.losses)
}

// wantNone ends the traffic and checks that every request was answered.
func (w *traffic) wantNone(t *testing.T) {
	t.Helper()
	w.end()
	for i, l := range w.lost() {
		if i < 10 {
			t.Errorf("a request went missing: %v", l)
		}
	}
	if n := len(w.lost()); n > 0 {
		t.Errorf("%d of %d requests went missing", n, w.done.Load())
	}
	t.Logf("%d right answers", w.whole.Load())
}

// wrongAnswer is an answer that looks whole and is not the right one, or one of lb's own.
type wrongAnswer string

func (e wrongAnswer) Error() string { return string(e) }

// lastCall is how long an lb that leaves waits for another request on an idle conn. A client
// that this process has kept from its turn for longer has lost nothing.
const lastCall = time.Second

// exchange does one exchange on c. started reports whether a byte of the answer came.
func (w *traffic) exchange(c *rawConn, post bool) (goOn, started bool, err error) {
	id, size := w.id.Add(1), []int{0, 100, 5_000, 70_000}[rand.IntN(4)]
	framing := []string{"length", "chunked"}[rand.IntN(2)]
	want := bodyOf(id, size)
	text := fmt.Sprintf("GET /%d/%d/%s HTTP/1.1\r\nHost: x\r\n\r\n", id, size, framing)
	if post {
		text = fmt.Sprintf("POST /%d/%d/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", id, size, framing, size, want)
	}
	before := c.wrote
	_, err = io.WriteString(c, text)
	c.wrote = time.Now()
	c.late = c.wrote.Sub(before) >= lastCall
	if err != nil {
		return false, false, err
	}
	if _, err := c.in.Peek(1); err != nil {
		return false, false, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false, true, err
	}
	got, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode != 200 || resp.Header.Get("X-ID") != strconv.FormatUint(id, 10):
		return false, true, wrongAnswer(fmt.Sprintf("request %d got %s with %v and %q", id, resp.Status, resp.Header, got[:min(len(got), 200)]))
	case err != nil && bytes.HasPrefix(want, got):
		return false, true, err
	case !bytes.Equal(got, want):
		return false, true, wrongAnswer(fmt.Sprintf("request %d got %d bytes of %d, or others (%v)", id, len(got), size, err))
	}
	w.whole.Add(1)
	return !resp.Close, true, nil
}

// chat is a WebSocket whose messages come back at once, again and again.
type chat struct {
	*crowd
	conn *websocket.Conn
}

// talk opens a chat through lb at addr.
func talk(t *testing.T, addr string) *chat {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, wsURL(addr)+"/ws", wsOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(wsBytesMax)
	c := &chat{conn: conn}
	n := byte(0)
	c.crowd = gather(t, 1, func(_ int, stop <-chan struct{}) error {
		n++
		message := bytes.Repeat([]byte{n}, 1+rand.IntN(3000))
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
			return fmt.Errorf("a WebSocket that was opened before: %w", err)
		}
		_, got, err := conn.Read(ctx)
		if err != nil || !bytes.Equal(got, message) {
			return fmt.Errorf("a WebSocket that was opened before: %d bytes of %d came back, %w", len(got), len(message), err)
		}
		pause(20*time.Millisecond, stop)
		return nil
	})
	t.Cleanup(func() { c.leave(); conn.CloseNow() })
	return c
}

// hangUp ends the chat and checks that messages came back until now.
func (c *chat) hangUp(t *testing.T) {
	t.Helper()
	c.more(t, 3)
	c.leave()
	if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the closing handshake: %v", err)
	}
}

// echoes is a backend of WebSockets.
func echoes(t *testing.T) (addr string) {
	t.Helper()
	closed := make(chan websocket.StatusCode, 1000)
	return serve(t, wsEcho(closed))
}

// wsRoute sends /ws to a pool of its own.
func wsRoute(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("[[pools]]\nname = \"ws\"\n[[pools.backends]]\nhost = %q\nport = %s\n[[routes]]\npath = \"/ws\"\npool = \"ws\"\n", host, port)
}
