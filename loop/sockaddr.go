//go:build linux || darwin || freebsd

package loop

import (
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// sockaddr holds any address to dial, so that dialling does not allocate one.
type sockaddr struct {
	inet4 unix.SockaddrInet4
	inet6 unix.SockaddrInet6
	local unix.SockaddrUnix
}

// set returns to in the system's form, valid until the next set.
func (s *sockaddr) set(to *Addr) (family int, sa unix.Sockaddr, err error) {
	ip, port := to.IP.Addr().Unmap(), int(to.IP.Port())
	switch {
	case to.Path != "":
		s.local.Name = to.Path
		return unix.AF_UNIX, &s.local, nil
	case ip.Is4():
		s.inet4.Addr, s.inet4.Port = ip.As4(), port
		return unix.AF_INET, &s.inet4, nil
	case ip.Is6():
		s.inet6.Addr, s.inet6.Port = ip.As16(), port
		s.inet6.ZoneId, err = scopeOf(ip.Zone())
		return unix.AF_INET6, &s.inet6, err
	}
	return 0, nil, unix.EDESTADDRREQ
}

// scopeOf returns the number of the interface of a link-local address, or 0
// without a zone.
func scopeOf(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// connect starts to connect fd.
func connect(fd int, sa unix.Sockaddr) error {
	switch err := unix.Connect(fd, sa); err {
	case nil, unix.EINPROGRESS, unix.EINTR: // interrupted: connecting continues in the background
		return nil
	default:
		return err
	}
}

// socketError returns and clears the pending error of fd, or nil if there is none.
func socketError(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	return nil
}

// lingerZero makes the close of fd a reset (RFC 9293 section 3.10.5, ABORT).
func lingerZero(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// peerOf combines an IP address and a port; an IPv4 address mapped to IPv6 is
// unmapped.
func peerOf(ip netip.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(ip.Unmap(), uint16(port))
}
