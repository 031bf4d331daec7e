package ipc

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// message is what these tests send.
type message struct{ Fault string }

// pair returns both ends of a control channel.
func pair(t *testing.T) (a, b *Channel) {
	t.Helper()
	a, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = New(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a, b
}

func TestSendToNobody(t *testing.T) {
	a, b := pair(t)
	b.Close()
	if err := a.Send(message{Fault: "x"}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("send to a closed end: %v, want EPIPE", err)
	}
}

// A process that reads nothing delays the sender for a bounded time.
func TestSendToHung(t *testing.T) {
	a, _ := pair(t)
	a.timeout = 20 * time.Millisecond
	if err := a.Send(message{Fault: strings.Repeat("x", 16<<20)}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("send to an end that reads nothing: %v, want the deadline", err)
	}
}
