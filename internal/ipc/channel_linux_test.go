package ipc

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// Descriptors arrive with the message they were sent with, in their order, however
// many there are and however large the messages, and are closed on exec.
func TestDescriptorsArrive(t *testing.T) {
	a, b := pair(t)
	pipes := make([]int, 2)
	if err := unix.Pipe2(pipes, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer CloseAll(pipes)
	inode := func(fd int) uint64 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	files := []int{pipes[0]} // of two files, so that their order shows
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	nullFD := int(null.Fd())
	for range 2*frameFDsMax + 50 {
		files = append(files, nullFD)
	}
	files = append(files, pipes[1])
	before := testkit.OpenFDs()
	for _, tc := range []struct {
		fds  []int
		text string
	}{
		{files[:1], ""},
		{nil, "none"},
		{files[:3], strings.Repeat("x", 1<<20)},
		{files, "more than one call takes"},
		{nil, strings.Repeat("y", 1<<20)},
	} {
		sent := make(chan error, 1)
		go func() { sent <- a.Send(message{Fault: tc.text}, tc.fds...) }()
		var got message
		fds, err := b.Receive(&got)
		if err := errors.Join(err, <-sent); err != nil || got.Fault != tc.text || len(fds) != len(tc.fds) {
			t.Fatalf("sent %d descriptors, received %d, %v", len(tc.fds), len(fds), err)
		}
		for i, fd := range fds {
			if inode(fd) != inode(tc.fds[i]) {
				t.Errorf("descriptor %d of %d is of another file", i, len(fds))
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d is not closed on exec: %#x, %v", i, flags, err)
			}
		}
		CloseAll(fds)
	}
	if after := testkit.OpenFDs(); after != before {
		t.Errorf("%d descriptors are open, want %d", after, before)
	}
}

// A message that has arrived whole was sent, even if the other process reads it and
// ends at once: its last report would be lost with an error.
func TestReaderEndsAtOnce(t *testing.T) {
	for range 500 {
		a, b := pair(t)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			fds, _ := b.Receive(&message{})
			b.Close()
			CloseAll(fds)
		}()
		if err := a.Send(message{Fault: "x"}, 0); err != nil {
			t.Fatalf("a message that was read: %v", err)
		}
		a.Close()
		testkit.Wait(t, ended, "the reader to end") // its descriptors would count in the next test
	}
}

// What does not make a message leaves no descriptor behind.
func TestNoMessageNoDescriptors(t *testing.T) {
	for name, frame := range map[string]string{
		"not what was asked for": "\x00\x00\x00\x02[]",
		"not JSON":               "\x00\x00\x00\x02{{",
		"too long":               "\xff\x00\x00\x00",
		"cut in the length":      "\x00\x00",
		"cut in the message":     "\x00\x00\x00\x09{}",
	} {
		a, b := pair(t)
		before := testkit.OpenFDs()
		if _, _, err := a.conn.WriteMsgUnix([]byte(frame), unix.UnixRights(0, 1), nil); err != nil {
			t.Fatal(err)
		}
		a.conn.CloseWrite()
		if fds, err := b.Receive(&message{}); err == nil || err == io.EOF || fds != nil {
			t.Errorf("%s: %v, %v; want an error that is not the end, and no descriptors", name, fds, err)
		}
		if after := testkit.OpenFDs(); after != before {
			t.Errorf("%s: %d descriptors are open, want %d", name, after, before)
		}
	}
}
