package hpack

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	xnet "golang.org/x/net/http2/hpack"
)

// read decodes a block by golang.org/x/net, with "!" before what is never to be indexed.
func read(t testing.TB, block []byte) (all []text) {
	t.Helper()
	fields, err := xnet.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil {
		t.Fatalf("%x: %v", block, err)
	}
	for _, f := range fields {
		s := f.Name + ": " + f.Value
		if f.Sensitive {
			s = "!" + s
		}
		all = append(all, s)
	}
	return all
}

func TestAppendField(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{":method", "GET", "\x82"},
		{":method", "POST", "\x83"},
		{":method", "HEAD", "\x02\x04HEAD"},
		{":method", "get", "\x02\x03get"},
		{":path", "/", "\x84"},
		{":path", "/index.html", "\x85"},
		{":path", "/index.htm", "\x04\x0a/index.htm"},
		{":path", "", "\x04\x00"},
		{":scheme", "http", "\x86"},
		{":scheme", "https", "\x87"},
		{":scheme", "ws", "\x06\x02ws"},
		{":status", "200", "\x88"},
		{":status", "500", "\x8e"},
		{":status", "101", "\x08\x03101"},
		{":authority", "a.test", "\x01\x06a.test"},
		{":protocol", "websocket", "\x00\x09:protocol\x09websocket"},
		{"accept-encoding", "gzip, deflate", "\x90"},
		{"Accept-Encoding", "gzip, deflate, br", "\x0f\x01\x11gzip, deflate, br"},
		{"Content-Type", "text/html", "\x0f\x10\x09text/html"},
		{"CONTENT-LENGTH", "0", "\x0f\x0d\x010"},
		{"WWW-Authenticate", "Basic", "\x0f\x2e\x05Basic"},
		{"Upgrade", "a", "\x00\x07upgrade\x01a"},
		{"X-Own", "", "\x00\x05x-own\x00"},
		{"", "v", "\x00\x00\x01v"},
		{"Ünï[Z`@A", "\x00\xff", "\x00\x0a\xc3\x9cn\xc3\xaf[z`@a\x02\x00\xff"},
		{"Authorization", "Basic eA==", "\x1f\x08\x0aBasic eA=="},
		{"Proxy-Authorization", "Basic eA==", "\x1f\x22\x0aBasic eA=="},
		{"Cookie", strings.Repeat("c", 19), "\x1f\x11\x13" + strings.Repeat("c", 19)},
		{"Cookie", strings.Repeat("c", 20), "\x0f\x11\x14" + strings.Repeat("c", 20)},
		{"Set-Cookie", "a=1", "\x1f\x28\x03a=1"},
		{"Set-Cookie", strings.Repeat("c", 20), "\x0f\x28\x14" + strings.Repeat("c", 20)},
		{"x", strings.Repeat("v", 126), "\x00\x01x\x7e" + strings.Repeat("v", 126)},
		{"x", strings.Repeat("v", 127), "\x00\x01x\x7f\x00" + strings.Repeat("v", 127)},
		{strings.Repeat("N", 300), "", "\x00\x7f\xad\x01" + strings.Repeat("n", 300) + "\x00"},
	} {
		got := AppendField([]byte("before"), []byte(tc.name), []byte(tc.value))
		if string(got) != "before"+tc.want {
			t.Errorf("%s: %s is written %q, want %q", tc.name, tc.value, got, tc.want)
		}
	}
}

// TestAppendNever: what came as never to be indexed is no index, and no other literal.
func TestAppendNever(t *testing.T) { // RFC 7541 6.2.3
	for _, tc := range []struct{ name, value, want string }{
		{":path", "/", "\x14\x01/"},
		{":authority", "a", "\x11\x01a"},
		{"Accept-Encoding", "gzip, deflate", "\x1f\x01\x0dgzip, deflate"},
		{"date", "", "\x1f\x12\x00"},
		{"Priority", "u=1", "\x10\x08priority\x03u=1"},
		{"X-Own", "b", "\x10\x05x-own\x01b"},
		{strings.Repeat("N", 200), strings.Repeat("v", 200), "\x10\x7f\x49" + strings.Repeat("n", 200) + "\x7f\x49" + strings.Repeat("v", 200)},
	} {
		got := AppendNever([]byte("before"), []byte(tc.name), []byte(tc.value))
		if string(got) != "before"+tc.want {
			t.Errorf("%s: %s is written %q, want %q", tc.name, tc.value, got, tc.want)
		}
		if want := "!" + strings.ToLower(tc.name) + ": " + tc.value; !slices.Equal(read(t, got[len("before"):]), []text{want}) {
			t.Errorf("%q is read as %q, want %q", got, read(t, got[len("before"):]), want)
		}
	}
}

// TestStaticTable holds our static table against that of golang.org/x/net, and each name
// against IDOf, AppendKnown and AppendField, whatever its case.
func TestStaticTable(t *testing.T) {
	for i := ID(1); i <= staticEntries; i++ {
		f := names[i]
		if got, want := read(t, AppendIndexed(nil, i)), fmt.Sprintf("%s: %s", f.name, f.value); !slices.Equal(got, []text{want}) {
			t.Errorf("index %d is %q, want %q", i, got, want)
		}
	}
	for i := ID(1); int(i) < len(names); i++ {
		f := names[i]
		if id := IDOf(f.name); id != f.id || id > i || string(names[id].name) != string(f.name) {
			t.Errorf("%s has the ID %d", f.name, id)
		}
		if id := IDOf(f.name[1:]); id != Other && string(names[id].name) != string(f.name[1:]) {
			t.Errorf("%s has the ID %d", f.name[1:], id)
		}
		known := AppendKnown(nil, f.id, []byte("value"))
		named := AppendField(nil, []byte(strings.ToUpper(string(f.name))), []byte("value"))
		if got := read(t, known); !strings.HasSuffix(got[0], string(f.name)+": value") || string(known) != string(named) {
			t.Errorf("%s is written %q by ID, and %q by name", f.name, known, named)
		}
	}
	for _, s := range []string{"", "x", "Te", "t", "content-Type", "content\rtype", ":", "priorite"} {
		if id := IDOf([]byte(s)); id != Other {
			t.Errorf("%q has the ID %d", s, id)
		}
	}
	if priority := IDOf([]byte("priority")); priority != Priority {
		t.Errorf("priority has the ID %d, want %d", priority, Priority)
	}
}

func TestAppendStatus(t *testing.T) {
	for code := 100; code <= 999; code++ {
		got := AppendStatus(nil, code)
		if want := AppendKnown(nil, Status, fmt.Append(nil, code)); string(got) != string(want) {
			t.Errorf("%d is written %x, want %x", code, got, want)
		}
	}
}

// TestLower holds each byte, at each place of a word, against its lower case.
func TestLower(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			in := []byte(strings.Repeat("-aZ~", 5))
			in[at] = byte(c)
			want := strings.ToLower(string(in[:at])) + string(in[at:at+1]) + strings.ToLower(string(in[at+1:]))
			if 'A' <= c && c <= 'Z' {
				want = want[:at] + string(rune(c+0x20)) + want[at+1:]
			}
			if got := appendLower([]byte("X"), in); string(got) != "X"+want {
				t.Fatalf("%q in lower case is %q", in, got)
			}
		}
	}
}
