package host

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// logQueueMax is how many bytes of lines may wait to be written.
	logQueueMax = 256 << 10
	// logRetry is how long to wait for a stream that does not block and is full.
	logRetry = 50 * time.Millisecond
)

// LogQueue is a writer that never waits for the one below it, such as a pipe that is no
// longer read: a goroutine of its own writes, which ends when there is nothing left to
// write. Lines for which the queue has no room, and lines that cannot be written, are
// dropped. Their number is written as soon as writing works again. Any goroutine may call
// its methods.
type LogQueue struct {
	to  io.Writer
	log atomic.Pointer[Log] // the one that writes here, or nil: see NewLog

	mu      sync.Mutex
	waiting []byte        // whole lines
	spare   []byte        // for the next lines, while waiting is written
	lost    int           // lines that were dropped, and not counted in the log yet
	idle    chan struct{} // closed when the goroutine has ended; nil while there is none
}

// NewLogQueue returns an empty queue for w.
func NewLogQueue(w io.Writer) *LogQueue { return &LogQueue{to: w} }

// Write takes lines, all of b or none of it. It never fails.
func (q *LogQueue) Write(b []byte) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting)+len(b) > logQueueMax {
		q.lost += lines(b)
	} else {
		q.waiting = append(q.waiting, b...)
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.work()
	}
	return len(b), nil
}

// Flush returns when all lines are written or dropped, or after timeout, with false.
func (q *LogQueue) Flush(timeout time.Duration) bool {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return true
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-idle:
		return true
	case <-late.C:
		return false
	}
}

// work writes what waits until nothing does, or until writing fails: the next line makes
// the next attempt.
func (q *LogQueue) work() {
	for failed := 0; ; {
		b, lost, ok := q.next(failed)
		if !ok {
			return
		}
		n := q.write(b)
		if failed = lines(b[n:]); failed == 0 && lost > 0 {
			note := q.lostNote(lost)
			if q.write(note) == len(note) {
				lost = 0
			}
		}
		failed += lost
	}
}

// next returns what is to be written, and how many lines were lost before that. failed
// lines could not be written just now. It returns false if the goroutine is to end.
func (q *LogQueue) next(failed int) (b []byte, lost int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += failed
	if failed > 0 || len(q.waiting) == 0 && q.lost == 0 {
		close(q.idle)
		q.idle = nil
		return nil, 0, false
	}
	b, lost = q.waiting, q.lost
	q.waiting, q.spare, q.lost = q.spare[:0], b, 0
	return b, lost, true
}

// write returns how much of b was written.
func (q *LogQueue) write(b []byte) (n int) {
	for n < len(b) {
		wrote, err := q.to.Write(b[n:])
		n += max(wrote, 0)
		switch {
		case errors.Is(err, syscall.EAGAIN): // another process has made the stream so
			time.Sleep(logRetry)
		case err != nil || wrote <= 0:
			return n
		}
	}
	return n
}

// lostNote returns the line that says how many lines were lost.
func (q *LogQueue) lostNote(n int) []byte {
	l := q.log.Load()
	if l == nil {
		l = &Log{}
	}
	var b bytes.Buffer
	slog.New(newHandler(&b, l)).Warn("log lines were lost because standard error was not read", "lines", n,
		"mend", "have its reader read on; until then "+strconv.Itoa(logQueueMax>>10)+" KiB of lines wait")
	return b.Bytes()
}

func lines(b []byte) int { return bytes.Count(b, []byte("\n")) }
