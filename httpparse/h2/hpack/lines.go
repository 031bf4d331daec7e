package hpack

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// spelling is how AppendLines knows a name again: by its words, with zeros after its end, of
// which there are two, and of which a longer name has more to compare.
type spelling struct {
	first, second uint64
	length        int
	prefix        int    // bytes of begin, or 0: appendKnown has more to say
	begin         uint16 // what a literal with this name begins with, lowest byte first
}

var spellings = func() (t [IDs]spelling) {
	for i := range t {
		id := ID(i)
		name := names[id].name
		s := &t[id]
		var words [16]byte
		copy(words[:], name)
		s.first, s.second = binary.LittleEndian.Uint64(words[:]), binary.LittleEndian.Uint64(words[8:])
		s.length = len(name)
		switch {
		case id == Other || id > staticEntries || special[id]:
		case id < literalMask:
			s.prefix, s.begin = 1, uint16(id)
		default:
			s.prefix, s.begin = 2, literalMask|uint16(id-literalMask)<<8
		}
	}
	return t
}()

// CutLine returns the name and the value of the first field line, and the length of the line.
// At the empty line and at the end the length is 0.
func CutLine(lines []byte) (name, value []byte, n int) {
	end := bytes.IndexByte(lines, '\n')
	if end < 1 {
		return nil, nil, 0
	}
	colon := bytes.IndexByte(lines[:end], ':')
	if colon < 0 {
		return nil, nil, 0
	}
	from, to := colon+1, end-1
	for from < to && isBlank(lines[from]) {
		from++
	}
	for from < to && isBlank(lines[to-1]) {
		to--
	}
	return lines[:colon], lines[from:to], end + 1
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// AppendLines is AppendField for each of the field lines of an HTTP/1 head, which are well
// formed, up to the empty line or the end. It stops before a line whose name is in but: rest
// begins with that. Otherwise rest is empty.
//
// Names and values are copied while their end is looked for: eight bytes at a time, of which
// some are too many.
func AppendLines(d, lines []byte, but *[IDs]bool) (out, rest []byte) {
	if room := len(lines) + len(lines)/64 + linesRoom; cap(d)-len(d) < room {
		d = slices.Grow(d, room)
	}
	b, w, i := d[:cap(d)], len(d), 0
	for i+8 <= len(lines) && lines[i] != '\r' {
		id, n := spell(b, w+2, lines, i)
		s := &spellings[id]
		at := w + s.prefix // of the value's length
		switch {
		case but[id]:
			return b[:w], lines[i:]
		case s.prefix > 0:
			b[w], b[w+1] = byte(s.begin), byte(s.begin>>8)
		case id == Other && n < stringMask:
			b[w], b[w+1] = plainField, byte(n)
			at = w + 2 + n
		default:
			if d, n = appendLine(b[:w], lines[i:]); n == 0 {
				return d, nil
			}
			b, w, i = d[:cap(d)], len(d), i+n
			continue
		}
		i += n + 1
		if i < len(lines) && lines[i] == ' ' { // as nearly always
			i++
		}
		for i < len(lines) && lines[i] <= ' ' && isBlank(lines[i]) {
			i++
		}
		from, to, most := i, at+1, min(len(lines)-8, i+copiedMax)
		for ; i <= most; i, to = i+8, to+8 {
			x := binary.LittleEndian.Uint64(lines[i : i+8 : i+8])
			binary.LittleEndian.PutUint64(b[to:to+8:to+8], x)
			if m := zeros(x ^ '\n'*ones); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				goto ended
			}
		}
		d, i = appendValue(b[:at], lines, from, i)
		b, w = d[:cap(d)], len(d)
		continue
	ended:
		size := max(i-1-from, 0)
		if i++; b[at+size] <= ' ' { // the last byte, if there is one
			for size > 0 && isBlank(b[at+size]) {
				size--
			}
		}
		b[at] = byte(size)
		w = at + 1 + size
	}
	if i == len(lines) || lines[i] == '\r' {
		return b[:w], nil
	}
	return appendRest(b[:w], lines[i:], but)
}

// What AppendLines wants beyond what a block takes at most, in bytes; and how long the
// values are that it copies while it looks for their end.
const (
	linesRoom = 48
	copiedMax = 40
)

// appendRest is AppendLines for what is too short for words.
func appendRest(d, lines []byte, but *[IDs]bool) (out, rest []byte) {
	for {
		name, _, n := CutLine(lines)
		switch {
		case n == 0:
			return d, nil
		case but[IDOfAny(name)]:
			return d, lines
		}
		d, n = appendLine(d, lines)
		lines = lines[n:]
	}
}

// appendLine appends the field of the first of lines, and returns how long that is.
func appendLine(d, lines []byte) ([]byte, int) {
	name, value, n := CutLine(lines)
	if n == 0 {
		return d, 0
	}
	return AppendField(d, name, value), n
}

// appendValue appends the value at lines[from:], which has no line feed before i. It returns
// the end of the line.
func appendValue(d, lines []byte, from, i int) ([]byte, int) {
	n := bytes.IndexByte(lines[i:], '\n')
	if n < 0 {
		n = len(lines) - i
	}
	to := i + n
	end := min(to+1, len(lines))
	for to--; to > from && isBlank(lines[to-1]); to-- {
	}
	return appendString(d, lines[from:max(from, to)]), end
}

// spell writes the name at lines[i:], of which there are eight bytes, to b[w:], in lower case,
// and returns its ID and length. The length is the largest there is if the lines end too soon for
// words.
func spell(b []byte, w int, lines []byte, i int) (ID, int) {
	x := lower(binary.LittleEndian.Uint64(lines[i : i+8 : i+8]))
	binary.LittleEndian.PutUint64(b[w:w+8:w+8], x)
	colon := zeros(x ^ ':'*ones)
	first, second, n := x, uint64(0), 0
	for k := i + 8; colon == 0; k += 8 {
		if k+8 <= len(lines) {
			x = lower(binary.LittleEndian.Uint64(lines[k : k+8 : k+8]))
		} else if k < len(lines) {
			x = lower(binary.LittleEndian.Uint64(lines[len(lines)-8:]) >> (8 * uint(k+8-len(lines))))
		} else {
			return Other, math.MaxInt
		}
		n = k - i
		binary.LittleEndian.PutUint64(b[w+n:w+n+8:w+n+8], x)
		if colon = zeros(x ^ ':'*ones); n == 8 {
			second = x
		}
	}
	end := colon&-colon>>7 - 1 // the bytes of x before the colon
	switch n {
	case 0:
		first &= end
	case 8:
		second &= end
	}
	if n += bits.TrailingZeros64(colon) >> 3; n == 0 {
		return Other, 0
	}
	id := places[placeOf(uint32(n), byte(first), b[w+n-1])]
	s := &spellings[id]
	if s.first != first || s.second != second || s.length != n || n > 16 && string(names[id].name) != string(b[w:w+n]) {
		return Other, n
	}
	return id, n
}

// zeros marks the bytes of x that are 0 by the top bit of each. Only the lowest mark is exact.
func zeros(x uint64) uint64 { return (x - ones) & ^x & (0x80 * ones) }
