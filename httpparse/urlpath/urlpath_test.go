package urlpath

import (
	"bytes"
	"testing"
)

func TestForms(t *testing.T) {
	for _, tc := range []struct{ path, normal, lenient string }{
		{"/", "/", "/"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a/b/?x=//..", "/a/b/", "/a/b/"},
		{"//a///b//", "/a/b/", "/a/b/"},
		{"/./a/./b/.", "/a/b/", "/a/b/"},
		{"/a/../b", "/b", "/b"},
		{"/a/b/..", "/a/", "/a/"},
		{"/../../a", "/a", "/a"},
		{"/a/..", "/", "/"},
		{"/a/.../b", "/a/.../b", "/a/.../b"},
		{"/.a/..b", "/.a/..b", "/.a/..b"},
		{"/%61%2e%2E/%7eb", "/a../~b", "/a../~b"},
		{"/a/%2e%2e/b", "/b", "/b"},
		{"/a%2f..%2fb", "/b", "/b"},
		{"/a%c3%a4", "/a%C3%A4", "/a%C3%A4"},
		{"/caf\xc3\xa9/.", "/caf%C3%A9/", "/caf%C3%A9/"},
		{"/a%", "/a%", "/a%"},
		{"/a%zz%4", "/a%zz%4", "/a%zz%4"},
		{"/a\\..\\b", "/a\\..\\b", "/b"},
		{"/a%5C..%5cb", "/a%5C..%5Cb", "/b"},
		{"/a;x=1/b", "/a;x=1/b", "/a/b"},
		{"/a;x", "/a;x", "/a"},
		{"/x/..;a/b", "/x/..;a/b", "/b"},
		{"/;/a", "/;/a", "/a"},
		{"/a;x%2fb", "/a;x/b", "/a"},
		{"/a%00b", "/a%00b", "/a"},
		{"/a%3fb/c", "/a%3Fb/c", "/a"},
		{"/a%23", "/a%23", "/a"},
		{"/%40a%7Cb%3a", "/%40a%7Cb%3A", "/@a|b:"},
		{"/a%3bb", "/a%3Bb", "/a"},
		{"/%2561", "/%2561", "/a"},
		{"/%252e%252e/a", "/%252e%252e/a", "/a"},
		{"*", "*", "*"},
		{"", "", ""},
		{"?a", "", ""},
	} {
		normal, lenient := string(AppendNormal(nil, []byte(tc.path))), string(AppendLenient(nil, []byte(tc.path)))
		if normal != tc.normal || lenient != tc.lenient {
			t.Errorf("%s: %s and %s, want %s and %s", tc.path, normal, lenient, tc.normal, tc.lenient)
		}
		path, _, _ := bytes.Cut([]byte(tc.path), []byte{'?'})
		if same := normal == string(path) && lenient == normal; IsPlain([]byte(tc.path)) && !same {
			t.Errorf("%s: IsPlain is true", tc.path)
		}
	}
}

func TestForward(t *testing.T) {
	for path, want := range map[string]string{
		"//a/b%2fc": "/a/b%2Fc", "/x/../%61?q": "/a", "/a/%2e%2e%2fb": "/a/..%2Fb",
	} {
		if got := string(AppendForward(nil, []byte(path))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestUnmerged(t *testing.T) {
	for path, want := range map[string]string{
		"/a//../b": "/a/b", "//a": "/a", "/%61//%2e%2e/b?q": "/a/b", "/a//..//b": "/a//b", "/a;x//..": "/a/", "/a/../b": "/b",
	} {
		if got := AppendUnmerged(nil, []byte(path)); string(got) != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestClimbs(t *testing.T) {
	for path, want := range map[string]bool{
		"": false, "/": false, "/a/../b": false, "/a/b/../..": false, "/a//../b": false, "/..a/...": false,
		"/..": true, "/a/../../a": true, "/..%2fa": true, "/%2e%2e/x": true, "/..;/x": true, "/..\\x": true, "?/..": false, "/.//../": true,
	} {
		if got := Climbs(nil, []byte(path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestIsPlain(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "": true, "*": true, "/a.b/c..d/.e/..f": true, "/a/b?//": true, "/%20%C3%A4": true, "/%": true, "/a%zz": true, "/%c3%a4": false, "/%40": false,
		"//": false, "/a//b": false, "/.": false, "/..": false, "/./a": false, "/a/..?": false, "/%41": false, "/%2f": false, "/;": false, "/\\": false, "/%25": false,
	} {
		if got := IsPlain([]byte(path)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// FuzzForms: a plain path is its own form; a normal form is normal, and no longer than the
// path; appending in place and apart give the same.
func FuzzForms(f *testing.F) {
	for _, path := range []string{"/a/b", "//%61/../b;c\\d%2f%252e?x", "/..;/%5c%00", "/a%2"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		raw := cut([]byte(path))
		normal := AppendNormal(nil, []byte(path))
		lenient := AppendLenient(make([]byte, 0, 2*len(path)+1), []byte(path))
		if IsPlain([]byte(path)) && (!bytes.Equal(normal, raw) || !bytes.Equal(lenient, raw)) {
			t.Errorf("%q is plain, and its forms are %q and %q", path, normal, lenient)
		}
		if len(normal) > 3*len(raw) || len(lenient) > 3*len(raw) {
			t.Errorf("%q: longer forms %q, %q", path, normal, lenient)
		}
		if again := AppendNormal(nil, bytes.ReplaceAll(normal, []byte{'?'}, nil)); !bytes.Contains(raw, []byte{'%'}) && !bytes.Equal(again, normal) {
			t.Errorf("%q: %q, then %q", path, normal, again)
		}
		first := appendForm(nil, raw, lenient0)
		apart := appendForm(nil, first, lenient0)
		place := append([]byte(nil), first...)
		if place = appendForm(place[:0], place, lenient0); !bytes.Equal(apart, place) {
			t.Errorf("%q: %q apart, %q in place", path, apart, place)
		}
	})
}

const lenient0 = lenient
