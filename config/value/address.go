package value

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// PortMax is the largest port.
const PortMax = 65535

// SocketPathMax is the length in bytes of the longest path that a unix socket can
// have on every system lb runs on. Linux itself allows a few bytes more.
const SocketPathMax = 103

// CheckFile accepts any path of a file, and "" for none.
func CheckFile(s string) *Flaw {
	if strings.IndexByte(s, 0) >= 0 {
		return Wrong("has a zero byte in it", "write a path")
	}
	return nil
}

// CheckListenHost accepts every name and address to listen on. Whether this machine
// has it, the system says when lb starts.
func CheckListenHost(s string) *Flaw {
	if s == "" {
		return Wrong("is empty", `use "0.0.0.0" for every IPv4 address, "::" for every address`)
	}
	if u, ok := parseURL(s); ok {
		return Wrong("is a URL", "write "+u.keys())
	}
	return checkShape(s)
}

// location is what stands in a URL that was written in the place of a host.
type location struct{ scheme, host, port string }

// parseURL splits a URL. The host of one may be empty.
func parseURL(s string) (u location, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return u, false
	}
	rest, _, _ = strings.Cut(rest, "/")
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = strings.Trim(rest, "[]:"), ""
	}
	return location{strings.ToLower(scheme), host, port}, true
}

// keys returns the host and the port, if there is one, as keys.
func (u location) keys() string {
	text := fmt.Sprintf("host = %q", u.host)
	if u.port != "" {
		text += " and port = " + u.port
	}
	return text
}

// CheckHost accepts a name or an IP address to connect to.
func CheckHost(s string) *Flaw {
	if s == "" {
		return Wrong("is empty", "write a name or an IP address")
	}
	if u, ok := parseURL(s); ok && u.scheme == "https" {
		u.port = cmp.Or(u.port, "443")
		return Wrong("is a URL", fmt.Sprintf("write host = %q, port = %s and tls = true", u.host, u.port))
	} else if ok {
		return Wrong("is a URL", "write "+u.keys())
	}
	if f := checkShape(s); f != nil {
		return f
	}
	_, err := netip.ParseAddr(s)
	last := s[strings.LastIndexByte(s, '.')+1:]
	if _, digits := strconv.Atoi(last); err != nil && digits == nil {
		return Wrong(fmt.Sprintf("%q is not an IP address", s), "write four numbers from 0 to 255, or a name")
	}
	return nil
}

// checkShape accepts names, IPv4 and IPv6 addresses, without port or brackets.
func checkShape(s string) *Flaw {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		return Wrong("has brackets", fmt.Sprintf("write %q", strings.TrimSuffix(inner, "]")))
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return Wrong("has a port in it", "write "+location{host: host, port: port}.keys())
	}
	for i := range len(s) {
		if c := s[i]; !NameByte(c) && c != '.' {
			return Wrong(fmt.Sprintf("%q is neither a name nor an IP address", s), "write one of them")
		}
	}
	return nil
}

// TrimUnix returns the path of a unix socket that may be written as -b has it: unix:/path.
func TrimUnix(s string) string {
	path, ok := strings.CutPrefix(s, "unix:")
	if ok && strings.HasPrefix(path, "//") { // unix:///path
		path = "/" + strings.TrimLeft(path, "/")
	}
	return path
}

// CheckSocket accepts a path that a unix socket can have.
func CheckSocket(s string) *Flaw {
	switch {
	case s == "":
		return Wrong("is empty", "write the path of a unix socket")
	case len(s) > SocketPathMax:
		return Wrong(fmt.Sprintf("is %d bytes long", len(s)), fmt.Sprintf("use a path of at most %d bytes", SocketPathMax))
	}
	return CheckFile(s)
}

// CheckAddress accepts host:port, and "" for off.
func CheckAddress(s string) *Flaw {
	if s == "" {
		return nil
	}
	const hint = `write host:port, such as "127.0.0.1:9900", or "" for off`
	if u, ok := parseURL(s); ok && u.port != "" {
		return Wrong("is a URL", fmt.Sprintf("write %q", net.JoinHostPort(u.host, u.port)))
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Wrong(fmt.Sprintf("%q is not host:port", s), hint)
	}
	if f := CheckPort(port, 0); f != nil {
		return f
	}
	if host == "" {
		return nil
	}
	return checkShape(host)
}

// CheckPort accepts a decimal port of at least low.
func CheckPort(s string, low int) *Flaw {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || int(n) < low {
		return Wrong(fmt.Sprintf("%q is not a port", s), fmt.Sprintf("use %d to %d", low, PortMax))
	}
	return nil
}

// ParseNetwork reads a network in CIDR form; an address is a network of one. IPv4 inside IPv6 becomes
// plain IPv4, the form in which lb has the addresses of its clients.
func ParseNetwork(s string) (netip.Prefix, *Flaw) {
	var p netip.Prefix
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		p = netip.PrefixFrom(a, a.BitLen())
	} else if p, err = netip.ParsePrefix(s); err != nil {
		return p, Wrong(fmt.Sprintf("%q is neither an address nor a network", s), `write one such as "10.0.0.0/8"`)
	}
	if p != p.Masked() {
		return p, Wrong(fmt.Sprintf("%q has bits set beyond its length", s), fmt.Sprintf("write %q", p.Masked()))
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}
