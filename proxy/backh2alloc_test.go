package proxy

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"lb/config"
	"lb/loop"
)

// h2Start returns the frames that a backend sends first.
func h2Start() string {
	var out bytes.Buffer
	f := http2.NewFramer(&out, nil)
	f.WriteSettings()
	f.WriteSettingsAck()
	f.WriteWindowUpdate(0, 1<<30)
	return out.String()
}

// h2Answer returns the frames of an answer in the stream id.
func h2Answer(id uint32, body int, trailers bool) string {
	var out, block bytes.Buffer
	f := http2.NewFramer(&out, nil)
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	e.WriteField(hpack.HeaderField{Name: "content-type", Value: "text/plain"})
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
	for left := body; ; {
		n := min(left, 16<<10)
		left -= n
		f.WriteData(id, left == 0 && !trailers, make([]byte, n))
		if left == 0 {
			break
		}
	}
	if trailers {
		block.Reset()
		e.WriteField(hpack.HeaderField{Name: "grpc-status", Value: "0"})
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
	return out.String()
}

// TestBackendH2Allocations: an exchange with a backend over HTTP/2 allocates nothing either.
func TestBackendH2Allocations(t *testing.T) {
	for _, tc := range []struct {
		name, request string
		body          int
		trailers      bool
	}{
		{"GET", get, 5, false},
		{"trailers", get, 5, true},
		{"48 KiB", get, 48 << 10, false},
		{"POST", "POST" + get[3:len(get)-2] + "Content-Length: 5\r\n\r\nhello", 5, false},
		{"POST 16 KiB", "POST" + get[3:len(get)-2] + "Content-Length: 16384\r\n\r\n" + strings.Repeat("x", 16<<10), 5, false},
	} {
		cfg := rigConfig(1)
		cfg.Pools[0].Protocol = config.ProtocolH2C
		k := &bareKernel{now: 1}
		s := &steady{k: k, l: loop.New(k, loop.Options{}), request: tc.request}
		s.p = New(s.l, rigOptions(cfg))
		if err := s.l.Listen(bareListener, s.p.Door("")); err != nil {
			t.Fatal(err)
		}
		k.tell(bareListener, loop.Readable)
		s.l.Turn(false)
		var answers []string
		for id := uint32(1); id < 400; id += 2 {
			answers = append(answers, h2Answer(id, tc.body, tc.trailers))
		}
		next := func() {
			s.response, answers = answers[0], answers[1:]
			k.socks[bareBackend].in = ""
			s.exchange()
		}
		s.send(bareClient, s.request)
		s.send(bareBackend, h2Start())
		s.send(bareBackend, answers[0])
		for answers = answers[1:]; len(answers) > 150; {
			next()
		}
		s.conns = k.open - bareBackend
		s.up, s.down = s.sunk()
		if n := testing.AllocsPerRun(100, next); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
		if _, down := s.sunk(); down != s.down || down < tc.body || s.conns != 1 || s.p.arena.Out() != 0 {
			t.Errorf("%s: %d bytes down, %d before; %d conns; %d slabs out", tc.name, down, s.down, s.conns, s.p.arena.Out())
		}
	}
}
