package hpack

import "encoding/binary"

// codeBits has the length in bits of each code of RFC 7541 appendix B; the last is EOS.
// Nothing else of that appendix is needed: codes of one length follow each other in the
// order of their bytes, and the shorter ones come first.
var codeBits = [257]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
	28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11,
	10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
	15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
	6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
	7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
	23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
	23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
	26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
	28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
}

const (
	eos          = 256
	longestCode  = 30
	shortestCode = 5
	stepBits     = 12 // looked up at once: two codes of usual bytes, in a table of 16 KiB
)

// step is what the next stepBits bits begin with: one whole code or two, or none if the
// first is longer than that. It has the length of all of them from bit 0, where it is
// soonest at hand, the bytes from bit 8, the length of the first from bit 24, and how many
// there are from bit 30.
type step uint32

func (s step) bits() uint    { return uint(s) & 0x3f }
func (s step) bytes() uint16 { return uint16(s >> 8) }
func (s step) first() uint   { return uint(s>>24) & 0x3f }
func (s step) count() int    { return int(s >> 30) }

// huffmanTables has what decoding needs. Codes of one length lie below its limit, which
// has its bits at the left end of 32, and above the limit of the next shorter length; the
// bytes with codes up to this length are the first in sorted.
type huffmanTables struct {
	steps  [1 << stepBits]step
	limit  [longestCode + 1]uint64
	end    [longestCode + 1]int
	sorted [257]uint16
}

var huffman = newHuffmanTables()

func newHuffmanTables() *huffmanTables {
	h := new(huffmanTables)
	code, n := uint64(0), 0
	for bits := uint8(shortestCode); bits <= longestCode; bits++ {
		for c, b := range codeBits {
			if b == bits {
				h.sorted[n] = uint16(c)
				code += 1 << (32 - bits)
				n++
			}
		}
		h.limit[bits], h.end[bits] = code, n
	}
	for i := range h.steps {
		c, bits := h.code(uint32(i) << (32 - stepBits))
		if bits > stepBits {
			continue
		}
		s := step(bits) | step(c)<<8 | step(bits)<<24 | 1<<30
		if c, more := h.code(uint32(i) << (32 - stepBits + bits)); bits+more <= stepBits {
			s += step(more) | step(c)<<16 | 1<<30
		}
		h.steps[i] = s
	}
	return h
}

// code returns the byte whose code is at the left end of b, or eos, and how long it is.
func (h *huffmanTables) code(b uint32) (c, bits uint) {
	for bits = shortestCode; uint64(b) >= h.limit[bits]; bits++ {
	}
	back := (h.limit[bits] - uint64(b) - 1) >> (32 - bits)
	return uint(h.sorted[h.end[bits]-1-int(back)]), bits
}

// decode decodes src into dst. It returns how long the whole is, even if only a part of
// it fits into dst, and reports whether src is right: it has no EOS in it and ends with
// less than 8 bits, all of them ones (RFC 7541 5.2).
func (h *huffmanTables) decode(dst, src []byte) (n int, ok bool) {
	var acc uint64 // the next have bits of src, at the left end
	var have uint
	for len(src) >= 8 && len(dst)-n >= 8 {
		acc |= binary.BigEndian.Uint64(src) >> (have & 63)
		src = src[(63-have)>>3:]
		have |= 56
		var out uint64
		var outBits uint
		for range 4 { // of at most 48 bits
			s := h.steps[acc>>(64-stepBits)]
			if s == 0 {
				break
			}
			out |= uint64(s.bytes()) << (outBits & 63)
			outBits += uint(s.count()) * 8
			acc <<= s.bits()
			have -= s.bits()
		}
		binary.LittleEndian.PutUint64(dst[n:], out)
		n += int(outBits / 8)
		if outBits == 0 { // at least 56 bits are there
			c, bits := h.code(uint32(acc >> 32))
			if c == eos {
				return 0, false
			}
			dst[n] = byte(c)
			n++
			acc <<= bits
			have -= bits
		}
	}
	return h.decodeRest(dst, src, n, acc, have)
}

// decodeRest goes on where decode stopped, to the end. What acc has beyond have bits is
// from bytes that are still in src, and does no harm when it comes again.
func (h *huffmanTables) decodeRest(dst, src []byte, n int, acc uint64, have uint) (int, bool) {
	for {
		for len(src) > 0 && have <= 56 {
			acc |= uint64(src[0]) << (56 - have)
			src = src[1:]
			have += 8
		}
		s := h.steps[acc>>(64-stepBits)]
		if s.count() == 2 && s.bits() <= have && n+1 < len(dst) {
			dst[n], dst[n+1] = byte(s.bytes()), byte(s.bytes()>>8)
			n += 2
			acc <<= s.bits()
			have -= s.bits()
			continue
		}
		c, bits := uint(s.bytes()&0xff), s.first()
		if s == 0 {
			c, bits = h.code(uint32(acc >> 32))
		}
		switch {
		case bits > have: // no code, so only padding may be left
			return n, have < 8 && acc == ^(1<<(64-have)-1)
		case c == eos:
			return 0, false
		}
		if n < len(dst) {
			dst[n] = byte(c)
		}
		n++
		acc <<= bits
		have -= bits
	}
}
