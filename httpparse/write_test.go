package httpparse

import (
	"strings"
	"testing"
)

func TestAppendFields(t *testing.T) {
	hop := SetOf(Connection, KeepAlive, Upgrade)
	for _, tc := range []struct {
		name, in, want string
		drop           FieldSet
	}{
		{"as it came", "X-A: 1\r\nX-B: 2\r\n", "X-A: 1\r\nX-B: 2\r\n", SetOf(Host)},
		{"dropped at the start, in the middle and at the end",
			"Via: x\r\nX-A: 1\r\nUpgrade: h2c\r\nX-B: 2\r\nKeep-Alive: 5\r\n",
			host + "Via: x\r\nX-A: 1\r\nX-B: 2\r\n", hop},
		{"two runs", "X-A: 1\r\nVia: x\r\nX-B: 2\r\n", "X-A: 1\r\nX-B: 2\r\n", SetOf(Host, Via)},
		{"rewritten in the middle", "X-A: 1\r\nX-B:\t 2 \r\nX-C: 3\r\n", host + "X-A: 1\r\nX-B: 2\r\nX-C: 3\r\n", 0},
		{"no space", "X-A:1\r\nX-B: 2\r\n", "X-A: 1\r\nX-B: 2\r\n", SetOf(Host)},
		{"tab for the space", "X-A:\t1\r\n", "X-A: 1\r\n", SetOf(Host)},
		{"space after", "X-A: 1 \r\n", "X-A: 1\r\n", SetOf(Host)},
		{"empty values", "X-A:\r\nX-B: \r\nX-C:  \r\n", "X-A: \r\nX-B: \r\nX-C: \r\n", SetOf(Host)},
		{"nominated", "Connection: x-hop, close,x-two\r\nX-HOP: 1\r\nX-Stay: 1\r\nX-Hope: 1\r\nX-Two: 1\r\nX-hop: 2\r\n",
			"X-Stay: 1\r\nX-Hope: 1\r\n", SetOf(Host, Connection)},
		{"nominated on a later line", "X-Hop: 1\r\nConnection: X-Hop\r\n", "", SetOf(Host, Connection)},
		{"essential fields cannot be nominated", "Connection: Host, content-length, Cookie\r\nContent-Length: 5\r\nCookie: a\r\n",
			host + "Content-Length: 5\r\n", hop},
		{"all dropped", "Via: x\r\n", "", SetOf(Host, Via)},
		{"others cannot hide in a set", "X-A: 1\r\n", host, SetOf(Other)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := get(tc.in)
			r := parsed(t, in)
			got := AppendFields([]byte("before\r\n"), []byte(in), &r.Message, tc.drop)
			if s, ok := strings.CutPrefix(string(got), "before\r\n"); !ok || s != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestMovedBuffer: spans stay valid in a copy of the buffer.
func TestMovedBuffer(t *testing.T) {
	in := get("X-A: 1\r\nConnection: x-a\r\nX-B: 2\r\n")
	r := parsed(t, in)
	moved := append(make([]byte, 0, 4096), in...)
	if got := AppendFields(nil, moved, &r.Message, SetOf(Host, Connection)); string(got) != "X-B: 2\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestMarks: a mark is kept if Marks says so, and else becomes a space, as it does by Unmark.
func TestMarks(t *testing.T) {
	const lines = "X-A: 1\r\nX-B:\t2\r\nX-C:3\r\nX-D: \t4:\t5\r\nX-E:\t\r\nX-F: :\t6\r\n"
	const kept = "X-A: 1\r\nX-B:\t2\r\nX-C: 3\r\nX-D: 4:\t5\r\nX-E:\t\r\nX-F: :\t6\r\n"
	without := strings.NewReplacer("X-B:\t", "X-B: ", "X-E:\t", "X-E: ").Replace(kept)
	in := get(lines)
	r := parsed(t, in)
	if got := AppendFields(nil, []byte(in), &r.Message, SetOf(Host)); string(got) != without {
		t.Errorf("fields without marks: %q, want %q", got, without)
	}
	r.Marks = true
	got := AppendFields(nil, []byte(in), &r.Message, SetOf(Host))
	if string(got) != kept {
		t.Errorf("fields with marks: %q, want %q", got, kept)
	}
	if Unmark(got); string(got) != without {
		t.Errorf("without the marks again: %q, want %q", got, without)
	}
	var tr Trailers
	b := []byte(lines + "\r\n")
	tr.Reset(&testLimits, false)
	if tr.Marks = true; tr.Feed(b) != Done {
		t.Fatal(tr.Reason)
	}
	if got := AppendTrailers(nil, b, &tr); string(got) != kept {
		t.Errorf("trailers with marks: %q, want %q", got, kept)
	}
	for _, odd := range []string{"", "\r\n", "\t", ":\t", "a\tb", "x: y\tz"} {
		b := []byte(odd)
		if Unmark(b); odd == ":\t" && string(b) != ": " || odd != ":\t" && string(b) != odd {
			t.Errorf("%q became %q", odd, b)
		}
	}
}
