package rewrite

import (
	"strconv"
	"time"

	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/grpc"
)

// Composer makes the heads of replies, of backends and of lb itself, for the fronts of one
// loop to write. What a method returns is valid until the next call of any of them.
type Composer struct {
	reply front.Reply
	date  Date
	lines []byte
	body  []byte
}

// NewComposer returns a Composer that asks clock for the time of day.
func NewComposer(clock func() time.Time) Composer { return Composer{date: NewDate(clock)} }

// Cookie is the cookie that leads a client back to its backend.
type Cookie struct {
	Name, Value string
	Secure      bool // the client's side is https
}

// Interim returns the reply for a 1xx response, or for the 101 that begins a tunnel. b is
// the buffer that m was parsed from.
func (c *Composer) Interim(m *httpparse.Response, b []byte) *front.Reply {
	out := &c.reply
	*out = front.Reply{
		Code: m.Code, Phrase: phraseOf(m, b),
		Message: &m.Message, Text: b, Drop: HopByHop,
		Framing: httpparse.None, Length: -1,
	}
	if m.Code == 101 {
		out.Upgrade = upgradeOf(m, b)
	}
	return out
}

// Final returns the reply for a final response at now, with the changes of route, which may
// be nil, the cookie, which may be nil, and strict. It hides fields of
// m. b is the buffer that m was parsed from. keep reports whether the client's conn goes on.
func (c *Composer) Final(m *httpparse.Response, b []byte, now tick.Instant, route *Route, keep bool, cookie *Cookie, strict Strict) *front.Reply {
	out := &c.reply // one by one: a composite literal is made apart and copied
	out.Code, out.Phrase = m.Code, phraseOf(m, b)
	out.Message, out.Text, out.Drop = &m.Message, b, HopByHop
	if strict != nil {
		out.Drop |= httpparse.SetOf(httpparse.StrictTransport)
	}
	out.Lines, out.Own, out.Upgrade = c.addedLines(m, b, now, route, cookie, strict), nil, nil
	out.Framing, out.Length, out.Keep = m.Framing, m.Length, keep
	if m.Code == 426 && m.Seen.Has(httpparse.Upgrade) { // RFC 9110 15.5.22: it must say to what
		out.Upgrade = upgradeOf(m, b)
	}
	return out
}

// addedLines returns the field lines that lb adds to the response m in b: those of the
// route, whose fields it hides in m, the cookie, strict and a Date.
func (c *Composer) addedLines(m *httpparse.Response, b []byte, now tick.Instant, route *Route, cookie *Cookie, strict Strict) []byte {
	var date []byte
	if !m.Seen.Has(httpparse.Date) || m.Nominated && dateNominated(m, b) { // RFC 9110 6.6.1
		date = c.date.Line(now)
	}
	if route == nil && cookie == nil && len(strict) == 0 {
		return date
	}
	d := append(c.lines[:0], strict...)
	dated := false
	if route != nil {
		d, dated = route.AppendLines(d, b, &m.Message)
	}
	if cookie != nil {
		d = cookie.append(d)
	}
	if !dated {
		d = append(d, date...)
	}
	c.lines = d
	return d
}

// dateNominated reports whether the Date of the response m in b does not go on, because its
// Connection names it.
func dateNominated(m *httpparse.Response, b []byte) bool {
	f, ok := m.Find(httpparse.Date)
	return ok && m.Nominates(b, f)
}

// append appends the field line that sets the cookie.
func (k *Cookie) append(d []byte) []byte {
	d = append(d, "Set-Cookie: "...)
	d = append(d, k.Name...)
	d = append(d, '=')
	d = append(d, k.Value...)
	d = append(d, "; Path=/; HttpOnly; SameSite=Lax"...)
	if k.Secure {
		d = append(d, "; Secure"...)
	}
	return append(d, crlf...)
}

// upgradeOf returns the Upgrade of the response m in b.
func upgradeOf(m *httpparse.Response, b []byte) []byte {
	f, _ := m.Find(httpparse.Upgrade)
	return f.Value.Of(b)
}

// Strict is the field line with which lb asks browsers to come by https alone for a time (RFC
// 6797). nil leaves the field to backends; any other line replaces theirs, an empty one too.
type Strict []byte

// NewStrict returns the line for a time, or nil for 0.
func NewStrict(age time.Duration) Strict {
	if age <= 0 {
		return nil
	}
	return appendNumber([]byte("Strict-Transport-Security: max-age="), int64(age/time.Second))
}

// For returns the line for a client: it is empty over plain HTTP, and it is the backend's
// affair if the client is a proxy that itself speaks TLS with clients (secure).
func (s Strict) For(p *front.Peer, secure bool) Strict {
	switch {
	case s == nil || p.Secure():
		return s
	case secure:
		return nil
	}
	return s[:0]
}

// Own returns a whole response of lb's own at now, with the field lines own and strict, and
// its body, which says text unless that is empty: text alone in a 200. keep reports whether
// the client's conn goes on. A status other than OK is that of a call of gRPC, whose client
// gets a head alone with the status and the text in its fields.
func (c *Composer) Own(code int, status grpc.Status, text string, own []byte, now tick.Instant, keep bool, strict Strict) (out *front.Reply, body []byte) {
	d := append(c.lines[:0], c.date.Line(now)...)
	c.body = appendSaid(c.body[:0], code, text, status != grpc.OK)
	if body = c.body; status == grpc.OK {
		d = append(d, "Content-Type: text/plain\r\n"...)
	} else {
		d = grpc.AppendStatus(append(d, "Content-Type: application/grpc\r\n"...), status, body)
		code, body = 200, nil
	}
	c.lines = append(d, strict...)
	c.reply = front.Reply{
		Code: code, Phrase: Phrase(code), Lines: c.lines, Own: own,
		Framing: httpparse.None, Length: int64(len(body)), Keep: keep,
	}
	return &c.reply, body
}

// Trailers returns the trailer section, with the empty line that ends it, that tells the
// client of a call of gRPC of the status and of what Own says. It is valid until the next
// call of any method.
func (c *Composer) Trailers(status grpc.Status, code int, text string) (section []byte) {
	c.body = appendSaid(c.body[:0], code, text, true)
	c.lines = append(grpc.AppendStatus(c.lines[:0], status, c.body), crlf...)
	return c.lines
}

// appendSaid appends what a reply of lb's own with code says: nothing if it has no text,
// unless its code must be said there.
func appendSaid(d []byte, code int, text string, must bool) []byte {
	switch {
	case code == 200:
		return append(d, text...)
	case text == "" && !must:
		return d
	}
	d = append(append(strconv.AppendInt(d, int64(code), 10), ' '), Phrase(code)...)
	if text != "" {
		d = append(append(d, ": "...), text...)
	}
	return append(d, '\n')
}

// ReplyBytes returns an upper bound, in bytes, of the head of r.
func ReplyBytes(r *front.Reply) int {
	n := len(r.Lines) + len(r.Own) + OwnBytes
	if m := r.Message; m != nil {
		n += int(m.HeadLen) + 2*len(m.Fields)
	}
	return n
}
