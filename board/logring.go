package board

import (
	"sync/atomic"
	"time"
)

// A log ring is two lines, each of which one side writes, and the text.
const (
	logHead = 0         // word: how many bytes were ever appended; the loop's
	logTail = lineWords // word: how many were ever consumed; the writer's
	logText = 2 * lineWords
)

// LogRing is the part of the access log that one loop has appended and its writer has not
// consumed yet. The loop alone appends, and one goroutine of the supervisor that owns the
// slot consumes. What is appended outlives a loop that is killed.
type LogRing struct {
	board *Board
	head  *uint64
	tail  *uint64
	text  []byte
}

// LogRing returns the loop's part of the access log. It is valid as long as the board. It
// panics if the slot was never claimed.
func (b *Board) LogRing(loop int) *LogRing {
	words := b.rings(loop)
	return &LogRing{b, &words[logHead], &words[logTail], bytesOf(words[logText:b.room.logWords()])}
}

// Append appends whole lines, or nothing if there is no room for them: then it returns
// false. It wakes the writer when half of the ring waits. It does not allocate.
func (r *LogRing) Append(lines []byte) bool {
	head, tail := *r.head, atomic.LoadUint64(r.tail)
	waits := head - tail
	if waits+uint64(len(lines)) > r.room() {
		return false
	}
	at := head % r.room()
	n := copy(r.text[at:], lines)
	copy(r.text, lines[n:])
	atomic.StoreUint64(r.head, head+uint64(len(lines)))
	if waits < r.room()/2 && waits+uint64(len(lines)) >= r.room()/2 {
		wakeLog(&r.board.words[wordLogWait])
	}
	return true
}

// room returns how many bytes can wait.
func (r *LogRing) room() uint64 { return uint64(len(r.text)) }

// Pending returns what was appended and not consumed: whole lines, in two parts where the
// ring begins again. Both are views of the ring, and valid until Consume.
func (r *LogRing) Pending() (first, rest []byte) {
	head, tail := atomic.LoadUint64(r.head), *r.tail
	if n := head - tail; n > r.room() { // the loop was never ours; its words are not to be trusted
		return nil, nil
	}
	from, to := tail%r.room(), head%r.room()
	switch {
	case head == tail:
		return nil, nil
	case from < to:
		return r.text[from:to], nil
	}
	return r.text[from:], r.text[:to]
}

// Consume makes room for the first n bytes of what is pending.
func (r *LogRing) Consume(n int) { atomic.StoreUint64(r.tail, *r.tail+uint64(n)) }

// halfFull reports whether half of the ring waits.
func (r *LogRing) halfFull() bool {
	return atomic.LoadUint64(r.head)-atomic.LoadUint64(r.tail) >= r.room()/2
}

// AwaitLog returns when half of the ring of one of these loops waits to be consumed, and
// after timeout at the latest. It may return earlier: when another ring begins to fill that
// much, which another process reads. Any goroutine of the control plane may call it; it blocks
// a thread.
func (b *Board) AwaitLog(loops []int, timeout time.Duration) {
	word := &b.words[wordLogWait]
	atomic.StoreUint64(word, 1)
	for _, loop := range loops {
		if b.LogRing(loop).halfFull() {
			return
		}
	}
	sleepLog(word, timeout)
}
