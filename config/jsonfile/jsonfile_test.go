package jsonfile

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"lb/config/tomlfile"
)

func TestRead(t *testing.T) {
	const src = "\xef\xbb\xbf[\n {\"a\": 1, \"b c\" : [ -2.5e1,\tnull ] },\r\n true, 99999999999999999999,\n\"\\u00e9\"]\n"
	tree, places, bad := Read([]byte(src), "x")
	want := []any{map[string]any{"a": int64(1), "b c": []any{-25.0, nil}}, true, 1e20, "é"}
	if bad != nil || !reflect.DeepEqual(tree, want) {
		t.Fatalf("%#v, %+v; want %#v", tree, bad, want)
	}
	for path, at := range map[string][4]int{ // line and column of the key, and of the value
		"x": {1, 1, 1, 1}, "x[0]": {2, 2, 2, 2}, "x[0].a": {2, 3, 2, 8}, `x[0]."b c"`: {2, 11, 2, 19},
		`x[0]."b c"[0]`: {2, 21, 2, 21}, `x[0]."b c"[1]`: {2, 29, 2, 29}, "x[1]": {3, 2, 3, 2}, "x[2]": {3, 8, 3, 8}, "x[3]": {4, 1, 4, 1},
	} {
		var got [4]int
		got[0], got[1] = places.Key(path)
		got[2], got[3] = places.Value(path)
		if !places.Has(path) || got != at {
			t.Errorf("%s is at %v (%v), want %v", path, got, places.Has(path), at)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for src, want := range map[string]tomlfile.Mistake{
		"":                         {Line: 1, Column: 1, Message: "is empty"},
		"[1,\n2":                   {Line: 2, Column: 2, Message: "is cut off"},
		"[1,\n]":                   {Line: 2, Column: 1, Message: "is not JSON: invalid character ']'"},
		"[1] []":                   {Line: 1, Column: 5, Message: "after top-level value"},
		"host = 1":                 {Line: 1, Column: 1, Message: "is not JSON"},
		"{\"a\": 1,\n \"a\": 1}":   {Line: 2, Column: 2, Key: "x.a", Message: "is given twice"},
		strings.Repeat("[", 9_999): {Line: 1, Column: 10_000, Message: "is cut off"},
		strings.Repeat("[", 200) + strings.Repeat("]", 200): {Line: 1, Column: 101, Key: "x" + strings.Repeat("[0]", 100), Message: "is nested too deep"},
	} {
		_, _, bad := Read([]byte(src), "x")
		if bad == nil || bad.Line != want.Line || bad.Column != want.Column || bad.Key != want.Key || !strings.Contains(bad.Message, want.Message) {
			t.Errorf("%.30q: %+v, want %+v", src, bad, want)
		}
	}
}

// FuzzRead: it reads what encoding/json reads, but for what it refuses by rules of its own.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`[{"a":1,"b":[true,null,-1.5e3]}]`, `{"a":{"a":""},"\u0061b":"\ud800"}`, "\xef\xbb\xbf 1 ", `{"a":1,"a":2}`, `[1e999]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, places, bad := Read(data, "x")
		text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		if bad != nil {
			lines := bytes.Split(text, []byte("\n"))
			if bad.Line < 1 || bad.Line > len(lines) || bad.Column < 1 || bad.Column > len(lines[bad.Line-1])+1 || bad.Message == "" {
				t.Errorf("%q: %+v", data, bad)
			}
			if json.Valid(text) && bad.Message != "is given twice" && bad.Message != "is nested too deep" {
				t.Errorf("%q is refused: %+v", data, bad)
			}
			return
		}
		var want any
		in := json.NewDecoder(bytes.NewReader(text))
		in.UseNumber()
		if err := in.Decode(&want); err != nil || !same(tree, want) || !places.Has("x") {
			t.Errorf("%q is read as %#v, want %#v, %v", data, tree, want, err)
		}
	})
}

// same compares a tree of Read with one that has numbers as they are written.
func same(got, want any) bool {
	switch want := want.(type) {
	case json.Number:
		return reflect.DeepEqual(got, number(want))
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !same(list[i], want[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		table, ok := got.(map[string]any)
		if !ok || len(table) != len(want) {
			return false
		}
		for k := range want {
			if !same(table[k], want[k]) {
				return false
			}
		}
		return true
	}
	return got == want
}
