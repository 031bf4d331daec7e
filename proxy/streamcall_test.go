package proxy

import (
	"strings"
	"testing"
)

// callScript is a call whose answer has begun.
const callScript = `| backends = [{ host = "a", port = 80 }]
| timeouts.backend_body = "5s"

client> POST /s/M HTTP/1.1
client> Host: a.example
client> Content-Type: application/grpc
client> Grpc-Timeout: 2S
client> Transfer-Encoding: chunked
client>
client> 5
client> abcde


backend> HTTP/1.1 200 OK
backend> Content-Type: application/grpc
backend> Transfer-Encoding: chunked
backend>
backend> 5
backend> 12345
`

// TestStreamCallEnds: a call that comes in a stream, and whose answer ends early, ends with
// trailers that say why. Any other exchange there is cut.
func TestStreamCallEnds(t *testing.T) {
	const dies = "\nbackend: reset\n"
	for name, tc := range map[string]struct {
		kind, more, trailers string
		reset                bool
	}{
		"deadline": {"application/grpc", "\nwait 2100ms\n", "grpc-status: 4\r\ngrpc-message: 504 Gateway Timeout: the deadline of the call has passed\r\n", false},
		"backend":  {"application/grpc", dies, "grpc-status: 14\r\ngrpc-message: 502 Bad Gateway: the backend closed the connection before its answer was whole\r\n", false},
		"client":   {"application/grpc", "\nclient: reset\n", "", true},
		"another":  {"application/grpc-web", dies, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &player{t: t, streaming: true, count: make(map[string]int)}
			p.play(strings.Replace(callScript, "application/grpc", tc.kind, 1) + tc.more)
			s := p.streams[0].streams[0]
			if s.s.came == tc.reset || s.reset != tc.reset || len(s.replies) != 1 {
				t.Fatalf("ended (%t), reset (%t), %d replies", s.s.came, s.reset, len(s.replies))
			}
			if r := s.replies[0]; string(r.body) != "12345" || string(r.trailers) != tc.trailers {
				t.Errorf("%q, trailers %q", r.body, r.trailers)
			}
		})
	}
}
