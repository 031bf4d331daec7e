package hpack

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// text is a field as a test has it: "name: value", with "!" before it if Sensitive.
type text = string

// unhex returns the bytes of s, hexadecimal with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// field returns what d has just read.
func field(d *Decoder) text {
	s := fmt.Sprintf("%s: %s", d.Name, d.Value)
	if d.TooLong {
		s = "too long"
	}
	if d.Sensitive {
		s = "!" + s
	}
	return s
}

// fieldsOf decodes a block, and checks of each field what holds for all.
func fieldsOf(t testing.TB, d *Decoder, table *Table, block []byte) (all []text, err error) {
	t.Helper()
	d.Begin(table, block)
	for d.Next() {
		if id := IDOf(d.Name); id != d.ID && !d.TooLong {
			t.Fatalf("%q has the ID %d, want %d", d.Name, d.ID, id)
		}
		if n := len(all) + 1; n > len(block) {
			t.Fatalf("%d fields in a block of %d bytes", n, len(block))
		}
		all = append(all, field(d))
	}
	return all, d.Err()
}

// newTable returns a table with this limit.
func newTable(limit int) *Table {
	t := new(Table)
	t.Reset(limit)
	return t
}

// entriesOf returns the entries of a table, the newest first.
func entriesOf(t *Table) (all []text) {
	for i := range t.length() {
		name, value := t.views(t.newest(i + 1))
		all = append(all, fmt.Sprintf("%s: %s", name, value))
	}
	return all
}

// exampleStep is a block of RFC 7541 appendix C, what it means, and the table after it.
type exampleStep struct {
	block  string
	fields []text
	size   int
	table  []text
}

const (
	example     = ":authority: www.example.com"
	noCache     = "cache-control: no-cache"
	custom      = "custom-key: custom-value"
	get         = ":method: GET"
	rootPath    = ":path: /"
	http        = ":scheme: http"
	private     = "cache-control: private"
	date21      = "date: Mon, 21 Oct 2013 20:13:21 GMT"
	date22      = "date: Mon, 21 Oct 2013 20:13:22 GMT"
	place       = "location: https://www.example.com"
	coding      = "content-encoding: gzip"
	cookieField = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
)

// requestSteps are the requests of C.3 and C.4, and responseSteps the responses of C.5 and
// C.6, with these blocks.
func requestSteps(a, b, c string) []exampleStep {
	return []exampleStep{
		{a, []text{get, http, rootPath, example}, 57, []text{example}},
		{b, []text{get, http, rootPath, example, noCache}, 110, []text{noCache, example}},
		{c, []text{get, ":scheme: https", ":path: /index.html", example, custom}, 164, []text{custom, noCache, example}},
	}
}

func responseSteps(a, b, c string) []exampleStep {
	return []exampleStep{
		{a, []text{":status: 302", private, date21, place}, 222, []text{place, date21, private, ":status: 302"}},
		{b, []text{":status: 307", private, date21, place}, 222, []text{":status: 307", place, date21, private}},
		{c, []text{":status: 200", private, date22, place, coding, cookieField}, 215, []text{cookieField, coding, date22}},
	}
}

var examples = []struct {
	section string
	limit   int
	steps   []exampleStep
}{
	{"C.2.1", 4096, []exampleStep{{"400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
		[]text{"custom-key: custom-header"}, 55, []text{"custom-key: custom-header"}}}},
	{"C.2.2", 4096, []exampleStep{{"040c 2f73 616d 706c 652f 7061 7468", []text{":path: /sample/path"}, 0, nil}}},
	{"C.2.3", 4096, []exampleStep{{"1008 7061 7373 776f 7264 0673 6563 7265 74", []text{"!password: secret"}, 0, nil}}},
	{"C.2.4", 4096, []exampleStep{{"82", []text{get}, 0, nil}}},
	{"C.3", 4096, requestSteps(
		"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
		"8286 84be 5808 6e6f 2d63 6163 6865",
		"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65")},
	{"C.4", 4096, requestSteps(
		"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
		"8286 84be 5886 a8eb 1064 9cbf",
		"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")},
	{"C.5", 256, responseSteps(
		"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
		"4803 3330 37c1 c0bf",
		"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31")},
	{"C.6", 256, responseSteps(
		"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
		"4883 640e ffc1 c0bf",
		"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07")},
}

// TestExamples decodes RFC 7541 appendix C.
func TestExamples(t *testing.T) {
	for _, ex := range examples {
		d, table := NewDecoder(4096), newTable(ex.limit)
		for i, step := range ex.steps {
			got, err := fieldsOf(t, d, table, unhex(t, step.block))
			if err != nil || !slices.Equal(got, step.fields) {
				t.Errorf("%s, block %d: %q (%v), want %q", ex.section, i+1, got, err, step.fields)
			}
			if table.Size() != step.size || !slices.Equal(entriesOf(table), step.table) {
				t.Errorf("%s, block %d: a table of %d, %q, want %d, %q", ex.section, i+1, table.Size(), entriesOf(table), step.size, step.table)
			}
		}
	}
}

// TestIntegers reads and writes RFC 7541 C.1, and the largest integers taken.
func TestIntegers(t *testing.T) {
	for _, tc := range []struct {
		mask  byte
		n     int
		bytes string
	}{
		{0x1f, 10, "0a"},
		{0x1f, 1337, "1f9a0a"},
		{0xff, 42, "2a"},
		{0x0f, 14, "0e"},
		{0x0f, 15, "0f00"},
		{0x7f, 127 + 127, "7f7f"},
		{0x7f, 127 + 128, "7f8001"},
		{0x7f, 127 + 1<<28 - 1, "7fffffff7f"},
	} {
		if got := appendInteger(nil, 0, tc.mask, tc.n); hex.EncodeToString(got) != tc.bytes {
			t.Errorf("%d is written %x, want %s", tc.n, got, tc.bytes)
		}
		d := Decoder{block: unhex(t, tc.bytes)}
		if n, ok := d.integer(tc.mask); !ok || n != tc.n || d.pos != len(d.block) {
			t.Errorf("%s is read as %d (%v), want %d", tc.bytes, n, ok, tc.n)
		}
	}
}
