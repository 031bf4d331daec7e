package rewrite

import (
	"fmt"
	"strconv"

	"lb/config"
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

// OwnBytes bounds what lb itself adds to a head: field names, a length, addresses, a
// Date. It does not cover copies from the message, or the lines of routes.
const OwnBytes = 512

// Request is a request as it came, and the other facts that its new head depends on.
type Request struct {
	Message *httpparse.Request
	Text    []byte // begins with the head
	Peer    *front.Peer
	Config  *config.Config
	Route   *Route // or nil
	Via     []byte // the field line that lb adds (RFC 9110 7.6.3), or empty
	Hops    int64  // Max-Forwards to pass on, or -1 if there is none (RFC 9110 7.6.2)
	Streams bool   // the backends of the pool speak HTTP/2 alone

	Upgrade string            // the protocols of Upgrade that are passed on, or empty; set by AppendHead
	Framing httpparse.Framing // of the body as it is sent; set by AppendHead
	// HostAt is where in the head the name of the backend belongs, as the value of Host, if
	// neither the client nor the route has one; otherwise 0. Set by AppendHead, which
	// appends to an empty slice then.
	HostAt int
	// SpanAt is where in the head the id of the attempt's span belongs, as ids.SpanBytes
	// digits, or 0 if the head has none. Set by AppendHead, as HostAt.
	SpanAt int

	idLine, id []byte // by Tag: the begin of the line for the request id, or nil; the id
	trace      []byte // by Tag: the line with traceparent, or empty
	spanIn     int    // in trace: the id of the span

	origin [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte // memory of Origin
}

// Via has the field line that lb adds to a request, for each version of HTTP (RFC 9110 7.6.3).
type Via [3][]byte

// NewVia returns the lines, which are empty if name is.
func NewVia(name string) (v Via) {
	for i, version := range [len(v)]string{"1.0", "1.1", "2.0"} {
		if name != "" {
			v[i] = fmt.Appendf(nil, "Via: %s %s\r\n", version, name)
		}
	}
	return v
}

// For returns the line for a request of the client p in HTTP/1.minor, or in HTTP/2.
func (v *Via) For(p *front.Peer, minor uint8) []byte {
	if p.HTTP2 {
		return v[2]
	}
	return v[minor]
}

// HeadBytes returns an upper bound, in bytes, of what AppendHead appends.
func (r *Request) HeadBytes() int {
	m := r.Message
	n := int(m.HeadLen) + len(m.Fields) + 2*int(m.Authority.Len) + len(r.Via) + r.tagBytes() + len(r.Peer.Cert) + OwnBytes
	if r.Route != nil {
		n += len(r.Route.host) + len(r.Route.request)
	}
	if r.Config.Forwarded || m.Seen.Has(httpparse.Forwarded) {
		n += int(m.Authority.Len) + hostMax + OwnBytes
	}
	return n
}

// AppendHead appends the head for a backend, in HTTP/1.1.
func (r *Request) AppendHead(d []byte) []byte {
	m, b := r.Message, r.Text
	d = append(d, m.MethodName.Of(b)...)
	d = append(d, ' ')
	d = r.appendTarget(d)
	d = append(d, afterTarget...)
	if m.Marks {
		r.mark(d)
	}
	r.HostAt = 0
	switch {
	case r.Route != nil && r.Route.host != "":
		d = append(d, r.Route.host...)
	case m.Authority.Len == 0 && !m.Seen.Has(httpparse.Host):
		r.HostAt = len(d)
	default:
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
	d = r.appendOrigin(d)
	d = append(d, r.Peer.Cert...)
	d = r.appendTags(d)
	if r.Hops >= 0 {
		d = appendNumber(append(d, "Max-Forwards: "...), r.Hops)
	}
	d = append(d, r.Via...)
	r.Upgrade = r.upgradeAsked()
	if r.Upgrade != "" || m.Seen.Has(httpparse.TE) {
		d = r.appendConnection(d)
	}
	return append(r.appendFraming(d), crlf...)
}

const afterTarget = " HTTP/1.1\r\nHost: "

// mark marks the path and the host at the end of d, which is afterTarget, if they came as never
// to be indexed: see httpparse.Message.Marks.
func (r *Request) mark(d []byte) {
	m := r.Message
	if m.Marked {
		d[len(d)-len(afterTarget)] = '\t'
	}
	if a := m.Authority; a.Len > 0 && r.Text[a.Off-1] == '\t' && (r.Route == nil || r.Route.host == "") {
		d[len(d)-1] = '\t'
	}
}

// appendFraming appends the field about the framing of the body, and sets Framing. In a
// stream towards a backend, trailers may come after a body with a length.
func (r *Request) appendFraming(d []byte) []byte {
	m := r.Message
	switch r.Framing = m.Framing; {
	case r.Framing == httpparse.None:
		return d
	case m.Length >= 0 && r.Framing == httpparse.Stream && !r.Streams:
		r.Framing = httpparse.Length
	case r.Framing == httpparse.Stream:
		r.Framing = httpparse.Chunked
	}
	if m.Length >= 0 {
		return appendNumber(append(d, "Content-Length: "...), m.Length)
	}
	return append(d, "Transfer-Encoding: chunked\r\n"...)
}

// appendConnection appends the fields about the conn that go on: Upgrade, and TE with trailers
// alone (RFC 9110 10.1.4). An HTTP/1.0 client cannot get trailers.
func (r *Request) appendConnection(d []byte) []byte {
	trailers := r.Message.Seen.Has(httpparse.TE) && r.Message.Minor > 0 && r.Message.HasToken(r.Text, httpparse.TE, "trailers")
	switch {
	case trailers && r.Upgrade != "":
		d = append(d, "TE: trailers\r\nConnection: TE, Upgrade\r\n"...)
	case trailers:
		return append(d, "TE: trailers\r\nConnection: TE\r\n"...)
	case r.Upgrade != "":
		d = append(d, "Connection: Upgrade\r\n"...)
	default:
		return d
	}
	return append(append(append(d, "Upgrade: "...), r.Upgrade...), crlf...)
}

// dropped returns the fields that are not passed on.
func (r *Request) dropped() httpparse.FieldSet {
	m, drop := r.Message, notPassedOn
	if m.Minor == 0 || m.ExpectContinue && m.Length == 0 { // no body: RFC 9110 10.1.1
		drop |= httpparse.SetOf(httpparse.Expect)
	}
	if m.Framing != httpparse.Chunked && (m.Framing != httpparse.Stream || m.Length >= 0 && !r.Streams) { // no trailers
		drop |= httpparse.SetOf(httpparse.Trailer)
	}
	if r.Config.Forwarded {
		drop |= httpparse.SetOf(httpparse.Forwarded)
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
	path, _ := r.Route.strip(nil, r.Message.Path.Of(r.Text))
	for len(path) > 0 && path[0] == '/' { // some backends would read "//x" as a host
		path = path[1:]
	}
	return append(append(d, '/'), path...)
}

// upgradeAsked returns the protocols that the client asks to change to, or "" if it asks
// for none, or in a way that is not passed on: h2c would hide the conn's later requests
// from lb, a body that ends with the client's bytes leaves none for a tunnel, and HTTP/2
// has no Upgrade.
func (r *Request) upgradeAsked() string {
	m, b := r.Message, r.Text
	if m.Minor == 0 || m.Framing == httpparse.Stream || r.Streams || !m.UpgradeOption || !m.Seen.Has(httpparse.Upgrade) || m.HasToken(b, httpparse.Upgrade, "h2c") {
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
