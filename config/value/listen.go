package value

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// listenHint says how to write an address to listen on.
const listenHint = `write host:port, ":443" for every address, "[v6]:port" or "unix:/path"`

// CheckListen accepts an address to listen on: host:port, :port, [v6]:port or unix:/path.
func CheckListen(s string) *Flaw {
	if path := TrimUnix(s); path != s {
		return CheckSocket(path)
	}
	if s == "" {
		return Wrong("is empty", listenHint)
	}
	if u, ok := parseURL(s); ok {
		return Wrong("is a URL", u.listen())
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "*" {
		return Wrong(fmt.Sprintf("%q is not host:port", s), hintListen(s))
	}
	if f := CheckPort(port, 0); f != nil {
		if number, more, _ := strings.Cut(port, " "); more != "" && CheckPort(number, 0) == nil {
			f = Wrong(f.What, hintListen(s))
		}
		return f
	}
	if host == "" {
		return nil
	}
	return checkShape(host)
}

// listen returns what to write in the place of a URL to listen on.
func (u location) listen() string {
	port := u.port
	if port == "" && u.scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	if u.host == "*" {
		u.host = ""
	}
	hint := fmt.Sprintf("write %q", net.JoinHostPort(u.host, port))
	if u.scheme == "https" {
		hint += ", and tls = true below it"
	}
	return hint
}

// hintListen returns what to do about s, by a guess at what was meant: a port alone, or
// the words of nginx and HAProxy after it.
func hintListen(s string) string {
	address, words, _ := strings.Cut(s, " ")
	address = strings.TrimPrefix(address, "*")
	if CheckPort(address, 0) == nil {
		address = ":" + address
	}
	_, port, err := net.SplitHostPort(address)
	switch {
	case strings.HasPrefix(s, "/"):
		return fmt.Sprintf("write %q", "unix:"+s)
	case err == nil && CheckPort(port, 0) == nil && (strings.Contains(words, "ssl") || strings.Contains(words, "tls")):
		return fmt.Sprintf("write %q, and tls = true below it", address)
	case err == nil && CheckPort(port, 0) == nil:
		return fmt.Sprintf("write %q", address)
	case strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "["):
		return `put an IPv6 address in brackets, such as "[::1]:443"`
	}
	return listenHint
}

// SameListen reports whether two addresses that CheckListen accepts cannot both be listened
// on: they are equal, or one takes all addresses of a port and the other does, too.
func SameListen(a, b string) bool {
	if a == b {
		return true
	}
	hostA, portA, errA := splitListen(a)
	hostB, portB, errB := splitListen(b)
	if errA != nil || errB != nil { // a unix socket
		return TrimUnix(a) != a && TrimUnix(a) == TrimUnix(b)
	}
	switch {
	case portA != portB || portA == 0:
		return false
	case hostA == hostB:
		return true
	}
	return hostA == "::" && hostB == "0.0.0.0" || hostA == "0.0.0.0" && hostB == "::"
}

// splitListen returns the host and the port of s in one spelling.
func splitListen(s string) (host string, port uint64, err error) {
	if TrimUnix(s) != s {
		return "", 0, net.InvalidAddrError("a unix socket")
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.ParseUint(text, 10, 16)
	if host == "" {
		host = "::" // both IPv6 and IPv4
	}
	if a, bad := netip.ParseAddr(host); bad == nil {
		host = a.Unmap().String()
	}
	return strings.ToLower(host), port, err
}
