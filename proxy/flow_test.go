package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"lb/loop/looptest"
	"lb/proxy/lane"
)

const (
	flowBytes = 10 << 20
	// flowHeld bounds the bytes on their way when one side does not read: four socket
	// buffers of 64 KiB and the slabs of one exchange.
	flowHeld = 4*64<<10 + 4*(lane.BulkBytes+lane.HeadRoom)
)

// TestBackpressure: if one side stops reading, lb stops reading the other, and nothing
// piles up in between. When the side reads again, every byte arrives.
func TestBackpressure(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), flowBytes/16)
	for _, framing := range []string{fmt.Sprintf("Content-Length: %d", len(body)), "Transfer-Encoding: chunked"} {
		sent := body
		if framing == "Transfer-Encoding: chunked" {
			sent = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		t.Run("down, "+framing, func(t *testing.T) {
			r := newRig(t, 1, rigConfig(1), false)
			client := r.k.Connect(r.listener, rigClient)
			client.Send([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
			r.settle()
			backend := r.servers[0].Accept()
			client.Pause()
			backend.Send(append([]byte("HTTP/1.1 200 OK\r\n"+framing+"\r\n\r\n"), sent...))
			r.settle()
			checkHeld(t, r, backend, client, len(body))
		})
		t.Run("up, "+framing, func(t *testing.T) {
			r := newRig(t, 1, rigConfig(1), false)
			client := r.k.Connect(r.listener, rigClient)
			client.Send([]byte("PUT / HTTP/1.1\r\nHost: a.example\r\n" + framing + "\r\n\r\n"))
			r.settle()
			backend := r.servers[0].Accept()
			backend.Pause()
			client.Send(sent)
			r.settle()
			checkHeld(t, r, client, backend, len(body))
		})
	}
}

// checkHeld checks how many bytes lb took while to did not read, and then that all arrive.
func checkHeld(t *testing.T, r *rig, from, to *looptest.Peer, want int) {
	t.Helper()
	if gone := want - from.Unsent(); gone > flowHeld {
		t.Errorf("%d bytes were taken that nobody reads, want %d at most", gone, flowHeld)
	}
	if n := r.p.arena.Out(); n > 4 {
		t.Errorf("%d slabs for one exchange", n)
	}
	to.Resume()
	r.settle()
	var got int
	reader := simReader{request: true, onHead: func(*simMessage) {}, onWhole: func(m *simMessage) { got = len(m.body) }}
	reader.bodyless = func(*simMessage) bool { return false }
	reader.feed(to.Received())
	if got != want || reader.wrong != nil {
		t.Errorf("%d bytes came, want %d: %v", got, want, reader.wrong)
	}
}

// TestIdleOwnsNothing: conns without an exchange own no buffer.
func TestIdleOwnsNothing(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	r.servers[0].OnConnect = func(p *looptest.Peer) {
		p.OnBytes = func(p *looptest.Peer) {
			p.Recv()
			p.Send([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
		}
	}
	for i := range 1000 {
		client := r.k.Connect(r.listener, netip.AddrPortFrom(rigClient.Addr(), uint16(i)))
		if i%2 == 0 {
			client.Send([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
		}
	}
	r.settle()
	if r.p.shared.Clients != 1000 || r.p.arena.Out() != 0 {
		t.Errorf("%d clients, %d slabs out; want 1000 and none", r.p.shared.Clients, r.p.arena.Out())
	}
}
