package board

import "unsafe"

// This file holds every unsafe cast of the package: words of a board seen as slots,
// and slots seen as rows of words. They are valid because these structs consist of
// 64-bit words only, which view_test.go checks.

const (
	loopWords    = int(unsafe.Sizeof(Loop{}) / wordBytes)
	backendWords = int(unsafe.Sizeof(Backend{}) / wordBytes)
	stateWords   = int(unsafe.Sizeof(State{}) / wordBytes)
	controlWords = int(unsafe.Sizeof(Control{}) / wordBytes)

	refusalsWords  = int(unsafe.Sizeof(Refusals{}) / wordBytes)
	histogramWords = int(unsafe.Sizeof(Histogram{}) / wordBytes)
	seriesWords    = int(unsafe.Sizeof(Series{}) / wordBytes)
	tapWords       = int(unsafe.Sizeof(Tap{}) / wordBytes)
)

// loopView returns the first loopWords of words as a slot.
func loopView(words []uint64) *Loop {
	return (*Loop)(unsafe.Pointer(&words[:loopWords][0]))
}

// backendView is loopView for a backend's slot.
func backendView(words []uint64) *Backend {
	return (*Backend)(unsafe.Pointer(&words[:backendWords][0]))
}

// refusalsView is loopView for a loop's refusals.
func refusalsView(words []uint64) *Refusals {
	return (*Refusals)(unsafe.Pointer(&words[:refusalsWords][0]))
}

// stateView is loopView for a backend's state.
func stateView(words []uint64) *State {
	return (*State)(unsafe.Pointer(&words[:stateWords][0]))
}

// controlView is loopView for the words of the control plane.
func controlView(words []uint64) *Control {
	return (*Control)(unsafe.Pointer(&words[:controlWords][0]))
}

// seriesView is loopView for a loop's part of a series.
func seriesView(words []uint64) *Series {
	return (*Series)(unsafe.Pointer(&words[:seriesWords][0]))
}

// tapView is loopView for the tap.
func tapView(words []uint64) *Tap {
	return (*Tap)(unsafe.Pointer(&words[:tapWords][0]))
}

// bytesOf returns words as bytes.
func bytesOf(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*wordBytes)
}

// counters returns the words of a loop's part of a series.
func (s *Series) counters() []Counter {
	return unsafe.Slice((*Counter)(unsafe.Pointer(s)), seriesWords)
}

// words returns the fields of s in the order of Series.
func (s *SeriesSum) words() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(s)), seriesWords)
}

// counters returns the words of a loop's slot.
func (l *Loop) counters() []Counter {
	return unsafe.Slice((*Counter)(unsafe.Pointer(l)), loopWords)
}

// counters returns the words of a backend's slot.
func (s *Backend) counters() []Counter {
	return unsafe.Slice((*Counter)(unsafe.Pointer(s)), backendWords)
}

// words returns the words of a backend's state.
func (s *State) words() []Word {
	return unsafe.Slice((*Word)(unsafe.Pointer(s)), stateWords)
}

// words returns the fields of t in the order of Loop.
func (t *LoopTotals) words() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(t)), loopWords)
}

// words returns the fields of t in the order of Backend.
func (t *BackendTotals) words() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(t)), backendWords)
}

// mapped returns shared memory as words; it is aligned because it begins on a page.
func mapped(mem []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/wordBytes)
}

// aligned returns n zero words on the heap, beginning on a line of their own. The
// collector does not move them.
func aligned(n int) []uint64 {
	words := make([]uint64, n+lineWords)
	past := int(uintptr(unsafe.Pointer(unsafe.SliceData(words))) % lineBytes / wordBytes)
	skip := (lineWords - past) % lineWords
	return words[skip : skip+n : skip+n]
}
