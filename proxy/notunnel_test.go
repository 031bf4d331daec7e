package proxy

import (
	"fmt"
	"testing"

	"lb/config"
	"lb/httpparse/h2"
	"lb/httpparse/h2/hpack"
	"lb/loop/looptest"
)

// statusOf returns the first :status that has come to a client of HTTP/2, and whether its stream
// has ended.
func statusOf(b []byte) (status string, ended bool) {
	var table hpack.Table
	table.Reset(4096)
	d := hpack.NewDecoder(1 << 16)
	for len(b) >= h2.HeaderLen {
		h := h2.ParseHeader(b)
		body := b[h2.HeaderLen : h2.HeaderLen+h.Length]
		b = b[h2.HeaderLen+h.Length:]
		if h.Type == h2.Headers {
			for d.Begin(&table, body); d.Next(); {
				if d.ID == hpack.Status && status == "" {
					status = string(d.Value)
				}
			}
		}
		ended = ended || h.Type == h2.RSTStream || (h.Type == h2.Headers || h.Type == h2.Data) && h.Flags&h2.FlagEndStream != 0
	}
	return status, ended
}

// TestNoTunnel: what a backend answers to an extended CONNECT reaches the client, but for a 2xx
// of HTTP/1, which opens no tunnel there and would here (RFC 8441 5). The backend is not blamed.
func TestNoTunnel(t *testing.T) {
	var block []byte
	for _, f := range [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}} {
		block = hpack.AppendField(block, []byte(f[0]), []byte(f[1]))
	}
	for _, tc := range []struct {
		answer, want string
		ended        bool
	}{
		{"200 OK\r\nContent-Length: 5\r\n\r\nhello", "502", true},
		{"200 OK\r\n\r\nhello", "502", true},
		{"204 No Content\r\n\r\n", "502", true},
		{"302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "302", true},
		{"404 Not Found\r\nContent-Length: 5\r\n\r\nhello", "404", true},
		{"101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "200", false},
	} {
		cfg := rigConfig(1)
		cfg.Pools[0].Eject.Enabled, cfg.HTTP2.Enabled, cfg.HTTP2.Streams = true, true, 10
		r := newRig(t, 1, cfg, false)
		var backends []*looptest.Peer
		r.onEveryConnect(func(_ int, p *looptest.Peer) { backends = append(backends, p) })
		client := r.k.Connect(r.listener, rigClient)
		client.Send([]byte(h2.Preface + string(h2.AppendHeader(nil, h2.Header{Type: h2.Settings}))))
		client.Send(append(h2.AppendHeader(nil, h2.Header{Length: len(block), Type: h2.Headers, Flags: h2.FlagEndHeaders, Stream: 1}), block...))
		r.settle()
		for range config.Default().Retry.Attempts + 2 {
			if n := len(backends); n > 0 {
				backends[n-1].Send(fmt.Appendf(nil, "HTTP/1.1 %s", tc.answer))
			}
			r.settle()
		}
		status, ended := statusOf(client.Received())
		if status != tc.want || ended != tc.ended || len(backends) != 1 {
			t.Errorf("%.20q: status %s, ended %t, %d attempts; want %s", tc.answer, status, ended, len(backends), tc.want)
		}
		if n := r.p.now.pools[0].targets[0].Slot.BadAnswers.Load(); n != 0 {
			t.Errorf("%.20q: %d faults of the backend", tc.answer, n)
		}
	}
}
