package proxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// runMin is the length, in bytes, from which a run is written as a count.
const runMin = 100

// quote makes b readable: CRLF stays, invisible bytes are escaped, and long runs of a byte
// are counted, as in {70000 x}.
func quote(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := 1
		for n < len(b) && b[n] == b[0] {
			n++
		}
		switch c := b[0]; {
		case n >= runMin && c > ' ' && c < 0x7f:
			fmt.Fprintf(&s, "{%d %c}", n, c)
			b = b[n:]
			continue
		case bytes.HasPrefix(b, []byte(crlf)):
			s.WriteString("\r\n")
			b = b[2:]
			continue
		case c == '\n':
			s.WriteString(`\n`)
		case c == '\r':
			s.WriteString(`\r`)
		case c == '\\' || c == '{':
			s.Write([]byte{'\\', c})
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&s, `\x%02x`, c)
		default:
			s.WriteByte(c)
		}
		b = b[1:]
	}
	return s.String()
}

// unquote is the reverse of quote, for one line and its end. A line that ends in a backslash
// has no end. The pieces are the parts of the line: text, or a run.
func unquote(t *testing.T, text string) (pieces []string) {
	text = strings.TrimPrefix(text, " ")
	var s strings.Builder
	for {
		at := strings.IndexAny(text, `\{`)
		if at < 0 {
			return append(pieces, s.String()+text+"\r\n")
		}
		s.WriteString(text[:at])
		text = text[at:]
		if text == `\` {
			return append(pieces, s.String())
		}
		if text[0] == '{' {
			run, rest, _ := strings.Cut(text[1:], "}")
			count, char, _ := strings.Cut(run, " ")
			n, err := strconv.Atoi(count)
			if err != nil || len(char) != 1 {
				t.Fatalf("%q is no run", text)
			}
			pieces = append(pieces, s.String(), strings.Repeat(char, n))
			s.Reset()
			text = rest
			continue
		}
		used := 2
		switch text[1] {
		case 'r':
			s.WriteByte('\r')
		case 'n':
			s.WriteByte('\n')
		case '\\', '{':
			s.WriteByte(text[1])
		case 'x':
			n, err := strconv.ParseUint(text[2:4], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			s.WriteByte(byte(n))
			used = 4
		default:
			t.Fatalf("%q is no escape", text[:2])
		}
		text = text[used:]
	}
}
