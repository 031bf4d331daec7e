package tomlfile

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// The TOML decoder reports positions only for errors of the grammar. findSpots reads
// the source once more and notes where each key and each value begins.

// Spot is where a key and its value begin, as byte offsets. For an element of an
// array, both are its beginning; for a table, both are the beginning of its name.
type Spot struct{ Key, Value int }

// findSpots returns the spots in src by path. Where src is not TOML, they may have no
// meaning. twice is the path of a value that is given a second time, or "" if there is
// none.
func findSpots(src string) (at map[string]Spot, twice string) {
	f := finder{src: src, at: map[string]Spot{}, tables: map[string]int{}}
	for f.skip(" \t\r\n"); f.off < len(src); f.skip(" \t\r\n") {
		if f.src[f.off] == '[' {
			f.header()
		} else {
			f.pair(f.table)
		}
	}
	return f.at, f.twice
}

// finder reads a file. Its methods end for every text, because each step of a
// loop moves off forward.
type finder struct {
	src    string
	off    int
	table  string         // the path of the table that the last header opened
	tables map[string]int // how many elements an array of tables has so far
	at     map[string]Spot
	twice  string
}

// skip moves past the bytes in set and past comments.
func (f *finder) skip(set string) {
	for f.off < len(f.src) {
		switch c := f.src[f.off]; {
		case c == '#':
			if end := strings.IndexByte(f.src[f.off:], '\n'); end >= 0 {
				f.off += end
			} else {
				f.off = len(f.src)
			}
			if !strings.Contains(set, "\n") {
				return
			}
		case strings.IndexByte(set, c) >= 0:
			f.off++
		default:
			return
		}
	}
}

// accept moves past c if it is next, and reports whether it was.
func (f *finder) accept(c byte) bool {
	if f.off < len(f.src) && f.src[f.off] == c {
		f.off++
		return true
	}
	return false
}

// header reads [a.b] or [[a.b]] and makes it the current table.
func (f *finder) header() {
	f.off++
	array := f.accept('[')
	path := ""
	for {
		name, off := f.name()
		path = Under(path, name)
		f.note(path, off)
		last := !f.accept('.')
		if last && array {
			f.tables[path]++
		}
		if n := f.tables[path]; n > 0 {
			path = Element(path, n-1)
			f.note(path, off)
		}
		if last {
			break
		}
	}
	f.table = path
	f.off++ // the bracket
	if array {
		f.off++
	}
	f.off = min(f.off, len(f.src))
}

// note notes where the name of a table first stands.
func (f *finder) note(path string, off int) {
	if _, ok := f.at[path]; !ok {
		f.at[path] = Spot{off, off}
	}
}

// pair reads a.b = value inside the table at path.
func (f *finder) pair(path string) {
	for {
		name, off := f.name()
		path = Under(path, name)
		if f.accept('.') {
			f.note(path, off)
			continue
		}
		if _, ok := f.at[path]; ok && f.twice == "" {
			f.twice = path
		}
		f.off = min(f.off+1, len(f.src)) // the equals sign
		f.skip(" \t")
		f.at[path] = Spot{off, f.off}
		f.value(path)
		return
	}
}

// name reads one part of a key with the blanks around it, and returns where it begins.
func (f *finder) name() (name string, off int) {
	f.skip(" \t")
	off = f.off
	switch {
	case off < len(f.src) && (f.src[off] == '"' || f.src[off] == '\''):
		f.text()
		name = unquote(f.src[off:f.off])
	default:
		for f.off < len(f.src) && bareByte(f.src[f.off]) {
			f.off++
		}
		name = f.src[off:f.off]
	}
	f.skip(" \t")
	return name, off
}

// value reads the value of the key at path, and notes what is inside it.
func (f *finder) value(path string) {
	if f.off >= len(f.src) {
		return
	}
	switch f.src[f.off] {
	case '"', '\'':
		f.text()
	case '[':
		f.array(path)
	case '{':
		f.inline(path)
	default:
		if n := strings.IndexAny(f.src[f.off:], ",]}#\n"); n >= 0 {
			f.off += n
		} else {
			f.off = len(f.src)
		}
	}
}

func (f *finder) array(path string) {
	f.off++
	for i := 0; ; i++ {
		f.skip(" \t\r\n,")
		if f.off >= len(f.src) || f.accept(']') {
			return
		}
		at, begin := Element(path, i), f.off
		f.at[at] = Spot{begin, begin}
		f.value(at)
		f.off = max(f.off, begin+1)
	}
}

func (f *finder) inline(path string) {
	f.off++
	for {
		f.skip(" \t\r\n,")
		if f.off >= len(f.src) || f.accept('}') {
			return
		}
		f.pair(path)
	}
}

// text reads a string of any of the four kinds.
func (f *finder) text() {
	quote := f.src[f.off : f.off+1]
	if long := strings.Repeat(quote, 3); strings.HasPrefix(f.src[f.off:], long) {
		quote = long
	}
	f.off += len(quote)
	for f.off < len(f.src) && !strings.HasPrefix(f.src[f.off:], quote) {
		if f.src[f.off] == '\\' && quote[0] == '"' {
			f.off++
		}
		f.off++
	}
	f.off += len(quote)
	for n := 0; n < 2 && len(quote) == 3 && f.off < len(f.src) && f.src[f.off] == quote[0]; n++ {
		f.off++ // one or two quotes may end the text itself: """"a""""
	}
	f.off = min(f.off, len(f.src))
}

// unquote returns the name that a quoted key stands for. The decoder does it,
// because it knows all escapes.
func unquote(quoted string) string {
	if len(quoted) >= 2 && !strings.Contains(quoted, `\`) {
		return quoted[1 : len(quoted)-1]
	}
	var key map[string]bool
	if _, err := toml.Decode(quoted+" = true", &key); err == nil {
		for k := range key {
			return k
		}
	}
	return quoted
}
