// Package redact finds the credentials in heads and URLs, so that no log, trace or
// diagnosis shows them. Names alone say what is secret: those of fields, and those
// of parameters in a URL. It does not allocate.
package redact

import "bytes"

// Mark stands in place of every secret.
const Mark = "***"

// words are what the name of a secret contains, in lower case, with letters and digits alone:
// "X-Api-Key" and "api_key" both contain "apikey".
var words = [...]string{"token", "secret", "password", "passwd", "passphrase", "apikey", "privatekey", "authorization",
	"credential", "signature", "cookie", "sessionid", "sessid", "jwt"}

// wordMax is the length of the longest of words.
const wordMax = len("authorization")

// class is what a byte means in a name.
type class uint8

const (
	other   class = iota // not a part of a name, and not the end of one: "api-key" is "apikey"
	letter               // or digit, a part of a name
	divides              // names end here
	assigns              // and here, and what follows is the value
)

var classes = func() (c [256]class) {
	for b := range c {
		switch {
		case 'a' <= b|0x20 && b|0x20 <= 'z', '0' <= b && b <= '9':
			c[b] = letter
		case b == '=' || b == ':':
			c[b] = assigns
		case b <= ' ' || bytes.IndexByte([]byte("?&;#,/(){}<>"), byte(b)) >= 0:
			c[b] = divides
		}
	}
	return c
}()

// name is the name that is being read, reduced to what words consist of.
type name struct {
	text   [4 * wordMax]byte // its last letters
	n      int
	secret bool
}

func (n *name) reset() { n.n, n.secret = 0, false }

// add appends a letter or digit.
func (n *name) add(c byte) {
	if n.n == len(n.text) {
		n.n = copy(n.text[:], n.text[len(n.text)-wordMax:])
	}
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	n.text[n.n] = c
	n.n++
	if n.secret {
		return
	}
	switch c {
	case 'n', 't', 'd', 'e', 'y', 'l': // the last letters of words
		for _, w := range words {
			if w[len(w)-1] == c && n.n >= len(w) && string(n.text[n.n-len(w):n.n]) == w {
				n.secret = true
				return
			}
		}
	}
}

// isSecret reports whether s is the name of a secret.
func isSecret(s []byte) bool {
	var n name
	for _, c := range s {
		if classes[c] == letter {
			n.add(c)
		}
	}
	return n.secret
}

// decode reads one byte of a URL at i, which is not beyond its end, and returns how many
// bytes stand for it. Any number of percent-encodings on top of each other counts as one,
// because each server on the way may undo one.
func decode(b []byte, i int) (c byte, width int) {
	if c = b[i]; c != '%' {
		return c, 1
	}
	j := i + 1
	for j+1 < len(b) && b[j] == '2' && b[j+1] == '5' {
		j += 2
	}
	if j+1 >= len(b) {
		return c, 1
	}
	high, low := hex(b[j]), hex(b[j+1])
	if high > 15 || low > 15 {
		return c, 1
	}
	return high<<4 | low, j + 2 - i
}

// hex returns the value of a hexadecimal digit, or 16.
func hex(c byte) byte {
	switch low := c | 0x20; {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= low && low <= 'f':
		return low - 'a' + 10
	}
	return 16
}

// NextInURL finds the first secret in b, a URL, a target, or what an earlier call left of it:
// the value of a parameter with such a name, or user information before a host. The first
// keep bytes may be shown; Mark stands in place of the next hide bytes. If there is no secret,
// keep is all of b and hide is 0.
func NextInURL(b []byte) (keep, hide int) {
	if harmless(b) {
		return len(b), 0
	}
	for {
		at, n := find(b[keep:])
		keep += at
		if n == 0 {
			return keep, 0
		}
		end := bytes.IndexByte(b[keep:keep+n], '&') // what follows is another parameter
		if end < 0 {
			return keep, n
		}
		if end > 0 {
			return keep, end
		}
	}
}

// letters are those of each of words, as letterOf has them.
var letters = func() (sets [len(words)]uint32) {
	for i, w := range words {
		for _, c := range []byte(w) {
			sets[i] |= letterOf(c)
		}
	}
	return sets
}()

// letterOf returns a bit for a letter, small or capital. A digit has the bit of some letter.
func letterOf(c byte) uint32 { return 1 << (c & 31) }

// harmless reports whether b certainly has no secret. It is the quick answer for almost every
// URL: nothing is encoded, and no name has all the letters of a word.
func harmless(b []byte) bool {
	if bytes.IndexByte(b, '%') >= 0 || bytes.IndexByte(b, '@') >= 0 {
		return false
	}
	if bytes.IndexByte(b, '=') < 0 && bytes.IndexByte(b, ':') < 0 {
		return true
	}
	set := uint32(0)
	for _, c := range b {
		switch classes[c] {
		case letter:
			set |= letterOf(c)
		case divides:
			set = 0
		case assigns:
			for _, all := range letters {
				if all&^set == 0 {
					return false
				}
			}
			set = 0
		}
	}
	return true
}

// find is NextInURL with everything after the "=" as the value.
func find(b []byte) (keep, hide int) {
	var n name
	slashes := 0 // in a row, before i
	for i := 0; i < len(b); {
		c, width := b[i], 1
		if c == '%' {
			c, width = decode(b, i)
		}
		i += width
		switch classes[c] {
		case letter:
			n.add(c)
		case assigns:
			if n.secret && i < len(b) {
				return i, len(b) - i
			}
			n.reset()
		case divides:
			n.reset()
		}
		if c != '/' && c != '\\' {
			slashes = 0
		} else if slashes++; slashes == 2 {
			if end := userInfo(b[i:]); end > 0 {
				return i, end
			}
		}
	}
	return len(b), 0
}

// userInfo returns the length of the user information that b, which follows "//", begins
// with, or 0.
func userInfo(b []byte) (end int) {
	for i := 0; i < len(b); {
		c, width := decode(b, i)
		switch c {
		case '@':
			end = i
		case '/', '?', '#', '&', '\\', ' ':
			return end
		}
		i += width
	}
	return end
}

// Head is an iterator over the text of a head, of a request or an answer, with lines that end
// in LF or CRLF. In a field that has a secret among other things, everything after the name
// of the secret counts as secret.
type Head struct {
	rest  []byte // not yet returned
	begun bool   // the first line is over
	ended bool   // what is left of the line is its end
}

// NewHead returns an iterator over head, which stays the caller's.
func NewHead(head []byte) Head { return Head{rest: head} }

// Next returns the next piece: bytes to be shown, and whether Mark follows them. more is
// false at the end.
func (h *Head) Next() (show []byte, hidden, more bool) {
	if len(h.rest) == 0 {
		return nil, false, false
	}
	end := bytes.IndexByte(h.rest, '\n') + 1
	if end == 0 {
		end = len(h.rest)
	}
	line := h.rest[:end]
	text := len(bytes.TrimRight(line, "\r\n"))
	keep, hide := text, 0
	switch {
	case h.ended || text == 0:
	case h.begun:
		keep, hide = inField(line[:text])
	default:
		keep, hide = inFirst(line[:text])
		h.begun = hide == 0
	}
	if h.ended = hide > 0 && keep+hide == text; hide == 0 {
		keep = len(line)
	}
	h.begun = h.begun || h.ended
	show, h.rest = h.rest[:keep], h.rest[keep+hide:]
	return show, hide > 0, true
}

// inFirst finds a secret in a request line or a status line. The version at the end is no
// part of the last parameter.
func inFirst(line []byte) (keep, hide int) {
	end := bytes.LastIndexByte(line, ' ')
	if end < 0 || !bytes.HasPrefix(line[end+1:], version) {
		end = len(line)
	}
	return NextInURL(line[:end])
}

var version = []byte("HTTP/")

// inField finds a secret in a field line. A line that begins with white space goes on with
// the value of the one before, and is secret in any case: it is not seen in earnest.
func inField(line []byte) (keep, hide int) {
	if c := line[0]; c == ' ' || c == '\t' {
		return 1, len(line) - 1
	}
	colon := bytes.IndexByte(line, ':')
	if colon >= 0 && isSecret(line[:colon]) {
		keep = colon + 1
		for keep < len(line) && line[keep] == ' ' {
			keep++
		}
		return keep, len(line) - keep
	}
	return find(line)
}
