package proxyproto

import "encoding/binary"

// Types of TLVs.
const (
	ALPN      = 0x01
	Authority = 0x02 // the name that the client has asked for, as in SNI
	CRC32C    = 0x03
	NoOp      = 0x04
	UniqueID  = 0x05
	SSL       = 0x20 // see ReadSSL
	NetNS     = 0x30
	AWS       = 0xEA // a byte for what it is, and that: 1 is the id of a VPC endpoint
	Azure     = 0xEE // a byte for what it is, and that: 1 is the LinkID of a private endpoint
	GCP       = 0xE0 // the id of a Private Service Connect, in 8 bytes
)

// Types of TLVs in that of SSL.
const (
	SSLVersion = 0x21
	SSLCN      = 0x22
	SSLCipher  = 0x23
)

const (
	tlvFixed    = 3
	uniqueIDMax = 128
	sslFixed    = 5
)

// Next takes the first TLV off b, which are those of a Header; ok is false if there is none.
func Next(b []byte) (kind byte, value, rest []byte, ok bool) {
	if len(b) < tlvFixed {
		return 0, nil, nil, false
	}
	n := tlvFixed + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < n {
		return 0, nil, nil, false
	}
	return b[0], b[tlvFixed:n:n], b[n:], true
}

// Find returns the value of the first TLV of a kind, or nil.
func Find(b []byte, kind byte) []byte {
	for {
		k, value, rest, ok := Next(b)
		if !ok || k == kind {
			return value
		}
		b = rest
	}
}

// ReadSSL returns what the value of a TLV SSL says: whether the client's conn is one of TLS,
// whether it has shown a certificate that was verified, and the TLVs in it.
func ReadSSL(value []byte) (secure, verified bool, tlvs []byte) {
	if len(value) < sslFixed {
		return false, false, nil
	}
	const byTLS, certOfConn, certOfSession = 1, 2, 4
	shown := value[0]&(certOfConn|certOfSession) != 0
	return value[0]&byTLS != 0, shown && binary.BigEndian.Uint32(value[1:]) == 0, value[sslFixed:]
}

// check returns Done if b is a list of TLVs, those in SSL included, and nothing else.
func check(b []byte) Status {
	for len(b) > 0 {
		kind, value, rest, ok := Next(b)
		switch {
		case !ok,
			kind == CRC32C && len(value) != len(zeros),
			kind == UniqueID && len(value) > uniqueIDMax,
			kind == SSL && (len(value) < sslFixed || check(value[sslFixed:]) != Done):
			return Bad
		}
		b = rest
	}
	return Done
}

// AppendTLV appends a TLV. A value that is too long for one is cut.
func AppendTLV(d []byte, kind byte, value []byte) []byte {
	value = value[:min(len(value), 1<<16-1)]
	d = binary.BigEndian.AppendUint16(append(d, kind), uint16(len(value)))
	return append(d, value...)
}
