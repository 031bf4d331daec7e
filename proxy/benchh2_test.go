package proxy

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"lb/config"
	"lb/httpparse/h2"
	"lb/httpparse/h2/hpack"
	"lb/loop"
	"lb/proxy/h1back"
)

// burstStreams is how many requests of one HTTP/2 conn come at once.
const burstStreams = 16

// frames are the frames of burstStreams streams, whose ids move on from use to use without an
// allocation.
type frames struct {
	b   []byte
	ids []int // where they are
}

// add adds a frame of stream i.
func (f *frames) add(typ h2.Type, flags uint8, i int, payload []byte) {
	f.b = h2.AppendHeader(f.b, h2.Header{Length: len(payload), Type: typ, Flags: flags, Stream: uint32(2*i + 1)})
	f.ids = append(f.ids, len(f.b)-4)
	f.b = append(f.b, payload...)
}

// next returns the frames and moves their ids on. They are valid until the next call.
func (f *frames) next() string {
	for _, at := range f.ids {
		id := f.b[at : at+4]
		binary.BigEndian.PutUint32(id, binary.BigEndian.Uint32(id)+2*burstStreams)
	}
	return unsafe.String(&f.b[0], len(f.b))
}

// block returns a header block.
func block(fields ...string) (b []byte) {
	for i := 0; i < len(fields); i += 2 {
		b = hpack.AppendField(b, []byte(fields[i]), []byte(fields[i+1]))
	}
	return b
}

// burst is a proxy in steady state whose client sends burstStreams requests at once, over
// HTTP/2, to one backend.
type burst struct {
	steady
	requests, answers frames // answers: of a backend that speaks HTTP/2
	first             string // what the backend sends before that, once
	h2c               bool
}

const h1Answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

func newBurst(t testing.TB, h2c bool) *burst {
	t.Helper()
	cfg := rigConfig(1)
	if h2c {
		cfg.Pools[0].Protocol = config.ProtocolH2C
	}
	k := &bareKernel{now: 1}
	s := &burst{steady: steady{k: k, l: loop.New(k, loop.Options{})}, h2c: h2c}
	s.p = New(s.l, rigOptions(cfg))
	if err := s.l.Listen(bareListener, s.p.Door("")); err != nil {
		t.Fatal(err)
	}
	k.tell(bareListener, loop.Readable)
	s.l.Turn(false)
	head := block(":method", "GET", ":scheme", "http", ":path", "/some/path?and=query", ":authority", "www.example.com",
		"user-agent", "test", "accept", "*/*")
	answer := block(":status", "200", "content-type", "text/plain", "content-length", "5")
	for i := range burstStreams {
		s.requests.add(h2.Headers, h2.FlagEndHeaders|h2.FlagEndStream, i, head)
		s.answers.add(h2.Headers, h2.FlagEndHeaders, i, answer)
		s.answers.add(h2.Data, h2.FlagEndStream, i, []byte("hello"))
	}
	for _, f := range []*frames{&s.requests, &s.answers} {
		f.b = append(f.b, h2.AppendWindowUpdate(nil, 0, 5*burstStreams)...)
		for _, at := range f.ids {
			id := f.b[at : at+4]
			binary.BigEndian.PutUint32(id, binary.BigEndian.Uint32(id)-2*burstStreams) // next adds it
		}
	}
	settings := string(h2.AppendHeader(nil, h2.Header{Type: h2.Settings})) +
		string(h2.AppendHeader(nil, h2.Header{Type: h2.Settings, Flags: h2.FlagAck}))
	s.send(bareClient, h2.Preface+settings)
	s.first = settings
	for range 50 { // the windows of conns are given back now and then, so bursts differ a little
		s.run()
	}
	s.up, s.down = s.sunk()
	return s
}

// run has burstStreams requests come and be answered.
func (s *burst) run() {
	for i := range s.k.socks {
		s.k.socks[i].sunk = 0
	}
	s.k.now = s.k.now.Add(h1back.Rest)
	s.send(bareClient, s.requests.next())
	for fd := bareBackend; fd < s.k.open; fd++ {
		if s.k.socks[fd].sunk == 0 {
			continue
		}
		if s.h2c {
			if s.first != "" { // before it no request is sent
				s.send(fd, s.first)
				s.first = ""
			}
			s.send(fd, s.answers.next())
		} else {
			s.send(fd, h1Answer)
		}
	}
}

// wantConns is how many conns to the backend a burst takes.
func (s *burst) wantConns() int {
	if s.h2c {
		return 1
	}
	return burstStreams
}

// BenchmarkBurst measures burstStreams requests of one HTTP/2 conn that come at once, with a
// backend of either protocol.
func BenchmarkBurst(b *testing.B) {
	for _, h2c := range []bool{false, true} {
		name := "h1"
		if h2c {
			name = "h2c"
		}
		b.Run(name, func(b *testing.B) {
			s := newBurst(b, h2c)
			b.ReportAllocs()
			for b.Loop() {
				s.run()
			}
			up, down := s.sunk()
			if conns := s.k.open - bareBackend; up < s.up || down < s.down || s.down == 0 || conns != s.wantConns() || s.p.arena.Out() != 0 {
				b.Fatalf("%d bytes up and %d down, %d and %d at first; %d conns; %d slabs out", up, down, s.up, s.down, conns, s.p.arena.Out())
			}
		})
	}
}
