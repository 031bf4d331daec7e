package hpack

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is a dynamic table as RFC 7541 4 tells it, the newest entry first.
type model struct {
	entries    [][2]string
	max, limit int
}

func (m *model) add(name, value string) {
	m.entries = slices.Insert(m.entries, 0, [2]string{name, value})
	m.evict()
}

func (m *model) evict() {
	size := 0
	for i, e := range m.entries {
		if size += len(e[0]) + len(e[1]) + entryBytes; size > m.max {
			m.entries = m.entries[:i]
			return
		}
	}
}

// block writes a block of random fields, as a peer with the table m would, and returns
// what it means.
func (m *model) block(random *rand.Rand) (b []byte, want []text) {
	if m.limit < m.max || random.IntN(10) == 0 {
		m.max = random.IntN(m.limit + 1)
		b = AppendSizeUpdate(b, m.max)
		m.evict()
	}
	for range random.IntN(20) {
		coded := random.IntN(2) == 0
		value := strings.Repeat(string(rune('0'+random.IntN(70))), random.IntN(1+random.IntN(1+min(m.limit, 3000))))
		kind, mask := byte(0x40), byte(0x3f)
		if random.IntN(4) == 0 {
			kind, mask = plainField, literalMask
		}
		name := strings.Repeat("n", random.IntN(40))
		switch i := random.IntN(len(m.entries) + 1); {
		case i < len(m.entries) && random.IntN(2) == 0:
			e := m.entries[i]
			b = appendInteger(b, indexedField, stringMask, staticEntries+1+i)
			want = append(want, e[0]+": "+e[1])
			continue
		case i < len(m.entries):
			name = m.entries[i][0]
			b = appendInteger(b, kind, mask, staticEntries+1+i)
		case random.IntN(2) == 0:
			name = "cookie"
			b = appendInteger(b, kind, mask, int(Cookie))
		default:
			b = appendText(append(b, kind), name, coded)
		}
		b = appendText(b, value, coded)
		want = append(want, name+": "+value)
		if kind != plainField {
			m.add(name, value)
		}
	}
	return b, want
}

// TestChurn has tables of many sizes filled, emptied, lowered and rested by random peers,
// beside a model, until positions in the table have come round several times.
func TestChurn(t *testing.T) {
	for i, limit := range []int{0, 31, 32, 33, 100, 500, 4096, 4097, 20_000, TableMax} {
		random := rand.New(rand.NewPCG(uint64(i), 11))
		d, table := NewDecoder(TableMax), newTable(limit)
		m := &model{max: limit, limit: limit}
		for n := range 500 {
			block, want := m.block(random)
			got, err := fieldsOf(t, d, table, block)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("limit %d, block %d: %.500q, %v, want %.500q", limit, n, got, err, want)
			}
			switch random.IntN(20) {
			case 0:
				table.Rest()
			case 1:
				m.limit = random.IntN(limit + 1)
				table.SetLimit(m.limit)
			case 2:
				m.limit = limit
				table.SetLimit(m.limit)
			}
			var left []text
			for _, e := range m.entries {
				left = append(left, e[0]+": "+e[1])
			}
			if in := entriesOf(table); !slices.Equal(in, left) {
				t.Fatalf("limit %d, block %d: the table has %.500q, want %.500q", limit, n, in, left)
			}
		}
	}
}
