package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lb/httpparse"
	"lb/loop"
)

// blockBytes bounds the consecutive copies of a request that one write can send.
// There is always one copy.
const blockBytes = 64 << 10

// request is what every conn sends, prepared once.
type request struct {
	url    *url.URL
	method httpparse.Method
	len    int    // bytes of one request
	head   []byte // its head
	body   []byte // its body
	block  []byte // one or more copies
}

// newRequest prepares the request that o describes.
func newRequest(o *Options) (*request, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	body := o.Body
	if body == nil {
		body = bytes.Repeat([]byte{'x'}, o.BodyBytes)
	}
	method := o.Method
	if method == "" && len(body) > 0 {
		method = "POST"
	} else if method == "" {
		method = "GET"
	}
	if !isToken(method) || method == "CONNECT" {
		return nil, fmt.Errorf("bench: method %q cannot be used", method)
	}
	r := &request{url: u, method: httpparse.GET}
	if method == "HEAD" {
		r.method = httpparse.HEAD // its answers have no body
	}
	b, err := appendHead(nil, u, method, o)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 || method == "POST" || method == "PUT" || method == "PATCH" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	}
	b = append(b, "\r\n"...)
	r.head, r.body = slices.Clone(b), body
	b = append(b, body...)
	r.len = len(b)
	r.block = bytes.Repeat(b, min(o.Pipeline, max(blockBytes/len(b), 1)))
	return r, nil
}

// parseURL parses the target; http:// may be left out.
func parseURL(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("bench: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("bench: scheme %q is not spoken; use http or https", u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("bench: %q names no host", s)
	case u.User != nil:
		return nil, errors.New("bench: a user in the URL is not sent; give a field Authorization")
	case strings.ContainsFunc(u.RequestURI()+u.Host, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return nil, fmt.Errorf("bench: %q has bytes that no request line may have", s)
	}
	return u, nil
}

// appendHead appends the request line and all fields except Content-Length.
func appendHead(b []byte, u *url.URL, method string, o *Options) ([]byte, error) {
	b = fmt.Appendf(b, "%s %s HTTP/1.1\r\n", method, u.RequestURI())
	host := u.Host
	var rest []byte
	for _, f := range o.Fields {
		switch {
		case !isToken(f.Name), !isValue(f.Value):
			return nil, fmt.Errorf("bench: %q: %q is no field", f.Name, f.Value)
		case strings.EqualFold(f.Name, "Content-Length"), strings.EqualFold(f.Name, "Transfer-Encoding"):
			return nil, fmt.Errorf("bench: %s is set by what is sent", f.Name)
		case strings.EqualFold(f.Name, "Host"):
			host = f.Value
		default:
			rest = fmt.Appendf(rest, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	b = append(fmt.Appendf(b, "Host: %s\r\n", host), rest...)
	if o.NewConnPerRequest {
		b = append(b, "Connection: close\r\n"...)
	}
	return b, nil
}

// isToken reports whether s is a token (RFC 9110 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s may be the value of a field (RFC 9110 5.5).
func isValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// addresses returns the addresses to connect to.
func addresses(ctx context.Context, o *Options, u *url.URL) ([]loop.Addr, error) {
	names := o.Addrs
	if len(names) == 0 {
		port := u.Port()
		if port == "" {
			port = "80"
			if u.Scheme == "https" {
				port = "443"
			}
		}
		names = []string{net.JoinHostPort(u.Hostname(), port)}
	}
	var out []loop.Addr
	for _, name := range names {
		a, err := address(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		out = append(out, a)
	}
	return out, nil
}

func address(ctx context.Context, name string) (loop.Addr, error) {
	if path, ok := strings.CutPrefix(name, "unix:"); ok && path != "" {
		return loop.Addr{Path: path}, nil
	}
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return loop.Addr{}, fmt.Errorf("address %q: want host:port or unix:/path", name)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return loop.Addr{}, fmt.Errorf("address %q: port %q is not 1 to 65535", name, port)
	}
	ip, err := hostIP(ctx, host, port)
	return loop.Addr{IP: netip.AddrPortFrom(ip, uint16(n))}, err
}

// hostIP returns the address of host. Of several addresses it prefers one with a
// listening server: localhost is ::1 and 127.0.0.1, and few servers listen on both.
func hostIP(ctx context.Context, host, port string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(ips) > 1 {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port)); err == nil {
			defer c.Close()
			return c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(), nil
		}
	}
	return ips[0].Unmap(), nil
}
