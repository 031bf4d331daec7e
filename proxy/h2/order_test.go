package h2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/httpparse/h2"
	"lb/loop/looptest"
)

// order returns the streams in the order of their last frames in got.
func order(got string) (ids []int) {
	for line := range strings.Lines(got) {
		var id, n int
		if _, err := fmt.Sscanf(line, "DATA %d %d", &id, &n); err == nil && strings.HasSuffix(line, " end\n") {
			ids = append(ids, id)
		}
	}
	return ids
}

// slow returns a client whose windows are wide and that takes nothing before resume.
func slow(r *rig) *peer {
	r.k.Faults = looptest.Faults{BufferMin: 8 << 10, BufferMax: 8 << 10}
	p := r.connect(0, 4, 0, 0x40, 0, 0)
	p.send(h2.AppendWindowUpdate(nil, 0, 1<<30))
	p.Pause()
	return p
}

// resume takes everything.
func (p *peer) resume() string {
	p.Resume()
	for range 200 {
		p.r.pass(time.Millisecond)
	}
	return p.got()
}

// TestSmallFirst: a small answer does not wait for the rest of long ones.
func TestSmallFirst(t *testing.T) {
	r := newRig(t)
	r.body = strings.Repeat("x", 500000)
	p := slow(r)
	p.send(ask(1, true), ask(3, true))
	r.body = "small"
	p.send(ask(5, true))
	got := p.resume()
	if ids := order(got); !slices.Equal(ids, []int{5, 1, 3}) || bytesIn(got) != 1000005 {
		t.Errorf("%d bytes, ended in the order %v", bytesIn(got), ids)
	}
	if at := bytesIn(got[:strings.Index(got, "DATA 5")]); at > 100000 {
		t.Errorf("%d bytes went before the small answer", at)
	}
	p.leave()
}

// TestTurns: long answers of the same urgency come in turns.
func TestTurns(t *testing.T) {
	r := newRig(t)
	r.body = strings.Repeat("x", 500000)
	p := slow(r)
	p.send(ask(1, true), ask(3, true), ask(5, true))
	got := p.resume()
	sent := map[int]int{}
	for line := range strings.Lines(got) {
		var id, n int
		if _, err := fmt.Sscanf(line, "DATA %d %d", &id, &n); err != nil {
			continue
		}
		if sent[id] += n; strings.HasSuffix(line, " end\n") {
			break
		}
	}
	for id, n := range sent {
		if n < 350000 {
			t.Errorf("%d bytes of stream %d, when the first ended", n, id)
		}
	}
	if bytesIn(got) != 1500000 {
		t.Errorf("%d bytes", bytesIn(got))
	}
	p.leave()
}

// TestUrgency: the more urgent answer goes first (RFC 9218), also if the client says so later.
func TestUrgency(t *testing.T) {
	r := newRig(t)
	r.body = strings.Repeat("x", 300000)
	p := slow(r)
	p.send(ask(1, true), ask(3, true, "priority: u=5"), ask(5, true, "priority: u=0"), ask(7, true))
	p.send(frame(h2.PriorityUpdate, 0, 0, []byte("\x00\x00\x00\x07u=1")))
	got := p.resume()
	if ids := order(got); !slices.Equal(ids, []int{5, 7, 1, 3}) {
		t.Errorf("ended in the order %v", ids)
	}
	p.leave()
}

// TestBounded: what waits for a client that takes nothing is bounded, however much it asks for,
// and nothing of it is lost.
func TestBounded(t *testing.T) {
	r := newRig(t)
	r.body = strings.Repeat("x", 1<<20)
	p := slow(r)
	const pings = 500
	p.send(ask(1, true), ask(3, true), []byte(strings.Repeat(string(frame(h2.Ping, 0, 0, make([]byte, 8))), pings)), ask(5, true), ask(7, true))
	if n := r.s.Arena.Out(); n > 1+1+2*4 { // of the output, of the input, and two of each exchange
		t.Errorf("%d slabs are in use", n)
	}
	got := p.resume()
	if n := strings.Count(got, "PING 0\n"); bytesIn(got) != 4<<20 || n != pings {
		t.Errorf("%d bytes, %d answers to PING", bytesIn(got), n)
	}
	p.leave()
}
