// Package urlpath reads the path of a request target in the ways that servers read it.
// A router that knows one spelling only can be walked around with another one.
package urlpath

import "bytes"

// Kinds of bytes, for special.
const (
	slash = 1 << iota
	dot
	percent
	odd // a separator for some servers only
	end
)

// special has the bytes of a path after which some server may read another path.
var special = func() (t [256]uint8) {
	t['/'], t['.'], t['%'], t[';'], t['\\'], t['?'] = slash, dot, percent, odd, odd, end
	for c := 0x80; c < len(t); c++ { // the same as its escape
		t[c] = odd
	}
	return t
}()

// IsPlain reports whether every server reads path as it stands: it has no empty segment,
// no dot segment, no escape that could be written in another way, no byte that should be
// escaped, and neither a ";" nor a "\". path may end with a query.
func IsPlain(path []byte) bool {
	before := byte(0) // the last byte, if it was a slash
	for i, c := range path {
		switch special[c] {
		case 0:
		case slash:
			if before == '/' {
				return false
			}
			before = '/'
			continue
		case dot:
			if before == '/' && isDots(path[i:]) {
				return false
			}
		case percent:
			c, ok := decode(path[i:])
			if ok && (isUnreserved(c) || isLenient(c) || c == '/' || path[i+1] >= 'a' || path[i+2] >= 'a') {
				return false
			}
		case odd:
			return false
		case end:
			return true
		}
		before = 0
	}
	return true
}

// isDots reports whether path begins with a segment of one or two dots.
func isDots(path []byte) bool {
	n := 1
	if len(path) > 1 && path[1] == '.' {
		n = 2
	}
	return n == len(path) || special[path[n]]&(slash|odd|end|percent) != 0
}

// decode returns the byte that path begins with as an escape. ok is false if that is none.
func decode(path []byte) (c byte, ok bool) {
	if len(path) < 3 || path[0] != '%' {
		return 0, false
	}
	high, low := hex(path[1]), hex(path[2])
	return high<<4 | low, high <= 15 && low <= 15
}

func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// isUnreserved reports whether c means the same escaped or not (RFC 3986 2.3).
func isUnreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// isLenient reports whether an escape of c is one that only some servers read as c where it
// stands: of visible ASCII, and of NUL.
func isLenient(c byte) bool { return c > ' ' && c < 0x7f && c != '/' && !isUnreserved(c) || c == 0 }

// AppendNormal appends the normal form of path, without its query: escapes of unreserved
// characters and of "/" are decoded, empty segments are left out, and dot segments are
// resolved (RFC 3986 6.2.2), as nginx does for its locations. Bytes beyond ASCII are escaped:
// what is appended may be three times as long as path. A path that begins with no slash is
// appended as it is.
func AppendNormal(dst, path []byte) []byte { return appendForm(dst, cut(path), normal) }

// AppendForward is AppendNormal for a path that is sent on: an escaped "/" stays escaped,
// because it is data for the backends that know the difference.
func AppendForward(dst, path []byte) []byte { return appendForm(dst, cut(path), forward) }

// roundsMax is how often AppendLenient decodes.
const roundsMax = 3

// AppendLenient appends path as the most lenient servers read it: beyond the normal form,
// "\" is "/", a segment ends at ";" (parameters, which Tomcat and Jetty leave out), a
// path ends at an escaped "?", "#" or NUL, and all escapes of visible ASCII are decoded, even
// nested ones.
func AppendLenient(dst, path []byte) []byte { return appendRounds(dst, cut(path), lenient) }

// AppendUnmerged is AppendLenient for servers that do not merge slashes: the ".." of
// "/a//../b" leads to "/a/b" there (RFC 3986 5.2.4).
func AppendUnmerged(dst, path []byte) []byte { return appendRounds(dst, cut(path), unmerged) }

// appendRounds is appendForm as often as escapes may be nested.
func appendRounds(dst, path []byte, f form) []byte {
	start := len(dst)
	dst = appendForm(dst, path, f)
	for range roundsMax - 1 {
		if IsPlain(dst[start:]) {
			break
		}
		dst = appendForm(dst[:start], dst[start:], f) // in place: what is written is never ahead of what is read
	}
	return dst
}

// Climbs reports whether path leads above its own root on the way, for some server:
// "/../x", "/a/..%2f../x". scratch is overwritten.
func Climbs(scratch, path []byte) bool {
	depth := 0
	for segment := range bytes.SplitSeq(appendForm(scratch[:0], cut(path), segments), []byte{'/'}) {
		switch string(segment) {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// cut returns path without its query.
func cut(path []byte) []byte {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		return path[:i]
	}
	return path
}

// form is a way to read a path.
type form uint8

const (
	normal form = iota
	forward
	lenient
	unmerged // as lenient, but with empty segments, except first
	segments // as lenient, but with dot segments as they are
)

// appendForm appends path, which has no query, in form f. dst may end where path begins.
func appendForm(dst, path []byte, f form) []byte {
	if len(path) == 0 || path[0] != '/' {
		return append(dst, path...)
	}
	root := len(dst) // of the leading slash
	dst = append(dst, '/')
	from := len(dst) // of the segment being read
	for i := 1; i < len(path); i++ {
		c, escaped := path[i], false
		if d, ok := decode(path[i:]); ok {
			if i += 2; !f.decodes(d) {
				dst = append(dst, '%', digits[d>>4], digits[d&15])
				continue
			}
			c, escaped = d, true
		}
		switch {
		case c == '/', c == '\\' && f >= lenient:
			dst, from = endSegment(dst, root, from, f)
		case escaped && (c == '?' || c == '#' || c == 0):
			i = len(path)
		case c == ';' && !escaped && f >= lenient:
			i = skipParameters(path, i)
		case c >= 0x80:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	if f == segments || !isDotSegment(dst[from:]) {
		return dst
	}
	dst, _ = endSegment(dst, root, from, f)
	return dst
}

// digits are those of escapes (RFC 3986 6.2.2.1).
const digits = "0123456789ABCDEF"

// decodes reports whether a reader of form f decodes an escape of c.
func (f form) decodes(c byte) bool {
	switch {
	case c == '/':
		return f != forward
	case isLenient(c):
		return f >= lenient
	}
	return isUnreserved(c)
}

// skipParameters returns the index of the last byte of the parameters that begin at i.
func skipParameters(path []byte, i int) int {
	for i+1 < len(path) && path[i+1] != '/' && path[i+1] != '\\' {
		i++
	}
	return i
}

func isDotSegment(s []byte) bool { return string(s) == "." || string(s) == ".." }

// endSegment ends the segment of dst that begins at from, at a slash. It returns where the
// next one begins.
func endSegment(dst []byte, root, from int, f form) ([]byte, int) {
	switch segment := string(dst[from:]); {
	case segment == "" && (f != unmerged || from == root+1):
	case f == segments:
		dst = append(dst, '/')
	case segment == ".":
		dst = dst[:from]
	case segment == "..":
		before := max(root, from-1)
		dst = dst[:max(root, bytes.LastIndexByte(dst[root:before], '/')+root)+1]
	default:
		dst = append(dst, '/')
	}
	return dst, len(dst)
}
