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
	atomic.StoreUint64(&n.words[at], key)
	atomic.StoreUint64(&n.words[at+1], uint64(limit))
	atomic.StoreUint64(&n.words[noteNext], next+1)
}

// Read calls f for what was noted since the last Read, in order. Each note has one reader,
// though for a moment of an upgrade two supervisors read. copied is memory for it, which Read
// returns for the next call.
func (n Notes) Read(copied []Note, f func(Note)) []Note {
	next, read, size := atomic.LoadUint64(&n.words[noteNext]), atomic.LoadUint64(&n.words[noteRead]), uint64(len(n.words)-notesHead)/noteWords
	first := read
	if next-read > size { // another binary has left it so
		first = next - min(next, size)
	}
	copied = copied[:0]
	for ; first < next; first++ {
		at := notesHead + int(first%size)*noteWords
		copied = append(copied, Note{Key: atomic.LoadUint64(&n.words[at]), Limit: int(atomic.LoadUint64(&n.words[at+1]))})
	}
	if next != read && atomic.CompareAndSwapUint64(&n.words[noteRead], read, next) {
		for _, note := range copied {
			f(note)
		}
	}
	return copied
}

// Lost returns how many notes found no room.
func (n Notes) Lost() uint64 { return atomic.LoadUint64(&n.words[noteLost]) }
