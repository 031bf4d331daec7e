package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Version is that of a header to send.
type Version uint8

// The versions.
const (
	Off Version = iota
	V1
	V2
)

// ParseVersion returns the version that the configuration calls by this name: "off", "v1" or
// "v2".
func ParseVersion(name string) Version {
	switch name {
	case "v1":
		return V1
	case "v2":
		return V2
	}
	return Off
}

// AppendMax is the most bytes that Append appends without TLVs.
const AppendMax = v1Max

// Append appends the header of v, which is not Off, for a conn between two addresses. If one of
// them is not valid, such as that of a unix socket, the header says that nothing is known:
// UNKNOWN, or LOCAL, which every receiver has to take. tlvs are for version 2.
func (v Version) Append(d []byte, source, destination netip.AddrPort, tlvs []byte) []byte {
	known := source.Addr().IsValid() && destination.Addr().IsValid()
	four := source.Addr().Unmap().Is4() && destination.Addr().Unmap().Is4()
	if v == V1 {
		return appendV1(d, source, destination, known, four)
	}
	d = append(d, signature...)
	if !known {
		return append(d, version2|local, 0, 0, 0)
	}
	family, stream := byte(inet6), byte(1)
	if four {
		family = inet
	}
	tlvs = tlvs[:min(len(tlvs), Max-v2Fixed-addressBytes[family])]
	d = append(d, version2|proxied, family<<4|stream)
	d = binary.BigEndian.AppendUint16(d, uint16(addressBytes[family]+len(tlvs)))
	for _, a := range [...]netip.AddrPort{source, destination} {
		if four {
			ip := a.Addr().Unmap().As4()
			d = append(d, ip[:]...)
		} else {
			ip := a.Addr().As16()
			d = append(d, ip[:]...)
		}
	}
	d = binary.BigEndian.AppendUint16(d, source.Port())
	d = binary.BigEndian.AppendUint16(d, destination.Port())
	return append(d, tlvs...)
}

// appendV1 appends a line. Addresses of two families are both written as IPv6.
func appendV1(d []byte, source, destination netip.AddrPort, known, four bool) []byte {
	switch {
	case !known:
		return append(d, "PROXY UNKNOWN\r\n"...)
	case four:
		d = append(d, "PROXY TCP4 "...)
	default:
		d = append(d, "PROXY TCP6 "...)
	}
	for _, a := range [...]netip.AddrPort{source, destination} {
		ip := a.Addr().Unmap()
		if !four && ip.Is4() {
			ip = netip.AddrFrom16(ip.As16())
		}
		d = append(ip.WithZone("").AppendTo(d), ' ')
	}
	d = append(strconv.AppendUint(d, uint64(source.Port()), 10), ' ')
	d = strconv.AppendUint(d, uint64(destination.Port()), 10)
	return append(d, "\r\n"...)
}
