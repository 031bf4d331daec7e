package rewrite

import (
	"bytes"
	"net/netip"

	"lb/httpparse"
	"lb/proxy/front"
)

// hop is what one element of Forwarded says (RFC 7239 4).
type hop struct{ from, host, proto []byte }

// nextHop reads the first element of the value v, and returns what is after its comma. An
// element with an escape or without an end of its quotes is not ok: another parser could
// see its end elsewhere.
func nextHop(v []byte) (h hop, rest []byte, ok bool) {
	for {
		v = bytes.TrimLeft(v, " \t;")
		if len(v) == 0 || v[0] == ',' {
			return h, v[min(1, len(v)):], true
		}
		name, after, found := bytes.Cut(v, equals)
		if !found || !isToken(name) {
			return h, nil, false
		}
		var value []byte
		if value, v, ok = hopValue(after); !ok {
			return h, nil, false
		}
		switch {
		case bytes.EqualFold(name, forName):
			h.from = value
		case bytes.EqualFold(name, hostName):
			h.host = value
		case bytes.EqualFold(name, protoName):
			h.proto = value
		}
	}
}

var equals, forName, hostName, protoName = []byte("="), []byte("for"), []byte("host"), []byte("proto")

// hopValue reads the value that v begins with, quoted or not.
func hopValue(v []byte) (value, rest []byte, ok bool) {
	if len(v) > 0 && v[0] == '"' {
		end := bytes.IndexByte(v[1:], '"') + 1
		if end == 0 || bytes.IndexByte(v[:end], '\\') >= 0 {
			return nil, nil, false
		}
		value, rest = v[1:end], bytes.TrimLeft(v[end+1:], " \t")
		return value, rest, len(rest) == 0 || rest[0] == ',' || rest[0] == ';'
	}
	end := bytes.IndexAny(v, ",;")
	if end < 0 {
		end = len(v)
	}
	value = bytes.TrimRight(v[:end], " \t")
	return value, v[end:], bytes.IndexByte(value, '"') < 0
}

// isToken reports whether s is a token (RFC 9110 5.6.2).
func isToken(s []byte) bool {
	for _, c := range s {
		low := c | 0x20
		if !('a' <= low && low <= 'z' || '0' <= c && c <= '9') && bytes.IndexByte(tokenMarks, c) < 0 {
			return false
		}
	}
	return len(s) > 0
}

var tokenMarks = []byte("!#$%&'*+-.^_`|~")

// isHost reports whether s can stand in a Host field of lb's writing.
func isHost(s []byte) bool {
	for _, c := range s {
		low := c | 0x20
		if !('a' <= low && low <= 'z' || '0' <= c && c <= '9') && bytes.IndexByte(hostMarks, c) < 0 {
			return false
		}
	}
	return len(s) > 0 && len(s) <= hostMax
}

const hostMax = 256 // bytes

var hostMarks = []byte("-._~%:[]")

// byForwarded reports whether the trusted client tells the origin in Forwarded. One that
// has its say in X-Forwarded-* may pass on a Forwarded that a stranger sent it.
func (r *Request) byForwarded() bool {
	seen := r.Message.Seen
	return seen.Has(httpparse.Forwarded) && seen&originFields == httpparse.SetOf(httpparse.Forwarded)
}

// lastHop returns what the trusted client says in Forwarded about the conn that it took
// the request from, and reports whether the whole field can be read.
func (r *Request) lastHop() (last hop, ok bool) {
	for i := range r.Message.Fields {
		f := &r.Message.Fields[i]
		if f.ID != httpparse.Forwarded {
			continue
		}
		for rest := f.Value.Of(r.Text); len(rest) > 0; {
			var h hop
			if h, rest, ok = nextHop(rest); !ok {
				return hop{}, false
			}
			if h.from != nil || h.host != nil || h.proto != nil {
				last = h
			}
		}
	}
	return last, true
}

// Secure reports whether the client's side is https: by the client's conn, or by the word
// of a trusted proxy about the conn that it took the request from.
func (r *Request) Secure() bool {
	if r.Peer.Trusted {
		if proto := r.protoSaid(); len(proto) > 0 {
			return bytes.EqualFold(proto, https)
		}
	}
	return r.Peer.Secure()
}

var https = []byte("https")

// protoSaid returns the last scheme that a trusted client names.
func (r *Request) protoSaid() (proto []byte) {
	m := r.Message
	if !m.Seen.Has(httpparse.XForwardedProto) {
		if !r.byForwarded() {
			return nil
		}
		last, _ := r.lastHop()
		return last.proto
	}
	for i := range m.Fields {
		if f := &m.Fields[i]; f.ID == httpparse.XForwardedProto && f.Value.Len > 0 {
			value := f.Value.Of(r.Text)
			proto = bytes.TrimSpace(value[bytes.LastIndexByte(value, ',')+1:])
		}
	}
	return proto
}

// walk goes along a list of addresses, the client's first, to the last one that is not a
// trusted proxy's.
type walk struct {
	trusted []netip.Prefix
	found   netip.Addr // not valid at the beginning, and after an entry that is no address
}

func (w *walk) next(one []byte) {
	addr, ok := ParseAddr(one)
	if !ok {
		w.found = netip.Addr{}
	} else if !w.found.IsValid() || !contains(w.trusted, addr) {
		w.found = addr
	}
}

// Origin returns the address, as text, of the client that a request began at. It is empty for
// a unix socket, and valid until the next call.
func (r *Request) Origin() []byte {
	if r.Peer.Trusted && r.Message.Seen&originFields != 0 {
		if addr := r.forwardedFor(); addr.IsValid() {
			return addr.AppendTo(r.origin[:0])
		}
	}
	return r.Peer.Address()
}

// OriginAddr returns the address of the client that a request began at: the peer's or, if that
// is trusted, the last one in X-Forwarded-For, or in Forwarded if there is no X-Forwarded-*,
// that is not trusted. It is not valid for a unix socket.
func (r *Request) OriginAddr() netip.Addr {
	if r.Peer.Trusted && r.Message.Seen&originFields != 0 {
		if addr := r.forwardedFor(); addr.IsValid() {
			return addr
		}
	}
	return r.Peer.Addr
}

// forwardedFor returns the address that a trusted peer names as that of the client, if it
// does.
func (r *Request) forwardedFor() netip.Addr {
	m := r.Message
	w := walk{trusted: r.Config.TrustedProxies}
	if m.Seen.Has(httpparse.XForwardedFor) {
		for i := range m.Fields {
			if m.Fields[i].ID != httpparse.XForwardedFor {
				continue
			}
			for list, more := m.Fields[i].Value.Of(r.Text), true; more; {
				var one []byte
				one, list, more = bytes.Cut(list, comma)
				if one = bytes.TrimSpace(one); len(one) > 0 {
					w.next(one)
				}
			}
		}
	} else if _, ok := r.lastHop(); ok && r.byForwarded() {
		r.walkForwarded(&w)
	}
	return w.found
}

var (
	comma        = []byte(",")
	originFields = httpparse.SetOf(httpparse.Forwarded, httpparse.XForwardedFor, httpparse.XForwardedHost, httpparse.XForwardedProto)
)

// walkForwarded goes along the addresses in Forwarded, which lastHop could read.
func (r *Request) walkForwarded(w *walk) {
	for i := range r.Message.Fields {
		f := &r.Message.Fields[i]
		if f.ID != httpparse.Forwarded {
			continue
		}
		for rest := f.Value.Of(r.Text); len(rest) > 0; {
			var h hop
			if h, rest, _ = nextHop(rest); h.from != nil || h.host != nil || h.proto != nil {
				w.next(h.from)
			}
		}
	}
}

// Trusts reports whether peer is in one of the networks. A unix socket is in none.
func Trusts(networks []netip.Prefix, peer *front.Peer) bool {
	if len(networks) == 0 {
		return false
	}
	addr, _ := netip.ParseAddr(string(peer.Address())) // not valid for a unix socket
	return contains(networks, addr)
}

// contains reports whether addr is in one of the networks.
func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// appendOrigin appends the fields that name the client for the backend: X-Forwarded-*, and
// Forwarded if it is configured.
func (r *Request) appendOrigin(d []byte) []byte {
	if r.Peer.Trusted {
		d = r.appendSaid(d)
	} else {
		if from := r.Peer.Address(); len(from) > 0 {
			d = append(append(append(d, "X-Forwarded-For: "...), from...), crlf...)
		}
		d = append(append(append(d, "X-Forwarded-Proto: "...), r.Peer.Scheme()...), crlf...)
		if host := r.Message.Authority.Of(r.Text); len(host) > 0 {
			d = append(append(append(d, "X-Forwarded-Host: "...), host...), crlf...)
		}
	}
	if r.Config.Forwarded {
		d = r.appendForwarded(d)
	}
	return d
}

// appendSaid appends the X-Forwarded-* of a trusted client that have to be written again, or
// that it says in Forwarded or not at all.
func (r *Request) appendSaid(d []byte) []byte {
	m := r.Message
	d = r.appendFor(d)
	host, proto := m.Authority.Of(r.Text), []byte(nil)
	if r.byForwarded() {
		last, _ := r.lastHop()
		if isHost(last.host) {
			host = last.host
		}
		if isToken(last.proto) && len(last.proto) <= protoMax {
			proto = last.proto
		}
	}
	if _, ok := m.Find(httpparse.XForwardedProto); !ok {
		d = append(d, "X-Forwarded-Proto: "...)
		if proto == nil {
			d = append(d, r.Peer.Scheme()...)
		}
		d = append(append(d, proto...), crlf...)
	}
	if _, ok := m.Find(httpparse.XForwardedHost); !ok && len(host) > 0 {
		d = append(append(append(d, "X-Forwarded-Host: "...), host...), crlf...)
	}
	return d
}

const protoMax = 16 // bytes

// appendFor appends X-Forwarded-For for a trusted client: its list, or the origin that it
// names in Forwarded, and its address.
func (r *Request) appendFor(d []byte) []byte {
	const name = "X-Forwarded-For: "
	from, before := r.Peer.Address(), len(d)
	d = append(d, name...)
	if _, listed := r.Message.Find(httpparse.XForwardedFor); listed {
		for _, f := range r.Message.Fields {
			if f.ID == httpparse.XForwardedFor && f.Value.Len > 0 {
				d = append(append(d, f.Value.Of(r.Text)...), ", "...)
			}
		}
	} else if origin := r.Origin(); !bytes.Equal(origin, from) {
		d = append(append(d, origin...), ", "...)
	} else if len(from) == 0 {
		return d[:before]
	}
	if len(from) > 0 {
		d = append(d, from...)
	} else {
		d = append(d, "unknown"...)
	}
	return append(d, crlf...)
}

// appendForwarded appends Forwarded (RFC 7239): that of a trusted client, or what it says in
// X-Forwarded-*, and one more element. A field that cannot be read is left out, since
// nothing after it could be read either.
func (r *Request) appendForwarded(d []byte) []byte {
	m := r.Message
	d = append(d, "Forwarded: "...)
	_, said := m.Find(httpparse.Forwarded)
	if _, readable := r.lastHop(); said && readable {
		for _, f := range m.Fields {
			if f.ID == httpparse.Forwarded && f.Value.Len > 0 {
				d = append(append(d, f.Value.Of(r.Text)...), ", "...)
			}
		}
	} else if origin := r.Origin(); !bytes.Equal(origin, r.Peer.Address()) {
		d = appendNode(d, origin)
		if proto := r.protoSaid(); isToken(proto) && len(proto) <= protoMax {
			d = append(append(d, ";proto="...), proto...)
		}
		d = append(d, ", "...)
	}
	d = appendNode(d, r.Peer.Address())
	if host := m.Authority.Of(r.Text); isToken(host) {
		d = append(append(d, ";host="...), host...)
	} else if len(host) > 0 {
		d = append(append(append(d, `;host="`...), host...), '"')
	}
	d = append(append(d, ";proto="...), r.Peer.Scheme()...)
	return append(d, crlf...)
}

// appendNode appends the address of a client (RFC 7239 6).
func appendNode(d, addr []byte) []byte {
	switch {
	case len(addr) == 0:
		return append(d, "for=unknown"...)
	case bytes.IndexByte(addr, ':') >= 0:
		return append(append(append(d, `for="[`...), addr...), `]"`...)
	}
	return append(append(d, "for="...), addr...)
}
