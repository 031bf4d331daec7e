package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"lb/internal/iptext"
)

// Status is how far Parse has got.
type Status uint8

// The ends of Parse.
const (
	More Status = iota // no fault yet
	Done
	Bad
)

// Lengths of headers, in bytes.
const (
	v1Max   = 107 // with its CRLF
	v2Fixed = 16

	// Max is the length of the longest header: that of version 2 has 16 bits for what follows
	// its fixed part.
	Max = v2Fixed + 1<<16 - 1
)

// Kind is what a header says of the client's conn.
type Kind uint8

// The kinds.
const (
	Own  Kind = iota // LOCAL, UNKNOWN or UNSPEC: the conn is its sender's own, or nothing is known
	IP               // Source and Destination are known
	Unix             // the client has come by a unix socket
)

// Header is a header that has been read.
type Header struct {
	Len    int // in bytes; what follows is the client's
	Kind   Kind
	Reason Reason // of Bad

	Source, Destination netip.AddrPort // of the client's conn, with IP; mapped addresses are unmapped

	// TLVs are those of version 2, checked: see Next. They are a view of what was parsed.
	TLVs []byte
}

// Reason is why a header was refused.
type Reason uint8

// The reasons.
const (
	NoReason Reason = iota
	NoHeader
	BadLine
	LongLine
	BadVersion
	BadCommand
	BadFamily
	ShortAddress
	BadTLV
	BadChecksum
)

var reasons = [...]string{
	NoHeader:     "it does not begin with a PROXY header",
	BadLine:      "the line of a PROXY header is malformed",
	LongLine:     "the line of a PROXY header does not end",
	BadVersion:   "the version of the PROXY header is neither 1 nor 2",
	BadCommand:   "the command of the PROXY header is unknown",
	BadFamily:    "the address family or the transport of the PROXY header is unknown",
	ShortAddress: "the PROXY header is too short for its addresses",
	BadTLV:       "the fields (TLV) of the PROXY header are malformed",
	BadChecksum:  "the checksum (CRC32C) of the PROXY header is wrong",
}

// String returns the reason as text.
func (r Reason) String() string { return reasons[r] }

var (
	v1Begin   = []byte("PROXY ")
	signature = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Parse reads the header that b begins with, in version 1 or 2. While it returns More, call it
// again with the same bytes and those that follow: it keeps nothing between calls, since one
// costs no more than a look at 107 bytes until the header is whole. A wrong byte is refused as
// soon as it has come. Parse does not allocate.
func Parse(b []byte) (h Header, st Status) {
	if len(b) == 0 {
		return h, More
	}
	if b[0] == v1Begin[0] {
		st = h.parseV1(b)
	} else {
		st = h.parseV2(b)
	}
	return h, st
}

func (h *Header) refuse(why Reason) Status {
	*h = Header{Reason: why}
	return Bad
}

// begins reports whether b begins with prefix, as far as it goes.
func begins(b, prefix []byte) bool {
	n := min(len(b), len(prefix))
	return bytes.Equal(b[:n], prefix[:n])
}

// parseV1 reads a line.
func (h *Header) parseV1(b []byte) Status {
	if !begins(b, v1Begin) {
		return h.refuse(NoHeader)
	}
	b = b[:min(len(b), v1Max)]
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) == v1Max:
		return h.refuse(LongLine)
	case end < 0:
		if cr := bytes.IndexByte(b, '\r'); cr >= 0 && cr < len(b)-1 {
			return h.refuse(BadLine)
		}
		return More
	case end <= len(v1Begin) || bytes.IndexByte(b, '\r') != end-1:
		return h.refuse(BadLine)
	}
	line := b[len(v1Begin) : end-1]
	word, rest, more := bytes.Cut(line, space)
	switch string(word) {
	case "UNKNOWN": // whatever follows
	case "TCP4", "TCP6":
		if !more || !h.readLine(rest, word[3] == '6') {
			return h.refuse(BadLine)
		}
		h.Kind = IP
	default:
		return h.refuse(BadLine)
	}
	h.Len = end + 1
	return Done
}

var space = []byte(" ")

// readLine reads the addresses and ports of a line. Addresses of both versions are of the
// family that it names.
func (h *Header) readLine(s []byte, six bool) bool {
	var addrs [2]netip.Addr
	var ports [2]uint16
	for i := range addrs {
		var one []byte
		var ok bool
		if one, s, ok = bytes.Cut(s, space); !ok {
			return false
		}
		if six {
			addrs[i], ok = iptext.IPv6(one)
		} else {
			addrs[i], ok = iptext.IPv4(one)
		}
		if !ok {
			return false
		}
	}
	one, other, ok := bytes.Cut(s, space)
	if !ok {
		return false
	}
	for i, text := range [...][]byte{one, other} {
		if ports[i], ok = parsePort(text); !ok {
			return false
		}
	}
	h.Source, h.Destination = netip.AddrPortFrom(addrs[0], ports[0]), netip.AddrPortFrom(addrs[1], ports[1])
	return true
}

// The parts of the 13th and the 14th byte.
const (
	version2 = 0x20
	local    = 0x0
	proxied  = 0x1

	unspec    = 0x0
	inet      = 0x1
	inet6     = 0x2
	local108  = 0x3 // AF_UNIX, whose paths have 108 bytes
	transport = 0x2 // the last one: DGRAM, after UNSPEC and STREAM
)

// addressBytes are the lengths of the addresses of each family.
var addressBytes = [...]int{unspec: 0, inet: 12, inet6: 36, local108: 216}

// parseV2 reads a binary header.
func (h *Header) parseV2(b []byte) Status {
	switch {
	case !begins(b, signature):
		return h.refuse(NoHeader)
	case len(b) > len(signature) && b[len(signature)]&0xf0 != version2:
		return h.refuse(BadVersion)
	case len(b) > len(signature) && b[len(signature)]&0xf > proxied:
		return h.refuse(BadCommand)
	case len(b) < v2Fixed:
		return More
	}
	command, family, protocol := b[12]&0xf, int(b[13]>>4), b[13]&0xf
	n := v2Fixed + int(binary.BigEndian.Uint16(b[14:]))
	if command == proxied {
		switch {
		case family > local108 || protocol > transport:
			return h.refuse(BadFamily)
		case protocol != unspec && n < v2Fixed+addressBytes[family]:
			return h.refuse(ShortAddress)
		}
	}
	if len(b) < n {
		return More
	}
	h.Len = n
	if command == local { // the rest is to be ignored, the family included
		return Done
	}
	rest := b[v2Fixed:n]
	if family == unspec || protocol == unspec {
		// What stands there instead of addresses is to be ignored, too, and does not have to be
		// of a known length. Of HAProxy, it is TLVs.
		if family != unspec || check(rest) != Done {
			return Done
		}
	} else {
		h.readAddresses(rest, family)
		rest = rest[addressBytes[family]:]
	}
	if check(rest) != Done {
		return h.refuse(BadTLV)
	}
	if h.TLVs = rest; !sumFits(b[:n], n-len(rest)) {
		return h.refuse(BadChecksum)
	}
	return Done
}

// readAddresses reads those of a family.
func (h *Header) readAddresses(b []byte, family int) {
	switch family {
	case inet:
		h.Kind = IP
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[10:]))
	case inet6:
		h.Kind = IP
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), binary.BigEndian.Uint16(b[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[16:])).Unmap(), binary.BigEndian.Uint16(b[34:]))
	case local108:
		h.Kind = Unix
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumFits reports whether the CRC32C of the header b, whose TLVs begin at off, is right if it
// has one. It is that of a header with zeros in its place.
func sumFits(b []byte, off int) bool {
	for at := off; at < len(b); {
		size := int(binary.BigEndian.Uint16(b[at+1:]))
		if at += tlvFixed; b[at-tlvFixed] == CRC32C {
			sum := crc32.Update(0, castagnoli, b[:at])
			sum = crc32.Update(sum, castagnoli, zeros[:])
			sum = crc32.Update(sum, castagnoli, b[at+len(zeros):])
			return sum == binary.BigEndian.Uint32(b[at:])
		}
		at += size
	}
	return true
}

var zeros [crc32.Size]byte
