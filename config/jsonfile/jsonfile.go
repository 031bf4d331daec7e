// Package jsonfile reads JSON as the plain values that package tomlfile has of TOML, and
// says in which line and column each key and each value stands. It knows no key by name.
package jsonfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"lb/config/tomlfile"
)

// mark is the byte order mark of UTF-8, which some editors write before a text.
const mark = "\xef\xbb\xbf"

// depthMax is how deep values may be nested.
const depthMax = 100

// Read returns the value in data, with numbers as int64 where they are whole and float64
// where not, and the places in it: root is the path of the whole value. bad is nil if data is
// JSON without a key that is given twice.
func Read(data []byte, root string) (tree any, places *tomlfile.File, bad *tomlfile.Mistake) {
	data = bytes.TrimPrefix(data, []byte(mark))
	r := reader{data: data, tokens: json.NewDecoder(bytes.NewReader(data)), at: map[string]tomlfile.Spot{}}
	r.tokens.UseNumber()
	err := valid(data)
	if err == nil {
		tree, err = r.value(root, r.next(), 0)
	}
	places = tomlfile.Placed(string(data), r.at)
	if err == nil {
		return tree, places, nil
	}
	m := &mistake{what: err.Error()}
	errors.As(err, &m)
	before := data[:min(m.off, len(data))]
	return nil, places, &tomlfile.Mistake{
		Line:    bytes.Count(before, []byte("\n")) + 1,
		Column:  len(before) - bytes.LastIndexByte(before, '\n'),
		Key:     m.key,
		Message: m.what,
	}
}

// mistake is an error with its place.
type mistake struct {
	off  int
	key  string
	what string
}

func (m *mistake) Error() string { return m.what }

type reader struct {
	data   []byte
	tokens *json.Decoder
	at     map[string]tomlfile.Spot
}

// next returns where the next token begins: after blanks, and what stands between values.
func (r *reader) next() int {
	off := int(r.tokens.InputOffset())
	rest := bytes.TrimLeft(r.data[off:], " \t\r\n,:")
	return len(r.data) - len(rest)
}

// value reads the value at path, which begins at off; what leads to it is noted there.
func (r *reader) value(path string, key, depth int) (any, error) {
	off := r.next()
	r.at[path] = tomlfile.Spot{Key: key, Value: off}
	token, err := r.tokens.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if depth++; depth > depthMax {
			return nil, &mistake{off: off, key: path, what: "is nested too deep"}
		}
		if t == '[' {
			return r.array(path, depth)
		}
		return r.object(path, depth)
	case json.Number:
		return number(t), nil
	}
	return token, nil
}

func (r *reader) array(path string, depth int) (any, error) {
	list := []any{}
	for r.tokens.More() {
		v, err := r.value(tomlfile.Element(path, len(list)), r.next(), depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.tokens.Token() // the bracket
	return list, err
}

func (r *reader) object(path string, depth int) (any, error) {
	table := map[string]any{}
	for r.tokens.More() {
		off := r.next()
		token, err := r.tokens.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder takes nothing else here
		at := tomlfile.Under(path, name)
		if _, twice := table[name]; twice {
			return nil, &mistake{off: off, key: at, what: "is given twice"}
		}
		if table[name], err = r.value(at, off, depth); err != nil {
			return nil, err
		}
	}
	_, err := r.tokens.Token() // the brace
	return table, err
}

// number returns n as a number of Go; one that is too large is infinite.
func number(n json.Number) any {
	if whole, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return whole
	}
	f, _ := strconv.ParseFloat(n.String(), 64)
	return f
}

// valid returns what keeps data from being JSON, or nil. The decoder of tokens has other
// places for its errors.
func valid(data []byte) error {
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	if err == nil {
		return nil
	}
	m := &mistake{what: "is not JSON: " + err.Error()}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		m.off = max(int(syntax.Offset)-1, 0)
	}
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		m.what = "is empty"
	case strings.HasPrefix(err.Error(), "unexpected end"):
		m.off, m.what = len(data), "is cut off: the end of a value is missing"
	}
	return m
}
