package accesslog

import (
	"encoding/binary"
	"unicode/utf8"

	"lb/internal/redact"
)

// cut is the end of a value that is shown in part.
const cut = "..."

// escapes are the escapes of JSON (RFC 8259 7) by byte; those of other control bytes are
// \u00xx.
var escapes = [0x80]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// What clean looks for in eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// clean returns how many bytes of s, from the first one on, stand for themselves in JSON. It
// may return less, in steps of eight.
func clean(s []byte) (n int) {
	for ; len(s)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(s[n:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		if (w|(w-0x20*ones)|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			return n
		}
	}
	for n < len(s) && s[n] >= ' ' && s[n] < utf8.RuneSelf && s[n] != '"' && s[n] != '\\' {
		n++
	}
	return n
}

// writer appends a value piece by piece, and at most room bytes of it. cut ends a value that
// does not fit, for which there always is room.
type writer struct {
	dst  []byte
	room int // bytes left, without those of cut
	full bool
}

// newWriter returns a writer of one value with at most room bytes after those of dst.
func newWriter(dst []byte, room int) writer { return writer{dst: dst, room: max(0, room-len(cut))} }

// end returns the bytes.
func (w *writer) end() []byte { return w.dst }

// put appends a whole piece, which is never cut, or ends the value.
func (w *writer) put(piece string) {
	switch {
	case w.full:
	case len(piece) <= w.room:
		w.dst = append(w.dst, piece...)
		w.room -= len(piece)
	default:
		w.stop()
	}
}

func (w *writer) stop() {
	if !w.full {
		w.dst, w.full = append(w.dst, cut...), true
	}
}

// json appends s, escaped for a string of JSON.
func (w *writer) json(s []byte) {
	for len(s) > 0 && !w.full {
		if n := clean(s); n > 0 {
			n = w.plain(s[:n])
			s = s[n:]
			continue
		}
		s = w.odd(s)
	}
}

// plain appends bytes that stand for themselves, and returns how many.
func (w *writer) plain(s []byte) int {
	n := min(len(s), w.room)
	w.dst = append(w.dst, s[:n]...)
	if w.room -= n; n < len(s) {
		w.stop()
	}
	return n
}

// odd appends up to eight bytes of s, of which at least one does not stand for itself, and
// returns the rest of s.
func (w *writer) odd(s []byte) []byte {
	for end := len(s) - 8; len(s) > max(end, 0) && !w.full; {
		c := s[0]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s)
			if r == utf8.RuneError && n == 1 {
				w.put(`\ufffd`)
			} else {
				w.whole(s[:n])
			}
			s = s[n:]
			continue
		case escapes[c] != "":
			w.put(escapes[c])
		case c < ' ' || c == 0x7f:
			w.control(`\u00`, c, "0123456789abcdef")
		default:
			w.plain(s[:1])
		}
		s = s[1:]
	}
	return s
}

// whole appends the bytes of one character.
func (w *writer) whole(b []byte) {
	if len(b) > w.room {
		w.stop()
		return
	}
	w.plain(b)
}

// control appends c in hexadecimal digits after prefix.
func (w *writer) control(prefix string, c byte, digits string) {
	if len(prefix)+2 > w.room {
		w.stop()
		return
	}
	w.put(prefix)
	w.dst = append(w.dst, digits[c>>4], digits[c&15])
	w.room -= 2
}

// hex appends s as nginx writes values of others: \xXX for everything but ASCII that can be
// seen, and for '"' and '\'.
func (w *writer) hex(s []byte) {
	for len(s) > 0 && !w.full {
		n := 0
		for n < len(s) && s[n] >= ' ' && s[n] < 0x7f && s[n] != '"' && s[n] != '\\' {
			n++
		}
		if n > 0 {
			s = s[w.plain(s[:n]):]
			continue
		}
		w.control(`\x`, s[0], "0123456789ABCDEF")
		s = s[1:]
	}
}

// jsonURL is json for a URL, without its credentials.
func (w *writer) jsonURL(u []byte) {
	for len(u) > 0 && !w.full {
		keep, hide := redact.NextInURL(u)
		if w.json(u[:keep]); hide > 0 {
			w.put(redact.Mark)
		}
		u = u[keep+hide:]
	}
}

// hexURL is hex for a URL, without its credentials.
func (w *writer) hexURL(u []byte) {
	for len(u) > 0 && !w.full {
		keep, hide := redact.NextInURL(u)
		if w.hex(u[:keep]); hide > 0 {
			w.put(redact.Mark)
		}
		u = u[keep+hide:]
	}
}

// jsonHead is json for the text of a head, without its credentials.
func (w *writer) jsonHead(text []byte) {
	for h := redact.NewHead(text); !w.full; {
		show, hidden, more := h.Next()
		if !more {
			return
		}
		if w.json(show); hidden {
			w.put(redact.Mark)
		}
	}
}
