package board

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// The words of a board, in order: a header of one line, then for each loop its
// own slot and its slots of all backends, then the states of all backends. Every
// slot and state begins on a line of its own, so no two loops write to the same
// line, but for those of a state. A line is 128 bytes: the cache
// lines of arm64 machines are that long, and amd64 fetches its own in pairs.
const (
	wordBytes = 8
	lineBytes = 128
	lineWords = lineBytes / wordBytes
)

const (
	magic = uint64(0x6472616f622d626c) // "lb-board", read as little-endian bytes

	// layoutVersion goes up with every change of Loop, Backend, State or the
	// layout, so that a binary does not misread the words of an older one.
	layoutVersion = 2
)

// The words of the header.
const (
	wordMagic = iota
	wordVersion
	wordLoops
	wordBackends
	wordStates // see Version
	wordSecret // the first of secretWords
)

const secretWords = 4

// Far above what anyone runs; below them no size overflows.
const (
	loopsMax    = 1 << 12
	backendsMax = 1 << 20
)

// shape is what the size of a board follows from.
type shape struct{ loops, backends int }

func (s shape) check() error {
	if s.loops < 1 || s.loops > loopsMax || s.backends < 0 || s.backends > backendsMax {
		return fmt.Errorf("board: %d loops and %d backends: want 1 to %d loops and 0 to %d backends",
			s.loops, s.backends, loopsMax, backendsMax)
	}
	return nil
}

// words returns how many words the whole board takes.
func (s shape) words() int { return s.stateStart(s.backends) }

func (s shape) bytes() int { return s.words() * wordBytes }

// loopStart returns the first word of a loop's slot.
func (s shape) loopStart(loop int) int {
	return lineWords + loop*s.loopStride()
}

// loopStride returns how many words there are from a loop's slots to the same of
// the next loop.
func (s shape) loopStride() int { return lines(loopWords) + s.backends*lines(backendWords) }

// backendStart returns the first word of a backend's slot in a loop.
func (s shape) backendStart(loop, backend int) int {
	return s.loopStart(loop) + lines(loopWords) + backend*lines(backendWords)
}

// stateStart returns the first word of a backend's state.
func (s shape) stateStart(backend int) int {
	return s.loopStart(s.loops) + backend*lines(stateWords)
}

// lines rounds words up to whole lines.
func lines(words int) int { return (words + lineWords - 1) / lineWords * lineWords }

// writeHeader makes zero words a board.
func (s shape) writeHeader(words []uint64) {
	words[wordMagic] = magic
	words[wordVersion] = layoutVersion
	words[wordLoops] = uint64(s.loops)
	words[wordBackends] = uint64(s.backends)
	var secret [secretWords * wordBytes]byte
	rand.Read(secret[:]) // never fails
	for i := range secretWords {
		words[wordSecret+i] = binary.LittleEndian.Uint64(secret[i*wordBytes:])
	}
}

// readHeader returns the shape of the board that begins with words, which are
// at least a line. What others wrote is not believed before it is checked.
func readHeader(words []uint64) (shape, error) {
	if got := words[wordMagic]; got != magic {
		return shape{}, fmt.Errorf("board: not a board: magic %#x, want %#x", got, magic)
	}
	if got := words[wordVersion]; got != layoutVersion {
		return shape{}, fmt.Errorf("board: layout version %d, this binary has %d", got, layoutVersion)
	}
	loops, backends := words[wordLoops], words[wordBackends]
	if loops > loopsMax || backends > backendsMax {
		return shape{}, fmt.Errorf("board: header claims %d loops and %d backends", loops, backends)
	}
	s := shape{int(loops), int(backends)}
	return s, s.check()
}
