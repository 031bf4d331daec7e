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

// HopByHop are the fields that are not passed on in either direction: fields about the
// conn (RFC 9110 7.6.1), and fields about framing, which lb writes itself.
var HopByHop = httpparse.SetOf(httpparse.Connection, httpparse.KeepAlive, httpparse.ProxyConnection,
	httpparse.TE, httpparse.TransferEncoding, httpparse.ContentLength, httpparse.Upgrade, httpparse.HTTP2Settings)

// notPassedOn are the fields of a request that are not passed on. lb writes Host and
// X-Forwarded-For again. What is not believed is hidden in the message already.
var notPassedOn = HopByHop | httpparse.SetOf(httpparse.Host, httpparse.XForwardedFor)

// OwnBytes bounds what lb itself adds to a head: field names, a length, an address, a
// Date. It does not cover copies from the message, or the lines of routes.
const OwnBytes = 512

// Request is a request as it came, and the other facts that its new head depends on.
type Request struct {
	Message *httpparse.Request
	Text    []byte // begins with the head
	Peer    *front.Peer
	Route   *Route // or nil
	Via     []byte // the field line that lb adds (RFC 9110 7.6.3), or empty
	Hops    int64  // Max-Forwards to pass on, or -1 if there is none (RFC 9110 7.6.2)

	Upgrade string            // the protocols of Upgrade that are passed on, or empty; set by AppendHead
	Framing httpparse.Framing // of the body as it is sent; set by AppendHead
}

// HeadBytes returns an upper bound, in bytes, of what AppendHead appends.
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
	case httpparse.Close: // the body of a stream that has no length
		r.Framing = httpparse.Chunked
		fallthrough
	case httpparse.Chunked:
		d = append(d, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(d, crlf...)
}

// dropped returns the fields that are not passed on.
func (r *Request) dropped() httpparse.FieldSet {
	m, drop := r.Message, notPassedOn
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
	for len(path) > 0 && path[0] == '/' { // some backends would read "//x" as a host
		path = path[1:]
	}
	return append(append(d, '/'), path...)
}

// appendForwarded appends the fields that name the client for the backend.
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

// appendForwardedOn is appendForwarded for a trusted client: its fields about where the
// request came from are passed on, and its address is added to the list.
func (r *Request) appendForwardedOn(d []byte) []byte {
	from := r.Peer.Address()
	_, listed := r.Message.Find(httpparse.XForwardedFor)
	if listed || len(from) > 0 {
		d = append(d, "X-Forwarded-For: "...)
		if listed {
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
	if _, ok := r.Message.Find(httpparse.XForwardedProto); !ok {
		d = append(append(append(d, "X-Forwarded-Proto: "...), r.Peer.Scheme()...), crlf...)
	}
	if _, ok := r.Message.Find(httpparse.XForwardedHost); !ok && r.Message.Authority.Len > 0 {
		d = append(append(append(d, "X-Forwarded-Host: "...), r.Message.Authority.Of(r.Text)...), crlf...)
	}
	return d
}

// Origin returns the address, as text, of the client that a request began at: the peer's
// or, if that is trusted, the last one in X-Forwarded-For that is not in trusted. It is
// empty for a unix socket.
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

// Contains reports whether addr is in one of the networks.
func Contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// upgradeAsked returns the protocols that the client asks to change to, or "" if it asks
// for none, or in a way that is not passed on: h2c would hide the conn's later requests
// from lb, and after a body that is still to come lb could not know where the other
// protocol begins.
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
			asked = "websocket" // the usual case, without an allocation
		default:
			asked = string(value)
		}
	}
	return asked
}

// appendNumber appends n and a line end.
func appendNumber(d []byte, n int64) []byte {
	return append(strconv.AppendInt(d, n, 10), crlf...)
}
