package proxy

import (
	"strconv"
	"time"

	"lb/httpparse"
)

// What does not go on, in either direction: fields about the conn they came on
// (RFC 9110 7.6.1), and those about framing, which are rewritten.
var hopByHop = httpparse.SetOf(httpparse.Connection, httpparse.KeepAlive, httpparse.ProxyConnection,
	httpparse.TE, httpparse.TransferEncoding, httpparse.ContentLength, httpparse.Upgrade, httpparse.HTTP2Settings)

// What else lb writes again in a request. What a stranger says about where a
// request came from is dropped; from a trusted proxy only the list of addresses
// is rewritten, to be added to.
var (
	fromTrusted  = hopByHop | httpparse.SetOf(httpparse.Host, httpparse.XForwardedFor)
	fromStranger = fromTrusted | httpparse.SetOf(httpparse.XForwardedHost, httpparse.XForwardedProto, httpparse.Forwarded)
)

// ownFields bounds, in bytes, what lb itself adds to a head beside copies of
// what is in it: field names, a length, an address, a Date, a Via.
const ownFields = 512

// composeRequest writes the request head to the backend into up.out, from the
// parsed head at the front of the client's in, and begins the lane.
func (x *exchange) composeRequest() {
	c, r := x.client, &x.req
	b := c.in.Bytes()
	var set route
	if x.route != nil {
		set = *x.route
	}
	x.up.room(x.p.arena, int(r.HeadLen)+len(r.Fields)+2*int(r.Authority.Len)+len(x.snap.cfg.Via)+
		len(set.host)+len(set.request)+ownFields)
	d := x.up.out.B[:0]
	d = append(d, r.MethodName.Of(b)...)
	d = append(d, ' ')
	d = x.appendTarget(d, b)
	d = append(d, " HTTP/1.1\r\nHost: "...)
	if set.host != "" {
		d = append(d, set.host...)
	} else {
		d = append(d, r.Authority.Of(b)...)
	}
	d = append(d, crlf...)

	drop := fromStranger
	if c.trusted {
		drop = fromTrusted
	}
	if r.Minor == 0 {
		drop |= httpparse.SetOf(httpparse.Expect) // RFC 9110 10.1.1
	}
	if r.Framing != httpparse.Chunked {
		drop |= httpparse.SetOf(httpparse.Trailer)
	}
	if x.hops >= 0 {
		drop |= httpparse.SetOf(httpparse.MaxForwards)
	}
	if x.route != nil {
		hide(&r.Message, b, set.SetRequestHeaders)
	}
	d = httpparse.AppendFields(d, b, &r.Message, drop)
	d = append(d, set.request...)
	d = x.appendForwarded(d, b)
	if x.hops >= 0 {
		d = appendNumber(append(d, "Max-Forwards: "...), x.hops-1)
	}
	if via := x.snap.cfg.Via; via != "" { // RFC 9110 7.6.3: the version is the one received
		d = append(d, "Via: 1."...)
		d = append(d, '0'+r.Minor, ' ')
		d = append(d, via...)
		d = append(d, crlf...)
	}
	if x.upgrade = x.upgradeAsked(b); x.upgrade != "" {
		d = append(d, "Connection: Upgrade\r\nUpgrade: "...)
		d = append(d, x.upgrade...)
		d = append(d, crlf...)
	}
	switch r.Framing {
	case httpparse.Length:
		d = appendNumber(append(d, "Content-Length: "...), r.Length)
	case httpparse.Chunked:
		d = append(d, "Transfer-Encoding: chunked\r\n"...)
	}
	d = append(d, crlf...)
	x.up.out.W = len(d)
	x.up.begin(r.Framing, r.Framing, r.Length)
}

// appendTarget appends the target, without the prefix that the route strips.
func (x *exchange) appendTarget(d, b []byte) []byte {
	if x.route == nil || !x.route.StripPrefix {
		return x.req.AppendPath(d, b)
	}
	path := x.route.stripped(x.req.Path.Of(b))
	for len(path) > 0 && path[0] == '/' { // "//x" would be read as a host by some
		path = path[1:]
	}
	return append(append(d, '/'), path...)
}

// appendForwarded appends the fields that tell the backend who asked.
func (x *exchange) appendForwarded(d, b []byte) []byte {
	c, r := x.client, &x.req
	told := x.told(b, httpparse.XForwardedFor)
	if told || c.peerLen > 0 {
		d = append(d, "X-Forwarded-For: "...)
		if told {
			for _, f := range r.Fields {
				if f.ID == httpparse.XForwardedFor && f.Value.Len > 0 {
					d = append(append(d, f.Value.Of(b)...), ", "...)
				}
			}
		}
		if c.peerLen > 0 {
			d = append(d, c.peer[:c.peerLen]...)
		} else {
			d = append(d, "unknown"...)
		}
		d = append(d, crlf...)
	}
	if !x.told(b, httpparse.XForwardedProto) {
		d = append(d, "X-Forwarded-Proto: http\r\n"...)
	}
	if r.Authority.Len > 0 && !x.told(b, httpparse.XForwardedHost) {
		d = append(d, "X-Forwarded-Host: "...)
		d = append(d, r.Authority.Of(b)...)
		d = append(d, crlf...)
	}
	return d
}

// told reports whether a trusted client said id, in a field that goes on.
func (x *exchange) told(b []byte, id httpparse.FieldID) bool {
	f, ok := x.req.Find(id)
	return ok && x.client.trusted && !x.req.Nominates(b, f)
}

// upgradeAsked returns the protocols that the client asks to change to, "" when
// it does not, or not in a way that is passed on: h2c would turn the conn into
// one whose requests lb does not see, and behind a body that is still to come
// nobody knows where the other protocol begins.
func (x *exchange) upgradeAsked(b []byte) string {
	r := &x.req
	if r.Minor == 0 || r.Framing != httpparse.None || !r.UpgradeOption || !r.Seen.Has(httpparse.Upgrade) || r.HasToken(b, httpparse.Upgrade, "h2c") {
		return ""
	}
	asked := ""
	for _, f := range r.Fields {
		switch value := f.Value.Of(b); {
		case f.ID != httpparse.Upgrade:
		case asked != "":
			asked += ", " + string(value) // several lines are one list (RFC 9110 5.3)
		case string(value) == "websocket":
			asked = "websocket" // nearly always, and without an allocation
		default:
			asked = string(value)
		}
	}
	return asked
}

// composeInterim writes a 1xx response, or the 101 that ends in a tunnel, into
// down.out.
func (x *exchange) composeInterim(b []byte) {
	r, ln := &x.resp, &x.down
	ln.restart(x.p.arena, int(r.HeadLen)+len(r.Fields)+ownFields)
	d := x.appendStatus(ln.out.B[:0], b)
	d = httpparse.AppendFields(d, b, &r.Message, hopByHop|httpparse.SetOf(httpparse.Trailer))
	if r.Code == 101 {
		d = x.appendUpgrade(d, b)
	}
	ln.out.W = len(append(d, crlf...))
	ln.cut = ln.out.W
	x.p.counters.Replies[1].Add(1)
}

// composeResponse writes the head of the final response into down.out, from the
// parsed head at the front of the backend's in, and begins the lane.
func (x *exchange) composeResponse() {
	r, ln := &x.resp, &x.down
	b := x.backend.in.Bytes()
	to := r.Framing
	if to == httpparse.Close || to == httpparse.Chunked {
		if to = httpparse.Chunked; x.req.Minor == 0 {
			to, x.keep = httpparse.Close, false // RFC 9112 6.1: no chunks for HTTP/1.0
		}
	}
	var set []byte
	if x.route != nil {
		hide(&r.Message, b, x.route.SetResponseHeaders)
		set = x.route.response
	}
	ln.restart(x.p.arena, int(r.HeadLen)+len(r.Fields)+len(set)+len(x.pool.cfg.Sticky)+ownFields)
	d := x.appendStatus(ln.out.B[:0], b)
	drop := hopByHop
	if to != httpparse.Chunked || r.Framing != httpparse.Chunked {
		drop |= httpparse.SetOf(httpparse.Trailer)
	}
	d = httpparse.AppendFields(d, b, &r.Message, drop)
	d = append(d, set...)
	d = x.appendSticky(d)
	if !r.Seen.Has(httpparse.Date) && !(x.route != nil && x.route.dated) { // RFC 9110 6.6.1
		d = append(d, "Date: "...)
		d = append(d, x.p.today()...)
		d = append(d, crlf...)
	}
	d = x.appendConnection(d)
	if r.Code == 426 && r.Seen.Has(httpparse.Upgrade) { // RFC 9110 15.5.22: it must say to what
		d = x.appendUpgrade(d, b)
	}
	switch {
	case to == httpparse.Chunked:
		d = append(d, "Transfer-Encoding: chunked\r\n"...)
	case to == httpparse.Length, to == httpparse.None && r.Length >= 0 && r.Code != 204:
		// Behind HEAD and in a 304 the length is that of the body left out.
		d = appendNumber(append(d, "Content-Length: "...), r.Length)
	}
	ln.out.W = len(append(d, crlf...))
	ln.cut = ln.out.W
	ln.begin(r.Framing, to, r.Length)
}

// appendSticky appends the cookie that leads back to this backend, if the client
// does not have it yet.
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

// appendUpgrade appends the Upgrade of the response in b and names it in Connection.
func (x *exchange) appendUpgrade(d, b []byte) []byte {
	f, _ := x.resp.Find(httpparse.Upgrade)
	d = append(d, "Connection: Upgrade\r\nUpgrade: "...)
	d = append(d, f.Value.Of(b)...)
	return append(d, crlf...)
}

// appendConnection says what will become of the client's conn, where the
// version's default is another (RFC 9112 9.3).
func (x *exchange) appendConnection(d []byte) []byte {
	switch {
	case !x.keep:
		return append(d, "Connection: close\r\n"...)
	case x.req.Minor == 0:
		return append(d, "Connection: keep-alive\r\n"...)
	}
	return d
}

// appendStatus appends the status line of the response in b, with lb's own version.
func (x *exchange) appendStatus(d, b []byte) []byte {
	d = append(d, "HTTP/1.1 "...)
	d = strconv.AppendInt(d, int64(x.resp.Code), 10)
	d = append(d, ' ')
	d = append(d, x.resp.Phrase.Of(b)...)
	return append(d, crlf...)
}

// composeReply writes a whole response of lb's own into down.out.
func (x *exchange) composeReply(code int, text string) {
	ln := &x.down
	ln.release(x.p.arena)
	ln.room(x.p.arena, ownFields+len(text)+len(x.extra))
	d := append(ln.out.B[:0], "HTTP/1.1 "...)
	status := statusText(code)
	d = append(d, status...)
	d = append(d, "\r\nDate: "...)
	d = append(d, x.p.today()...)
	d = append(d, "\r\nContent-Type: text/plain\r\n"...)
	d = x.appendConnection(d)
	d = append(d, x.extra...)
	if code == 200 {
		d = append(d, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"...)
	}
	if text == "" {
		d = append(d, "Content-Length: 0\r\n\r\n"...)
	} else {
		d = appendNumber(append(d, "Content-Length: "...), int64(len(status)+len(": ")+len(text)+len("\n")))
		d = append(d, crlf...)
		if x.req.Method != httpparse.HEAD {
			d = append(append(append(append(d, status...), ": "...), text...), '\n')
		}
	}
	ln.out.W = len(d)
	ln.cut = ln.out.W
	ln.begin(httpparse.None, httpparse.None, 0)
}

// appendNumber appends n and the end of the line.
func appendNumber(d []byte, n int64) []byte {
	return append(strconv.AppendInt(d, n, 10), crlf...)
}

const (
	dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT" // RFC 9110 5.6.7
	dateBytes  = len(dateFormat)
)

// today returns the time of day as a Date value, at most a second old.
func (p *Proxy) today() []byte {
	if now := p.loop.Now(); p.dateAt == 0 || now.Sub(p.dateAt) >= time.Second {
		p.clock().UTC().AppendFormat(p.date[:0], dateFormat)
		p.dateAt = now
	}
	return p.date[:]
}

// statusText is the code and the phrase of the replies that lb makes itself.
func statusText(code int) string {
	switch code {
	case 200:
		return "200 OK"
	case 301:
		return "301 Moved Permanently"
	case 302:
		return "302 Found"
	case 303:
		return "303 See Other"
	case 307:
		return "307 Temporary Redirect"
	case 308:
		return "308 Permanent Redirect"
	case 400:
		return "400 Bad Request"
	case 408:
		return "408 Request Timeout"
	case 413:
		return "413 Content Too Large"
	case 414:
		return "414 URI Too Long"
	case 421:
		return "421 Misdirected Request"
	case 431:
		return "431 Request Header Fields Too Large"
	case 501:
		return "501 Not Implemented"
	case 502:
		return "502 Bad Gateway"
	case 503:
		return "503 Service Unavailable"
	case 504:
		return "504 Gateway Timeout"
	case 505:
		return "505 HTTP Version Not Supported"
	}
	return "500 Internal Server Error"
}
