package ids

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// given is the example of W3C Trace Context 3.2.
const given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// parents are values of traceparent, with the flags that are read from them, or -1 for those
// that are not valid.
var parents = []struct {
	value string
	flags int
}{
	{given, 1},
	{given[:53] + "00", 0},
	{given[:53] + "03", 3},
	{given[:53] + "ff", 3}, // those that are not known are cleared
	{given[:53] + "fe", 2},
	{"", -1},
	{given[:54], -1},
	{given + "-", -1}, // version 00 ends with the flags
	{given + "-01", -1},
	{given + "0", -1},
	{given + " ", -1},
	{" " + given, -1},
	{"01" + given[2:], 1}, // versions to come
	{"cc" + given[2:] + "-what-the-future-will-be-like", 1},
	{"cc" + given[2:53] + "ff-", 1},
	{"cc" + given[2:53] + "fe", 0},
	{"cc" + given[2:] + ".what", -1},
	{"cc" + given[2:] + "0", -1},
	{"ff" + given[2:], -1}, // never one
	{"0x" + given[2:], -1},
	{"0A" + given[2:], -1},
	{"FF" + given[2:], -1},
	{strings.ToUpper(given), -1},
	{strings.Replace(given, "4b", "4B", 1), -1},
	{strings.Replace(given, "-01", "-0A", 1), -1},
	{strings.Replace(given, "-01", "-0g", 1), -1},
	{strings.Replace(given, "00f067", "00g067", 1), -1},
	{"00-" + strings.Repeat("0", 32) + given[35:], -1}, // no trace
	{given[:36] + strings.Repeat("0", 16) + given[52:], -1},
	{strings.Replace(given, "-", "_", 1), -1},
	{given[:35] + "_" + given[36:], -1},
	{given[:52] + "_" + given[53:], -1},
	{given + "," + given, -1}, // two lines in one
}

// TestParseParent: what is read, and what says nothing.
func TestParseParent(t *testing.T) {
	for _, tc := range parents {
		p, ok := ParseParent([]byte(tc.value))
		switch {
		case ok != (tc.flags >= 0):
			t.Errorf("%q: valid %t", tc.value, ok)
		case !ok && p != Parent{}:
			t.Errorf("%q: %+v of what is not valid", tc.value, p)
		case ok && (hex.EncodeToString(p.Trace[:]) != given[3:35] || hex.EncodeToString(p.Span[:]) != given[36:52] || int(p.Flags) != tc.flags):
			t.Errorf("%q: %+v", tc.value, p)
		}
	}
}

// TestAppend: a value that was read is written as it was, with the span where Append says.
func TestAppend(t *testing.T) {
	p, _ := ParseParent([]byte(given))
	d, span := p.Append([]byte("traceparent: "))
	if string(d) != "traceparent: "+given || string(d[span:span+SpanBytes]) != given[36:52] {
		t.Errorf("%q, the span %q", d, d[span:span+SpanBytes])
	}
	if text := SpanText(p.Span); string(text[:]) != given[36:52] {
		t.Errorf("the span %q", text)
	}
}

// FuzzParseParent: what is read can be written and read again, and is what the bytes at its
// places say.
func FuzzParseParent(f *testing.F) {
	for _, tc := range parents {
		f.Add([]byte(tc.value))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		p, ok := ParseParent(v)
		if !ok {
			if p != (Parent{}) {
				t.Errorf("%q: %+v", v, p)
			}
			return
		}
		d, _ := p.Append(nil)
		if again, ok := ParseParent(d); !ok || again != p {
			t.Errorf("%q: %+v is written as %q, which is %+v", v, p, d, again)
		}
		if !bytes.Equal(d[3:53], v[3:53]) || len(v) != len(d) && v[0] == '0' && v[1] == '0' || bytes.ContainsAny(v[:55], "ABCDEF") {
			t.Errorf("%q is written as %q", v, d)
		}
	})
}
