package clients

import (
	"bytes"
	"net"
	"slices"
	"strings"

	"lb/config"
	"lb/httpparse"
	"lb/httpparse/urlpath"
	"lb/proxy/front"
)

// NotTLS is the text of the answer to plain HTTP at a listener for TLS.
const NotTLS = "this port speaks HTTPS"

// Answer is an answer that a request gets because of the way that its client came in, and
// no matter which route would take it.
type Answer struct {
	Code  int
	Text  string
	Lines []byte // field lines
	Close bool   // the conn ends with it
}

// Within returns a, or a refusal if its field lines are longer than most bytes.
func (a Answer) Within(most int) Answer {
	if a.Close || len(a.Lines) <= most {
		return a
	}
	return Answer{Code: 414, Text: "the place to go to instead is too long to say"}
}

// Answers reports whether Answer may have an answer for p. It costs next to nothing.
func (c *Clients) Answers(p *front.Peer) bool {
	return p.Way > front.TLS || p.Way == front.Plain && len(c.tokens) > 0
}

// Answer returns the answer to the request m, whose head is good, of the client p, for whom Answers is
// true; ok is false if it has to be routed. b is the buffer that m was parsed from.
func (c *Clients) Answer(p *front.Peer, m *httpparse.Request, b []byte) (a Answer, ok bool) {
	if len(c.tokens) > 0 && p.Way != front.NotTLS {
		if text, ok := c.tokens[challenge(m.Path.Of(b))]; ok {
			return Answer{Code: 200, Text: text}, true
		}
	}
	switch {
	case p.Way == front.Plain, m.Method == httpparse.CONNECT && p.Way != front.NotTLS:
		return a, false
	case p.Way == front.NotTLS && (!c.redirects || !isBrowser(m, b)):
		return Answer{Code: 400, Text: NotTLS, Close: true}, true
	case m.Authority.Len == 0:
		return Answer{Code: 400, Text: "without a Host there is nowhere to redirect to", Close: true}, true
	}
	return Answer{Code: 308, Lines: c.appendLocation(nil, p.Way, m, b), Close: p.Way == front.NotTLS}, true
}

// challenge returns the token of an HTTP-01 challenge (RFC 8555 8.3), or "" for another path.
func challenge(path []byte) string {
	token, ok := bytes.CutPrefix(path, []byte("/.well-known/acme-challenge/"))
	if !ok {
		return ""
	}
	return string(token)
}

// isBrowser reports whether m is a page that a browser was told to show.
func isBrowser(m *httpparse.Request, b []byte) bool {
	return m.HasLine(b, "upgrade-insecure-requests", "1") || m.HasLine(b, "sec-fetch-mode", "navigate")
}

// appendLocation appends the field line that sends the client to https. Its port is that of
// the first TLS listener if lb itself can be reached at the ports that the client knows:
// its own is 80, or the client has named one. Otherwise something before lb maps ports.
// At a listener for TLS the client has found the right port already.
func (c *Clients) appendLocation(d []byte, way front.Way, m *httpparse.Request, b []byte) []byte {
	host := m.Authority.Of(b)
	bare := host
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		bare = host[:i]
	}
	d = append(d, "Location: https://"...)
	switch {
	case way == front.NotTLS:
		d = append(d, host...)
	case way == front.RedirectedAt80 || len(bare) < len(host):
		d = append(append(d, bare...), c.port...)
	default:
		d = append(d, bare...)
	}
	if path := m.AppendPath(nil, b); string(path) != "*" { // that of OPTIONS is no path
		d = urlpath.AppendURI(append(d, '/'), bytes.TrimLeft(path, "/"))
	}
	return append(d, "\r\n"...)
}

// WayOf returns how clients of l come in that speak what l does.
func WayOf(l config.Listener) front.Way {
	switch {
	case l.TLS:
		return front.TLS
	case l.RedirectHTTPS && PortOf(l) == "80":
		return front.RedirectedAt80
	case l.RedirectHTTPS:
		return front.Redirected
	}
	return front.Plain
}

// PortOf returns the port of l, or "" for a unix socket.
func PortOf(l config.Listener) string {
	if strings.HasPrefix(l.Address, "unix:") {
		return ""
	}
	_, port, _ := net.SplitHostPort(l.Address)
	return port
}

// httpsPort returns the port of the first of all that speaks TLS, as it stands after a
// host: empty for that of https.
func httpsPort(all []config.Listener) string {
	at := slices.IndexFunc(all, func(l config.Listener) bool { return l.TLS && PortOf(l) != "" })
	if at < 0 || PortOf(all[at]) == "443" {
		return ""
	}
	return ":" + PortOf(all[at])
}
