package queue

import (
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// The error for a caller that waits too long for the desk names what the desk is doing.
func TestBusy(t *testing.T) {
	d := New()
	began, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.Run("baking bread", func() { close(began); <-end })
	}()
	<-began
	err := d.AskWithin(time.Millisecond, "nothing", func() { t.Error("it was done") })
	if err == nil || !strings.Contains(err.Error(), "busy baking bread") {
		t.Errorf("%v, want what the desk is doing", err)
	}
	close(end)
	testkit.Wait(t, ended, "the bread")
	d.Close()
	if err := d.Ask("nothing", func() { t.Error("it was done") }); err != ErrEnding {
		t.Errorf("%v after the end, want %v", err, ErrEnding)
	}
	d.Tell("nothing", nil, func() { t.Error("it was done") })
}

// A goroutine with news for a desk that takes no more does not wait.
func TestTellCancelled(t *testing.T) {
	d := New()
	cancelled, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.Tell("nothing", cancelled, func() { t.Error("it was done") })
	}()
	close(cancelled)
	testkit.Wait(t, ended, "tell to give up")
}
