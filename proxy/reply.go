package proxy

import (
	"strconv"

	"lb/httpparse"
	"lb/proxy/front"
	"lb/proxy/ownreply"
	"lb/proxy/rewrite"
)

const crlf = "\r\n"

// composeInterim composes a 1xx response, or the 101 that begins a tunnel.
func (x *exchange) composeInterim(b []byte) {
	r, ln := &x.resp, &x.down
	out := &x.p.out
	*out = front.Reply{
		Code: r.Code, Phrase: r.Phrase.Of(b),
		Message: &r.Message, Text: b, Drop: rewrite.HopByHop,
		Framing: httpparse.None, Length: -1,
	}
	if r.Code == 101 {
		out.Upgrade = x.upgradeOf(b)
	}
	d := ln.Restart(x.p.arena, int(r.HeadLen)+2*len(r.Fields)+rewrite.OwnBytes)
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
	out.Message, out.Text, out.Drop = &r.Message, b, rewrite.HopByHop
	out.Lines, out.Own, out.Upgrade = x.addedLines(b), nil, nil
	out.Framing, out.Length, out.Keep = r.Framing, r.Length, x.keep
	if r.Code == 426 && r.Seen.Has(httpparse.Upgrade) { // RFC 9110 15.5.22: it must say to what
		out.Upgrade = x.upgradeOf(b)
	}
	d := ln.Restart(x.p.arena, int(r.HeadLen)+2*len(r.Fields)+len(out.Lines)+rewrite.OwnBytes)
	ln.SetHead(x.front.AppendHead(d, out))
	x.keep = out.Keep
	ln.Begin(r.Framing, out.To, r.Length)
	if r.Framing == httpparse.Chunked {
		ln.Withheld = httpparse.NewWithheld(b, &r.Message, nil)
	}
}

// addedLines returns the field lines that lb adds to the response in b: those of the
// route, whose fields it hides in the message, the sticky cookie and a Date. They are
// valid until the next response of this loop.
func (x *exchange) addedLines(b []byte) []byte {
	r, p := &x.resp, x.p
	var date []byte
	if !r.Seen.Has(httpparse.Date) || r.Nominated && x.dateNominated(b) { // RFC 9110 6.6.1
		date = p.date.Line(p.loop.Now())
	}
	if x.route == nil && x.pool.cfg.Sticky == "" {
		return date
	}
	d := p.lines[:0]
	dated := false
	if x.route != nil {
		d, dated = x.route.AppendLines(d, b, &r.Message)
	}
	d = x.appendSticky(d)
	if !dated {
		d = append(d, date...)
	}
	p.lines = d
	return d
}

// dateNominated reports whether the Date of the response in b does not go on, because its
// Connection names it.
func (x *exchange) dateNominated(b []byte) bool {
	f, ok := x.resp.Find(httpparse.Date)
	return ok && x.resp.Nominates(b, f)
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
	d = append(d, "; Path=/; HttpOnly; SameSite=Lax"...)
	if x.secure {
		d = append(d, "; Secure"...)
	}
	return append(d, crlf...)
}

// upgradeOf returns the Upgrade of the response in b.
func (x *exchange) upgradeOf(b []byte) []byte {
	f, _ := x.resp.Find(httpparse.Upgrade)
	return f.Value.Of(b)
}

// composeReply composes a whole response of lb's own, with the field lines own.
func (x *exchange) composeReply(code int, text string, own []byte) {
	ln, p, phrase := &x.down, x.p, rewrite.Phrase(code)
	p.lines = append(append(p.lines[:0], p.date.Line(p.loop.Now())...), "Content-Type: text/plain\r\n"...)
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
	d := x.front.AppendHead(ln.Restart(p.arena, rewrite.OwnBytes+len(out.Lines)+len(own)+len(body)), out)
	ln.SetHead(append(d, body...))
	x.keep = out.Keep
	ln.Begin(httpparse.None, out.To, 0)
	x.rec.Bytes = int64(len(body))
}

// noteReply counts a reply of lb's own, and notes for the operator whose it is.
func (x *exchange) noteReply(code int, text string) {
	r := ownreply.Reply{Now: x.p.loop.Now(), Code: code, Text: text, Fault: x.rec.Fault,
		Peer: x.peer, In: x.in, Up: &x.up, Early: x.phase == Admit, Sent: x.sent > 0}
	if q := x.pool; q != nil && len(q.targets) > 0 {
		r.Pool = q.targets[0].State
	}
	ownreply.Note(x.p.counters, x.p.refusals, &r)
}
