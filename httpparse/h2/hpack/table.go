package hpack

// entryBytes is what the accounting of RFC 7541 4.1 adds to the bytes of an entry.
const entryBytes = 32

// What a Table holds memory for at first, and again when it grows from nothing: enough for
// clients with a handful of fields, since what is left behind by Rest waits for the collector.
const (
	firstBytes   = 128
	firstEntries = 4
)

// Rest leaves a table as it is if this is not to be had, in bytes; a record of an entry
// beside its name and value has recordBytes.
const (
	restBytes   = 64
	recordBytes = 8
)

// TableMax is the largest table that Reset takes, in bytes by RFC 7541 4.1.
const TableMax = 1<<16 - 1

// Table is the dynamic table of one conn's incoming blocks (RFC 7541 2.3.2). Its memory
// grows with what the peer puts into it, to about a quarter more than the limit at most;
// a peer that puts nothing in costs the struct alone. Reset makes a Table ready for use.
type Table struct {
	data    []byte  // names and values, the oldest entry first
	entries []entry // the oldest first; the first dead of them are evicted
	base    uint16  // position of data[0], see entry
	dead    uint16
	size    uint16 // by RFC 7541 4.1, of the entries that live
	max     uint16 // the largest size that the peer wishes
	limit   uint16 // the largest size that we allow
	low     uint16 // what the peer still has to come down to, or settled
}

// settled says that the peer owes no size update.
const settled = TableMax

// entry is a field in a Table. Its position counts all bytes that ever were put into the
// table, modulo 1<<16, so that it stays valid when data moves.
type entry struct {
	pos, name, value uint16
	id               ID
}

// Reset empties the table and sets its limit in bytes, at most TableMax, as the protocol
// has it at the beginning of a conn: 4,096 (RFC 9113 6.5.2), whatever our first SETTINGS
// say, until the peer has acknowledged them. The memory is kept.
func (t *Table) Reset(limit int) {
	if uint(limit) > TableMax {
		panic("hpack: limit of a table out of range")
	}
	*t = Table{data: t.data[:0], entries: t.entries[:0], max: uint16(limit), limit: uint16(limit), low: settled}
}

// SetLimit changes the limit, in bytes, at most TableMax: call it when the peer has
// acknowledged our SETTINGS_HEADER_TABLE_SIZE. A peer that uses more than the new limit
// has to say at the beginning of its next block that it comes down (RFC 7541 4.2).
func (t *Table) SetLimit(limit int) {
	if uint(limit) > TableMax {
		panic("hpack: limit of a table out of range")
	}
	t.limit = uint16(limit)
	if t.limit < t.max {
		t.low = min(t.low, t.limit)
	}
}

// Size returns the size of the entries in bytes, as RFC 7541 4.1 has it.
func (t *Table) Size() int { return int(t.size) }

// Rest gives back the memory that the entries do not need. The next entry allocates
// again, so call it on a conn that has been idle for a while, not after each block.
func (t *Table) Rest() {
	dead := t.deadBytes()
	data, entries := t.data[dead:], t.entries[t.dead:]
	if cap(t.data)-len(data)+recordBytes*(cap(t.entries)-len(entries)) < restBytes {
		return
	}
	t.data, t.entries = append([]byte(nil), data...), append([]entry(nil), entries...)
	t.base, t.dead = t.base+uint16(dead), 0
}

// deadBytes returns how many bytes of data no entry needs.
func (t *Table) deadBytes() int {
	if int(t.dead) == len(t.entries) {
		return len(t.data)
	}
	return int(t.entries[t.dead].pos - t.base)
}

// length returns how many entries the table has.
func (t *Table) length() int { return len(t.entries) - int(t.dead) }

// newest returns the i-th newest entry, from 1 to length.
func (t *Table) newest(i int) *entry { return &t.entries[len(t.entries)-i] }

// views returns the name and the value of e.
func (t *Table) views(e *entry) (name, value []byte) {
	off := int(e.pos - t.base)
	mid := off + int(e.name)
	end := mid + int(e.value)
	return t.data[off:mid:mid], t.data[mid:end:end]
}

// resize sets the size that the peer wishes, which is at most the limit.
func (t *Table) resize(n int) {
	t.max = uint16(n)
	if t.max <= t.low {
		t.low = settled
	}
	t.evict(0)
}

// evict drops the oldest entries until there is room for n bytes, or none is left.
func (t *Table) evict(n int) {
	i := int(t.dead)
	for i < len(t.entries) && int(t.size)+n > int(t.max) {
		e := &t.entries[i]
		t.size -= e.name + e.value + entryBytes
		i++
	}
	t.dead = uint16(i)
}

// add adds an entry, or empties the table if it is larger than that (RFC 7541 4.4). The
// name and the value must not be views of the table.
func (t *Table) add(name, value []byte, id ID) {
	n := len(name) + len(value)
	t.evict(n + entryBytes)
	if n+entryBytes > int(t.max) {
		return
	}
	if len(t.entries) == cap(t.entries) {
		t.entries = makeRoom(t.entries, int(t.dead), 1, firstEntries, int(t.limit)/entryBytes)
		t.dead = 0
	}
	if len(t.data)+n > cap(t.data) {
		dead := t.deadBytes()
		t.data = makeRoom(t.data, dead, n, firstBytes, int(t.limit))
		t.base += uint16(dead)
	}
	pos := t.base + uint16(len(t.data))
	t.data = append(append(t.data, name...), value...)
	t.entries = append(t.entries, entry{pos: pos, name: uint16(len(name)), value: uint16(len(value)), id: id})
	t.size += uint16(n + entryBytes)
}

// makeRoom returns s without its first dead elements, with room for n more. A buffer that
// is more than three quarters full grows, as it would soon be moved again: to first
// elements, then to twice as many, to most at most, which the entries never exceed.
func makeRoom[T any](s []T, dead, n, first, most int) []T {
	live := s[dead:]
	want := len(live) + n
	if want += want / 4; want <= cap(s) || cap(s) >= most {
		return s[:copy(s[:len(live)], live)]
	}
	grown := make([]T, len(live), min(max(first, 2*cap(s), want), most))
	copy(grown, live)
	return grown
}
