package proxy

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/loop/looptest"
)

// simRequest is one request of a simulated client. All that its answer has to
// be is in it, so that its client can tell its own answer from any other.
type simRequest struct {
	id      int
	method  string
	minor   int // of HTTP/1.x
	body    []byte
	chunked bool
	expect  bool // waits for a 100 before it sends the body
	last    bool // says Connection: close
	code    int  // of the answer
	size    int  // of its body, in bytes
	framing string
	tunnel  bool // asks for an upgrade instead

	arrived int  // conns on which its head came to a backend
	short   bool // a backend ended its answer early, in order
}

// simBytes are n bytes that belong to id alone.
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
	r := &simRequest{id: len(s.requests), minor: minor}
	r.method = []string{"GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"}[s.rng.IntN(7)]
	if r.method == "POST" || r.method == "PUT" {
		r.body = simBytes(-r.id, s.size())
		r.chunked = minor == 1 && s.rng.IntN(2) == 0
		r.expect = minor == 1 && !pipelined && len(r.body) > 0 && s.rng.IntN(4) == 0
	}
	r.code = []int{200, 200, 200, 204, 304, 404, 500}[s.rng.IntN(7)]
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

// head and payload are what the client sends.
func (r *simRequest) head() []byte {
	b := fmt.Appendf(nil, "%s /%d HTTP/1.%d\r\nHost: sim.example\r\nX-Id: %d\r\n", r.method, r.id, r.minor, r.id)
	b = append(b, "Connection: x-hop\r\nX-Hop: not for backends\r\n"...)
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

// simClient is one client conn with its requests.
type simClient struct {
	s         *sim
	peer      *looptest.Peer
	r         simReader
	name      string
	requests  []*simRequest
	pipelined bool
	sent      int  // requests sent, at least in part
	answered  int  // final responses that came whole
	rough     bool // it came in a rough time
	quits     bool // it stops sending, or leaves, in the middle: nothing is promised to it
	leaves    bool // it closes when all is answered
	stopped   bool // it has left something out, and sends nothing more
	sending   bool // parts of what was sent are still to come
	ended     bool
	held      []byte // a body that waits for its 100, or what waits for its 101
	echoed    []byte // what it sent into a tunnel
}

// connect draws a client and has it begin.
func (s *sim) connect() {
	c := &simClient{s: s, rough: s.rough, name: fmt.Sprintf("client %d", len(s.clients)), leaves: s.rng.IntN(3) > 0}
	s.clients = append(s.clients, c)
	minor, count := 1, 1+s.rng.IntN(5)
	if s.rng.IntN(5) == 0 {
		minor, count = 0, 1
	}
	c.pipelined = s.rng.IntN(3) == 0
	for range count {
		c.requests = append(c.requests, s.newRequest(minor, c.pipelined))
	}
	last := c.requests[count-1]
	last.last = s.rng.IntN(3) == 0
	if minor == 1 && s.rng.IntN(8) == 0 {
		*last = simRequest{id: last.id, method: "GET", minor: 1, code: 101, tunnel: true}
	}
	c.r = simReader{onHead: c.onHead, onWhole: c.onWhole, bodyless: c.bodyless}
	c.peer = s.r.k.Connect(s.r.listener, netip.AddrPortFrom(rigClient.Addr(), uint16(1000+len(s.clients))))
	c.peer.OnBytes = func(p *looptest.Peer) { c.r.feed(p.Recv()) }
	c.peer.OnEnd = func(*looptest.Peer) { c.onEnd() }
	if s.rng.IntN(3) == 0 {
		s.after(300, func() {
			c.peer.Pause()
			s.after(300, c.peer.Resume)
		})
	}
	if s.rough && s.rng.IntN(4) == 0 {
		c.quits = true
		s.after(500, []func(){c.peer.Close, c.peer.Reset, c.peer.Shut, func() {}}[s.rng.IntN(4)])
	}
	c.next()
}

// next sends what may be sent now: all requests, or one.
func (c *simClient) next() {
	var b []byte
	for !c.sending && c.sent < len(c.requests) && (c.pipelined || c.sent == c.answered) {
		r := c.requests[c.sent]
		c.sent++
		b = append(b, r.head()...)
		switch body := c.s.payload(r); {
		case r.tunnel:
			c.held = append([]byte{'.'}, simBytes(r.id, c.s.size())...)
		case r.expect:
			c.held = body
		default:
			b = append(b, body...)
		}
	}
	if len(b) > 0 {
		c.send(b)
	}
}

// send sends b in parts, over a while. Who quits may leave some out.
func (c *simClient) send(b []byte) {
	if c.quits && c.s.rng.IntN(2) == 0 {
		b, c.stopped = b[:c.s.rng.IntN(len(b))], true
	}
	c.sending = true
	c.s.inParts(b, c.peer, func() {
		c.sending = c.stopped
		switch {
		case c.sent < len(c.requests) || c.held != nil:
			c.next() // the answer may have been faster
		case c.echoed != nil, c.s.rng.IntN(6) == 0:
			c.peer.Shut() // who ends its side behind whole requests still gets the answers
		}
	})
}

func (c *simClient) request() *simRequest {
	if c.answered < c.sent {
		return c.requests[c.answered]
	}
	return nil
}

// halfHEAD tells whether lb may have replied to a HEAD of which it had not seen
// enough to know that it was one.
func (c *simClient) halfHEAD() bool {
	return (c.quits || c.s.faulty) && c.answered > 0 && c.requests[c.answered-1].method == "HEAD"
}

func (c *simClient) bodyless(m *simMessage) bool {
	r := c.request()
	return m.code()/100 == 1 || m.code() == 204 || m.code() == 304 || r != nil && r.method == "HEAD"
}

func (c *simClient) onHead(m *simMessage) {
	if c.request() == nil {
		c.s.errorf("%s got a response that it did not ask for: %q", c.name, m.start)
	}
	if m.code() == 101 {
		c.echoed, c.held = c.held, nil
		c.send(c.echoed)
	}
}

// onWhole checks a response.
func (c *simClient) onWhole(m *simMessage) {
	r := c.request()
	if r == nil {
		return
	}
	if m.code()/100 == 1 {
		if r.minor == 0 {
			c.s.errorf("%s speaks HTTP/1.0 and got %q", c.name, m.start)
		}
		if m.code() == 100 && r.expect && c.held != nil {
			held := c.held
			c.held = nil
			c.send(held)
		}
		return
	}
	c.answered++
	if r.expect || r.tunnel {
		c.held = nil
	}
	if len(m.fields["x-id"]) == 0 {
		c.ownReply(r, m)
	} else {
		c.s.answers++
		c.s.checkResponse(c.name, r, m)
	}
	if c.answered == len(c.requests) && c.leaves {
		c.peer.Close()
		return
	}
	if !c.pipelined {
		c.next()
	}
}

// ownReply is for what lb says itself: an error, when there is a reason.
func (c *simClient) ownReply(r *simRequest, m *simMessage) {
	c.s.replies++
	allowed := []int{502, 503, 504}
	if c.quits || c.s.faulty {
		allowed = append(allowed, 400, 408)
	}
	if !c.rough || !slices.Contains(allowed, m.code()) {
		c.s.errorf("%s: request %d, %s: %q %q", c.name, r.id, r.method, m.start, m.body)
	}
}

// onEnd is called when lb has ended or reset the conn.
func (c *simClient) onEnd() {
	c.ended = true
	if r := c.request(); r != nil && r.tunnel && c.r.part == simRaw {
		c.endTunnel(r)
	}
	if !c.peer.WasReset() {
		c.r.end()
	}
	if !c.rough && c.answered < len(c.requests) {
		c.s.errorf("%s: its conn ended behind %d of %d answers, reset %t", c.name, c.answered, len(c.requests), c.peer.WasReset())
	}
	c.peer.Close()
}

// endTunnel checks what came through a tunnel.
func (c *simClient) endTunnel(r *simRequest) {
	got := c.r.m.body
	switch {
	case !bytes.HasPrefix(c.echoed, got):
		c.s.errorf("%s: not its own bytes came through its tunnel", c.name)
	case len(got) == len(c.echoed):
		c.answered++
		c.s.answers++
	case !c.rough:
		c.s.errorf("%s: %d of %d bytes came through its tunnel, reset %t", c.name, len(got), len(c.echoed), c.peer.WasReset())
	}
}

// done tells whether the client has got all that it can get.
func (c *simClient) done() bool {
	return c.ended || c.peer.WasReset() || c.answered == len(c.requests) && c.r.part != simRaw ||
		c.quits && c.peer.IsShut()
}

// checkResponse compares a response of a backend with the request.
func (s *sim) checkResponse(who string, r *simRequest, m *simMessage) {
	want := simBytes(r.id, r.size)
	if r.method == "HEAD" {
		want = nil
	}
	length := m.field("content-length")
	switch {
	case m.field("x-id") != strconv.Itoa(r.id):
		s.errorf("%s: request %d got the answer to %q", who, r.id, m.field("x-id"))
	case m.code() != r.code:
		s.errorf("%s: request %d: %q, want %d", who, r.id, m.start, r.code)
	case !bytes.Equal(m.body, want) && !((r.short || s.faulty) && r.framing == "close" && bytes.HasPrefix(want, m.body)):
		s.errorf("%s: request %d, %s, %s, taken for whole: %d bytes, want %d", who, r.id, r.method, r.framing, len(m.body), len(want))
	case m.field("x-sum") != "" && m.field("x-sum") != simSum(r.body):
		s.errorf("%s: request %d came to the backend as something else", who, r.id)
	case r.method == "HEAD" && r.framing == "length" && length != strconv.Itoa(r.size):
		s.errorf("%s: request %d: Content-Length %q to HEAD, want %d", who, r.id, length, r.size)
	case len(m.fields["date"]) != 1 || len(m.fields["x-hop"]) != 0 || len(m.fields["keep-alive"]) != 0:
		s.errorf("%s: request %d: fields %v", who, r.id, m.fields)
	case r.minor == 0 && len(m.fields["transfer-encoding"]) > 0:
		s.errorf("%s: chunks to HTTP/1.0", who)
	case len(m.trailers["x-tail"]) != len(m.fields["trailer"]):
		s.errorf("%s: request %d: Trailer %v, trailers %v", who, r.id, m.fields["trailer"], m.trailers)
	}
}

// simBackend is one conn to a backend.
type simBackend struct {
	s     *sim
	peer  *looptest.Peer
	r     simReader
	busy  bool // an answer is owed or on its way
	early bool // it has begun before the request was whole
	raw   bool // behind a 101

	answering bool // bytes of an answer may be out
}

func (s *sim) welcome(p *looptest.Peer) {
	b := &simBackend{s: s, peer: p}
	b.r = simReader{request: true, onHead: b.onHead, onWhole: b.onWhole}
	p.OnBytes = func(p *looptest.Peer) { b.onBytes(p.Recv()) }
	p.OnEnd = func(p *looptest.Peer) {
		if b.raw && !p.WasReset() {
			s.after(10, p.Shut)
			return
		}
		p.Close()
	}
}

func (b *simBackend) onBytes(got []byte) {
	if b.raw {
		b.peer.Send(got)
		return
	}
	b.r.feed(got)
	if b.r.wrong != nil {
		b.s.errorf("to a backend: %v", b.r.wrong)
	}
}

// requestOf finds the request that a head belongs to.
func (b *simBackend) requestOf(m *simMessage) *simRequest {
	id, err := strconv.Atoi(m.field("x-id"))
	if err != nil || id >= len(b.s.requests) {
		b.s.errorf("a backend got %q %v", m.start, m.fields)
		return &simRequest{}
	}
	return b.s.requests[id]
}

func (b *simBackend) onHead(m *simMessage) {
	r := b.requestOf(m)
	if r.arrived++; r.arrived > 1 && r.method == "POST" {
		b.s.errorf("request %d, a POST, was sent %d times", r.id, r.arrived)
	}
	if b.busy {
		b.s.errorf("request %d came before the answer to the one before was out", r.id)
	}
	if want := fmt.Sprintf("%s /%d HTTP/1.1", r.method, r.id); m.start != want || m.field("x-hop") != "" || m.field("via") != fmt.Sprintf("1.%d lb", r.minor) {
		b.s.errorf("request %d came as %q %v", r.id, m.start, m.fields)
	}
	b.busy, b.early = true, false
	switch {
	case r.tunnel:
	case r.expect && m.field("expect") != "":
		b.s.after(20, func() { b.peer.Send([]byte("HTTP/1.1 100 Continue\r\n\r\n")) })
	case len(r.body) > 0 && b.s.rng.IntN(6) == 0 && r.code < 400 && r.framing != "close":
		b.early = true
		b.answer(r, "")
	}
}

// onWhole acts on a request.
func (b *simBackend) onWhole(m *simMessage) {
	r := b.requestOf(m)
	if !bytes.Equal(m.body, r.body) {
		b.s.errorf("request %d: a body of %d bytes taken for whole, want %d", r.id, len(m.body), len(r.body))
	}
	switch {
	case r.tunnel:
		b.raw = true
		b.peer.Send([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nX-Id: " + strconv.Itoa(r.id) + "\r\n\r\n"))
		rest := b.r.buf
		b.r.buf = nil
		if len(rest) > 0 {
			b.peer.Send(rest)
		}
	case !b.early:
		b.answer(r, simSum(m.body))
	}
}

// answer sends the answer to r after a while, or what a bad backend sends.
func (b *simBackend) answer(r *simRequest, sum string) {
	s := b.s
	out, closes := s.response(r, sum)
	b.answering = true
	if s.rough && s.rng.IntN(5) == 0 {
		b.misbehave(r, out)
		return
	}
	s.inParts(out, b.peer, func() {
		b.busy, b.answering = false, false
		switch {
		case closes:
			b.peer.Shut()
		case s.rough && s.rng.IntN(4) == 0:
			s.after(30, b.leave)
		}
	})
}

// leave closes a conn without a word, perhaps just as a request comes.
func (b *simBackend) leave() {
	if !b.answering {
		b.peer.Close()
	}
}

// misbehave does one of the things that backends do.
func (b *simBackend) misbehave(r *simRequest, out []byte) {
	s, k := b.s, b.peer
	cut := out[:s.rng.IntN(len(out))]
	switch s.rng.IntN(6) {
	case 0: // a short answer, and the end: without a framing nobody can tell
		r.short = true
		s.inParts(cut, k, k.Close)
	case 1:
		s.inParts(cut, k, k.Reset)
	case 2: // a short answer, and no end
		s.inParts(cut, k, func() {})
	case 3: // nothing at all
	case 4: // more behind the answer
		if r.framing == "close" {
			return // it would be part of it
		}
		b.surplus(out)
	case 5:
		k.Send([]byte("220 mail.example ESMTP\r\n"))
	}
}

// surplus sends another answer behind the answer. Where it may arrive later than
// the answer it could just as well be that to the next request, and nobody can
// tell; what comes then had better be no answer at all.
func (b *simBackend) surplus(out []byte) {
	more := "HTTP/1.1 200 OK\r\nX-Id: none\r\nContent-Length: 4\r\n\r\nevil"
	if f := &b.s.r.k.Faults; f.CutReads+f.NotReady > 0 || f.Delay > 0 || f.BufferMin > 0 {
		more = "more\r\n"
	}
	b.peer.Send(append(out, more...))
	b.busy, b.answering = false, false
}

// response composes an answer; closes tells whether the conn has to end behind
// it. One that comes early, without sum, does not end it: the client would be cut
// off in its request.
func (s *sim) response(r *simRequest, sum string) (b []byte, closes bool) {
	version := "HTTP/1.1"
	if sum != "" && r.framing != "chunked" && s.rng.IntN(6) == 0 {
		version, closes = "HTTP/1.0", true
	}
	for range s.rng.IntN(3) {
		if version == "HTTP/1.1" && s.rng.IntN(3) == 0 {
			b = append(b, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"...)
		}
	}
	b = fmt.Appendf(b, "%s %d Some Phrase\r\nX-Id: %d\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n", version, r.code, r.id)
	if sum != "" {
		b = append(b, "X-Sum: "+sum+"\r\n"...)
	}
	if s.rng.IntN(2) == 0 {
		b = append(b, "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n"...)
	}
	if sum != "" && s.rng.IntN(5) == 0 {
		b = append(b, "Connection: close\r\n"...)
		closes = true
	}
	body, trailers := simBytes(r.id, r.size), ""
	switch r.framing {
	case "length":
		b = fmt.Appendf(b, "Content-Length: %d\r\n", r.size)
	case "chunked":
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if s.rng.IntN(2) == 0 && r.method != "HEAD" && r.minor == 1 {
			b, trailers = append(b, "Trailer: X-Tail\r\n"...), "X-Tail: "+strconv.Itoa(r.id)+"\r\n"
		}
		body = s.chunks(body, trailers)
	case "close":
		closes = closes || r.method != "HEAD"
	}
	b = append(b, "\r\n"...)
	if r.method != "HEAD" {
		b = append(b, body...)
	}
	return b, closes
}

// inParts sends b in some parts, over a while, and then calls then.
func (s *sim) inParts(b []byte, to *looptest.Peer, then func()) {
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

// after has f run within so many milliseconds.
func (s *sim) after(most int, f func()) {
	s.r.k.After(time.Duration(s.rng.IntN(most*1000+1))*time.Microsecond, f)
}

func (s *sim) errorf(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// describe says where the clients stand that are not done.
func (s *sim) describe() string {
	var all []string
	for _, c := range s.clients {
		if !c.done() {
			all = append(all, fmt.Sprintf("%s: %d requests, %d sent, %d answered, %d bytes unsent, inside %t",
				c.name, len(c.requests), c.sent, c.answered, c.peer.Unsent(), c.r.inside()))
		}
	}
	return strings.Join(all, "\n\t")
}
