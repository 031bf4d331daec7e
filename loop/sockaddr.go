//go:build linux || darwin || freebsd

package loop

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is memory for any address that can be dialled. It starts with the
// family, and on the BSDs with a length before it: setHead writes both.
type sockaddr struct {
	_     [0]uint32 // aligned as the largest member asks
	bytes [unix.SizeofSockaddrUnix]byte
}

// set writes to's form for connect and returns its family and length.
func (s *sockaddr) set(to *Addr) (family, length int, err error) {
	switch ip := to.IP.Addr().Unmap(); {
	case to.Path != "":
		return s.setUnix(to.Path)
	case ip.Is4():
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		*a = unix.RawSockaddrInet4{Addr: ip.As4(), Port: networkOrder(to.IP.Port())}
		s.setHead(unix.AF_INET, unix.SizeofSockaddrInet4)
		return unix.AF_INET, unix.SizeofSockaddrInet4, nil
	case ip.Is6():
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(s))
		*a = unix.RawSockaddrInet6{Addr: ip.As16(), Port: networkOrder(to.IP.Port())}
		if zone := ip.Zone(); zone != "" {
			if a.Scope_id, err = scopeOf(zone); err != nil {
				return 0, 0, err
			}
		}
		s.setHead(unix.AF_INET6, unix.SizeofSockaddrInet6)
		return unix.AF_INET6, unix.SizeofSockaddrInet6, nil
	}
	return 0, 0, unix.EDESTADDRREQ
}

// setUnix writes a path; on Linux one that starts with @ is an abstract name.
func (s *sockaddr) setUnix(path string) (family, length int, err error) {
	a := (*unix.RawSockaddrUnix)(unsafe.Pointer(s))
	if len(path) >= len(a.Path) { // one byte is the zero behind it
		return 0, 0, unix.ENAMETOOLONG
	}
	*a = unix.RawSockaddrUnix{}
	for i := range len(path) {
		a.Path[i] = int8(path[i])
	}
	length = int(unsafe.Offsetof(a.Path)) + len(path) + 1
	if abstractNames && path[0] == '@' {
		a.Path[0] = 0
		length-- // an abstract name has no zero behind it
	}
	s.setHead(unix.AF_UNIX, length)
	return unix.AF_UNIX, length, nil
}

// scopeOf returns the number of the interface a link-local address is for.
func scopeOf(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// peerOf reads an address that accept wrote; unix sockets give the zero value.
func peerOf(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), networkOrder(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), networkOrder(a.Port))
	}
	return netip.AddrPort{}
}

// networkOrder turns a port between the machine's byte order and the network's.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// socketError returns and clears what went wrong on fd, nil for nothing.
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
