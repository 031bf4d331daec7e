// Package tomlfile reads one TOML file as plain values, and says in which line and
// column each key and each value stands. It knows no key by name.
package tomlfile

import (
	"errors"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// File is the text of a TOML file and the places in it. Nothing changes it.
type File struct {
	src   string
	at    map[string]Spot // by path
	twice string
	lines []int // where each line begins
}

// mark is the byte order mark of UTF-8, which some editors write before a text.
const mark = "\xef\xbb\xbf"

// New returns the file with the content data, which need not be TOML. A byte order
// mark at its beginning has no column.
func New(data []byte) *File {
	f := &File{src: strings.TrimPrefix(string(data), mark)}
	f.at, f.twice = findSpots(f.src)
	f.lines = linesOf(f.src)
	return f
}

// Placed returns a file with the text src, which is not TOML, whose keys and values another
// reader has found. It keeps at. Decode and Text mean nothing for it.
func Placed(src string, at map[string]Spot) *File {
	return &File{src: src, at: at, lines: linesOf(src)}
}

// linesOf returns where each line of src begins. A text with many mistakes would be counted
// through again for each.
func linesOf(src string) []int {
	lines := []int{0}
	for i := range len(src) {
		if src[i] == '\n' {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// Mistake says where and why a file is not TOML.
type Mistake struct {
	Line, Column int    // counted from 1; the column in bytes
	Key          string // path of the key whose value is wrong, or "" if it is none
	Message      string // in the words of the decoder
}

// Decode returns the values of the file: string, int64, float64, bool, time.Time,
// []any, []map[string]any and map[string]any. bad is nil if the file is TOML.
func (f *File) Decode() (tree map[string]any, bad *Mistake) {
	// The decoder drops one mark. With one in front, it reads what findSpots has read:
	// a second mark, or one of UTF-16, is no TOML.
	_, err := toml.Decode(mark+f.src, &tree)
	if err == nil {
		return tree, nil
	}
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return nil, &Mistake{Line: 1, Column: 1, Message: err.Error()}
	}
	// Position.Start is right. After a newline in the wrong place, Line and Col are
	// those of the line before or after.
	start := syntax.Position.Start
	line, column := f.place(start)
	return nil, &Mistake{line, column, f.keyOfValue(start), syntax.Message}
}

// keyOfValue returns the path of the key whose value begins at off, or "" if there is
// none. What follows off need not be TOML.
func (f *File) keyOfValue(off int) string {
	for path, s := range f.at {
		if s.Value == off && s.Key < off {
			return path
		}
	}
	return ""
}

// Twice returns the path of a value that is given a second time, which Decode
// overlooks after a dotted key, or "" if there is none.
func (f *File) Twice() string { return f.twice }

// Has reports whether the file has the key or the element at path.
func (f *File) Has(path string) bool {
	_, ok := f.at[path]
	return ok
}

// Empty reports whether the file has no key and no table: nothing, or comments alone.
func (f *File) Empty() bool { return len(f.at) == 0 }

// Key returns the line and the column, counted from 1, in which the key at path
// begins, or the beginning of the file if it has no such key.
func (f *File) Key(path string) (line, column int) { return f.place(f.at[path].Key) }

// Value is Key for the value at path.
func (f *File) Value(path string) (line, column int) { return f.place(f.at[path].Value) }

// place turns an offset into a line and a column.
func (f *File) place(off int) (line, column int) {
	off = max(0, min(off, len(f.src))) // the decoder may say -1
	line, found := slices.BinarySearch(f.lines, off)
	if found {
		line++
	}
	return line, off - f.lines[line-1] + 1
}

// Text returns the value at path, or "" if it is not a text. The rest of the file
// need not be TOML.
func (f *File) Text(path string) string {
	s, ok := f.at[path]
	if !ok || s.Value >= len(f.src) || !strings.ContainsAny(f.src[s.Value:s.Value+1], `"'`) {
		return ""
	}
	end := finder{src: f.src, off: s.Value}
	end.text()
	var value struct{ V string }
	if _, err := toml.Decode("V = "+f.src[s.Value:end.off], &value); err != nil {
		return ""
	}
	return value.V
}
