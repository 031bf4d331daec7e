package rewrite

import (
	"bytes"
	"net/netip"
	"strconv"

	"lb/httpparse"
	"lb/proxy/front"
)

// crlf ends a line.
const crlf = "\r\n"

// HopByHop are the fields that are not passed on, in either direction: those about the
// conn that they came on (RFC 9110 7.6.1), and those about framing, which are written
// again.
var HopByHop = httpparse.SetOf(httpparse.Connection, httpparse.KeepAlive, httpparse.ProxyConnection,
	httpparse.TE, httpparse.TransferEncoding, httpparse.ContentLength, httpparse.Upgrade, httpparse.HTTP2Settings)

// The fields of a request that are not passed on. A stranger's word on where a request
// came from is dropped; from a trusted proxy only the list of addresses is written
// again, to be added to.
var (
	fromTrusted  = HopByHop | httpparse.SetOf(httpparse.Host, httpparse.XForwardedFor)
	fromStranger = fromTrusted | httpparse.SetOf(httpparse.XForwardedHost, httpparse.XForwardedProto, httpparse.Forwarded)
)

// OwnBytes bounds what lb itself adds to a head, beside copies of what is in it and the
// lines of routes: field names, a length, an address, a Date.
const OwnBytes = 512

// Request is a request as it came, and what lb knows beside it.
type Request struct {
	Message *httpparse.Request
	Text    []byte // with the head at its front
	Peer    *front.Peer
	Route   *Route // or nil
	Via     []byte // the field line that lb adds (RFC 9110 7.6.3), or empty
	Hops    int64  // Max-Forwards to pass on, or -1 if there is none (RFC 9110 7.6.2)

	Upgrade string            // the protocols asked for in Upgrade and passed on; set by AppendHead
	Framing httpparse.Framing // of the body as it goes on; set by AppendHead
}

// HeadBytes bounds what AppendHead appends.
func (r *Request) HeadBytes() int {
	m := r.Message
	n := int(m.HeadLen) + len(m.Fields) + 2*int(m.Authority.Len) + len(r.Via) + OwnBytes
	if r.Route != nil {
		n += len(r.Route.host) + len(r.Route.request)
	}
	return n
}

// AppendHead appends the head for a backend, in HTTP/1.1.
func (r *Request) AppendHead(d []byte) []byte {
	m, b := r.Message, r.Text
	d = append(d, m.MethodName.Of(b)...)
	d = append(d, ' ')
	d = r.appendTarget(d)
	d = append(d, " HTTP/1.1\r\nHost: "...)
	if r.Route != nil && r.Route.host != "" {
		d = append(d, r.Route.host...)
	} else {
		d = append(d, m.Authority.Of(b)...)
	}
	d = append(d, crlf...)
	if r.Route != nil {
		hide(&m.Message, b, r.Route.Config.SetRequestHeaders)
	}
	d = httpparse.AppendFields(d, b, &m.Message, r.dropped())
	if r.Route != nil {
		d = append(d, r.Route.request...)
	}
	d = r.appendForwarded(d)
	if r.Hops >= 0 {
		d = appendNumber(append(d, "Max-Forwards: "...), r.Hops)
	}
	d = append(d, r.Via...)
	if r.Upgrade = r.upgradeAsked(); r.Upgrade != "" {
		d = append(d, "Connection: Upgrade\r\nUpgrade: "...)
		d = append(d, r.Upgrade...)
		d = append(d, crlf...)
	}
	switch r.Framing = m.Framing; r.Framing {
	case httpparse.Length:
		d = appendNumber(append(d, "Content-Length: "...), m.Length)
	case httpparse.Close: // the body of a stream, which only its end ends
		r.Framing = httpparse.Chunked
		fallthrough
	case httpparse.Chunked:
		d = append(d, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(d, crlf...)
}

// dropped returns the fields that are not passed on.
func (r *Request) dropped() httpparse.FieldSet {
	m, drop := r.Message, fromStranger
	if r.Peer.Trusted {
		drop = fromTrusted
	}
	if m.Minor == 0 {
		drop |= httpparse.SetOf(httpparse.Expect) // RFC 9110 10.1.1
	}
	if m.Framing != httpparse.Chunked {
		drop |= httpparse.SetOf(httpparse.Trailer)
	}
	if r.Hops >= 0 {
		drop |= httpparse.SetOf(httpparse.MaxForwards)
	}
	return drop
}

// appendTarget appends the target, without the prefix that the route strips.
func (r *Request) appendTarget(d []byte) []byte {
	if r.Route == nil || !r.Route.Config.StripPrefix {
		return r.Message.AppendPath(d, r.Text)
	}
	path := bytes.TrimPrefix(r.Message.Path.Of(r.Text), []byte(r.Route.Config.Path))
	for len(path) > 0 && path[0] == '/' { // "//x" would be read as a host by some
		path = path[1:]
	}
	return append(append(d, '/'), path...)
}

// appendForwarded appends the fields that name the client to the backend.
func (r *Request) appendForwarded(d []byte) []byte {
	from := r.Peer.Address()
	if r.Peer.Trusted {
		return r.appendForwardedOn(d)
	}
	if len(from) > 0 {
		d = append(d, "X-Forwarded-For: "...)
		d = append(d, from...)
		d = append(d, crlf...)
	}
	d = append(d, "X-Forwarded-Proto: "...)
	d = append(d, r.Peer.Scheme()...)
	d = append(d, crlf...)
	if r.Message.Authority.Len > 0 {
		d = append(d, "X-Forwarded-Host: "...)
		d = append(d, r.Message.Authority.Of(r.Text)...)
		d = append(d, crlf...)
	}
	return d
}

// appendForwardedOn is appendForwarded for a trusted client: its own word on where the
// request came from is passed on, and it is added to the list of addresses.
func (r *Request) appendForwardedOn(d []byte) []byte {
	from := r.Peer.Address()
	told := r.passes(httpparse.XForwardedFor)
	if told || len(from) > 0 {
		d = append(d, "X-Forwarded-For: "...)
		if told {
			for _, f := range r.Message.Fields {
				if f.ID == httpparse.XForwardedFor && f.Value.Len > 0 {
					d = append(append(d, f.Value.Of(r.Text)...), ", "...)
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
	if !r.passes(httpparse.XForwardedProto) {
		d = append(append(append(d, "X-Forwarded-Proto: "...), r.Peer.Scheme()...), crlf...)
	}
	if r.Message.Authority.Len > 0 && !r.passes(httpparse.XForwardedHost) {
		d = append(append(append(d, "X-Forwarded-Host: "...), r.Message.Authority.Of(r.Text)...), crlf...)
	}
	return d
}

// passes reports whether the request has the field id, in a form that is passed on.
func (r *Request) passes(id httpparse.FieldID) bool {
	f, ok := r.Message.Find(id)
	return ok && !r.Message.Nominates(r.Text, f)
}

// Origin returns the address, as text, of the client that asks: beyond proxies in trusted,
// the last one in X-Forwarded-For that is not one of them. It is empty for a unix socket.
func (r *Request) Origin(trusted []netip.Prefix) []byte {
	m, from := r.Message, r.Peer.Address()
	if !r.Peer.Trusted {
		return from
	}
	for i := len(m.Fields) - 1; i >= 0; i-- {
		if m.Fields[i].ID != httpparse.XForwardedFor {
			continue
		}
		for list := m.Fields[i].Value.Of(r.Text); len(list) > 0; {
			at := bytes.LastIndexByte(list, ',')
			one := bytes.TrimSpace(list[at+1:])
			list = list[:max(at, 0)]
			addr, err := netip.ParseAddr(string(one))
			if err != nil {
				return from
			}
			if from = one; !Contains(trusted, addr) {
				return from
			}
		}
	}
	return from
}

// Contains reports whether addr is in one of some networks.
func Contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// upgradeAsked returns the protocols that the client asks to change to, or "" if it does
// not, or not in a way that is passed on: h2c would turn the conn into one whose
// requests lb does not see, and after a body that is still to come there is no telling
// where the other protocol begins.
func (r *Request) upgradeAsked() string {
	m, b := r.Message, r.Text
	if m.Minor == 0 || m.Framing != httpparse.None || !m.UpgradeOption || !m.Seen.Has(httpparse.Upgrade) || m.HasToken(b, httpparse.Upgrade, "h2c") {
		return ""
	}
	asked := ""
	for _, f := range m.Fields {
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
