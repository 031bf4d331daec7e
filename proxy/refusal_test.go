package proxy

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/httpparse"
)

// TestRefusals: which requests are refused, and an example of each, are on the board for
// the operator. What is shown of a request is its first line, and never its body.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, request string
		wait          time.Duration
		code          uint64
		text, line    string
	}{
		{"bad head", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, "invalid request target", "GET /\x01 HTTP/1.1"},
		{"late head", "GET /slow HTTP/1.1\r\nHo", time.Minute, 408, "the request took too long to arrive", "GET /slow HTTP/1.1"},
		{"large body", "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", 0, 413, "the body is larger than limits.body_bytes", "POST /big HTTP/1.1"},
		{"large chunk", "POST /big HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n63\r\nsecret, secret", 0, 413, "the body is larger than limits.body_bytes", "POST /big HTTP/1.1"},
		{"tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 0, 501, "lb forwards to its own backends and opens no tunnels", "CONNECT a:1 HTTP/1.1"},
		{"trace", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nMax-Forwards: 0\r\n\r\nsecret", 0, 501, "TRACE ends here by Max-Forwards, and lb does not reflect requests", "TRACE / HTTP/1.1"},
		{"slow body", "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsecret", time.Minute, 408, "the request took too long to arrive", ""},
	} {
		cfg := rigConfig(1)
		cfg.Limits.BodyBytes = 10
		r := newRig(t, 1, cfg, false)
		client := r.k.Connect(r.listener, rigClient)
		client.Send([]byte(tc.request))
		r.settle()
		r.pass(tc.wait)
		var got []board.Refusal
		r.p.refusals.Each(func(one board.Refusal) { got = append(got, one) })
		if len(got) != 1 || got[0].Kind&0xffff != tc.code || got[0].Count != 1 || got[0].Client == "" || got[0].Line != tc.line ||
			got[0].Text != tc.text[:min(len(tc.text), board.RefusedTextMax)] {
			t.Errorf("%s: %+v", tc.name, got)
		}
		client.Close()
		r.pass(time.Minute)
	}
}

// TestLastFault: what a backend did last is beside it on the board.
func TestLastFault(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	client := r.k.Connect(r.listener, rigClient)
	wants := func(want board.LastFault) {
		t.Helper()
		got, _ := r.p.now.pools[0].targets[0].State.LastFault()
		if got.Why != want.Why || got.Phase != want.Phase || got.Detail != want.Detail || got.At == 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	client.Send([]byte(countedRequest))
	r.settle()
	r.servers[0].Accept().Send([]byte("HTTP/1.1 200 OK\r\nA\x01: b\r\n\r\n"))
	r.settle()
	wants(board.LastFault{Why: board.ReasonBadAnswer, Phase: uint8(Wait), Detail: uint16(httpparse.BadName)})
	r.pass(time.Second)
	r.servers[0].Refuse = true
	client.Send([]byte(countedRequest))
	r.settle()
	wants(board.LastFault{Why: board.ReasonConnect, Phase: uint8(Dial), Detail: uint16(unix.ECONNREFUSED)})
}
