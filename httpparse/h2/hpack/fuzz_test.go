package hpack

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	xnet "golang.org/x/net/http2/hpack"
)

// between stands between the blocks of a fuzzed conn.
var between = []byte("|&|")

// theirs decodes by golang.org/x/net, block after block.
type theirs struct {
	d   *xnet.Decoder
	all []text
}

func newTheirs(limit int) *theirs {
	p := new(theirs)
	p.d = xnet.NewDecoder(uint32(limit), func(f xnet.HeaderField) {
		s := f.Name + ": " + f.Value
		if f.Sensitive {
			s = "!" + s
		}
		p.all = append(p.all, s)
	})
	return p
}

func (p *theirs) fields(block []byte) ([]text, error) {
	p.all = nil
	_, err := p.d.Write(block)
	if e := p.d.Close(); err == nil {
		err = e
	}
	return p.all, err
}

// mayDiffer reports whether ours may differ from golang.org/x/net: it takes integers of
// up to 10 bytes, which RFC 7541 5.1 leaves open; it takes a size update also after a
// field, if the table is empty, and refuses a second one at the beginning, if the table is
// not, which is not what 4.2 says.
func mayDiffer(ours, theirs error) bool {
	return errors.Is(ours, ErrInteger) || errors.Is(ours, ErrSize) ||
		theirs != nil && strings.Contains(theirs.Error(), "MUST occur at the beginning")
}

// withoutLong returns fields with "too long" for those that ours has so, after a check
// that they are.
func withoutLong(t *testing.T, ours, fields []text, scratch int) []text {
	fields = slices.Clone(fields)
	for i := range min(len(ours), len(fields)) {
		if strings.TrimPrefix(ours[i], "!") == "too long" && ours[i] != fields[i] {
			if len(strings.TrimPrefix(fields[i], "!"))-2 <= scratch {
				t.Fatalf("%q is too long for %d bytes", fields[i], scratch)
			}
			fields[i] = ours[i]
		}
	}
	return fields
}

// FuzzDecode decodes the blocks of a conn by golang.org/x/net and twice by ours: with
// scratch memory for all, and with little. They find the same fields or refuse the same
// block, their tables end with the same entries, and have the memory that they may have.
func FuzzDecode(f *testing.F) {
	for _, ex := range examples {
		var conn []byte
		for _, step := range ex.steps {
			conn = append(append(conn, unhex(f, step.block)...), between...)
		}
		f.Add(conn, uint16(ex.limit))
		f.Add(conn, uint16(60))
	}
	for _, tc := range refusals {
		f.Add(slices.Concat(unhex(f, twoEntries), between, unhex(f, tc.block)), uint16(4096))
	}
	first, again := chromeBlocks(f)
	f.Add(slices.Concat(first, between, again, between, update("", 0, 300), again), uint16(4096))
	f.Fuzz(func(t *testing.T, conn []byte, limit uint16) {
		limit %= 5000
		large, small := NewDecoder(max(len(conn)*2, int(limit))), NewDecoder(int(limit))
		tables := [2]*Table{newTable(int(limit)), newTable(int(limit))}
		peer := newTheirs(int(limit))
		for i, block := range bytes.Split(conn, between) {
			want, theirErr := peer.fields(block)
			got, err := fieldsOf(t, large, tables[0], block)
			if mayDiffer(err, theirErr) {
				return
			}
			if (err == nil) != (theirErr == nil) || !slices.Equal(got, want) {
				t.Fatalf("block %d, %x: %q, %v, want %q, %v", i, block, got, err, want, theirErr)
			}
			got, smallErr := fieldsOf(t, small, tables[1], block)
			if want = withoutLong(t, got, want, int(limit)); !errors.Is(smallErr, err) || !slices.Equal(got, want) {
				t.Fatalf("block %d, %x, little memory: %q, %v, want %q, %v", i, block, got, smallErr, want, err)
			}
			if err != nil {
				return
			}
			if len(block)%3 == 0 {
				tables[1].Rest()
			}
			checkTables(t, tables, peer)
		}
	})
}

// checkTables checks that the tables have the same entries as the peer's, and not more
// memory than their limit allows.
func checkTables(t *testing.T, tables [2]*Table, peer *theirs) {
	t.Helper()
	var block []byte
	for i := range tables[0].length() {
		block = appendInteger(block, indexedField, stringMask, staticEntries+1+i)
	}
	want, err := peer.fields(block)
	size := 0
	for _, s := range want {
		size += len(s) - len(": ") + entryBytes
	}
	for i, table := range tables {
		limit := int(table.limit)
		if got := entriesOf(table); err != nil || !slices.Equal(got, want) || table.Size() != size || size > limit {
			t.Fatalf("table %d has %d bytes, %q, want %d, %q (%v)", i, table.Size(), got, size, want, err)
		}
		if cap(table.data) > limit+recordBytes || cap(table.entries) > limit/entryBytes+1 {
			t.Fatalf("table %d of %d has memory for %d bytes and %d entries", i, limit, cap(table.data), cap(table.entries))
		}
	}
	if _, err := peer.fields(appendInteger(nil, indexedField, stringMask, staticEntries+1+len(want))); err == nil {
		t.Fatalf("the peer's table has more than %q", want)
	}
}

// FuzzEncode writes fields and reads them back, by ours and by golang.org/x/net.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("Content-Type\x00text/html\x00X-Own\x00\x00:path\x00/\x00cookie\x00a=1\x00authorization\x00x"), uint16(200))
	f.Add([]byte("\x00a\x00"+strings.Repeat("n", 200)+"\x00"+strings.Repeat("v", 400)), uint16(999))
	f.Add([]byte("TE\x00trailers\x00Ünï\x00ü\x00:STATUS\x00200"), uint16(101))
	f.Fuzz(func(t *testing.T, in []byte, code uint16) {
		code = 100 + code%900
		block := AppendStatus(AppendSizeUpdate(nil, 0), int(code))
		want := []text{fmt.Sprint(":status: ", code)}
		parts := bytes.Split(in, []byte{0})
		for len(parts) >= 2 {
			name, value := parts[0], parts[1]
			parts = parts[2:]
			var lowered []byte
			for _, c := range name {
				if 'A' <= c && c <= 'Z' {
					c += 'a' - 'A'
				}
				lowered = append(lowered, c)
			}
			block = AppendField(block, name, value)
			id := IDOf(lowered)
			secret := id == Authorization || id == ProxyAuthorization || (id == Cookie || id == SetCookie) && len(value) < 20
			s := fmt.Sprintf("%s: %s", lowered, value)
			if secret {
				s = "!" + s
			}
			want = append(want, s)
		}
		table := newTable(4096)
		got, err := fieldsOf(t, NewDecoder(4096), table, block)
		if err != nil || !slices.Equal(got, want) || table.Size() != 0 {
			t.Fatalf("%x: %q, %v, want %q", block, got, err, want)
		}
		if got := read(t, block); !slices.Equal(got, want) {
			t.Fatalf("%x: golang.org/x/net reads %q, want %q", block, got, want)
		}
	})
}
