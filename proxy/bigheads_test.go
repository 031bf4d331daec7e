package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"lb/config"
	"lb/httpparse/h2"
	"lb/httpparse/h2/hpack"
	"lb/loop/looptest"
)

// h2Head returns the HEADERS of a backend, and CONTINUATION where needed: names and values in turns.
func h2Head(end bool, fields ...string) (b []byte) {
	var block []byte
	for i := 0; i < len(fields); i += 2 {
		block = hpack.AppendField(block, []byte(fields[i]), []byte(fields[i+1]))
	}
	for kind := h2.Headers; kind == h2.Headers || len(block) > 0; kind = h2.Continuation {
		part := block[:min(len(block), h2.FrameMax)]
		h := h2.Header{Length: len(part), Type: kind, Stream: 1}
		if block = block[len(part):]; len(block) == 0 {
			h.Flags |= h2.FlagEndHeaders
		}
		if end && kind == h2.Headers {
			h.Flags |= h2.FlagEndStream
		}
		b = append(h2.AppendHeader(b, h), part...)
	}
	return b
}

// TestHeadsBeforeBody: an answer of a backend of HTTP/2 that comes in one go, after heads of any
// length, arrives as a whole or not at all.
func TestHeadsBeforeBody(t *testing.T) {
	const size = 65535
	for _, tc := range []struct{ interims, each, final int }{
		{0, 0, 100}, {0, 0, 30000}, {0, 0, 60000}, {1, 60000, 60000},
		{4, 60000, 10000}, {4, 60000, 30000}, {4, 60000, 40000}, {5, 60000, 1000}, {5, 60000, 5000}, {5, 60000, 10000}, {5, 60000, 20000}, {5, 60000, 30000}, {9, 60000, 100},
	} {
		for _, length := range []bool{true, false} {
			cfg := rigConfig(1)
			cfg.Pools[0].Protocol = config.ProtocolH2C
			r := newRig(t, 1, cfg, false)
			var backend *looptest.Peer
			r.onEveryConnect(func(_ int, p *looptest.Peer) { backend = p })
			client := r.k.Connect(r.listener, rigClient)
			client.Send([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			r.settle()
			backend.Send(append(h2.AppendHeader(nil, h2.Header{Type: h2.Settings}), h2.AppendHeader(nil, h2.Header{Type: h2.Settings, Flags: h2.FlagAck})...))
			r.settle()
			var b []byte
			for range tc.interims {
				b = append(b, h2Head(false, ":status", "103", "link", strings.Repeat("x", tc.each))...)
			}
			fields := []string{":status", "200", "x-long", strings.Repeat("x", tc.final)}
			if length {
				fields = append(fields, "content-length", fmt.Sprint(size))
			}
			b = append(b, h2Head(false, fields...)...)
			for left := size; left > 0; left -= h2.FrameMax {
				h := h2.Header{Length: min(left, h2.FrameMax), Type: h2.Data, Stream: 1}
				if left <= h2.FrameMax {
					h.Flags = h2.FlagEndStream
				}
				b = append(h2.AppendHeader(b, h), bytes.Repeat([]byte("y"), h.Length)...)
			}
			backend.Send(b)
			r.settle()
			checkWhole(t, fmt.Sprint(tc, length), client.Received(), size, tc.interims < 4)
			client.Close()
			backend.Close()
			r.settle()
		}
	}
}

// checkWhole checks that got has a whole answer with a body of that size, or none with a 200.
func checkWhole(t *testing.T, name string, got []byte, size int, must bool) {
	from := bufio.NewReaderSize(bytes.NewReader(got), 1<<20)
	for {
		a, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if a.StatusCode == 103 {
			continue
		}
		body, err := io.ReadAll(a.Body)
		if a.StatusCode == 200 && len(body) != size && err == nil || must && (a.StatusCode != 200 || len(body) != size) {
			t.Errorf("%s: status %d, %d bytes, %v", name, a.StatusCode, len(body), err)
		}
		return
	}
}
