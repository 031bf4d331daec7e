package hpack

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	xnet "golang.org/x/net/http2/hpack"
)

// refusals are blocks that are refused, with the fields before the error. The table has
// two entries: 62 is "b: 2" and 63 is "a: 1".
var refusals = []struct {
	name, block string
	fields      []text
	err         error
}{
	{"index 0", "80", nil, ErrIndex},
	{"index beyond the table", "82 c0", []text{get}, ErrIndex},
	{"long index beyond the table", "ff 00 ff 80 00", nil, ErrIndex},
	{"long index far beyond the table", "ff ff ff ff 7f", nil, ErrIndex},
	{"name beyond the table", "0f 31 01 61", nil, ErrIndex},
	{"name to be indexed beyond the table", "7f 01 01 61", nil, ErrIndex},
	{"integer of 6 bytes", "ff 80 80 80 80 00", nil, ErrInteger},
	{"integer without an end", "ff ff ff ff ff ff ff ff ff ff ff", nil, ErrInteger},
	{"length of 6 bytes", "00 01 61 7f 80 80 80 80 00", nil, ErrInteger},
	{"update of 6 bytes", "3f 80 80 80 80 00", nil, ErrInteger},
	{"cut in an index", "82 ff", []text{get}, ErrTruncated},
	{"cut in a long index", "82 ff 80", []text{get}, ErrTruncated},
	{"cut in the index of a name", "82 0f", []text{get}, ErrTruncated},
	{"cut before a name", "00", nil, ErrTruncated},
	{"cut in the length of a name", "00 7f", nil, ErrTruncated},
	{"cut in a name", "00 02 61", nil, ErrTruncated},
	{"cut before a value", "00 01 61", nil, ErrTruncated},
	{"cut in the length of a value", "44 ff", nil, ErrTruncated},
	{"cut in a value", "44 03 2f 61", nil, ErrTruncated},
	{"cut in a coded value", "44 82 60", nil, ErrTruncated},
	{"cut in an update", "3f", nil, ErrTruncated},
	{"length beyond any block", "00 7f ff ff ff 7f", nil, ErrTruncated},
	{"padding of zeros", "44 81 60", nil, ErrHuffman},
	{"padding of a one and zeros", "44 81 1c", nil, ErrHuffman},
	{"padding of 8 bits", "44 82 1f ff", nil, ErrHuffman},
	{"padding alone, 8 bits", "44 81 ff", nil, ErrHuffman},
	{"padding of 8 bits after many", "44 8a 00 00 00 00 00 00 00 00 07 ff ff", nil, ErrHuffman},
	{"cut in a code", "44 82 ff fe", nil, ErrHuffman},
	{"EOS", "44 84 ff ff ff ff", nil, ErrHuffman},
	{"EOS after a byte", "44 85 1f ff ff ff ff", nil, ErrHuffman},
	{"EOS before others", "44 8c ff ff ff fc 00 00 00 00 00 00 00 00", nil, ErrHuffman},
	{"EOS in a name", "00 84 ff ff ff ff 01 61", nil, ErrHuffman},
	{"update above the limit", "3f e2 1f", nil, ErrSize},
	{"second update above the limit", "20 3f e2 1f", nil, ErrSize},
	{"update after a field", "82 20", []text{get}, ErrSize},
	{"update between fields", "be 3f e1 1f 82", []text{"b: 2"}, ErrSize},
}

// twoEntries puts two entries into the table.
const twoEntries = "40 01 61 01 31 40 01 62 01 32"

func TestRefusals(t *testing.T) {
	for _, tc := range refusals {
		d, table := NewDecoder(4096), newTable(4096)
		if _, err := fieldsOf(t, d, table, unhex(t, twoEntries)); err != nil {
			t.Fatal(err)
		}
		got, err := fieldsOf(t, d, table, unhex(t, tc.block))
		if !errors.Is(err, tc.err) || !slices.Equal(got, tc.fields) {
			t.Errorf("%s: %q, %v, want %q, %v", tc.name, got, err, tc.fields, tc.err)
		}
		if d.Next() || !errors.Is(d.Err(), tc.err) {
			t.Errorf("%s: the decoder goes on after the error", tc.name)
		}
	}
}

// TestCuts cuts blocks at every byte: the fields before the cut are read, and no others.
func TestCuts(t *testing.T) {
	for _, ex := range examples {
		block := unhex(t, ex.steps[0].block)
		want := ex.steps[0].fields
		for cut := range len(block) {
			d, table := NewDecoder(4096), newTable(ex.limit)
			got, err := fieldsOf(t, d, table, block[:cut:cut])
			if err != nil && !errors.Is(err, ErrTruncated) || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("%s cut at %d: %q, %v", ex.section, cut, got, err)
			}
		}
	}
}

// update returns a block that begins with size updates.
func update(rest string, sizes ...int) []byte {
	var b []byte
	for _, n := range sizes {
		b = AppendSizeUpdate(b, n)
	}
	return append(b, rest...)
}

// TestSizeUpdates is RFC 7541 4.2: what a peer may say, what it must, and what goes.
func TestSizeUpdates(t *testing.T) {
	const a, b = "\x40\x01a\x011", "\x40\x01b\x012" // 34 bytes each in the table
	for _, tc := range []struct {
		name   string
		limits []int // by SetLimit, before the second block
		second []byte
		size   int
		err    error
	}{
		{"no change", nil, []byte(b), 68, nil},
		{"the same", nil, update(b, 4096), 68, nil},
		{"lower", nil, update(b, 34), 34, nil},
		{"lower by one too much", nil, update(b, 33), 0, nil},
		{"nothing", nil, update(b, 0), 0, nil},
		{"emptied", nil, update(b, 0, 4096), 34, nil},
		{"three updates", nil, update(b, 4096, 100, 4096), 68, nil},
		{"limit lowered, and told", []int{34}, update(b, 34), 34, nil},
		{"limit lowered, and less used", []int{100}, update(b, 10), 0, nil},
		{"limit lowered, not told", []int{100}, []byte(b), 34, ErrSize},
		{"limit lowered, too little", []int{100}, update(b, 101), 34, ErrSize},
		{"limit lowered and raised", []int{0, 4096}, update(b, 0, 4096), 34, nil},
		{"limit lowered and raised, the low one not told", []int{0, 4096}, update(b, 4096), 34, ErrSize},
		{"limit lowered and raised a little, the low one not told", []int{0, 100}, update(b, 100), 34, ErrSize},
		{"limit raised", []int{5000}, update(b, 5000), 68, nil},
		{"limit raised, not used", []int{5000}, []byte(b), 68, nil},
		{"limit raised, too much", []int{5000}, update(b, 5001), 34, ErrSize},
		{"limit the same", []int{4096}, []byte(b), 68, nil},
	} {
		d, table := NewDecoder(8192), newTable(4096)
		if _, err := fieldsOf(t, d, table, []byte(a)); err != nil {
			t.Fatal(err)
		}
		for _, n := range tc.limits {
			table.SetLimit(n)
		}
		if _, err := fieldsOf(t, d, table, tc.second); !errors.Is(err, tc.err) || table.Size() != tc.size {
			t.Errorf("%s: %v, a table of %d, want %v, %d", tc.name, err, table.Size(), tc.err, tc.size)
		}
	}
}

// TestLoweredBefore has a peer that uses less than a limit that comes down later.
func TestLoweredBefore(t *testing.T) {
	d, table := NewDecoder(4096), newTable(4096)
	if _, err := fieldsOf(t, d, table, update("", 50)); err != nil {
		t.Fatal(err)
	}
	table.SetLimit(50)
	if _, err := fieldsOf(t, d, table, []byte{0x82}); err != nil {
		t.Errorf("a peer that owes no update: %v", err)
	}
}

// literal appends a field as a peer would: kind is its first byte, with the index of the
// name if there is no name.
func literal(b []byte, kind byte, name, value string, coded bool) []byte {
	b = append(b, kind)
	if name != "" {
		b = appendText(b, name, coded)
	}
	return appendText(b, value, coded)
}

// appendText appends a string, in Huffman's code or as it is.
func appendText(b []byte, s string, coded bool) []byte {
	if !coded {
		return appendString(b, []byte(s))
	}
	return xnet.AppendHuffmanString(appendInteger(b, 0x80, stringMask, int(xnet.HuffmanEncodeLength(s))), s)
}

// TestTooLong has strings of the scratch memory's size and of one byte more. What does
// not fit is reported and empties the table if it was to be indexed, and the block goes on.
func TestTooLong(t *testing.T) {
	const size = 100
	long := strings.Repeat("x", size)
	for _, tc := range []struct {
		name, value string
		coded       bool
		want        text
		kept        bool
	}{
		{"n", long[1:], true, "n: " + long[1:], true},
		{"n", long, true, "too long", false},
		{long, "", true, long + ": ", true},
		{long + "x", "", true, "too long", false},
		{long + "x", "v", true, "too long", false},
		{long, "v", true, "too long", false},
		{long[:50], long[:51], true, "too long", false},
		{"n", strings.Repeat(long, 99), true, "too long", false},
		{"n", strings.Repeat(long, 99), false, "n: " + strings.Repeat(long, 99), true},
	} {
		for _, kind := range []byte{plainField, secretField, 0x40} {
			d, table := NewDecoder(size), newTable(size)
			block := literal(nil, 0x40, "a", "1", false)
			block = append(literal(block, kind, tc.name, tc.value, tc.coded), 0x82)
			want := []text{"a: 1", tc.want, get}
			if kind == secretField {
				want[1] = "!" + want[1]
			}
			got, err := fieldsOf(t, d, table, block)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q: %.200q, %v, want %.200q", tc.name, got, err, want)
			}
			if left := len(entriesOf(table)); left != 1 && kind != 0x40 || left != 0 && kind == 0x40 {
				t.Errorf("%q, kind %#x: %d entries", tc.name, kind, left)
			}
		}
	}
	d := NewDecoder(size)
	block := literal(nil, plainField, "", strings.Repeat(long, 9), true)
	if _, err := fieldsOf(t, d, newTable(0), append([]byte{0, 0x84, 0xff, 0xff, 0xff, 0xff}, block[1:]...)); !errors.Is(err, ErrHuffman) {
		t.Errorf("a wrong name before a long value: %v", err)
	}
	block[len(block)-1] ^= 1
	if _, err := fieldsOf(t, d, newTable(0), append([]byte{0, 1, 'n'}, block[1:]...)); !errors.Is(err, ErrHuffman) {
		t.Errorf("a wrong long value: %v", err)
	}
}

// TestOwnNameEvicted has entries named by an entry that they evict (RFC 7541 4.4), or
// that moves as they are added.
func TestOwnNameEvicted(t *testing.T) {
	const name = "a-name-that-has-30-bytes-in-it"
	for _, tc := range []struct {
		limit int
		index string // the newest entry, or the second newest
	}{
		{100, "\x7e"}, {199, "\x7e"}, {200, "\x7f\x00"}, {1000, "\x7f\x00"},
	} {
		d, table := NewDecoder(tc.limit), newTable(tc.limit)
		block := literal(literal(nil, 0x40, name, "1", true), 0x40, name, "2", true)
		if tc.limit < 200 {
			block = literal(nil, 0x40, name, "1", true)
		}
		if _, err := fieldsOf(t, d, table, block); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			value := strings.Repeat(string(rune('a'+i%26)), i*7%39)
			got, err := fieldsOf(t, d, table, appendString([]byte(tc.index), []byte(value)))
			want := name + ": " + value
			if err != nil || len(got) != 1 || got[0] != want || entriesOf(table)[0] != want {
				t.Fatalf("limit %d, entry %d: %q, %v; in the table: %q", tc.limit, i, got, err, entriesOf(table))
			}
		}
	}
}

// TestMemory bounds what a conn costs: little at rest, and never much more than the limit.
func TestMemory(t *testing.T) {
	held := func(table *Table) int {
		return int(unsafe.Sizeof(*table)) + cap(table.data) + cap(table.entries)*int(unsafe.Sizeof(entry{}))
	}
	if unsafe.Sizeof(entry{}) != recordBytes {
		t.Errorf("an entry has %d bytes beside its strings, want %d", unsafe.Sizeof(entry{}), recordBytes)
	}
	d, table := NewDecoder(4096), newTable(4096)
	if n := held(table); n > 64 {
		t.Errorf("an unused table has %d bytes", n)
	}
	var block []byte
	for i := range 10 {
		block = literal(block, 0x40, fmt.Sprintf("x-small-name-%02d", i), "and-some-value-of-it", true)
	}
	if _, err := fieldsOf(t, d, table, block); err != nil {
		t.Fatal(err)
	}
	before := entriesOf(table)
	table.Rest()
	if n := held(table); n > 600 || !slices.Equal(entriesOf(table), before) {
		t.Errorf("a table of 10 small entries has %d bytes at rest: %q", n, entriesOf(table))
	}
	largest := 0
	for i := range 5000 {
		block = literal(nil, 0x40, "n", strings.Repeat("v", i*7919%(1+i%4100)), false)
		if _, err := fieldsOf(t, d, table, block); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, held(table))
	}
	if largest > 64+4096+1024 {
		t.Errorf("a table of 4,096 bytes has %d", largest)
	}
	if _, err := fieldsOf(t, d, table, update("", 0)); err != nil {
		t.Fatal(err)
	}
	table.Rest()
	if n := held(table); n > 64 {
		t.Errorf("an emptied table has %d bytes at rest", n)
	}
}

// TestNoAllocations decodes and encodes without allocating once a table has grown.
func TestNoAllocations(t *testing.T) {
	d, table := NewDecoder(4096), newTable(4096)
	first, again := chromeBlocks(t)
	var churn []byte
	for i := range 300 {
		churn = literal(churn, 0x40, fmt.Sprintf("name-%d", i), strings.Repeat("v", i%100), true)
	}
	for range 9 {
		churn = literal(churn, 0x40, "n", strings.Repeat("v", 900), true)
	}
	read := func(block []byte) {
		d.Begin(table, block)
		for d.Next() {
		}
		if d.Err() != nil {
			t.Fatal(d.Err())
		}
	}
	read(churn)
	out := make([]byte, 0, 1000)
	name, value := []byte("Content-Type"), []byte("text/html")
	if n := testing.AllocsPerRun(20, func() {
		read(first)
		read(again)
		read(churn)
		out = AppendField(AppendStatus(out[:0], 200), name, value)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestBomb has one entry as large as the table, and a block of references to it: each
// field is a view of the same memory.
func TestBomb(t *testing.T) {
	d, table := NewDecoder(4096), newTable(4096)
	value := strings.Repeat("v", 4096-entryBytes-1)
	block := literal(nil, 0x40, "n", value, false)
	block = append(block, bytes.Repeat([]byte{0x80 | 62}, 100_000)...)
	fields, sum := 0, 0
	var first *byte
	for d.Begin(table, block); d.Next(); fields++ {
		if fields == 1 {
			first = &d.Value[0]
		}
		if fields > 1 && first != &d.Value[0] || len(d.Value) != len(value) {
			t.Fatal("a reference is not a view of the entry")
		}
		sum += len(d.Value)
	}
	if d.Err() != nil || fields != 100_001 || sum != fields*len(value) || cap(table.data) > 4096 {
		t.Errorf("%d fields of %d bytes, %v", fields, sum, d.Err())
	}
}

// TestReset has a table used for a second conn: nothing is left of the first but memory.
func TestReset(t *testing.T) {
	d, table := NewDecoder(4096), newTable(4096)
	if _, err := fieldsOf(t, d, table, unhex(t, twoEntries)); err != nil {
		t.Fatal(err)
	}
	table.SetLimit(10) // leaves an update owed
	memory := cap(table.data)
	table.Reset(4096)
	if _, err := fieldsOf(t, d, table, []byte{0x80 | 62}); !errors.Is(err, ErrIndex) || table.Size() != 0 {
		t.Errorf("an entry of the last conn: %v, a table of %d bytes", err, table.Size())
	}
	if cap(table.data) != memory {
		t.Errorf("memory for %d bytes, want the %d of before", cap(table.data), memory)
	}
	got, err := fieldsOf(t, d, table, unhex(t, twoEntries+"be bf"))
	if want := []text{"a: 1", "b: 2", "b: 2", "a: 1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// TestMisuse has limits that a table cannot have, and a decoder too small for a table.
func TestMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"Reset(-1)":         func() { new(Table).Reset(-1) },
		"Reset(65536)":      func() { new(Table).Reset(TableMax + 1) },
		"SetLimit(65536)":   func() { new(Table).SetLimit(TableMax + 1) },
		"too small":         func() { NewDecoder(4095).Begin(newTable(4096), nil) },
		"too small for now": func() { table := newTable(4096); table.SetLimit(0); NewDecoder(0).Begin(table, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}
