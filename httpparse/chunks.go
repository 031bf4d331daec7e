package httpparse

import "math"

const (
	sizeDigitsMax = 16
	sizeLineMax   = 4 << 10  // bytes of a chunk-size line, including CRLF
	extsMax       = 64 << 10 // bytes of extensions in a body, plus a share of its data
	extsShare     = 16       // one byte of extensions for this many bytes of data
)

// chunkState is the place of the next byte in a chunked body.
type chunkState uint8

const (
	atSize      chunkState = iota // first digit of the size
	inSize                        // further digits, or the byte that ends the size
	padded                        // white space after the size, in an answer
	beforeExt                     // white space (BWS) or ';'
	beforeName                    // white space or a name, after ';'
	inExtName                     // rest of the name
	afterName                     // white space or '=', after a name
	beforeExtV                    // white space or a value, after '='
	inExtToken                    // rest of an unquoted value
	inQuotes                      // inside a quoted value
	inEscape                      // after a backslash in it
	afterExtV                     // after a quoted value
	inExts                        // extensions of an answer, which may be malformed
	afterSize                     // LF of the size line
	inData                        // chunk data
	afterData                     // CR after the data
	afterDataCR                   // LF after the data
	chunksOver                    // after the last chunk's line
	chunksBad                     // refused
)

// Chunks decodes the chunked coding (RFC 9112 7.1). The zero value is ready.
//
// Extensions must be well-formed. They are dropped, and limited to 4 KiB in a line,
// and in a body to 64 KiB plus one byte for every 16 of data. Otherwise a peer could
// keep lb reading and the other side waiting with next to no data (CVE-2023-39326).
//
// In an answer, white space may follow a size, extensions may be anything up to CRLF, and LF
// alone may end the line of a size without extensions, or follow the data. An LF in an
// extension stays refused: parsers that skip extensions have disagreed about where such a
// line ends.
type Chunks struct {
	Reason Reason // set by Bad
	state  chunkState
	answer bool
	line   uint16 // bytes of the size line so far
	exts   uint64 // bytes of extensions so far
	left   uint64 // bytes of data left in this chunk
	data   uint64 // bytes of data in all chunks so far, including this one
}

// Reset prepares c for a new body, of a request or of an answer.
func (c *Chunks) Reset(answer bool) { *c = Chunks{answer: answer} }

// Next decodes the start of b. It uses up n bytes; data is the range of body bytes among
// them and may be empty. After More call Next again with b[n:], and with more bytes if n
// is 0. After Done the last chunk's line is used up, and the trailer section begins at
// b[n:], to be read by Trailers. After Bad the fault is at b[n], and Reason is set.
func (c *Chunks) Next(b []byte) (data Span, n int, st Status) {
	for n < len(b) && c.state < chunksOver {
		if c.state == inData {
			return c.take(n, len(b))
		}
		if r := c.step(b[n]); r != NoReason {
			c.state, c.Reason = chunksBad, r
			return Span{}, n, Bad
		}
		n++
	}
	switch c.state {
	case chunksOver:
		return Span{}, n, Done
	case chunksBad:
		return Span{}, n, Bad
	}
	return Span{}, n, More
}

// take returns the range of data between from and to, up to the end of the chunk.
func (c *Chunks) take(from, to int) (Span, int, Status) {
	k := min(c.left, uint64(to-from), math.MaxUint32)
	if c.left -= k; c.left == 0 {
		c.state = afterData
	}
	return Span{uint32(from), uint32(k)}, from + int(k), More
}

// step reads one byte that is not data.
func (c *Chunks) step(b byte) Reason {
	switch c.state {
	case atSize, inSize:
		return c.size(b)
	case padded:
		return c.pad(b)
	case afterData:
		if b == '\n' && c.answer {
			c.state = atSize
			return NoReason
		}
		return c.expect(b, '\r', afterDataCR, NoChunkEnd)
	case afterDataCR:
		return c.expect(b, '\n', atSize, NoChunkEnd)
	case afterSize:
		return c.sizeLine(b)
	}
	return c.ext(b)
}

// expect moves to next if b is want, and returns r otherwise.
func (c *Chunks) expect(b, want byte, next chunkState, r Reason) Reason {
	if b != want {
		return r
	}
	c.state = next
	return NoReason
}

// size reads a byte of the chunk size, or the byte after it.
func (c *Chunks) size(b byte) Reason {
	if isHex[b] {
		if c.state == atSize {
			c.state, c.line, c.left = inSize, 0, 0
		}
		if c.line++; c.line > sizeDigitsMax || c.left > math.MaxInt64>>4 {
			return BadChunkSize
		}
		c.left = c.left<<4 | hexValue(b)
		return NoReason
	}
	switch {
	case c.state == atSize:
		return controlFault(b, BadChunkSize)
	case b == '\r':
		c.state = afterSize
		return NoReason
	case c.answer:
		return c.pad(b)
	case b == '\n':
		return BareLF
	case b == ';' || b == ' ' || b == '\t':
		return c.ext(b)
	}
	return BadChunkSize
}

// pad reads a byte after the size in an answer, other than a CR right after it. White space
// counts as no extension: some servers fill all sizes up to one width.
func (c *Chunks) pad(b byte) Reason {
	switch b {
	case '\n':
		return c.sizeLine(b)
	case '\r':
		c.state = afterSize
		return NoReason
	case ';':
		return c.ext(b)
	case ' ', '\t':
		c.state = padded
		if c.line++; c.line > sizeLineMax-2 {
			return LongChunkLine
		}
		return NoReason
	}
	return BadChunkSize
}

func hexValue(b byte) uint64 {
	if b <= '9' {
		return uint64(b - '0')
	}
	return uint64(b | 0x20 - 'a' + 10)
}

// sizeLine reads the LF that ends the line.
func (c *Chunks) sizeLine(b byte) Reason {
	switch {
	case b != '\n':
		return BareCR
	case c.left == 0:
		c.state = chunksOver
	default:
		c.state = inData
		c.data += min(c.left, math.MaxUint64-c.data)
	}
	return NoReason
}

// ext reads a byte of the chunk extensions (RFC 9112 7.1.1).
func (c *Chunks) ext(b byte) Reason {
	if b == '\r' {
		return c.extEnd()
	}
	if c.line++; c.line > sizeLineMax-2 {
		return LongChunkLine
	}
	if c.exts++; c.exts > extsMax+c.data/extsShare {
		return ManyChunkExts
	}
	next := c.afterExt(b)
	if next == chunksBad {
		return controlFault(b, BadChunkExt)
	}
	c.state = next
	return NoReason
}

// extEnd reads the CR of the line, which may follow a name or a value.
func (c *Chunks) extEnd() Reason {
	switch c.state {
	case inExtName, inExtToken, afterExtV, inExts:
		c.state = afterSize
		return NoReason
	}
	return BadChunkExt
}

// afterExt returns the state that b leads to in an extension, or chunksBad.
func (c *Chunks) afterExt(b byte) chunkState {
	space := b == ' ' || b == '\t'
	switch s := c.state; s {
	case inQuotes:
		return inString(b)
	case inExts:
		if b >= 0x20 && b != 0x7f || b == '\t' {
			return inExts
		}
	case inEscape:
		if b >= 0x20 && b != 0x7f || b == '\t' {
			return inQuotes
		}
	case beforeName, beforeExtV:
		switch {
		case space:
			return s
		case isToken[b]:
			return s + 1 // inExtName or inExtToken
		case b == '"' && s == beforeExtV:
			return inQuotes
		}
	case inExtName, inExtToken:
		switch {
		case isToken[b]:
			return s
		case b == '=' && s == inExtName:
			return beforeExtV
		case space && s == inExtName:
			return afterName
		case space:
			return beforeExt
		case b == ';':
			return beforeName
		}
	case inSize, padded, beforeExt, afterName, afterExtV:
		switch {
		case space && s == afterName:
			return afterName
		case space:
			return beforeExt
		case b == ';' && c.answer:
			return inExts
		case b == ';':
			return beforeName
		case b == '=' && s == afterName:
			return beforeExtV
		}
	}
	return chunksBad
}

// inString returns the state that b leads to in a quoted string (RFC 9110 5.6.4).
func inString(b byte) chunkState {
	switch {
	case b == '"':
		return afterExtV
	case b == '\\':
		return inEscape
	case b >= 0x20 && b != 0x7f || b == '\t':
		return inQuotes
	}
	return chunksBad
}
