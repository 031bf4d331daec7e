package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/ipc"
	"lb/internal/testkit"
)

// A socket that has stopped queueing gets no new conns, and serves those it has.
func TestStopQueueing(t *testing.T) {
	l, err := netListen(t.Context(), "tcp4", "127.0.0.1", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	early, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	f, err := DupListener(l)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := stopQueueing(f); err != nil {
		t.Fatal(err)
	}
	wantSilence(t, l.Addr().String())
	taken, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	taken.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(early, "are you there\n")
	if line, err := bufio.NewReader(taken).ReadString('\n'); err != nil || line != "are you there\n" {
		t.Errorf("heard %q, %v", line, err)
	}
}

// The sockets of an address that is left stop queueing before the loops take what is
// in their queues.
func TestListenersLeave(t *testing.T) {
	ls := open(t, "127.0.0.1:0", 2)
	var loops []int // descriptors
	for _, f := range ls.files {
		fd, err := ipc.Dup(f)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		loops = append(loops, fd)
	}
	ls.Leave()
	if len(ls.files) != 0 {
		t.Error("files are open still")
	}
	for _, fd := range loops {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on != 1 {
			t.Errorf("a loop's descriptor listens: %d, %v", on, err)
		}
	}
	wantSilence(t, ls.Addr)
}

// wantSilence fails the test if a conn to addr is accepted, refused or reset.
func wantSilence(t *testing.T, addr string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("connecting brings %v, %v; want silence", c, err)
	}
}
