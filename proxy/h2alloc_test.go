package proxy

import (
	"strings"
	"testing"

	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/hpack"
	"lb/loop"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// h2Request returns a function that returns the frames of one more request, with a body of so
// many bytes, and room for an answer with a body of so many.
func h2Request(method string, body, answer int) func() string {
	id := uint32(1)
	var block []byte
	for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":path", "/some/path?and=query"}, {":authority", "www.example.com"},
		{"user-agent", "test"}, {"accept", "*/*"}} {
		block = hpack.AppendField(block, []byte(f[0]), []byte(f[1]))
	}
	return func() string {
		flags := uint8(h2.FlagEndHeaders)
		if body == 0 {
			flags |= h2.FlagEndStream
		}
		b := append(h2.AppendHeader(nil, h2.Header{Length: len(block), Type: h2.Headers, Flags: flags, Stream: id}), block...)
		if body > 0 {
			b = h2.AppendHeader(b, h2.Header{Length: body, Type: h2.Data, Flags: h2.FlagEndStream, Stream: id})
			b = append(b, strings.Repeat("x", body)...)
		}
		if answer > 0 {
			b = h2.AppendWindowUpdate(b, 0, answer)
		}
		id += 2
		return string(b)
	}
}

// newSteadyHTTP2 returns a proxy with a client that speaks HTTP/2.
func newSteadyHTTP2(t testing.TB, response string) *steady {
	k := &bareKernel{now: 1}
	s := &steady{k: k, l: loop.New(k, loop.Options{}), response: response}
	s.p = New(s.l, rigOptions(rigConfig(1)))
	if err := s.l.Listen(bareListener, s.p.Door("")); err != nil {
		t.Fatal(err)
	}
	k.tell(bareListener, loop.Readable)
	s.l.Turn(false)
	s.send(bareClient, h2.Preface+string(h2.AppendHeader(nil, h2.Header{Type: h2.Settings}))+
		string(h2.AppendHeader(nil, h2.Header{Type: h2.Settings, Flags: h2.FlagAck})))
	return s
}

// BenchmarkExchangeHTTP2 is one small request of an HTTP/2 client and its answer.
func BenchmarkExchangeHTTP2(b *testing.B) {
	request := h2Request("GET", 0, 5)
	s := newSteadyHTTP2(b, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	b.ReportAllocs()
	all, at := make([]string, 10000), 0
	for b.Loop() {
		if at == 0 {
			b.StopTimer()
			for i := range all {
				all[i] = request()
			}
			b.StartTimer()
		}
		s.request = all[at]
		at = (at + 1) % len(all)
		s.exchange()
	}
}

// TestAllocationsHTTP2: in steady state an exchange of an HTTP/2 client allocates nothing.
func TestAllocationsHTTP2(t *testing.T) {
	const runs = 100
	for _, tc := range []struct {
		name     string
		request  func() string
		response string
	}{
		{"GET", h2Request("GET", 0, 5), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"},
		{"POST", h2Request("POST", 16000, 0), "HTTP/1.1 204 No Content\r\n\r\n"},
		{"60 KiB", h2Request("GET", 0, 60<<10), "HTTP/1.1 200 OK\r\nContent-Length: 61440\r\n\r\n" + strings.Repeat("x", 60<<10)},
		{"chunked", h2Request("GET", 0, 30<<10), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
			strings.Repeat("400\r\n"+strings.Repeat("x", 1<<10)+"\r\n", 30) + "0\r\nX-Sum: 1\r\n\r\n"},
	} {
		all := make([]string, 50+runs+10)
		for i := range all {
			all[i] = tc.request()
		}
		s := newSteadyHTTP2(t, tc.response)
		k := s.k
		next := func() {
			s.request, all = all[0], all[1:]
			s.exchange()
		}
		for range 50 {
			next()
		}
		check := func() { // a WINDOW_UPDATE comes now and then
			if up, down := s.sunk(); up == 0 || down < 13 || s.p.arena.Out() != 0 || k.open != bareBackend+1 {
				t.Fatalf("%s: %d bytes up and %d down, %d slabs out, %d descriptors", tc.name, up, down, s.p.arena.Out(), k.open)
			}
		}
		if n := testing.AllocsPerRun(runs, func() { next(); check() }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
	}
}

// TestBurstOfExchanges: the exchanges that a burst has made go when they were not needed for a
// while, and those of a steady flow stay.
func TestBurstOfExchanges(t *testing.T) {
	request := h2Request("GET", 0, 5)
	s := newSteadyHTTP2(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	s.request = request()
	s.exchange()
	var made []*exchange
	for range 9 {
		made = append(made, s.p.Begin(nil, s.p.Lease(), new(lane.Inbox), new(front.Peer), new(httpparse.Request), 0).(*exchange))
	}
	for _, x := range made {
		x.release()
	}
	for i, want := range []int{9, 1, 1} { // one is needed
		if i > 0 {
			s.request = request()
			s.exchange()
		}
		if freed := s.p.upkeep.Trim(); s.p.spares.Len() != want || i == 1 && freed < 8*exchangeBytes {
			t.Errorf("%d: %d exchanges are free, want %d; %d bytes are freed", i, s.p.spares.Len(), want, freed)
		}
	}
}
