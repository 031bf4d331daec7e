// Package asking is how the control plane asks loops and waits for their answers, for a
// bounded time: a loop may stand still, and a worker may be of an older binary that does not
// know the question.
package asking

import (
	"fmt"
	"sync"
	"time"

	"lb/admin/api"
)

// Question is a request that a loop is to explain.
type Question struct {
	Number uint64
	Ask    api.ExplainAsk
}

// Answer is that of a loop.
type Answer struct {
	Number    uint64 // of the question
	Explained *api.Explained
	Fault     string // what is wrong with the question, if there is no Explained
}

// Timeout is how long a loop may take to answer.
const Timeout = 800 * time.Millisecond

// Book brings answers to those who asked. The zero Book is ready; any goroutine may call its
// methods.
type Book struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]chan Answer // by number
}

// Ask has send send a question to the loop who, and returns the answer that Put brings. It
// returns an error if ended is closed or Timeout has passed before that.
func (b *Book) Ask(ask api.ExplainAsk, who string, ended <-chan struct{}, send func(Question)) (api.Explained, error) {
	return b.ask(ask, who, ended, Timeout, send)
}

func (b *Book) ask(ask api.ExplainAsk, who string, ended <-chan struct{}, timeout time.Duration, send func(Question)) (out api.Explained, err error) {
	number, answer := b.begin()
	defer b.end(number)
	send(Question{number, ask})
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case a := <-answer:
		if a.Explained == nil {
			return out, api.AskError(a.Fault)
		}
		return *a.Explained, nil
	case <-ended:
		return out, fmt.Errorf("%s has ended before it answered; try again", who)
	case <-late.C:
		return out, fmt.Errorf("%s has not answered after %v: it is busy, or of an older binary that cannot explain; try again", who, timeout)
	}
}

func (b *Book) begin() (number uint64, answer <-chan Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		b.open = map[uint64]chan Answer{}
	}
	b.last++
	c := make(chan Answer, 1)
	b.open[b.last] = c
	return b.last, c
}

func (b *Book) end(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, number)
}

// Put brings an answer. One that nobody waits for any longer is dropped. It never blocks.
func (b *Book) Put(a Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.open[a.Number]; c != nil {
		c <- a
		delete(b.open, a.Number)
	}
}
