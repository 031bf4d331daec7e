package proxy

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"lb/loop/tick"
	"lb/proxy/ids"
)

// simRequest is one request of a simulated client. It determines the answer, so that the
// client can recognise its own answer.
type simRequest struct {
	id      int
	pool    int          // index in sim.pools
	begun   tick.Instant // when its client began to send it
	method  string
	minor   int  // of HTTP/1.x
	http2   bool // it is a stream
	body    []byte
	chunked bool
	expect  bool // the client waits for a 100 before it sends the body
	last    bool // with Connection: close
	code    int  // of the answer
	size    int  // of its body, in bytes
	framing string
	tunnel  bool // an upgrade to a tunnel

	arrived int  // conns on which its head arrived at a backend
	at      uint // bits of the places of these: what was sent to one that was left may arrive last
	wholly  bool // its whole body arrived there
	got     int  // status of the final response that the client took for whole, or 0 if there was none
	gotBody int  // length of its body, in bytes
	gotOwn  bool // the response was lb's own
	early   bool // the response began before the request was whole
	left    bool // its client ended its side, and lb dropped it
	short   bool // a backend ended its answer early, in order

	requestID string       // that backends got
	spans     []ids.Parent // the traceparents that they got
}

// makeTunnel makes r an upgrade, with a body or without one.
func (s *sim) makeTunnel(r *simRequest, http2 bool) {
	*r = simRequest{id: r.id, pool: r.pool, method: "GET", minor: 1, http2: http2, code: 101, tunnel: true}
	if s.rng.IntN(2) == 0 && !http2 {
		r.method, r.body, r.chunked = "POST", simBytes(-r.id, s.size()), s.rng.IntN(2) == 0
	}
}

// via returns the Via that lb sends to a backend.
func (r *simRequest) via() string {
	if r.http2 {
		return "2.0 lb"
	}
	return fmt.Sprintf("1.%d lb", r.minor)
}

// simBytes returns n bytes that belong to id alone.
func simBytes(id, n int) []byte {
	b := make([]byte, n)
	x := uint32(id)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return b
}

func simSum(b []byte) string {
	h := fnv.New64a()
	h.Write(b)
	return strconv.FormatUint(h.Sum64(), 16)
}

// newRequest draws a request.
func (s *sim) newRequest(minor int, pipelined bool) *simRequest {
	r := &simRequest{id: len(s.requests), minor: minor, pool: s.rng.IntN(len(s.pools))}
	r.method = []string{"GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"}[s.rng.IntN(7)]
	if r.method == "POST" || r.method == "PUT" {
		r.body = simBytes(-r.id, s.size())
		r.chunked = minor == 1 && s.rng.IntN(2) == 0
		r.expect = minor == 1 && !pipelined && len(r.body) > 0 && s.rng.IntN(4) == 0
	}
	r.code = []int{200, 200, 200, 204, 304, 404, 500, 503}[s.rng.IntN(8)]
	r.framing = []string{"length", "chunked", "close"}[s.rng.IntN(3)]
	r.size = s.size()
	if r.code == 204 || r.code == 304 {
		r.size, r.framing = 0, "none"
	}
	s.requests = append(s.requests, r)
	return r
}

// size draws the size of a body: mostly small, now and then many buffers long.
func (s *sim) size() int {
	switch s.rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return s.rng.IntN(s.sizeMax)
	}
	return s.rng.IntN(300)
}

// head and payload return the bytes that the client sends.
func (r *simRequest) head() []byte {
	b := fmt.Appendf(nil, "%s /%d HTTP/1.%d\r\nHost: %s\r\nX-Id: %d\r\n", r.method, r.id, r.minor, simHost(r.pool), r.id)
	b = append(b, "Connection: x-hop\r\nX-Hop: not for backends\r\n"...)
	b = append(b, r.forged()...)
	switch {
	case r.tunnel:
		b = append(b, "Connection: upgrade\r\nUpgrade: websocket\r\n"...)
	case r.last:
		b = append(b, "Connection: close\r\n"...)
	}
	if r.expect {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	switch {
	case r.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.method == "POST" || r.method == "PUT":
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(r.body))
	}
	return append(b, "\r\n"...)
}

func (s *sim) payload(r *simRequest) []byte {
	if r.chunked {
		return s.chunks(r.body, "")
	}
	return r.body
}

// chunks frames body in chunks of any size, some with extensions.
func (s *sim) chunks(body []byte, trailers string) (b []byte) {
	for len(body) > 0 {
		n := 1 + s.rng.IntN(len(body))
		b = fmt.Appendf(b, "%X%s\r\n%s\r\n", n, []string{"", ";a=b", " ; q=\"\\\"\""}[s.rng.IntN(3)], body[:n])
		body = body[n:]
	}
	return append(b, "0\r\n"+trailers+"\r\n"...)
}

// inParts sends b in a few parts, over a while, and then calls then.
func (s *sim) inParts(b []byte, to simPeer, then func()) {
	if len(b) == 0 {
		s.after(20, then)
		return
	}
	n := len(b)
	if s.rng.IntN(2) == 0 {
		n = 1 + s.rng.IntN(n)
	}
	s.after(20, func() {
		to.Send(b[:n])
		if n == len(b) {
			then()
			return
		}
		s.inParts(b[n:], to, then)
	})
}

// after runs f within most milliseconds.
func (s *sim) after(most int, f func()) {
	s.r.k.After(time.Duration(s.rng.IntN(most*1000+1))*time.Microsecond, f)
}

func (s *sim) errorf(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}
