package e2e

import (
	"io"
	"net"
	"strings"
	"time"

	"lb/internal/testkit"
)

// aborts are what a client does before it leaves without a word.
var aborts = map[string]func(c net.Conn) error{
	"no byte":           func(net.Conn) error { return nil },
	"part of a head":    says("GET / HTTP/1.1\r\nHo"),
	"part of a body":    says("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 50000)),
	"part of chunks":    says("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nff\r\nhel"),
	"no answer yet":     says("GET /delay/1h HTTP/1.1\r\nHost: x\r\n\r\n"),
	"several asked":     says(strings.Repeat("GET /bytes/100000 HTTP/1.1\r\nHost: x\r\n\r\n", 20)),
	"not HTTP":          says("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	"part of an answer": says("GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n", 100000),
	"in a tunnel": says("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82", 100),
}

// says returns a function that sends text and then reads n bytes of an answer.
func says(text string, read ...int64) func(c net.Conn) error {
	return func(c net.Conn) error {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		for _, n := range read {
			if _, err := io.CopyN(io.Discard, c, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// leave dials, acts, and closes the conn.
func leave(addr string, act func(c net.Conn) error, reset bool) error {
	c, err := connect(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	if reset {
		tcp(c).SetLinger(0)
	}
	return act(c)
}
