package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lb/internal/testkit"
)

// wsBytesMax is the largest message of these tests.
const wsBytesMax = 1 << 20

// wsEcho sends every message back. After "bye" it closes the WebSocket itself. closed
// gets the status with which the client closed.
func wsEcho(closed chan<- websocket.StatusCode) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(wsBytesMax)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				closed <- websocket.CloseStatus(err)
				return
			}
			if string(message) == "bye" {
				c.Close(4001, "as you say")
				return
			}
			if c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}
}

func TestWebSocket(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		closed := make(chan websocket.StatusCode, 1)
		p := start(t, mode, setup{backends: to(serve(t, wsEcho(closed)))})
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		defer cancel()
		open := func() *websocket.Conn {
			c, _, err := websocket.Dial(ctx, wsURL(p.addr)+"/", wsOptions(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.CloseNow() })
			c.SetReadLimit(wsBytesMax)
			return c
		}
		c := open()
		big, _ := io.ReadAll(&pattern{size: wsBytesMax})
		for _, tc := range []struct {
			kind    websocket.MessageType
			message []byte
		}{
			{websocket.MessageText, []byte("hello")},
			{websocket.MessageText, nil},
			{websocket.MessageBinary, []byte{0, 0xff, 0xfe, '\r', '\n'}},
			{websocket.MessageBinary, big},
		} {
			if err := c.Write(ctx, tc.kind, tc.message); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.Read(ctx)
			if err != nil || kind != tc.kind || !bytes.Equal(got, tc.message) {
				t.Fatalf("a %v of %d bytes: got a %v of %d, %v", tc.kind, len(tc.message), kind, len(got), err)
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
			t.Errorf("the closing handshake: %v", err)
		}
		if code := testkit.Wait(t, closed, "the backend to hear of the end"); code != websocket.StatusNormalClosure {
			t.Errorf("the backend got close status %d, want 1000", code)
		}
		c = open()
		if err := c.Write(ctx, websocket.MessageText, []byte("bye")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 4001 {
			t.Errorf("read %v, want close status 4001", err)
		}
	})
}

const upgradeRequest = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"

// shout is a backend with a protocol of its own: after the 101 it runs f.
func shout(t *testing.T, f func(c *net.TCPConn)) (addr string) {
	return script(t, func(c net.Conn) {
		if strings.Contains(readHead(c), "Upgrade: shout\r\n") {
			io.WriteString(c, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: shout"))
			f(c.(*net.TCPConn))
		}
	})
}

// After an upgrade to another protocol, either side may end its direction and still
// receive.
func TestTunnelHalfClose(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(shout(t, func(c *net.TCPConn) {
			heard, err := io.ReadAll(c) // up to the client's half-close
			if err == nil {
				c.Write(bytes.ToUpper(heard))
			}
		}))})
		c := dial(t, p.addr)
		c.send(t, upgradeRequest)
		if resp, _ := c.answer(t); resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "shout" {
			t.Fatalf("got %s", resp.Status)
		}
		c.send(t, "is anybody there?")
		closeWrite(c.Conn)
		if got, err := io.ReadAll(c.in); err != nil || string(got) != "IS ANYBODY THERE?" {
			t.Errorf("behind our half-close: %q, %v", got, err)
		}

		heard := make(chan string, 1)
		p = start(t, mode, setup{backends: to(shout(t, func(c *net.TCPConn) {
			io.WriteString(c, "I say no more")
			c.CloseWrite()
			b, _ := io.ReadAll(c)
			heard <- string(b)
		}))})
		c = dial(t, p.addr)
		c.send(t, upgradeRequest)
		if resp, _ := c.answer(t); resp.StatusCode != 101 {
			t.Fatalf("got %s", resp.Status)
		}
		if got, err := io.ReadAll(c.in); err != nil || string(got) != "I say no more" {
			t.Errorf("up to the backend's half-close: %q, %v", got, err)
		}
		c.send(t, "but I do")
		c.Close()
		if got := testkit.Wait(t, heard, "the backend to hear us"); got != "but I do" {
			t.Errorf("the backend heard %q behind its half-close", got)
		}
	})
}

// After SIGTERM lb waits for a WebSocket no longer than the drain timeout, and says that
// it cut one off.
func TestTunnelEndsWithDrain(t *testing.T) {
	eachListener(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{
			backends: to(shout(t, func(c *net.TCPConn) { io.Copy(c, c) })),
			tables:   "[timeouts]\ndrain = \"200ms\"\n",
		})
		c := dial(t, p.addr)
		c.send(t, upgradeRequest)
		if resp, _ := c.answer(t); resp.StatusCode != 101 {
			t.Fatalf("got %s", resp.Status)
		}
		begun := time.Now()
		p.Signal(t, syscall.SIGTERM)
		p.wantExit(t, 3)
		if took := time.Since(begun); took < 200*time.Millisecond {
			t.Errorf("lb left after %v, want it to wait for 200ms", took)
		}
		if b, err := c.in.ReadByte(); err == nil {
			t.Errorf("got %q behind the drain, want no more", b)
		}
	})
}
