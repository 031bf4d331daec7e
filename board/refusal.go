package board

import (
	"encoding/binary"
	"time"
)

// Refusals has a cell for each kind of request that one loop has refused. The loop writes
// it through Note; any goroutine or process may read it with Each.
type Refusals struct{ cells [refusalKinds]refusal }

const (
	refusalKinds = 32          // the last cell has all kinds for which there was no other
	exampleEvery = time.Second // how often a cell's example is replaced
)

// OtherKinds is the kind of the last cell: requests of kinds that found no other.
const OtherKinds = ^uint64(0)

// floodKinds is above the kinds that loops have for requests.
const floodKinds = uint64(1) << 48

// FloodKind returns the kind of conns that were ended for a flood, by its number.
func FloodKind(flood int) uint64 { return floodKinds | uint64(flood) }

// OfFlood reports whether the kind is one of FloodKind.
func OfFlood(kind uint64) bool { return kind&floodKinds != 0 && kind != OtherKinds }

// Bounds of an example, in bytes.
const (
	RefusedClientMax = 48
	RefusedTextMax   = 64
	RefusedLineMax   = 64
)

// refusal is the count of one kind, and an example.
type refusal struct {
	kind  Word // 0: the cell is free
	count Word
	turn  Word // odd while the example is being written
	at    Word // when the example came; 0: there is none yet
	sizes Word // of its texts, a byte each
	who   [RefusedClientMax / wordBytes]Word
	text  [RefusedTextMax / wordBytes]Word
	line  [RefusedLineMax / wordBytes]Word
}

// Refusal is a kind of request that a loop refuses, as Each found it.
type Refusal struct {
	Kind  uint64 // the loop's number for it, not 0
	Count uint64 // since the board was made
	// At is when the example came. The texts are cut off at their bounds, and have
	// whatever bytes the client sent.
	At                 int64
	Client, Text, Line string
}

// Note counts a request that was refused at now, and keeps it as the example if the one
// before is older than a second. kind is above 0 and below the greatest uint64. client is
// the address, text what was answered, line the beginning of the request; each may be
// empty. It does not allocate.
func (r *Refusals) Note(kind uint64, now int64, client []byte, text string, line []byte) {
	c := r.cell(kind)
	c.count.Store(c.count.Load() + 1)
	if at := int64(c.at.Load()); at != 0 && now-at < int64(exampleEvery) {
		return
	}
	turn := c.turn.Load() | 1 // a loop that died may have left it odd
	c.turn.Store(turn)
	n := putBytes(c.who[:], client)
	m := putBytes(c.text[:], text)
	k := putBytes(c.line[:], line)
	c.sizes.Store(uint64(n) | uint64(m)<<8 | uint64(k)<<16)
	c.at.Store(uint64(now))
	c.turn.Store(turn + 1)
}

// cell returns the cell of kind, claiming a free one.
func (r *Refusals) cell(kind uint64) *refusal {
	last := len(r.cells) - 1
	for i := range r.cells[:last] {
		c := &r.cells[i]
		switch c.kind.Load() {
		case kind:
			return c
		case 0:
			c.kind.Store(kind)
			return c
		}
	}
	c := &r.cells[last]
	c.kind.Store(OtherKinds)
	return c
}

// Each calls f for each kind that has been refused. An example that is just being written
// is left out.
func (r *Refusals) Each(f func(Refusal)) {
	for i := range r.cells {
		c := &r.cells[i]
		kind := c.kind.Load()
		if kind == 0 {
			continue
		}
		out := Refusal{Kind: kind, Count: c.count.Load()}
		if turn := c.turn.Load(); turn%2 == 0 {
			sizes := c.sizes.Load()
			at := int64(c.at.Load())
			who, text := getBytes(c.who[:], sizes), getBytes(c.text[:], sizes>>8)
			line := getBytes(c.line[:], sizes>>16)
			if c.turn.Load() == turn {
				out.At, out.Client, out.Text, out.Line = at, who, text, line
			}
		}
		f(out)
	}
}

// putBytes stores as much of s as there is room for, and returns how much that is.
func putBytes[S []byte | string](words []Word, s S) int {
	n := min(len(s), len(words)*wordBytes)
	for i := range words {
		var b [wordBytes]byte
		if i*wordBytes < n {
			copy(b[:], s[i*wordBytes:n])
		}
		words[i].Store(binary.LittleEndian.Uint64(b[:]))
	}
	return n
}

// getBytes returns the text in words; the lowest byte of size is its length.
func getBytes(words []Word, size uint64) string {
	var b []byte
	for i := range words {
		b = binary.LittleEndian.AppendUint64(b, words[i].Load())
	}
	return string(b[:min(int(size&0xff), len(b))])
}
