package hpack

import "errors"

// The errors of a block. Each is a connection error of type COMPRESSION_ERROR
// (RFC 9113 4.3): the table is no longer what the peer believes it to be.
var (
	ErrTruncated = errors.New("hpack: block ends within a field")
	ErrInteger   = errors.New("hpack: integer too large")                             // RFC 7541 5.1
	ErrIndex     = errors.New("hpack: index out of range")                            // 2.3.3
	ErrHuffman   = errors.New("hpack: wrong Huffman code")                            // 5.2
	ErrSize      = errors.New("hpack: table size too large, missing or out of place") // 4.2, 6.3
)

// Field is one field of a block. Name and Value are views: of the block, of a table or of
// the decoder's scratch memory. They are valid until the next call of Next or Begin, and
// must not be written to.
type Field struct {
	Name, Value []byte
	ID          ID   // of the name
	Sensitive   bool // never to be indexed: to be forwarded as such (RFC 7541 6.2.3)
	TooLong     bool // does not fit into the scratch memory: Name and Value are nil
}

// Decoder reads blocks, one after another, of any number of conns. One goroutine may use
// it. It allocates nothing but the memory of a Table that grows.
type Decoder struct {
	Field // set by Next

	table   *Table
	block   []byte
	pos     int  // what has been read of block
	begun   bool // past the size updates at the beginning
	err     error
	scratch []byte
}

// NewDecoder returns a decoder with scratch memory of n bytes, at least the largest limit
// of its tables. The strings of a field that are in Huffman's code have to fit into it
// together, or the field is TooLong.
func NewDecoder(n int) *Decoder { return &Decoder{scratch: make([]byte, n)} }

// Begin begins a whole block (RFC 9113 4.3), whose table is t. A block that the caller
// does not want still has to be read to its end, since it changes the table. The decoder
// keeps t and block until the next Begin.
func (d *Decoder) Begin(t *Table, block []byte) {
	if int(max(t.max, t.limit)) > len(d.scratch) {
		panic("hpack: less scratch memory than the table has")
	}
	d.Field = Field{}
	d.table, d.block, d.pos, d.begun, d.err = t, block, 0, false, nil
}

// Next reads the next field. It returns false at the end of the block and after an error,
// see Err. It takes time in proportion to the bytes of the block that it reads; as a
// field of one byte can stand for one as long as the table, the caller bounds the sum of
// what it takes.
func (d *Decoder) Next() bool {
	if !d.begun && !d.begin() || d.pos >= len(d.block) {
		return false
	}
	d.Sensitive, d.TooLong = false, false
	b := d.block[d.pos]
	if b < 0x80 {
		return d.literal(b)
	}
	i := int(b & 0x7f)
	if i < 0x7f {
		d.pos++
	} else {
		var ok bool
		if i, ok = d.integer(0x7f); !ok {
			return false
		}
	}
	return d.indexed(i)
}

// Err returns the error that ended the block, or nil.
func (d *Decoder) Err() error { return d.err }

// fail ends the block with an error. It returns false.
func (d *Decoder) fail(err error) bool {
	d.pos, d.err = len(d.block), err
	return false
}

// begin takes the size updates that stand before the first field (RFC 7541 4.2, 6.3).
func (d *Decoder) begin() bool {
	for d.pos < len(d.block) && d.block[d.pos]>>5 == 1 {
		n, ok := d.integer(0x1f)
		switch {
		case !ok:
			return false
		case n > int(d.table.limit):
			return d.fail(ErrSize)
		}
		d.table.resize(n)
	}
	if d.table.low != settled {
		return d.fail(ErrSize)
	}
	d.begun = true
	return true
}

// indexed sets the name and the value to those at index i (RFC 7541 2.3.3, 6.1).
func (d *Decoder) indexed(i int) bool {
	switch {
	case uint(i-1) < staticEntries:
		f := &names[i]
		d.Name, d.Value, d.ID = f.name, f.value, f.id
	case i == 0 || i-staticEntries > d.table.length():
		return d.fail(ErrIndex)
	default:
		e := d.table.newest(i - staticEntries)
		d.Name, d.Value = d.table.views(e)
		d.ID = e.id
	}
	return true
}

// literal reads a field that is not only an index (RFC 7541 6.2); b is its first byte.
func (d *Decoder) literal(b byte) bool {
	mask := byte(0x0f)
	switch b >> 4 {
	case 1:
		d.Sensitive = true
	case 2, 3:
		return d.fail(ErrSize)
	case 4, 5, 6, 7:
		mask = 0x3f
	}
	block, at := d.block, d.pos+1
	i := int(b & mask)
	if i == int(mask) && at < len(block) {
		i += int(block[at]) // if there are more bytes, it is above staticEntries
		at++
	}
	if uint(i-1) >= staticEntries || at >= len(block) || int(block[at]) >= min(stringMask, len(block)-at) {
		return d.anyLiteral(mask)
	}
	f := &names[i]
	d.pos = at + 1 + int(block[at])
	d.Name, d.Value, d.ID = f.name, block[at+1:d.pos:d.pos], f.id
	if mask == 0x3f {
		d.index()
	}
	return true
}

// anyLiteral is literal for what is not a name of the static table with a short value as it is.
func (d *Decoder) anyLiteral(mask byte) bool {
	i, ok := d.integer(mask)
	if !ok {
		return false
	}
	free := d.scratch
	if i == 0 {
		if d.Name, free, ok = d.text(free); !ok {
			return false
		}
		d.ID = IDOf(d.Name)
	} else {
		if !d.indexed(i) {
			return false
		}
		if i > staticEntries && mask == 0x3f { // the entry may be evicted, or moved
			n := copy(free, d.Name)
			d.Name, free = free[:n:n], free[n:]
		}
	}
	if d.Value, _, ok = d.text(free); !ok {
		return false
	}
	if d.TooLong {
		d.Name, d.Value = nil, nil
	}
	if mask == 0x3f {
		d.index()
	}
	return true
}

// index puts the field into the table. One that is TooLong is longer than the scratch
// memory, and so than the table.
func (d *Decoder) index() {
	if d.TooLong {
		d.table.evict(TableMax + 1)
		return
	}
	d.table.add(d.Name, d.Value, d.ID)
}

// text reads a string (RFC 7541 5.2): a view of the block, or of free, of which it
// returns what is left. One that does not fit makes the field TooLong.
func (d *Decoder) text(free []byte) (s, left []byte, ok bool) {
	coded := d.pos < len(d.block) && d.block[d.pos] >= 0x80
	n, ok := d.integer(0x7f)
	switch {
	case !ok:
		return nil, nil, false
	case n > len(d.block)-d.pos:
		return nil, nil, d.fail(ErrTruncated)
	}
	s = d.block[d.pos : d.pos+n : d.pos+n]
	d.pos += n
	if !coded {
		return s, free, true
	}
	size, ok := huffman.decode(free, s)
	switch {
	case !ok:
		return nil, nil, d.fail(ErrHuffman)
	case size > len(free):
		d.TooLong = true
		return nil, free, true
	}
	return free[:size:size], free[size:], true
}

// integer reads an integer whose first byte has it in the bits of mask (RFC 7541 5.1). It
// takes four bytes more at most, or 28 bits: the largest ones that can be meant are
// lengths, and no block is as long.
func (d *Decoder) integer(mask byte) (n int, ok bool) {
	if d.pos >= len(d.block) {
		return 0, d.fail(ErrTruncated)
	}
	n = int(d.block[d.pos] & mask)
	d.pos++
	if n < int(mask) {
		return n, true
	}
	for shift := 0; shift < 28; shift += 7 {
		if d.pos >= len(d.block) {
			return 0, d.fail(ErrTruncated)
		}
		b := d.block[d.pos]
		d.pos++
		n += int(b&0x7f) << shift
		if b < 0x80 {
			return n, true
		}
	}
	return 0, d.fail(ErrInteger)
}
