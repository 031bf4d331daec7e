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
