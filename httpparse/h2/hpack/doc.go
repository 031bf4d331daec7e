// Package hpack reads and writes HPACK (RFC 7541), the coding of heads in HTTP/2.
//
// A Table is the memory of one direction of one conn; a Decoder is the desk that a loop
// has once, for all of its conns: the scratch memory is in it. The encoder has no state:
// it appends indexed fields of the static table and literals that the peer does not
// index, without Huffman's code. A conn that says so at its first block, by
// AppendSizeUpdate(b, 0), lets the peer give its table's memory back.
//
// The package does not know frames, nor what a field may be called or hold: it hands out
// any bytes that a peer sent. It neither reads nor writes and never blocks.
package hpack
