package asking

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// TestAsk: each question gets its own answer, however they overtake each other; a late one is
// dropped, and a loop that ends or does not answer costs no more than the timeout.
func TestAsk(t *testing.T) {
	var b Book
	ended := make(chan struct{})
	questions := make(chan Question, 20)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			url := ""
			got, err := b.ask(api.ExplainAsk{}, "loop 0", ended, testkit.Patience, func(q Question) {
				url = string(rune('a' + q.Number))
				q.Ask.URL = url
				questions <- q
			})
			if err != nil || got.Choice != url {
				t.Errorf("%q, %v; want %q", got.Choice, err, url)
			}
		})
	}
	var held []Question
	for range 20 {
		held = append(held, <-questions)
	}
	for i := range held {
		q := held[len(held)-1-i]
		b.Put(Answer{Number: q.Number, Explained: &api.Explained{Choice: q.Ask.URL}})
		b.Put(Answer{Number: q.Number, Fault: "again"})
	}
	all.Wait()

	_, err := b.Ask(api.ExplainAsk{}, "loop 0", ended, func(q Question) { b.Put(Answer{Number: q.Number, Fault: "no URL"}) })
	if err == nil || err.Error() != "no URL" {
		t.Errorf("the fault is %v", err)
	}
	_, err = b.ask(api.ExplainAsk{}, "worker 3", ended, time.Millisecond, func(Question) {})
	if err == nil || !strings.Contains(err.Error(), "worker 3 has not answered after 1ms") {
		t.Errorf("without an answer: %v", err)
	}
	close(ended)
	if _, err = b.Ask(api.ExplainAsk{}, "worker 3", ended, func(Question) {}); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("of one that has ended: %v", err)
	}
	if len(b.open) > 0 {
		t.Errorf("%d questions are still open", len(b.open))
	}
	b.Put(Answer{Number: 1})
}

// TestAcks: the error names those that do not answer, and has what the others say.
func TestAcks(t *testing.T) {
	var a Acks
	gone := make(chan struct{})
	close(gone)
	one, two := a.Expect("loop 0", nil), a.Expect("loop 1", nil)
	a.Expect("loop 2", nil)
	a.Expect("loop 3", gone)
	one(nil)
	two(errors.New("no room"))
	err := a.Wait(time.Millisecond, "does not turn")
	if err == nil || err.Error() != "loop 1: no room\nloop 2 does not turn after 1ms" {
		t.Errorf("%v", err)
	}
}
