package proxy

import (
	"strconv"
	"time"

	"lb/httpparse"
	"lb/proxy/front"
)

const crlf = "\r\n"

// composeInterim composes a 1xx response, or the 101 that begins a tunnel.
func (x *exchange) composeInterim(b []byte) {
	r, ln := &x.resp, &x.down
	out := &x.p.out
	*out = front.Reply{
		Code: r.Code, Phrase: r.Phrase.Of(b),
		Message: &r.Message, Text: b, Drop: hopByHop,
		Framing: httpparse.None, Length: -1,
	}
	if r.Code == 101 {
		out.Upgrade = x.upgradeOf(b)
	}
	d := ln.Restart(x.p.arena, int(r.HeadLen)+len(r.Fields)+ownFields)
	ln.SetHead(x.front.AppendHead(d, out))
	x.p.counters.Replies[1].Add(1)
}

// composeResponse composes the head of the final response, from the parsed head at the
// front of the backend's inbox, and begins the lane.
func (x *exchange) composeResponse() {
	r, ln := &x.resp, &x.down
	b := x.backend.in.Bytes()
	out := &x.p.out // one by one: a composite literal is made apart and copied
	out.Code, out.Phrase = r.Code, r.Phrase.Of(b)
	out.Message, out.Text, out.Drop = &r.Message, b, hopByHop
	out.Lines, out.Own, out.Upgrade = x.addedLines(b), nil, nil
	out.Framing, out.Length, out.Keep = r.Framing, r.Length, x.keep
	if r.Code == 426 && r.Seen.Has(httpparse.Upgrade) { // RFC 9110 15.5.22: it must say to what
		out.Upgrade = x.upgradeOf(b)
	}
	d := ln.Restart(x.p.arena, int(r.HeadLen)+len(r.Fields)+len(out.Lines)+ownFields)
	ln.SetHead(x.front.AppendHead(d, out))
	x.keep = out.Keep
	ln.Begin(r.Framing, out.To, r.Length)
}

// addedLines returns the field lines that lb adds to the response in b: those of the
// route, whose fields it hides in the message, the sticky cookie and a Date. They are
// valid until the next response of this loop.
func (x *exchange) addedLines(b []byte) []byte {
	r, p := &x.resp, x.p
	var date []byte
	if !r.Seen.Has(httpparse.Date) { // RFC 9110 6.6.1
		date = p.today()
	}
	if x.route == nil && x.pool.cfg.Sticky == "" {
		return date
	}
	d := p.lines[:0]
	if x.route != nil {
		hide(&r.Message, b, x.route.SetResponseHeaders)
		d = append(d, x.route.response...)
	}
	d = x.appendSticky(d)
	if x.route == nil || !x.route.dated {
		d = append(d, date...)
	}
	p.lines = d
	return d
}

// appendSticky appends the cookie that leads back to this backend, if the pool has one
// and the client does not have it yet.
func (x *exchange) appendSticky(d []byte) []byte {
	name, value := x.pool.cfg.Sticky, x.pool.Sticky(x.index)
	if name == "" || string(x.sticky[:x.stickyLen]) == value {
		return d
	}
	d = append(d, "Set-Cookie: "...)
	d = append(d, name...)
	d = append(d, '=')
	d = append(d, value...)
	return append(d, "; Path=/; HttpOnly; SameSite=Lax\r\n"...)
}

// upgradeOf returns the Upgrade of the response in b.
func (x *exchange) upgradeOf(b []byte) []byte {
	f, _ := x.resp.Find(httpparse.Upgrade)
	return f.Value.Of(b)
}

// composeReply composes a whole response of lb's own, with the field lines own.
func (x *exchange) composeReply(code int, text string, own []byte) {
	ln, p, phrase := &x.down, x.p, phraseOf(code)
	p.lines = append(append(p.lines[:0], p.today()...), "Content-Type: text/plain\r\n"...)
	out := &p.out
	*out = front.Reply{
		Code: code, Phrase: phrase, Lines: p.lines, Own: own,
		Framing: httpparse.None, Keep: x.keep,
	}
	body := p.scrap[:0]
	if text != "" {
		body = strconv.AppendInt(body, int64(code), 10)
		body = append(append(body, ' '), phrase...)
		body = append(append(append(body, ": "...), text...), '\n')
	}
	p.scrap, out.Length = body, int64(len(body))
	if x.req.Method == httpparse.HEAD {
		body = nil
	}
	ln.Release(p.arena)
	d := x.front.AppendHead(ln.Restart(p.arena, ownFields+len(out.Lines)+len(own)+len(body)), out)
	ln.SetHead(append(d, body...))
	x.keep = out.Keep
	ln.Begin(httpparse.None, out.To, 0)
	x.rec.Bytes = int64(len(body))
}

const (
	datePrefix = "Date: "
	dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT" // RFC 9110 5.6.7
	dateBytes  = len(datePrefix) + len(dateFormat) + len("\r\n")
)

// today returns the time of day as a Date field line, at most a second old.
func (p *Proxy) today() []byte {
	if now := p.loop.Now(); p.dateAt == 0 || now.Sub(p.dateAt) >= time.Second {
		d := p.clock().UTC().AppendFormat(append(p.date[:0], datePrefix...), dateFormat)
		_ = append(d, crlf...)
		p.dateAt = now
	}
	return p.date[:]
}

// phrases are those of the replies that lb makes itself.
var phrases = [...]struct {
	code   int
	phrase []byte
}{
	{200, []byte("OK")},
	{301, []byte("Moved Permanently")},
	{302, []byte("Found")},
	{303, []byte("See Other")},
	{307, []byte("Temporary Redirect")},
	{308, []byte("Permanent Redirect")},
	{400, []byte("Bad Request")},
	{408, []byte("Request Timeout")},
	{413, []byte("Content Too Large")},
	{414, []byte("URI Too Long")},
	{421, []byte("Misdirected Request")},
	{431, []byte("Request Header Fields Too Large")},
	{501, []byte("Not Implemented")},
	{502, []byte("Bad Gateway")},
	{503, []byte("Service Unavailable")},
	{504, []byte("Gateway Timeout")},
	{505, []byte("HTTP Version Not Supported")},
}

var otherPhrase = []byte("Internal Server Error")

// phraseOf returns the reason phrase of a reply of lb's own.
func phraseOf(code int) []byte {
	for i := range phrases {
		if phrases[i].code == code {
			return phrases[i].phrase
		}
	}
	return otherPhrase
}
