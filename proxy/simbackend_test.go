package proxy

import (
	"bytes"
	"fmt"
	"strconv"

	"lb/loop/looptest"
)

// simBackend is one conn to a backend.
type simBackend struct {
	s     *sim
	peer  simPeer
	hello *simHello
	r     simReader
	busy  bool // an answer is owed or on its way
	early bool // the answer began before the request was whole
	raw   bool // after a 101

	answering bool // bytes of an answer may be out

	place   int
	working bool // its request counts in sim.working
}

func (s *sim) welcome(place int, p *looptest.Peer) {
	if isH2(s.pools[s.poolOf[place]]) {
		s.welcomeH2(place, p)
		return
	}
	b := s.newBackend(place, p, s.newHello(place))
	p.OnBytes = func(p *looptest.Peer) {
		if got := b.hello.take(s, p.Recv()); len(got) > 0 {
			b.onBytes(got)
		}
	}
	p.OnEnd = func(p *looptest.Peer) { b.onEnd() }
}

func (s *sim) newBackend(place int, p simPeer, hello *simHello) *simBackend {
	b := &simBackend{s: s, peer: p, place: place, hello: hello}
	b.r = simReader{request: true, onHead: b.onHead, onWhole: b.onWhole}
	return b
}

func (b *simBackend) onEnd() {
	b.ends()
	if b.raw && !b.peer.WasReset() {
		b.s.after(10, b.peer.Shut)
		return
	}
	b.peer.Close()
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

// requestOf returns the request that a head belongs to.
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
	if r.left {
		b.s.errorf("request %d was sent after its client had left", r.id)
	}
	if !b.s.mayServe(r, b.place) {
		b.s.errorf("request %d for pool %d came to backend %d", r.id, r.pool, b.place)
	}
	b.s.checkIDs(r, m)
	b.hello.check(b.s, m)
	r.at, r.wholly = r.at|1<<b.place, false
	b.begins()
	if b.busy {
		b.s.errorf("request %d came before the answer to the one before was out", r.id)
	}
	if want := fmt.Sprintf("%s /%d HTTP/1.1", r.method, r.id); m.start != want || m.field("x-hop") != "" || m.field("via") != r.via() {
		b.s.errorf("request %d came as %q %v", r.id, m.start, m.fields)
	}
	b.busy, b.early = true, false
	switch {
	case r.tunnel && len(r.body) > 0 && b.s.rng.IntN(2) == 0:
		b.early, r.early = true, true
		b.upgrade(r)
	case r.tunnel:
	case r.expect && m.field("expect") != "":
		b.s.after(20, func() { b.peer.Send([]byte("HTTP/1.1 100 Continue\r\n\r\n")) })
	case len(r.body) > 0 && b.s.rng.IntN(6) == 0 && r.code < 400 && r.framing != "close":
		b.early, r.early = true, true
		b.answer(r, "")
	}
}

// onWhole acts on a whole request.
func (b *simBackend) onWhole(m *simMessage) {
	r := b.requestOf(m)
	if !bytes.Equal(m.body, r.body) {
		b.s.errorf("request %d: a body of %d bytes taken for whole, want %d", r.id, len(m.body), len(r.body))
	}
	r.wholly = true
	switch {
	case r.tunnel:
		if b.raw = true; !b.early {
			b.upgrade(r)
		}
		rest := b.r.buf
		b.r.buf = nil
		if len(rest) > 0 {
			b.peer.Send(rest)
		}
	case !b.early:
		b.answer(r, simSum(m.body))
	}
}

// upgrade sends a 101.
func (b *simBackend) upgrade(r *simRequest) {
	b.peer.Send([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nX-Id: " + strconv.Itoa(r.id) + "\r\n\r\n"))
}

// answer sends the answer to r after a while, or the bytes of a bad backend.
func (b *simBackend) answer(r *simRequest, sum string) {
	s := b.s
	if s.frozen[b.place] {
		s.after(100, func() { b.answer(r, sum) })
		return
	}
	out, closes := s.response(r, sum)
	b.answering = true
	if s.rough && s.rng.IntN(5) == 0 {
		b.misbehave(r, out)
		return
	}
	s.inParts(out, b.peer, func() {
		b.ends()
		b.busy, b.answering = false, false
		switch {
		case closes:
			b.peer.Shut()
		case s.rough && s.rng.IntN(4) == 0:
			s.after(30, b.leave)
		}
	})
}

// leave closes a conn between two answers, perhaps just as a request arrives.
func (b *simBackend) leave() {
	if b.s.rough && !b.answering { // else it is calm by now
		b.ends()
		b.peer.Close()
	}
}

// misbehave does one of the wrong things that backends do.
func (b *simBackend) misbehave(r *simRequest, out []byte) {
	s, k := b.s, b.peer
	cut := out[:s.rng.IntN(len(out))]
	switch s.rng.IntN(6) {
	case 0: // a short answer, and the end: without a framing it looks whole
		r.short = true
		s.inParts(cut, k, func() { b.ends(); k.Close() })
	case 1:
		s.inParts(cut, k, func() { b.ends(); k.Reset() })
	case 2: // a short answer, and no end
		s.inParts(cut, k, func() {})
	case 3: // no byte at all
	case 4: // more after the answer
		if r.framing == "close" {
			return // it would be part of the answer
		}
		b.surplus(out)
	case 5:
		k.Send([]byte("220 mail.example ESMTP\r\n"))
	}
}

// surplus sends another answer after the answer. If that may arrive later than the answer,
// it could as well answer the next request; lb cannot know. The surplus is then no valid
// answer.
func (b *simBackend) surplus(out []byte) {
	more := "HTTP/1.1 200 OK\r\nX-Id: none\r\nContent-Length: 4\r\n\r\nevil"
	if f := &b.s.r.k.Faults; f.CutReads+f.NotReady > 0 || f.Delay > 0 || f.BufferMin > 0 {
		more = "more\r\n"
	}
	b.peer.Send(append(out, more...))
	b.ends()
	b.busy, b.answering = false, false
}

// response composes an answer; closes reports whether the conn must end after it. An early
// answer, without sum, does not end the conn: the client would be cut off in its request.
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
