package hpack

import (
	"bytes"
	"encoding/binary"
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
	from, to := colon+1, max(colon+1, end-1)
	for from < to && isBlank(lines[from]) {
		from++
	}
	for from < to && isBlank(lines[to-1]) {
		to--
	}
	return lines[:colon], lines[from:to], end + 1
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// IsMarked reports whether the first of lines, whose name CutLine has returned, has a tab right
// after its colon: that marks a field that is never to be indexed.
func IsMarked(lines, name []byte) bool { return lines[len(name)+1] == '\t' }

// AppendLines is AppendField, or AppendNever if they are marked, for each of the field lines of
// an HTTP/1 head, which are well formed, up to the empty line or the end. It stops before a line
// whose name is in but: rest begins with that. Otherwise rest is empty.
//
// Names and values are copied while their end is looked for: eight bytes at a time, of which
// some are too many.
func AppendLines(d, lines []byte, but *[IDs]bool) (out, rest []byte) {
	d = slices.Grow(d, len(lines)+len(lines)/64+linesRoom)
	b, w, i := d[:cap(d)], len(d), 0
	for i+8 <= len(lines) && lines[i] != '\r' {
		x, n, second := lower(binary.LittleEndian.Uint64(lines[i:i+8:i+8])), 0, uint64(0)
		binary.LittleEndian.PutUint64(b[w+2:w+10:w+10], x)
		first, colon := x, zeros(x^':'*ones)
		for colon == 0 {
			if n += 8; i+n+8 > len(lines) {
				return appendRest(b[:w], lines[i:], but)
			}
			x = lower(binary.LittleEndian.Uint64(lines[i+n : i+n+8 : i+n+8]))
			binary.LittleEndian.PutUint64(b[w+2+n:w+10+n:w+10+n], x)
			if colon = zeros(x ^ ':'*ones); n == 8 {
				second = x
			}
		}
		if n == 0 {
			first &= below(colon)
		} else if n == 8 {
			second &= below(colon)
		}
		n += bits.TrailingZeros64(colon) >> 3
		id := places[placeOf(uint32(n), byte(first), b[w+1+n])]
		s := &spellings[id]
		if s.first != first || s.second != second || s.length != n || n > 16 && !isNamed(b[w+2:w+2+n], id) {
			id, s = Other, &spellings[Other]
		}
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
			d, n = appendLine(b[:w], lines[i:])
			b, w, i = d[:cap(d)], len(d), i+n
			continue
		}
		i += n + 1
		if i < len(lines) && lines[i] == ' ' { // as nearly always, and one alone
			i++
		}
		for ; i < len(lines) && isBlank(lines[i]); i++ {
			b[w] |= kindOf(lines[i-1], lines[i])
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
			size = len(bytes.TrimRight(b[at+1:at+1+size], " \t"))
		}
		b[at], w = byte(size), at+1+size
	}
	return appendRest(b[:w], lines[i:], but)
}

// What AppendLines wants beyond what a block takes at most, in bytes; and how long the
// values are that it copies while it looks for their end.
const (
	linesRoom = 48
	copiedMax = 40
)

// kindOf returns the kind of a literal between whose name and value there are the bytes x and y,
// of which a colon and a tab are the mark.
func kindOf(x, y byte) byte {
	if x == ':' && y == '\t' {
		return secretField
	}
	return plainField
}

// appendRest is AppendLines for what is too short for words.
func appendRest(d, lines []byte, but *[IDs]bool) (out, rest []byte) {
	for len(lines) > 0 && lines[0] != '\r' {
		if name, _, _ := CutLine(lines); but[IDOfAny(name)] {
			return d, lines
		}
		var n int
		d, n = appendLine(d, lines)
		lines = lines[n:]
	}
	return d, nil
}

// appendLine appends the field of the first of lines, and returns how long that is. One that is
// none ends the lines.
func appendLine(d, lines []byte) ([]byte, int) {
	name, value, n := CutLine(lines)
	if n == 0 {
		return d, len(lines)
	}
	if IsMarked(lines, name) {
		return AppendNever(d, name, value), n
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

// isNamed reports whether name, in lower case, is that of id.
//
//go:noinline
func isNamed(name []byte, id ID) bool { return string(name) == string(names[id].name) }

// below masks the bytes before the lowest mark.
func below(marks uint64) uint64 { return marks&-marks>>7 - 1 }

// zeros marks the bytes of x that are 0 by the top bit of each. Only the lowest mark is exact.
func zeros(x uint64) uint64 { return (x - ones) & ^x & (0x80 * ones) }
