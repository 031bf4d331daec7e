package proxy

import (
	"strings"
	"testing"

	"lb/config"
	"lb/httpparse/h2"
	"lb/loop/looptest"
)

// TestLastWord: what a backend of HTTP/2 has said before its conn took nothing more still counts:
// a request that its GOAWAY leaves out is sent again, and a whole answer is one.
func TestLastWord(t *testing.T) {
	hello := append(h2Head(false, ":status", "200"), append(h2.AppendHeader(nil, h2.Header{Length: 5, Type: h2.Data, Flags: h2.FlagEndStream, Stream: 1}), "hello"...)...)
	for _, tc := range []struct {
		name     string
		word     []byte
		attempts int
	}{
		{"GOAWAY", h2.AppendGoAway(nil, 0, h2.NoError), 2},
		{"an answer", hello, 1},
	} {
		cfg := rigConfig(1)
		cfg.Pools[0].Protocol = config.ProtocolH2C
		r := newRig(t, 1, cfg, false)
		var backends []*looptest.Peer
		r.onEveryConnect(func(_ int, p *looptest.Peer) {
			backends = append(backends, p)
			p.Send(append(h2.AppendHeader(nil, h2.Header{Type: h2.Settings}), h2.AppendHeader(nil, h2.Header{Type: h2.Settings, Flags: h2.FlagAck})...))
		})
		client := r.k.Connect(r.listener, rigClient)
		r.calls.writes = func() { // the preface is the first
			r.calls.writes = func() {
				r.calls.writes = nil
				backends[0].Send(tc.word)
				backends[0].Reset()
			}
		}
		client.Send([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"))
		r.settle()
		if len(backends) == 2 {
			backends[1].Send(hello)
			r.settle()
		}
		if got := string(client.Received()); len(backends) != tc.attempts || !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "hello") {
			t.Errorf("%s: %d attempts, %q", tc.name, len(backends), got)
		}
	}
}
