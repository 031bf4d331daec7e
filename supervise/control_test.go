package supervise

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
func pair(t *testing.T) (a, b *channel) {
	t.Helper()
	a, f, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = newChannel(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	t.Cleanup(b.close)
	return a, b
}

func TestSendToNobody(t *testing.T) {
	a, b := pair(t)
	b.close()
	if err := a.send(message{Fault: "x"}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("send to a closed end: %v, want EPIPE", err)
	}
}

// A process that reads nothing holds the sender up for a bounded time.
func TestSendToHung(t *testing.T) {
	a, _ := pair(t)
	a.timeout = 20 * time.Millisecond
	if err := a.send(message{Fault: strings.Repeat("x", 16<<20)}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("send to an end that reads nothing: %v, want the deadline", err)
	}
}
