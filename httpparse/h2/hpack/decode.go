package hpack

import "errors"

// The errors of a block. Each is a connection error of type COMPRESSION_ERROR
// (RFC 9113 4.3): the table is no longer what the peer believes it to be.
var (
	ErrTruncated = errors.New("hpack: block ends within a field")
	ErrInteger   = errors.New("hpack: integer too large")                              // RFC 7541 5.1
	ErrIndex     = errors.New("hpack: index out of range")                             // 2.3.3
	ErrHuffman   = errors.New("hpack: wrong Huffman code")                             // 5.2
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
// it. It allocates nothing but the entries of a Table that grows.
type Decoder struct {
	Field // set by Next

	table   *Table
	block   []byte
	pos     int // what has been read of block
	begun   bool
	err     error
	scratch []byte
}

// NewDecoder returns a decoder with scratch memory of n bytes, in which the name and the
// value of one field must fit where they are in Huffman's code; it is TooLong if they do
// not. n has to be as large as the limits of all tables, at least.
func NewDecoder(n int) *Decoder { return &Decoder{scratch: make([]byte, n)} }

// Begin begins a whole block (RFC 9113 4.3), whose table is t. The decoder keeps t and
// block until Next has returned false. A block that the caller does not want still has to
// be read to its end, since it changes the table.
func (d *Decoder) Begin(t *Table, block []byte) {
	d.Field = Field{}
	d.table, d.block, d.pos, d.begun, d.err = t, block, 0, false, nil
}

// Next reads the next field. It returns false at the end of the block and after an error,
// see Err. It takes time in proportion to the bytes of the block that it reads; as a
// field of one byte can stand for one as long as the table, the caller bounds the sum of
// what it takes.
func (d *Decoder) Next() bool { return false }

// Err returns the error that ended the block, or nil.
func (d *Decoder) Err() error { return d.err }
