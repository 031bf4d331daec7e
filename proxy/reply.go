package proxy

import (
	"lb/httpparse"
	"lb/proxy/front"
	"lb/proxy/ownreply"
	"lb/proxy/rewrite"
)

// composeInterim composes a 1xx response, or the 101 that begins a tunnel.
func (x *exchange) composeInterim(b []byte) {
	x.setHead(x.p.composer.Interim(&x.resp.Response, b), nil)
	x.p.counters.Replies[1].Add(1)
}

// composeResponse composes the head of the final response, from the parsed head at the
// front of the backend's inbox, and begins the lane.
func (x *exchange) composeResponse() {
	r, p := &x.resp, x.p
	var route *rewrite.Route
	if x.route != nil {
		route = &x.route.Route
	}
	b := x.from.Bytes()
	var cookie *rewrite.Cookie
	if x.pool.cfg.Sticky != "" {
		cookie = x.cookie()
	}
	if r.Framing == httpparse.Stream && r.Length < 0 {
		if section, over := x.backend.Over(); over && len(section) == 0 { // all of it is here
			r.Length = int64(x.from.Len()) - int64(r.HeadLen)
		}
	}
	out := p.composer.Final(&r.Response, b, p.loop.Now(), route, x.keep, cookie, x.snap.strict.For(x.peer, x.secure))
	x.setHead(out, nil)
	x.down.Begin(r.Framing, out.To, r.Length)
	x.down.Marks = r.Marks
	if r.Framing == httpparse.Chunked || r.Framing == httpparse.Stream {
		x.down.Withheld = httpparse.NewWithheld(b, &r.Message, nil)
	}
}

// cookie returns the cookie that leads back to this backend, or nil if the client has it.
// It is valid until the next call on this loop.
func (x *exchange) cookie() *rewrite.Cookie {
	value := x.pool.Sticky(x.index)
	if string(x.sticky[:x.stickyLen]) == value {
		return nil
	}
	x.p.cookie = rewrite.Cookie{Name: x.pool.cfg.Sticky, Value: value, Secure: x.secure}
	return &x.p.cookie
}

// composeReply composes a whole response of lb's own, with the field lines own.
func (x *exchange) composeReply(code int, text string, own []byte) {
	status := x.call.StatusFor(code, x.rec.Fault)
	out, body := x.p.composer.Own(code, status, text, own, x.p.loop.Now(), x.keep, x.snap.strict.For(x.peer, x.secure))
	if x.req.Method == httpparse.HEAD {
		body = nil
	}
	x.down.Release(x.p.arena)
	x.setHead(out, body)
	x.down.Begin(httpparse.None, out.To, 0)
	x.rec.Bytes = int64(len(body))
}

// setHead has the front write out, and body after it, for the lane to send.
func (x *exchange) setHead(out *front.Reply, body []byte) {
	d := x.front.AppendHead(x.down.Restart(x.p.arena, rewrite.ReplyBytes(out)+len(body)), out)
	n := len(d)
	if body != nil {
		d = append(d, body...)
	}
	x.down.SetHead(d, n)
	x.keep = out.Keep
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
