// Package queue is how goroutines reach the desk, which does one thing at a time.
package queue

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is how other goroutines reach the desk: they ask it to call functions,
// which it does one at a time, so that the state of the control plane has no lock.
type Queue struct {
	Work   chan Job      // what is asked; the desk alone receives, and calls Run
	Closed chan struct{} // closed when the desk takes no more work
	once   sync.Once
	doing  atomic.Pointer[task] // nil while the desk waits for work
}

// Job is a function for the desk.
type Job struct {
	What string // it does, for a caller that has to wait: "reloading"
	Do   func()
	Done chan struct{} // closed by the desk after Do
}

// task is the work of the desk, and since when.
type task struct {
	what  string
	since time.Time
}

// busyAfter is how long a command waits for the desk.
const busyAfter = 900 * time.Millisecond

// ErrEnding is the error of a desk that takes no more work.
var ErrEnding = errors.New("lb is ending")

// New returns a queue that takes work.
func New() *Queue { return &Queue{Work: make(chan Job), Closed: make(chan struct{})} }

// Ask has the desk call f, and returns when f has returned. It returns an error if
// the desk cannot begin within busyAfter, or takes no more work.
func (q *Queue) Ask(what string, f func()) error { return q.AskWithin(busyAfter, what, f) }

// AskWithin is Ask with another patience.
func (q *Queue) AskWithin(patience time.Duration, what string, f func()) error {
	j := Job{what, f, make(chan struct{})}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case q.Work <- j:
		<-j.Done
		return nil
	case <-q.Closed:
		return ErrEnding
	case <-late.C:
		return q.busy()
	}
}

// busy returns an error that names what the desk is doing.
func (q *Queue) busy() error {
	t := q.doing.Load()
	if t == nil {
		return errors.New("lb is busy; try again")
	}
	return fmt.Errorf("lb is busy %s, since %v; try again", t.what, time.Since(t.since).Round(time.Millisecond))
}

// Tell is Ask for a goroutine that brings news and has no deadline. It returns when f has
// returned, when cancelled is closed, or when the desk takes no more work.
func (q *Queue) Tell(what string, cancelled <-chan struct{}, f func()) {
	j := Job{what, f, make(chan struct{})}
	select {
	case q.Work <- j:
		select {
		case <-j.Done:
		case <-cancelled: // perhaps by f itself, or by a later step of the desk
		}
	case <-cancelled:
	case <-q.Closed:
	}
}

// Run calls f; only the desk calls Run.
func (q *Queue) Run(what string, f func()) {
	q.doing.Store(&task{what, time.Now()})
	defer q.doing.Store(nil)
	f()
}

// Close refuses work from now on. It may be called again.
func (q *Queue) Close() { q.once.Do(func() { close(q.Closed) }) }
