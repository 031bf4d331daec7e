package loop

import (
	"sync"
	"sync/atomic"
)

// mailbox carries functions from other goroutines into a loop.
type mailbox struct {
	pending atomic.Bool // queue is not empty
	stopped atomic.Bool // Stop was called

	mu     sync.Mutex
	queue  []func()
	ended  bool
	wakers sync.WaitGroup // calls of Post that wake the kernel

	running []func() // taken from queue, being run by the loop
	at      int      // the next of running
}

// Post queues f to run on the loop, in order. Any goroutine may call it. If the
// loop has ended it returns false and f does not run.
func (l *Loop) Post(f func()) bool {
	m := &l.mail
	m.mu.Lock()
	if m.ended {
		m.mu.Unlock()
		return false
	}
	m.queue = append(m.queue, f)
	wake := !m.pending.Swap(true)
	if wake {
		m.wakers.Add(1)
	}
	m.mu.Unlock()
	if wake { // without the lock: the loop may run at once, in place of this thread, and takes it
		l.kernel.Wake()
		m.wakers.Done()
	}
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

// take moves the queue to running. With end, Post accepts nothing more.
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
