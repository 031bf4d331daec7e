package loop

import (
	"sync"
	"sync/atomic"
)

// mailbox is the way into a loop for other goroutines.
type mailbox struct {
	pending atomic.Bool // something is in queue
	stopped atomic.Bool // Stop was called

	mu    sync.Mutex
	queue []func()
	ended bool

	running []func() // taken from queue, run by the loop
	at      int      // the next of running
}

// Post has f run on the loop, in order. Any goroutine may call it. It returns
// false, and f is not run, when the loop has ended.
func (l *Loop) Post(f func()) bool {
	m := &l.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return false
	}
	m.queue = append(m.queue, f)
	m.pending.Store(true)
	l.kernel.Wake() // under the lock: the kernel is not closed while it lasts
	return true
}

// Stop ends Run after the current turn. Any goroutine may call it, repeatedly.
func (l *Loop) Stop() {
	m := &l.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped.Store(true)
	if !m.ended {
		l.kernel.Wake()
	}
}

// take gets what was posted, ready to run. With end nothing more is let in.
func (m *mailbox) take(end bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running, m.queue = m.queue, m.running[:0]
	m.at = 0
	m.ended = m.ended || end
	m.pending.Store(false)
}

// runMail runs what was posted. What is posted meanwhile waits for the next turn.
func (l *Loop) runMail() {
	for m := &l.mail; m.at < len(m.running); {
		f := m.running[m.at]
		m.running[m.at] = nil
		m.at++
		f()
	}
}
