package buckets

import "sync/atomic"

// The words of the notes of a loop before the notes themselves. The loop writes those of the
// first line, the reader that of the second.
const (
	noteNext = 0
	noteLost = 1
	noteRead = lineWords
)

// Notes are the tokens that one loop has taken for limits with a store.
type Notes struct{ words []uint64 }

// Notes returns the notes of a loop, which alone may call Put.
func (a *Area) Notes(loop int) Notes {
	at := a.shape.loopStart(loop) + a.shape.countWords()
	return Notes{a.all[at : at+notesHead+a.shape.notes()*noteWords]}
}

// Note is one token taken out of one bucket.
type Note struct {
	Key   uint64
	Limit int
}

// Put notes that a token was taken for a limit. Without room the note is lost, and counted.
func (n Notes) Put(key uint64, limit int) {
	next, size := n.words[noteNext], uint64(len(n.words)-notesHead)/noteWords
	if next-atomic.LoadUint64(&n.words[noteRead]) >= size {
		atomic.StoreUint64(&n.words[noteLost], n.words[noteLost]+1)
		return
	}
	at := notesHead + int(next%size)*noteWords
	n.words[at], n.words[at+1] = key, uint64(limit)
	atomic.StoreUint64(&n.words[noteNext], next+1)
}

// Read calls f for what was noted since the last Read, in order. Only one goroutine of all
// processes may call it at a time; if two supervisors do for a moment, notes are read twice.
func (n Notes) Read(f func(Note)) {
	next, read, size := atomic.LoadUint64(&n.words[noteNext]), n.words[noteRead], uint64(len(n.words)-notesHead)/noteWords
	if next == read { // leaves a page alone that was never used
		return
	}
	if next-read > size { // the words are not as we left them
		read = next - size
	}
	for ; read < next; read++ {
		at := notesHead + int(read%size)*noteWords
		f(Note{Key: n.words[at], Limit: int(n.words[at+1])})
	}
	atomic.StoreUint64(&n.words[noteRead], next)
}

// Lost returns how many notes found no room.
func (n Notes) Lost() uint64 { return atomic.LoadUint64(&n.words[noteLost]) }
