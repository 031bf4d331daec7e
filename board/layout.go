package board

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// The words of a board, in order: a header, with Control, the tap and what wakes the
// writer of the access log; a slot and the refusals for each loop there is room for; a
// block for each backend there is room for, which is its state and its slots in all loops;
// the histograms of each series there is room for, in all loops; and the rings of each
// loop. Every slot and state begins on a line of its own, so that no two loops write to
// the same line, except in a state. A line is 128 bytes: the cache line of many arm64
// machines, and the pair of lines that amd64 fetches together.
const (
	wordBytes = 8
	lineBytes = 128
	lineWords = lineBytes / wordBytes
)

const (
	magic = uint64(0x6472616f622d626c) // "lb-board", read as little-endian bytes

	// layoutVersion goes up with every change of Loop, Refusals, Backend, State, Control,
	// Tap, Series, the rings or the layout, so that no binary misreads the words of an older
	// one.
	layoutVersion = 8
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

	wordSeriesRoom = wordSecret + secretWords
	wordSeries     = wordSeriesRoom + 1 // in use; only grows

	wordControl = lineWords
	wordTap     = 2 * lineWords
	wordLogWait = 4 * lineWords // see AwaitLog
	headerWords = 5 * lineWords
	headerBytes = headerWords * wordBytes
)

const secretWords = 4

// Far above real use, and low enough that no size overflows.
const (
	loopsMax    = 1 << 12
	backendsMax = 1 << 20
	seriesMax   = 1 << 20
)

// shape is how many loops, backends and series there is room for. All offsets follow
// from it.
type shape struct {
	loops, backends, series int
	// shrink makes rings smaller, by this power of 2, on boards on the heap: tests make
	// thousands of these.
	shrink int
}

func (s shape) check() error {
	if s.loops < 1 || s.loops > loopsMax || s.backends < 0 || s.backends > backendsMax || s.series < 0 || s.series > seriesMax {
		return fmt.Errorf("board: %d loops, %d backends and %d series: want 1 to %d loops, 0 to %d backends and 0 to %d series",
			s.loops, s.backends, s.series, loopsMax, backendsMax, seriesMax)
	}
	return nil
}

// words returns how many words the whole board takes.
func (s shape) words() int { return s.ringsStart(s.loops) }

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

// seriesStart returns the first word of a loop's part of a series.
func (s shape) seriesStart(loop, series int) int {
	return s.blockStart(s.backends) + (series*s.loops+loop)*lines(seriesWords)
}

// ringsStart returns the first word of a loop's rings: its part of the access log, then
// faults, taps and spans.
func (s shape) ringsStart(loop int) int {
	return s.seriesStart(0, s.series) + loop*(s.logWords()+s.ringWords(FaultsKept)+s.ringWords(TapsKept)+s.ringWords(SpansKept))
}

// logWords returns how many words a loop's part of the access log takes.
func (s shape) logWords() int { return logText + logBytes>>s.shrink/wordBytes }

// ringWords returns how many words a ring of n entries takes: a line, and the entries.
func (s shape) ringWords(n int) int { return lineWords + n>>s.shrink*entryWords }

// lines rounds words up to whole lines.
func lines(words int) int { return (words + lineWords - 1) / lineWords * lineWords }

// writeHeader turns zero words into a board with nothing in use.
func (s shape) writeHeader(words []uint64) {
	words[wordMagic] = magic
	words[wordVersion] = layoutVersion
	words[wordLoopsRoom] = uint64(s.loops)
	words[wordBackendsRoom] = uint64(s.backends)
	words[wordSeriesRoom] = uint64(s.series)
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
	loopsRoom, backendsRoom, seriesRoom := words[wordLoopsRoom], words[wordBackendsRoom], words[wordSeriesRoom]
	if loopsRoom > loopsMax || backendsRoom > backendsMax || seriesRoom > seriesMax {
		return shape{}, fmt.Errorf("board: header claims room for %d loops, %d backends and %d series", loopsRoom, backendsRoom, seriesRoom)
	}
	loops, backends, series := words[wordLoops], words[wordBackends], words[wordSeries]
	if loops > loopsRoom || backends > backendsRoom || series > seriesRoom {
		return shape{}, fmt.Errorf("board: header claims %d loops, %d backends and %d series, with room for %d, %d and %d",
			loops, backends, series, loopsRoom, backendsRoom, seriesRoom)
	}
	s := shape{loops: int(loopsRoom), backends: int(backendsRoom), series: int(seriesRoom)}
	return s, s.check()
}
