package httpparse

import (
	"bytes"
	"math"

	"lb/httpparse/ipv6"
	"lb/httpparse/list"
)

// length reads one Content-Length field (RFC 9110 8.6); again means that it is not the
// first. A request may have only one value. A response may repeat the same value, on
// lines of its own or in a list (RFC 9112 6.3).
func (p *lineParser) length(m *Message, v []byte, again bool) Reason {
	if !p.answer {
		if again {
			return ManyLengths
		}
		m.Length = number(v)
		return lengthVerdict(m.Length, m.Length)
	}
	for more := true; more; {
		var e []byte
		e, v, more = list.Cut(v)
		n := number(e)
		if m.Length < 0 {
			m.Length = n
		}
		if r := lengthVerdict(n, m.Length); r != NoReason {
			return r
		}
	}
	return NoReason
}

func lengthVerdict(n, first int64) Reason {
	switch {
	case n < 0:
		return BadLength
	case n != first:
		return ManyLengths
	}
	return NoReason
}

// number returns the value of 1*DIGIT, or -1 for anything else or above 2^63-1.
func number(v []byte) int64 {
	if len(v) == 0 {
		return -1
	}
	n := int64(0)
	for _, c := range v {
		d := int64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxInt64-d)/10 {
			return -1
		}
		n = n*10 + d
	}
	return n
}

// codingVerdict returns NoReason for a Transfer-Encoding of chunked alone, OtherCoding
// for a well-formed list with unknown codings, and BadCoding for the rest: chunked twice
// or not at the end, no tokens, empty elements (RFC 9112 6.1), or parameters, which no
// coding known to lb has.
func codingVerdict(v []byte) Reason {
	if list.SameFold(v, "chunked") {
		return NoReason
	}
	chunked := false
	for more := true; more; {
		var e []byte
		e, v, more = list.Cut(v)
		if chunked || len(e) == 0 || scanToken(e, 0) != len(e) {
			return BadCoding
		}
		chunked = list.SameFold(e, "chunked")
	}
	return OtherCoding
}

// codingFault returns the reason to refuse the Transfer-Encoding of m, or NoReason.
func (p *lineParser) codingFault(m *Message) Reason {
	switch {
	case !m.Seen.Has(TransferEncoding):
		return NoReason
	case m.Seen.Has(ContentLength):
		return LengthWithTE
	case m.Minor == 0:
		return CodingIn10
	}
	return p.coding
}

const authorityMax = 512 // bytes

// authority reports whether s is uri-host [ ":" port ] with a host that is not
// empty (RFC 9110 7.2, RFC 3986 3.2). A comma, which a reg-name may have, is refused:
// other parsers read it as a list of hosts.
func authority(s []byte) bool {
	if len(s) > authorityMax {
		return false
	}
	end := hostEnd(s)
	return end > 0 && (end == len(s) || s[end] == ':' && isPort(s[end+1:]))
}

// hostEnd returns the length of the host that s begins with, or 0 if there is none.
func hostEnd(s []byte) int {
	if len(s) > 0 && s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 || !ipv6.Valid(s[1:end]) {
			return 0
		}
		return end + 1
	}
	for i := 0; ; {
		i = scanPlain(s, i)
		switch {
		case i >= len(s):
			return i
		case isRegName[s[i]]:
			i++
		case s[i] == '%' && i+2 < len(s) && isHex[s[i+1]] && isHex[s[i+2]]:
			i += 3
		default:
			return i
		}
	}
}

// isPort reports whether s is a port; it may be empty (RFC 3986 3.2.3).
func isPort(s []byte) bool {
	return len(s) == 0 || uint64(number(s)) <= math.MaxUint16
}
