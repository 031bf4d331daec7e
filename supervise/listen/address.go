package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lb/supervise/discover"
)

// Address is where sockets listen, with the address of a name.
type Address struct {
	text    string // as configured
	path    string // of a unix socket, or "" for a socket of TCP, which the fields below are for
	network string // in the words of package net
	host    string
	ip      string
	port    int
}

// unixPrefix begins the address of a unix socket.
const unixPrefix = "unix:"

// PathOf returns the path of an address of the form unix:/path, or "" if it has another.
func PathOf(address string) string {
	path, ok := strings.CutPrefix(address, unixPrefix)
	if !ok {
		return ""
	}
	return filepath.Clean(path)
}

// PortOf returns the port of host:port, or 0 if address has none.
func PortOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}

// Resolve returns the address text of a listener: host:port, :port for every address of
// both families, as [::]:port is, [v6]:port, or unix:/path. Of a name's addresses it is
// the first IPv4 one, as in net.Listen. Port 0 is any free one.
func Resolve(ctx context.Context, resolver discover.Resolver, text string) (*Address, error) {
	if path := PathOf(text); path != "" {
		return &Address{text: text, path: path}, nil
	}
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		return nil, err
	}
	a := &Address{text: text, host: host, port: PortOf(text)}
	a.network, a.ip, err = listenAddr(ctx, resolver, host)
	return a, err
}

// listenAddr returns the network and address to listen on, in the words of package
// net.
func listenAddr(ctx context.Context, resolver discover.Resolver, host string) (network, ip string, err error) {
	if host == "" || host == "::" {
		return "tcp", host, nil // both families
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		addrs, err := resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return "", "", fmt.Errorf("listen %s: %w", host, err)
		}
		if addr, err = firstAddr(addrs); err != nil {
			return "", "", fmt.Errorf("listen %s: %w", host, err)
		}
	}
	if addr = addr.Unmap(); addr.Is4() {
		return "tcp4", addr.String(), nil
	}
	return "tcp6", addr.String(), nil
}

func firstAddr(addrs []netip.Addr) (netip.Addr, error) {
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return a, nil
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}, errors.New("the name has no address")
	}
	return addrs[0], nil
}

// At reports whether a socket of ls is bound to a.
func (ls *Set) At(a *Address) bool {
	if a.path != "" {
		return ls.path == a.path
	}
	want, err := netip.ParseAddrPort(net.JoinHostPort(a.ip, strconv.Itoa(a.port)))
	if a.network == "tcp" { // every address of both families
		want, err = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(a.port)), nil
	}
	return err == nil && a.port != 0 && slices.Contains(ls.addrs(), want)
}

// HasPort reports whether a socket of ls is bound to the port, which is not 0.
func (ls *Set) HasPort(port int) bool {
	return slices.ContainsFunc(ls.addrs(), func(a netip.AddrPort) bool { return a.IsValid() && int(a.Port()) == port })
}

// portOf reports whether one of sets has the port.
func portOf(sets []*Set, port int) bool {
	return slices.ContainsFunc(sets, func(ls *Set) bool { return ls.HasPort(port) })
}

// addrs returns the addresses of the sockets: one, unless systemd has opened them.
func (ls *Set) addrs() (addrs []netip.AddrPort) {
	files := ls.files
	if !ls.Systemd {
		files = files[:min(1, len(files))]
	}
	for _, f := range files {
		addrs = append(addrs, boundAddr(f))
	}
	return addrs
}

// boundAddr returns the address of the socket f, or the zero value if that is no
// internet address.
func boundAddr(f *os.File) netip.AddrPort {
	sa, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// zoneName returns the name of an interface, or its number.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(index))
}
