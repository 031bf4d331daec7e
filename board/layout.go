package board

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// The words of a board, in order: a header of two lines, the second of which is
// Control; a slot and the refusals for each loop there is room for; a block for each
// backend there is room for, which is its state and its slots in all loops. Every slot and state
// begins on a line of its own, so that no two loops write to the same line, except
// in a state. A line is 128 bytes: the cache line of many arm64 machines, and the
// pair of lines that amd64 fetches together.
const (
	wordBytes = 8
	lineBytes = 128
	lineWords = lineBytes / wordBytes
)

const (
	magic = uint64(0x6472616f622d626c) // "lb-board", read as little-endian bytes

	// layoutVersion goes up with every change of Loop, Refusals, Backend, State, Control or
	// the layout, so that no binary misreads the words of an older one.
	layoutVersion = 6
)

// The words of the header.
const (
	wordMagic = iota
	wordVersion
	wordLoopsRoom
	wordBackendsRoom
	wordLoops    // in use; only grows
	wordBackends // in use; only grows
	wordStates   // see Version
	wordSecret   // the first of secretWords

	wordControl = lineWords
	headerWords = 2 * lineWords
	headerBytes = headerWords * wordBytes
)

const secretWords = 4

// Far above real use, and low enough that no size overflows.
const (
	loopsMax    = 1 << 12
	backendsMax = 1 << 20
)

// shape is how many loops and backends there is room for. All offsets follow from
// it.
type shape struct{ loops, backends int }

func (s shape) check() error {
	if s.loops < 1 || s.loops > loopsMax || s.backends < 0 || s.backends > backendsMax {
		return fmt.Errorf("board: %d loops and %d backends: want 1 to %d loops and 0 to %d backends",
			s.loops, s.backends, loopsMax, backendsMax)
	}
	return nil
}

// words returns how many words the whole board takes.
func (s shape) words() int { return s.blockStart(s.backends) }

func (s shape) bytes() int { return s.words() * wordBytes }

// loopStart returns the first word of a loop's slot.
func (s shape) loopStart(loop int) int {
	return headerWords + loop*(lines(loopWords)+lines(refusalsWords))
}

// refusalsStart returns the first word of a loop's refusals.
func (s shape) refusalsStart(loop int) int { return s.loopStart(loop) + lines(loopWords) }

// blockWords returns how many words a backend's block takes: an odd number of
// lines, see the package comment.
func (s shape) blockWords() int {
	return (lines(stateWords) + s.loops*lines(backendWords)) | lineWords
}

// blockStart returns the first word of a backend's block, where its state begins.
func (s shape) blockStart(backend int) int { return s.loopStart(s.loops) + backend*s.blockWords() }

// backendStart returns the first word of a backend's slot in a loop.
func (s shape) backendStart(loop, backend int) int {
	return s.blockStart(backend) + lines(stateWords) + loop*lines(backendWords)
}

// lines rounds words up to whole lines.
func lines(words int) int { return (words + lineWords - 1) / lineWords * lineWords }

// writeHeader turns zero words into a board with nothing in use.
func (s shape) writeHeader(words []uint64) {
	words[wordMagic] = magic
	words[wordVersion] = layoutVersion
	words[wordLoopsRoom] = uint64(s.loops)
	words[wordBackendsRoom] = uint64(s.backends)
	var secret [secretWords * wordBytes]byte
	rand.Read(secret[:]) // never fails
	for i := range secretWords {
		words[wordSecret+i] = binary.LittleEndian.Uint64(secret[i*wordBytes:])
	}
}

// readHeader returns the shape of the board that begins with words, which hold at
// least a header. Another process wrote them, so everything is checked.
func readHeader(words []uint64) (shape, error) {
	if got := words[wordMagic]; got != magic {
		return shape{}, fmt.Errorf("board: not a board: magic %#x, want %#x", got, magic)
	}
	if got := words[wordVersion]; got != layoutVersion {
		return shape{}, fmt.Errorf("board: layout version %d, this binary has %d; restart lb to change over", got, layoutVersion)
	}
	loopsRoom, backendsRoom := words[wordLoopsRoom], words[wordBackendsRoom]
	if loopsRoom > loopsMax || backendsRoom > backendsMax {
		return shape{}, fmt.Errorf("board: header claims room for %d loops and %d backends", loopsRoom, backendsRoom)
	}
	loops, backends := words[wordLoops], words[wordBackends]
	if loops > loopsRoom || backends > backendsRoom {
		return shape{}, fmt.Errorf("board: header claims %d loops and %d backends, with room for %d and %d",
			loops, backends, loopsRoom, backendsRoom)
	}
	s := shape{int(loopsRoom), int(backendsRoom)}
	return s, s.check()
}
