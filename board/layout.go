package board

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// The words of a board, in order: a header of two lines, the second of which is
// Control; then the slots of all loops there is room for; then for each backend
// there is room for a block: its state, and its slots in all loops. Every slot and
// state begins on a line of its own, so no two loops write to the same line, but
// for those of a state. A line is 128 bytes: the cache lines of arm64 machines are
// that long, and amd64 fetches its own in pairs.
const (
	wordBytes = 8
	lineBytes = 128
	lineWords = lineBytes / wordBytes
)

const (
	magic = uint64(0x6472616f622d626c) // "lb-board", read as little-endian bytes

	// layoutVersion goes up with every change of Loop, Backend, State, Control or
	// the layout, so that a binary does not misread the words of an older one.
	layoutVersion = 3
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

// Far above what anyone runs; below them no size overflows.
const (
	loopsMax    = 1 << 12
	backendsMax = 1 << 20
)

// shape is how much there is room for; what is where follows from it.
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
func (s shape) loopStart(loop int) int { return headerWords + loop*lines(loopWords) }

// blockWords returns how many words a backend's block takes: an odd number of lines.
func (s shape) blockWords() int {
	return (lines(stateWords) + s.loops*lines(backendWords)) | lineWords
}

// blockStart returns the first word of a backend's block, which is that of its state.
func (s shape) blockStart(backend int) int { return s.loopStart(s.loops) + backend*s.blockWords() }

// backendStart returns the first word of a backend's slot in a loop.
func (s shape) backendStart(loop, backend int) int {
	return s.blockStart(backend) + lines(stateWords) + loop*lines(backendWords)
}

// lines rounds words up to whole lines.
func lines(words int) int { return (words + lineWords - 1) / lineWords * lineWords }

// writeHeader makes zero words a board of which nothing is in use.
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

// readHeader returns the shape of the board that begins with words, which are
// at least a header. What others wrote is not believed before it is checked.
func readHeader(words []uint64) (shape, error) {
	if got := words[wordMagic]; got != magic {
		return shape{}, fmt.Errorf("board: not a board: magic %#x, want %#x", got, magic)
	}
	if got := words[wordVersion]; got != layoutVersion {
		return shape{}, fmt.Errorf("board: layout version %d, this binary has %d", got, layoutVersion)
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
