package tomlfile

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFindSpots(t *testing.T) {
	const src = "# a = 0\n" +
		"a = 1 # not b = 2\n" +
		"  'q.r' = \"x # y = ]\"\n" +
		"d . e.f=[ [1, 2],\n [\"]\", '''\n''''] , # c = 3\n ]\n" +
		"t = { u = { v = 1 }, \"w\\n\" = [ { x = 1 } ] }\n" +
		"m = \"\"\"a\\\"\"\"b\"\"\"\"\"\n" +
		"[ n . \"o\" ]\r\np = 2000-01-01 10:00:00\r\n" +
		"[[r]]\ns=true\n[r.t]\nu = 1\n[[r]]\n[[r.v]]\n[[r.v]]\nw = 1\n"
	want := map[string]string{ // what stands at the key, and at the value
		"a": "a =|1 #", `"q.r"`: `'q.r'|"x #`, "d": "d .|d .", "d.e": "e.f|e.f", "d.e.f": "f=[|[ [1",
		"d.e.f[0]": "[1, 2]|[1, 2]", "d.e.f[0][0]": "1, 2]|1, 2]", "d.e.f[0][1]": "2],|2],",
		"d.e.f[1]": `["]"|["]"`, "d.e.f[1][0]": `"]", |"]", `, "d.e.f[1][1]": "'''\n|'''\n",
		"t": "t = {|{ u =", "t.u": "u = {|{ v = 1 }", "t.u.v": "v = 1|1 }", `t."w\n"`: `"w\n"|[ { x`,
		`t."w\n"[0]`: "{ x =|{ x =", `t."w\n"[0].x`: "x = 1|1 } ]", "m": "m =|\"\"\"a",
		"n": "n . |n . ", "n.o": `"o" ]|"o" ]`, "n.o.p": "p =|2000-01-01 1",
		"r": "r]]\ns|r]]\ns", "r[0]": "r]]\ns|r]]\ns", "r[0].s": "s=|true", "r[0].t": "t]\nu|t]\nu", "r[0].t.u": "u = 1|1\n",
		"r[1]": "r]]\n[[r.v]]|r]]\n[[r.v]]", "r[1].v": "v]]\n[[|v]]\n[[", "r[1].v[0]": "v]]\n[[|v]]\n[[",
		"r[1].v[1]": "v]]\nw|v]]\nw", "r[1].v[1].w": "w = 1|1\n",
	}
	at, twice := findSpots(src)
	if twice != "" {
		t.Errorf("%q is said to be given twice", twice)
	}
	for path, both := range want {
		key, value, _ := strings.Cut(both, "|")
		s, ok := at[path]
		if !ok || !strings.HasPrefix(src[s.Key:], key) || !strings.HasPrefix(src[s.Value:], value) {
			t.Errorf("%s is at %v (%v): %.9q and %.9q; want %q and %q", path, s, ok, src[s.Key:], src[s.Value:], key, value)
		}
	}
	for path := range at {
		if _, ok := want[path]; !ok {
			t.Errorf("found %q, which is not there", path)
		}
	}
}

// paths lists every path in a decoded tree.
func paths(path string, v any, out map[string]bool) {
	if path != "" {
		out[path] = true
	}
	switch v := v.(type) {
	case map[string]any:
		for name, v := range v {
			paths(Under(path, name), v, out)
		}
	case []map[string]any:
		for i, v := range v {
			paths(Element(path, i), v, out)
		}
	case []any:
		for i, v := range v {
			paths(Element(path, i), v, out)
		}
	}
}

// FuzzFile: no input makes New or Decode panic, every error has a place in the file,
// and whatever the decoder finds in a file, findSpots finds too.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "\x10", "\xef\xbb\xbfport = 1", "\xef\xbb\xbf\xef\xbb\xbfport = 1", "\xff\xfeport = 1", "a.b.c = [1, {d = 2}, [[3]]]\n", "[[a]]\nb = 'c'\n[[a]]\nd = [\"64 KiB\", # e\n '::1',\n]\n",
		"a = \"\"\"\\\n x\"\"\"\"\n'b' = '''c'''\n", "a.b = 1\na = 2\n", "[a.\"b\\u00e9\"]\nc = 1979-05-27 07:32:00\n",
		"x = {a = 1,\n b.c = 2, # d\n}\n", "[a]\n[[a.b]]\n[a.b.c]\nd = 1\n[[a.b]]\n[a.b.c]\nd = 1\n", "\"\" = 1\n", "a = [1, {}, {b = 3}]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := New(data)
		tree, bad := file.Decode()
		if bad != nil {
			lines := strings.Split(string(data), "\n")
			if bad.Line < 1 || bad.Line > len(lines) || bad.Column < 1 || bad.Column > len(lines[bad.Line-1])+1 {
				t.Errorf("%+v is outside of %q", bad, data)
			}
		}
		if bad != nil || file.Twice() != "" {
			return
		}
		want := map[string]bool{}
		paths("", tree, want)
		for path := range want {
			if !file.Has(path) {
				t.Errorf("no place for %q in %q; there are %q", path, data, slices.Sorted(maps.Keys(file.at)))
			}
		}
	})
}

// TestSecondMark: one byte order mark is dropped, and what follows it is read as it is.
func TestSecondMark(t *testing.T) {
	for src, want := range map[string]*Mistake{
		mark + "a = 1":                nil,
		mark + "a = 1\n" + mark:       {Line: 2, Column: 1},
		mark + mark + "a = 1":         {Line: 1, Column: 1},
		mark + "\xff\xfea = 1":        {Line: 1, Column: 1},
		"\xfe\xff\x00a\x00=\x001\x00": {Line: 1, Column: 3},
	} {
		_, bad := New([]byte(src)).Decode()
		if (bad == nil) != (want == nil) || bad != nil && (bad.Line != want.Line || bad.Column != want.Column) {
			t.Errorf("%q: %+v, want %+v", src, bad, want)
		}
	}
}
