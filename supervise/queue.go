package supervise

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// queue is how other goroutines reach the desk: they ask it to call functions,
// which it does one at a time, so that the state of the control plane has no lock.
type queue struct {
	work   chan job
	closed chan struct{} // closed when the desk takes no more work
	once   sync.Once
	doing  atomic.Pointer[task] // nil while the desk waits for work
}

// job is a function for the desk.
type job struct {
	what string // it does, for a caller that has to wait: "reloading"
	do   func()
	done chan struct{}
}

// task is the work of the desk, and since when.
type task struct {
	what  string
	since time.Time
}

// busyAfter is how long a command waits for the desk.
const busyAfter = 900 * time.Millisecond

var errEnding = errors.New("lb is ending")

func newQueue() *queue { return &queue{work: make(chan job), closed: make(chan struct{})} }

// ask has the desk call f, and returns when f has returned. It returns an error if
// the desk cannot begin within busyAfter, or takes no more work.
func (q *queue) ask(what string, f func()) error { return q.askWithin(busyAfter, what, f) }

func (q *queue) askWithin(patience time.Duration, what string, f func()) error {
	j := job{what, f, make(chan struct{})}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case q.work <- j:
		<-j.done
		return nil
	case <-q.closed:
		return errEnding
	case <-late.C:
		return q.busy()
	}
}

// busy returns an error that names what the desk is doing.
func (q *queue) busy() error {
	t := q.doing.Load()
	if t == nil {
		return errors.New("lb is busy; try again")
	}
	return fmt.Errorf("lb is busy %s, since %v; try again", t.what, time.Since(t.since).Round(time.Millisecond))
}

// tell is ask for a goroutine that brings news and has no deadline. It returns when f has
// returned, when cancelled is closed, or when the desk takes no more work.
func (q *queue) tell(what string, cancelled <-chan struct{}, f func()) {
	j := job{what, f, make(chan struct{})}
	select {
	case q.work <- j:
		select {
		case <-j.done:
		case <-cancelled: // perhaps by f itself, or by a later step of the desk
		}
	case <-cancelled:
	case <-q.closed:
	}
}

// run calls f; only the desk calls run.
func (q *queue) run(what string, f func()) {
	q.doing.Store(&task{what, time.Now()})
	defer q.doing.Store(nil)
	f()
}

func (q *queue) close() { q.once.Do(func() { close(q.closed) }) }
