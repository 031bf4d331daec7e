package h2

import (
	"flag"
	"os"
	"testing"
	"time"
	"unsafe"

	"lb/loop/tick"
)

var update = flag.Bool("update", false, "write testdata again")

// golden compares with a file of testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || got != string(want) {
		t.Errorf("%s is not what it was (%v): see -update\n%s", file, err, got)
	}
}

// pair is a client and a server that are connected by memory.
type pair struct {
	client, server Session
	toServer       []byte
	toClient       []byte
	text           []byte
	now            tick.Instant
	answers        int
}

func newPair(t testing.TB) *pair {
	p := &pair{now: tick.Instant(time.Hour), text: make([]byte, 0, 4<<10)}
	make1 := func() *Stream { return new(Stream) }
	p.client.Init(&Options{Role: Client, Streams: 100, Window: 65535}, NewShared(4<<10, make1))
	p.server.Init(&Options{Role: Server, Streams: 100, Window: 65535}, NewShared(4<<10, make1))
	p.toServer = p.client.AppendStart(make([]byte, 0, 1<<20), p.now)
	p.toClient = p.server.AppendStart(make([]byte, 0, 1<<20), p.now)
	p.run(t)
	return p
}

// ask sends n requests, with bodies of that many bytes.
func (p *pair) ask(n, body int) {
	text := getBytes
	if body > 0 {
		text = postBytes
	}
	for range n {
		st := p.client.Open()
		p.toServer = p.client.AppendRequest(p.toServer, st, text, "http", body == 0)
		for left := body; left > 0; {
			k := min(left, p.client.Sendable(st))
			left -= k
			p.toServer = p.client.AppendData(p.toServer, st, k, left == 0)
			p.toServer = p.toServer[:len(p.toServer)+k]
		}
	}
}

// run goes on until both sides are at rest.
func (p *pair) run(t testing.TB) {
	for len(p.toServer)+len(p.toClient) > 0 {
		p.toClient = p.half(t, &p.server, p.toServer, p.toClient)
		p.toServer = p.half(t, &p.client, p.toClient, p.toServer[:0])
		p.toClient = p.toClient[:0]
	}
}

var getBytes, postBytes = []byte(getText), []byte(postText)

var okText = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n")

// half lets s read in.
func (p *pair) half(t testing.TB, s *Session, in, out []byte) []byte {
	for {
		var ev Event
		var n int
		ev, n, out = s.Next(in, p.now, out)
		in = in[n:]
		st := ev.Stream
		switch ev.Kind {
		case More:
			return out
		case Head:
			if s == &p.server {
				s.ReadRequest(p.text, &testLimits, "")
			} else {
				s.ReadResponse(p.text, &testLimits)
			}
		case Part:
			out = s.Take(out, st, len(ev.Bytes))
		case Aborted:
			out = s.Release(out, st)
		case Full, Broken, Faulted:
			t.Fatalf("%+v", ev)
		}
		if ev.End && s == &p.server {
			out = s.AppendResponse(out, st, okText, false)
			out = s.AppendData(out, st, 100, true)
			out = out[:len(out)+100]
			out = s.Release(out, st)
		} else if ev.End {
			p.answers++
			out = s.Release(out, st)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	p := newPair(t)
	once := func() {
		p.ask(100, 0)
		p.run(t)
	}
	once()
	if n := testing.AllocsPerRun(100, once); n > 0 {
		t.Errorf("%v allocations for 100 requests", n)
	}
	post := func() { p.ask(2, 30000); p.run(t) }
	post()
	if n := testing.AllocsPerRun(100, post); n > 0 {
		t.Errorf("%v allocations for 2 uploads", n)
	}
}

// TestIdleMemory bounds what an idle conn costs, without its table of HPACK.
func TestIdleMemory(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 512 {
		t.Errorf("a session has %d bytes", n)
	}
	if n := unsafe.Sizeof(Stream{}); n > 96 {
		t.Errorf("a stream has %d bytes", n)
	}
	p := newPair(t)
	p.ask(100, 0)
	p.run(t)
	st := p.client.Open()
	p.toServer = p.client.AppendRequest(p.toServer, st, postBytes, "http", false)
	p.toServer = p.client.Release(p.toServer, st)
	p.run(t)
	if p.server.Rest(); p.server.slots != nil || p.server.closed.resets != nil {
		t.Error("an idle session keeps memory")
	}
	p.ask(100, 0)
	if p.run(t); p.answers != 200 {
		t.Errorf("%d answers, want 200", p.answers)
	}
}

// TestTrim: streams that were needed since the last Trim stay, and the rest goes. As long as
// as many are needed, none is made.
func TestTrim(t *testing.T) {
	made := 0
	sh := NewShared(0, func() *Stream { made++; return new(Stream) })
	for i, tc := range []struct{ needed, trimmed, made int }{{100, 0, 100}, {100, 0, 100}, {7, 93, 100}, {7, 0, 100}, {7, 0, 100}, {0, 7, 100}, {0, 0, 100}, {3, 0, 103}} {
		lent := make([]*Stream, tc.needed)
		for j := range lent {
			lent[j] = sh.stream()
		}
		for _, st := range lent {
			sh.keep(st)
		}
		trimmed, left := sh.Trim(), 0
		for st := sh.free; st != nil; st = st.next {
			left++
		}
		if trimmed != tc.trimmed || made != tc.made || left != tc.needed || sh.spare != left {
			t.Errorf("%d: %d needed: %d trimmed, %d made; %d are left, %d by count", i, tc.needed, trimmed, made, left, sh.spare)
		}
	}
}

// BenchmarkRequests is both sides of 100 small requests at once.
func BenchmarkRequests(b *testing.B) {
	p := newPair(b)
	b.ReportAllocs()
	for b.Loop() {
		p.ask(100, 0)
		p.run(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(p.answers), "ns/request")
}

// BenchmarkUploads is both sides of an upload of 48 KiB.
func BenchmarkUploads(b *testing.B) {
	p := newPair(b)
	b.ReportAllocs()
	b.SetBytes(48 << 10)
	for b.Loop() {
		p.ask(1, 48<<10)
		p.run(b)
	}
}
