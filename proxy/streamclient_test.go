package proxy

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"lb/httpparse"
)

// streamClient plays the client of a transcript with a conn of HTTP/2, on which each request
// has a stream. It takes apart the bytes that the client would send on its conn; each request
// becomes a stream when the one before has ended.
type streamClient struct {
	p             *player
	name          string
	e             *h2End
	acts, cutting bool   // its frames are its own doing, and not the loop's; they are being cut
	cuts          []byte // of frames to be sent

	streams  []*wireStream
	got      []streamMessage // set at the end of the script
	reads    streamPart
	buf      []byte // bytes sent and not yet taken apart
	head     httpparse.RequestParser
	left     int64 // of a body with a length, in bytes
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
}

// wireStream is the stream of one request.
type wireStream struct {
	c       *streamClient
	s       *h2Stream
	method  string
	asked   bool // for a tunnel
	tunnel  bool
	replies []streamReply
	code    http2.ErrCode // that lb has reset it with
	reset   bool
}

// streamReply is one response, final or interim.
type streamReply struct{ head, body, trailers []byte }

// streamPart is the part of a request that comes next.
type streamPart int

const (
	streamIdle streamPart = iota
	streamHead
	streamLength
	streamChunks
	streamTrailers
)

// openStreams makes a client at from.
func (p *player) openStreams(name string, from netip.AddrPort) *streamClient {
	c := &streamClient{p: p, name: name}
	c.e = newH2End(p.rig.connect(from), false, func(format string, args ...any) { p.t.Errorf(name+": "+format, args...) })
	p.streams = append(p.streams, c)
	if p.cut {
		c.e.send = c.sendCut
	}
	if p.narrow {
		c.e.narrow = true
		c.e.start(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
	} else {
		c.e.start()
	}
	return c
}

// streamClient returns the client with this name, and makes it the first time.
func (p *player) streamClient(name string) *streamClient {
	for _, c := range p.streams {
		if c.name == name {
			return c
		}
	}
	return p.openStreams(name, rigClient)
}

// moveStreams makes a client do something, in the next turn, as an event would.
func (p *player) moveStreams(name, verb string) {
	if from, ok := strings.CutPrefix(verb, "open from "); ok {
		addr, _ := netip.ParseAddrPort(from) // not valid for "unix"
		p.openStreams(name, addr)
		return
	}
	c := p.streamClient(name)
	switch verb {
	case "open":
	case "shut":
		c.shut()
	case "close":
		c.end()
	case "reset":
		c.e.peer.Reset()
		c.e.end()
	case "pause", "resume":
		c.pause(verb == "pause")
	default:
		p.t.Fatalf("%s cannot %q", name, verb)
	}
}

// pause shuts all windows, or opens them again.
func (c *streamClient) pause(is bool) {
	size := uint32(window)
	if is {
		size = 0
	}
	c.e.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: size})
	for _, s := range c.streams {
		s.s.pause(is)
	}
}

// last returns the newest stream, or nil if there is none.
func (c *streamClient) last() *wireStream {
	if len(c.streams) == 0 {
		return nil
	}
	return c.streams[len(c.streams)-1]
}

// sendCut sends every byte of a frame alone, if the loop stands still.
func (c *streamClient) sendCut(b []byte) {
	c.cuts = append(c.cuts, b...)
	if !c.acts || c.cutting {
		if !c.cutting {
			c.e.peer.Send(c.cuts)
			c.cuts = nil
		}
		return
	}
	c.cutting = true
	for len(c.cuts) > 0 {
		n := 1 + len(c.cuts)/5000
		part := c.cuts[:n]
		c.cuts = c.cuts[n:]
		c.e.peer.Send(part)
		c.p.settle()
	}
	c.cutting = false
}

// receive takes the bytes b apart.
func (c *streamClient) receive(b []byte) {
	c.buf, c.acts = append(c.buf, b...), true
	c.read()
	c.acts = false
}

// read takes the bytes sent apart.
func (c *streamClient) read() {
	for len(c.buf) > 0 && c.step() {
	}
}

// step takes a part of the bytes sent. It returns false if it needs more of them.
func (c *streamClient) step() bool {
	s := c.last()
	switch c.reads {
	case streamIdle:
		switch {
		case s != nil && s.tunnel:
			c.give(len(c.buf), false)
			return false
		case s != nil && (s.s.lives() || s.reset):
			return false
		}
		c.head.Reset(&httpparse.Limits{HeadBytes: 1 << 20, Fields: 10000, TargetBytes: 1 << 20})
		c.reads = streamHead
		return true
	case streamHead:
		return c.readHead()
	case streamLength:
		n := min(len(c.buf), int(c.left))
		if c.left -= int64(n); c.left == 0 {
			c.reads = streamIdle
		}
		c.give(n, c.left == 0)
		return true
	case streamChunks:
		return c.readChunks()
	}
	if c.trailers.Feed(c.buf) != httpparse.Done {
		return false
	}
	c.buf = c.buf[c.trailers.HeadLen:]
	c.reads = streamIdle
	c.give(0, true)
	return true
}

// give gives the stream the first n bytes of buf as a part of its body; over ends the body.
func (c *streamClient) give(n int, over bool) {
	b := c.buf[:n]
	c.buf = c.buf[n:]
	c.last().s.write(b, over)
}

func (c *streamClient) readHead() bool {
	switch c.head.Feed(c.buf) {
	case httpparse.More:
		return false
	case httpparse.Bad:
		c.p.t.Fatalf("a bad head, which is not of streams: %v", c.head.Reason)
	}
	raw := c.buf[:c.head.HeadLen]
	c.buf = c.buf[c.head.HeadLen:]
	switch c.head.Framing {
	case httpparse.None:
		c.reads = streamIdle
	case httpparse.Length:
		if c.reads, c.left = streamLength, c.head.Length; c.left == 0 {
			c.reads = streamIdle
		}
	default:
		c.reads = streamChunks
		c.chunks.Reset(false)
	}
	c.open(raw, c.reads == streamIdle)
	return true
}

// open begins a stream with the head raw.
func (c *streamClient) open(raw []byte, end bool) {
	first, lines, _ := strings.Cut(string(raw), crlf)
	parts := strings.Split(first, " ")
	s := &wireStream{c: c, method: parts[0]}
	s.s = &h2Stream{e: c.e, user: s}
	authority := ""
	if u, err := url.Parse(parts[1]); err == nil && u.IsAbs() && u.Host != "" {
		authority, parts[1] = u.Host, u.RequestURI()
	}
	scheme := "http"
	if c.p.playing.layered {
		scheme = "https"
	}
	pseudo := []hpack.HeaderField{{Name: ":method", Value: s.method}, {Name: ":scheme", Value: scheme}, {Name: ":path", Value: parts[1]}}
	var fields []hpack.HeaderField
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, crlf+crlf), crlf) {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch {
		case name == "host":
			if authority != "" {
				value = authority
			}
			pseudo = append(pseudo, hpack.HeaderField{Name: ":authority", Value: value})
		case name == "upgrade":
			s.asked, pseudo[0].Value = true, "CONNECT"
			pseudo = append(pseudo, hpack.HeaderField{Name: ":protocol", Value: value})
		case line != "" && !hopByHop(name):
			fields = append(fields, hpack.HeaderField{Name: name, Value: value})
		}
	}
	c.streams = append(c.streams, s)
	c.e.begin(s.s, append(pseudo, fields...), end && !s.asked)
}

func (c *streamClient) readChunks() bool {
	d, n, st := c.chunks.Next(c.buf)
	if st == httpparse.Bad {
		c.p.t.Fatalf("bad chunks: %v", c.chunks.Reason)
	}
	rest := c.buf[n:]
	c.buf = c.buf[d.Off : d.Off+d.Len]
	c.give(len(c.buf), false)
	c.buf = rest
	if st == httpparse.Done {
		c.reads = streamTrailers
		c.trailers.Reset(&httpparse.Limits{HeadBytes: 1 << 16, Fields: 100, TargetBytes: 1 << 16}, false)
	}
	return n > 0
}

// shut ends the bytes from the client.
func (c *streamClient) shut() {
	s := c.last()
	switch {
	case s != nil && s.tunnel:
		s.s.write(nil, true)
	case s != nil && c.reads != streamIdle:
		c.e.end()
	}
}

// end ends the client's bytes in a tunnel, and the conn otherwise.
func (c *streamClient) end() {
	if s := c.last(); s != nil && s.tunnel {
		c.shut()
		return
	}
	c.e.end()
}

// head implements h2User.
func (s *wireStream) head(fields []hpack.HeaderField, end bool) {
	var lines []byte
	status := ""
	for _, f := range fields {
		if f.Name == ":status" {
			status = f.Value
			continue
		}
		lines = fmt.Appendf(lines, "%s: %s\r\n", f.Name, f.Value)
	}
	if status == "" {
		s.replies[len(s.replies)-1].trailers = lines
		s.c.read()
		return
	}
	if s.asked && status == "200" {
		status, s.tunnel = "101", true
	}
	s.replies = append(s.replies, streamReply{head: append([]byte(status+"\n"), lines...)})
	s.c.read()
}

// data implements h2User.
func (s *wireStream) data(b []byte, end bool) {
	r := &s.replies[len(s.replies)-1]
	r.body = append(r.body, b...)
	if end {
		s.c.read()
	}
}

// gone implements h2User.
func (s *wireStream) gone(code http2.ErrCode) { s.reset, s.code = true, code }

// streamWindows are bytes by which narrow windows grow, frame by frame.
var streamWindows = [...]int{0, 1, 5, 0, 300, 2, 9000}
