// Package explain tells an operator what lb would do with a request, and why. It builds the
// head as a client would send it, and puts into words what the proxy has decided about it. It
// decides nothing itself.
package explain

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"lb/admin/api"
	"lb/config"
	"lb/proxy/clients"
	"lb/proxy/front"
)

// Asked is a request as a client would send it over HTTP/1.1.
type Asked struct {
	Head     []byte // whole, with the empty line that ends it
	Peer     netip.Addr
	Listener config.Listener
	Way      front.Way // how the client comes in there
	Notes    []string  // for the operator
}

// Parse returns the request that ask describes, which comes in at one of listens. An error is
// a line for the operator; what a client can send is no error, however odd it is.
func Parse(ask api.ExplainAsk, listens []config.Listener) (*Asked, error) {
	a := &Asked{Peer: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if ask.From != "" {
		addr, err := netip.ParseAddr(ask.From)
		if err != nil {
			return nil, fmt.Errorf("%q is no IP address; write --from 192.0.2.1 or another", ask.From)
		}
		a.Peer = addr.Unmap()
	}
	if ask.URL == "" {
		return nil, errors.New("there is no URL; write http://a.example/path, or a path alone")
	}
	if scheme, _, ok := strings.Cut(ask.URL, "://"); ok && isScheme(scheme) && !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return nil, fmt.Errorf("lb has no listener for %q; write http:// or https://, or a path alone", scheme+"://")
	}
	for _, s := range append([]string{ask.Method, ask.URL}, ask.Headers...) {
		if strings.ContainsAny(s, "\r\n") {
			return nil, fmt.Errorf("%q has a line end, which would be the end of the method, the URL or the field", s)
		}
	}
	method := ask.Method
	if method == "" {
		method = "GET"
	}
	u := split(ask.URL, method)
	a.listen(u, listens)
	fields, err := fieldLines(ask.Headers)
	if err != nil {
		return nil, err
	}
	a.Head = fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", method, u.target)
	if !slices.ContainsFunc(fields, isHost) {
		a.Head = fmt.Appendf(a.Head, "Host: %s\r\n", u.hostField(a))
	}
	if u.user != "" {
		a.Head = fmt.Appendf(a.Head, "Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(u.user)))
	}
	for _, line := range fields {
		a.Head = append(append(a.Head, line...), "\r\n"...)
	}
	a.Head = append(a.Head, "\r\n"...)
	return a, nil
}

// fieldLines returns the field lines of headers. curl's "Name;" is a field without a value.
func fieldLines(headers []string) (lines []string, err error) {
	for _, h := range headers {
		if name, ok := strings.CutSuffix(h, ";"); ok && !strings.Contains(h, ":") {
			h = name + ":"
		}
		if !strings.Contains(h, ":") {
			return nil, fmt.Errorf("%q is no field; write \"Name: value\"", h)
		}
		lines = append(lines, h)
	}
	return lines, nil
}

func isHost(line string) bool {
	name, _, _ := strings.Cut(line, ":")
	return strings.EqualFold(strings.TrimSpace(name), "host")
}

// url is a URL as it was written: nothing in it is decoded or normalized, because a client
// may send it so.
type url struct {
	secure, scheme bool   // https; a scheme is there
	user, host     string // host with the port
	target         string // for the request line
}

// isScheme reports whether s is a scheme of RFC 3986, section 3.1.
func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// split takes s apart. The target of CONNECT is a host and a port, and that of OPTIONS may be
// "*".
func split(s, method string) (u url) {
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		u.scheme, u.secure, rest = true, len(scheme) == len("https"), after
	} else if s[0] == '/' || s[0] == '?' || s[0] == '*' || method == "CONNECT" {
		if u.target = s; s[0] == '?' {
			u.target = "/" + s
		}
		if method == "CONNECT" {
			u.host = s
		}
		return u
	}
	rest, _, _ = strings.Cut(rest, "#") // a client keeps the fragment to itself
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	u.host, u.target = rest[:end], rest[end:]
	if i := strings.LastIndexByte(u.host, '@'); i >= 0 {
		u.user, u.host = u.host[:i], u.host[i+1:]
	}
	switch {
	case method == "CONNECT":
		u.target = u.host
	case u.target == "" || u.target[0] == '?':
		u.target = "/" + u.target
	}
	return u
}

// hostField returns the value of Host. A path alone is asked of the listener's address.
func (u *url) hostField(a *Asked) string {
	if u.host != "" {
		return u.host
	}
	host, port, _ := net.SplitHostPort(a.Listener.Address)
	if clients.PortOf(a.Listener) == "" {
		return "localhost" // a unix socket
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "localhost"
	}
	if port == "80" || port == "443" || port == "0" {
		return host
	}
	return net.JoinHostPort(host, port)
}

// listen finds the listener that the request comes in at: that of the URL's port, else the
// first that speaks its scheme, else the first.
func (a *Asked) listen(u url, listens []config.Listener) {
	port := ""
	if u.scheme {
		port = map[bool]string{false: "80", true: "443"}[u.secure]
	}
	if _, p, err := net.SplitHostPort(u.host); err == nil {
		port = p
	}
	fits := func(l config.Listener) bool { return !u.scheme || l.TLS == u.secure }
	at := slices.IndexFunc(listens, func(l config.Listener) bool { return port != "" && clients.PortOf(l) == port })
	named := at >= 0
	if !named {
		at = max(0, slices.IndexFunc(listens, fits))
	}
	l := listens[at]
	a.Listener, a.Way = l, clients.WayOf(l)
	switch {
	case fits(l):
	case u.secure:
		a.Notes = append(a.Notes, fmt.Sprintf("no listener for this URL speaks TLS: the request is explained as it comes over plain HTTP to %s, as from a proxy that speaks TLS with the client (which says so in X-Forwarded-Proto)", l.Address))
	default:
		a.Way = front.NotTLS
	}
	if u.scheme && !named && fits(l) && len(listens) > 1 {
		a.Notes = append(a.Notes, fmt.Sprintf("no listener has the port of this URL; %s is the first that speaks its scheme", l.Address))
	}
}
