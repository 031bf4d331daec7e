package proxy

import (
	"strconv"

	"lb/httpparse"
)

// hopByHop are the fields that are not passed on, in either direction: those about the
// conn that they came on (RFC 9110 7.6.1), and those about framing, which are rewritten.
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

// composeRequest composes the request head for the backend, from the parsed head at the
// front of the inbox, and begins the lane.
func (x *exchange) composeRequest() {
	r := x.req
	b := x.in.Bytes()
	var set route
	if x.route != nil {
		set = *x.route
	}
	d := x.up.Restart(x.p.arena, int(r.HeadLen)+len(r.Fields)+2*int(r.Authority.Len)+len(x.snap.via[1])+
		len(set.host)+len(set.request)+ownFields)
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
	if x.peer.Trusted {
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
	d = append(d, x.snap.via[r.Minor]...)
	if x.upgrade = x.upgradeAsked(b); x.upgrade != "" {
		d = append(d, "Connection: Upgrade\r\nUpgrade: "...)
		d = append(d, x.upgrade...)
		d = append(d, crlf...)
	}
	to := r.Framing
	if to == httpparse.Close { // the body of a stream, which only its end ends
		to = httpparse.Chunked
	}
	switch to {
	case httpparse.Length:
		d = appendNumber(append(d, "Content-Length: "...), r.Length)
	case httpparse.Chunked:
		d = append(d, "Transfer-Encoding: chunked\r\n"...)
	}
	d = append(d, crlf...)
	x.up.SetHead(d)
	x.up.Begin(r.Framing, to, r.Length)
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

// appendForwarded appends the fields that name the client to the backend.
func (x *exchange) appendForwarded(d, b []byte) []byte {
	r, from := x.req, x.peer.Address()
	if x.peer.Trusted {
		return x.appendForwardedOn(d, b)
	}
	if len(from) > 0 {
		d = append(d, "X-Forwarded-For: "...)
		d = append(d, from...)
		d = append(d, crlf...)
	}
	d = append(d, "X-Forwarded-Proto: "...)
	d = append(d, x.peer.Scheme()...)
	d = append(d, crlf...)
	if r.Authority.Len > 0 {
		d = append(d, "X-Forwarded-Host: "...)
		d = append(d, r.Authority.Of(b)...)
		d = append(d, crlf...)
	}
	return d
}

// appendForwardedOn is appendForwarded for a trusted client: its own word on where the
// request came from is passed on, and it is added to the list of addresses.
func (x *exchange) appendForwardedOn(d, b []byte) []byte {
	r, from := x.req, x.peer.Address()
	told := x.passes(b, httpparse.XForwardedFor)
	if told || len(from) > 0 {
		d = append(d, "X-Forwarded-For: "...)
		if told {
			for _, f := range r.Fields {
				if f.ID == httpparse.XForwardedFor && f.Value.Len > 0 {
					d = append(append(d, f.Value.Of(b)...), ", "...)
				}
			}
		}
		if len(from) > 0 {
			d = append(d, from...)
		} else {
			d = append(d, "unknown"...)
		}
		d = append(d, crlf...)
	}
	if !x.passes(b, httpparse.XForwardedProto) {
		d = append(append(append(d, "X-Forwarded-Proto: "...), x.peer.Scheme()...), crlf...)
	}
	if r.Authority.Len > 0 && !x.passes(b, httpparse.XForwardedHost) {
		d = append(append(append(d, "X-Forwarded-Host: "...), r.Authority.Of(b)...), crlf...)
	}
	return d
}

// passes reports whether the request has the field id, in a form that is passed on.
func (x *exchange) passes(b []byte, id httpparse.FieldID) bool {
	f, ok := x.req.Find(id)
	return ok && !x.req.Nominates(b, f)
}

// upgradeAsked returns the protocols that the client asks to change to, or "" if it does
// not, or not in a way that is passed on: h2c would turn the conn into one whose
// requests lb does not see, and after a body that is still to come there is no telling
// where the other protocol begins.
func (x *exchange) upgradeAsked(b []byte) string {
	r := x.req
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

// appendNumber appends n and the end of the line.
func appendNumber(d []byte, n int64) []byte {
	return append(strconv.AppendInt(d, n, 10), crlf...)
}
