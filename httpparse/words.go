package httpparse

import (
	"encoding/binary"
	"math/bits"
)

// Scans read eight bytes at a time: a function takes a word of the buffer and returns
// a mark, the top bit, in each byte where the scan must stop. Only the lowest mark is
// exact. Bytes missing at the buffer's end count as NUL, where every scan stops. Some
// masks also stop at rare bytes that are allowed; a table then decides.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// valueStops marks control bytes: below 0x20, and 0x7f. HTAB is among them.
func valueStops(w uint64) uint64 {
	return ((w - 0x20*ones) | ((w ^ 0x7f*ones) - ones)) & ^w & highs
}

// plainStops marks everything but letters, digits, '-' and '.'.
func plainStops(w uint64) uint64 {
	x := w &^ highs
	y := x | 0x20*ones
	letter := (y + 0x1f*ones) ^ (y + 0x05*ones)  // 0x61 to 0x7a
	digit := (x + 0x50*ones) ^ (x + 0x46*ones)   // 0x30 to 0x39
	dashDot := (x + 0x53*ones) ^ (x + 0x51*ones) // 0x2d to 0x2e
	return (^(letter | digit | dashDot) | w) & highs
}

// targetStops marks bytes that may not stand in a request target: control bytes, space,
// '#', and bytes beyond ASCII.
func targetStops(w uint64) uint64 {
	return ((w - 0x21*ones) | ((w ^ 0x7f*ones) - ones) | ((w ^ '#'*ones) - ones) | w) & highs
}

// tail returns the bytes of b from i on, fewer than 8, with zeros above them.
func tail(b []byte, i int) (w uint64) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b[len(b)-8:]) >> (8 * uint(8-len(b)+i))
	}
	for k := len(b) - 1; k >= i; k-- {
		w = w<<8 | uint64(b[k])
	}
	return w
}

// load returns the word at i, with zeros for bytes after the end of b.
func load(b []byte, i int) uint64 {
	if len(b)-i >= 8 {
		return binary.LittleEndian.Uint64(b[i:])
	}
	return tail(b, i)
}

// firstMark returns the index, 0 to 7, of the lowest mark in m, which has at least
// one.
func firstMark(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// scanValue returns the index of the first control byte other than HTAB from i
// on, or len(b).
func scanValue(b []byte, i int) int {
	for {
		for ; i <= len(b)-8; i += 8 {
			if m := valueStops(binary.LittleEndian.Uint64(b[i : i+8 : i+8])); m != 0 {
				i += firstMark(m)
				goto stop
			}
		}
		i += firstMark(valueStops(tail(b, i)))
	stop:
		if i >= len(b) || b[i] != '\t' {
			return i
		}
		i++
	}
}

// scanToken returns the index of the first byte from i on that is not a token
// character (RFC 9110 5.6.2), or len(b).
func scanToken(b []byte, i int) int {
	for {
		for ; i <= len(b)-8; i += 8 {
			if m := plainStops(binary.LittleEndian.Uint64(b[i : i+8 : i+8])); m != 0 {
				i += firstMark(m)
				goto stop
			}
		}
		i += firstMark(plainStops(tail(b, i)))
	stop:
		if i >= len(b) || !isToken[b[i]] {
			return i
		}
		i++
	}
}

// scanPlain returns the index of the first byte from i on that is not a letter,
// digit, '-' or '.', or len(b).
func scanPlain(b []byte, i int) int {
	for ; i <= len(b)-8; i += 8 {
		if m := plainStops(binary.LittleEndian.Uint64(b[i : i+8 : i+8])); m != 0 {
			return i + firstMark(m)
		}
	}
	return i + firstMark(plainStops(tail(b, i)))
}

// scanTarget returns the index of the first byte from i on that may not stand in a
// request target, or len(b).
func scanTarget(b []byte, i int) int {
	for ; i <= len(b)-8; i += 8 {
		if m := targetStops(binary.LittleEndian.Uint64(b[i : i+8 : i+8])); m != 0 {
			return i + firstMark(m)
		}
	}
	return i + firstMark(targetStops(tail(b, i)))
}

// class is a set of bytes.
type class [256]bool

const (
	alnum      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	unreserved = alnum + "-._~"
)

var (
	isToken   = classOf(alnum + "!#$%&'*+-.^_`|~")
	isHex     = classOf("0123456789ABCDEFabcdef")
	isRegName = classOf(unreserved + "!$&'()*+;=") // without '%' and ','
	isScheme  = classOf(alnum + "+-.")
)

func classOf(members string) (c class) {
	for _, m := range []byte(members) {
		c[m] = true
	}
	return c
}
