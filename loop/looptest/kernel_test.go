package looptest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop"
)

var (
	_ loop.Kernel = (*Kernel)(nil)

	somewhere = netip.MustParseAddrPort("192.0.2.7:40000")
	backend   = loop.Addr{IP: netip.MustParseAddrPort("192.0.2.80:9001")}
	unixPath  = loop.Addr{Path: "/run/app.sock"}
)

// accepted returns a connection from a client, watched with gen 1, whose first
// event (Writable) has been taken.
func accepted(t *testing.T, k *Kernel) (fd int, p *Peer) {
	t.Helper()
	listener := k.Listen()
	p = k.Connect(listener, somewhere)
	return take(t, k, listener), p
}

func take(t *testing.T, k *Kernel, listener int) (fd int) {
	t.Helper()
	fd, from, err := k.Accept(listener)
	if err != nil || fd < 0 {
		t.Fatalf("accept: %d, %v", fd, err)
	}
	if from != somewhere && from.IsValid() {
		t.Errorf("accept: client is %s", from)
	}
	watch(t, k, fd)
	return fd
}

func watch(t *testing.T, k *Kernel, fd int) {
	t.Helper()
	if err := k.Watch(fd, 1); err != nil {
		t.Fatal(err)
	}
	if got := look(t, k); got != loop.Writable {
		t.Fatalf("first event: %s", flagNames(got))
	}
}

// dialed returns a connection to a server at to, in the state that accepted describes.
func dialed(t *testing.T, k *Kernel, to loop.Addr) (fd int, p *Peer) {
	t.Helper()
	v := k.Serve(to)
	fd, err := k.Dial(&to)
	if err != nil {
		t.Fatal(err)
	}
	watch(t, k, fd)
	if err := k.DialResult(fd); err != nil {
		t.Fatal(err)
	}
	return fd, v.Accept()
}

// look returns the flags of the only event, or 0 if there is none.
func look(t *testing.T, k *Kernel) loop.Flags {
	t.Helper()
	var events [8]loop.Event
	n, err := k.Wait(events[:], 0)
	switch {
	case err != nil:
		t.Fatal(err)
	case n > 1:
		t.Errorf("%d events, want one at most", n)
	case n == 0:
		return 0
	}
	return events[0].Flags
}

func read(t *testing.T, k *Kernel, fd, size int) string {
	t.Helper()
	b := make([]byte, size)
	n, err := k.Read(fd, b)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return string(b[:n])
}

// TestDescriptors: the lowest free number is used, and events carry the gen of
// the newest watch.
func TestDescriptors(t *testing.T) {
	k := New(1)
	listener := k.Listen()
	var fds []int
	for range 4 {
		k.Connect(listener, somewhere)
		fds = append(fds, take(t, k, listener))
	}
	if want := []int{4, 5, 6, 7}; listener != 3 || !slices.Equal(fds, want) {
		t.Fatalf("listener %d, accepted %v", listener, fds)
	}
	k.Close(6, false)
	k.Close(5, false)
	if k.OpenFDs() != 2 || len(k.Open()) != 2 {
		t.Errorf("%d open: %q", k.OpenFDs(), k.Open())
	}
	p := k.Connect(listener, somewhere)
	fd, _, _ := k.Accept(listener)
	if fd != 5 {
		t.Fatalf("after 6 and 5 were closed: %d, want 5", fd)
	}
	k.Watch(fd, 42)
	p.Send([]byte("x"))
	var events [8]loop.Event
	n, _ := k.Wait(events[:], 0)
	want := loop.Event{FD: 5, Gen: 42, Flags: loop.Readable | loop.Writable}
	if n != 1 || events[0] != want {
		t.Errorf("%v, want %v", events[:n], want)
	}
	if fd, _ := k.Dial(&backend); fd != 6 {
		t.Errorf("next: %d, want 6", fd)
	}
}

// TestListener: level-triggered while watched.
func TestListener(t *testing.T) {
	k := New(1)
	listener := k.Listen()
	k.WatchListener(listener, 9)
	k.Connect(listener, somewhere)
	k.Connect(listener, somewhere)
	var events [8]loop.Event
	for range 3 {
		if n, _ := k.Wait(events[:], 0); n != 1 || events[0] != (loop.Event{FD: 3, Gen: 9, Flags: loop.Readable}) {
			t.Fatalf("%v", events[:n])
		}
	}
	k.Unwatch(listener)
	if n, _ := k.Wait(events[:], -1); n != 0 || !k.Stalled() {
		t.Errorf("not watched: %v", events[:n])
	}
	k.WatchListener(listener, 10)
	k.Accept(listener)
	k.Accept(listener)
	if fd, _, err := k.Accept(listener); fd != -1 || err != nil {
		t.Errorf("none to accept: %d, %v", fd, err)
	}
	if n, _ := k.Wait(events[:], 0); n != 0 {
		t.Errorf("empty: %v", events[:n])
	}
	waiting := k.Connect(listener, somewhere)
	k.Close(listener, false)
	if !waiting.WasReset() {
		t.Error("a client in the queue of a closed listener was not reset")
	}
}

// TestAcceptErrors: EMFILE leaves the client in the queue, ECONNABORTED does not.
func TestAcceptErrors(t *testing.T) {
	k := New(1)
	k.Faults.FDMax = 2
	listener := k.Listen()
	p := k.Connect(listener, somewhere)
	k.Connect(listener, somewhere)
	fd, _, _ := k.Accept(listener)
	if _, _, err := k.Accept(listener); err != unix.EMFILE {
		t.Errorf("above FDMax: %v", err)
	}
	if _, err := k.Dial(&backend); err != unix.EMFILE {
		t.Errorf("dial above FDMax: %v", err)
	}
	k.Close(fd, false)
	if !p.Ended() {
		t.Error("the client has not seen the end")
	}
	if fd, _, err := k.Accept(listener); fd != 4 || err != nil {
		t.Errorf("room again: %d, %v", fd, err)
	}

	k = New(1)
	k.Faults.AcceptErrors = 1
	listener = k.Listen()
	seen := map[error]int{}
	for range 100 {
		p := k.Connect(listener, somewhere)
		for {
			fd, _, err := k.Accept(listener)
			seen[err]++
			if err == nil {
				k.Close(fd, false)
			} else if gone := err == unix.ECONNABORTED; gone != p.WasReset() {
				t.Fatalf("%v, reset %t", err, p.WasReset())
			}
			if err != unix.EMFILE {
				break
			}
		}
	}
	if seen[unix.EMFILE] == 0 || seen[unix.ECONNABORTED] == 0 || k.OpenFDs() != 0 {
		t.Errorf("%v, %d open", seen, k.OpenFDs())
	}
}

// TestDial: how and when attempts end.
func TestDial(t *testing.T) {
	for _, tc := range []struct {
		name   string
		to     loop.Addr
		set    func(k *Kernel)
		atOnce error // returned by Dial
		result error
		after  time.Duration
	}{
		{"up", backend, func(k *Kernel) { k.Serve(backend) }, nil, nil, 0},
		{"nobody there", backend, func(k *Kernel) {}, nil, unix.ECONNREFUSED, 0},
		{"refused", backend, func(k *Kernel) { k.Serve(backend).Refuse = true }, nil, unix.ECONNREFUSED, 0},
		{"gone again", backend, func(k *Kernel) { k.Serve(backend).Close() }, nil, unix.ECONNREFUSED, 0},
		{"silent", backend, func(k *Kernel) { k.Serve(backend).Silent = true }, nil, unix.ETIMEDOUT, connectTimeout},
		{"refused by a fault", backend, func(k *Kernel) { k.Serve(backend); k.Faults.Refuse = 1 }, nil, unix.ECONNREFUSED, 0},
		{"timed out by a fault", backend, func(k *Kernel) { k.Serve(backend); k.Faults.TimeOut = 1 }, nil, unix.ETIMEDOUT, connectTimeout},
		{"unix, up", unixPath, func(k *Kernel) { k.Serve(unixPath) }, nil, nil, 0},
		{"unix, nobody there", unixPath, func(k *Kernel) {}, unix.ECONNREFUSED, nil, 0},
	} {
		k := New(1)
		tc.set(k)
		fd, err := k.Dial(&tc.to)
		if err != tc.atOnce {
			t.Errorf("%s: Dial: %v, want %v", tc.name, err, tc.atOnce)
		}
		if tc.atOnce != nil {
			continue
		}
		k.Watch(fd, 1)
		if err := k.DialResult(fd); tc.to.Path == "" && err != unix.EINPROGRESS {
			t.Errorf("%s: before the event: %v", tc.name, err)
		}
		var events [4]loop.Event
		begun := k.Now()
		if n, _ := k.Wait(events[:], -1); n != 1 || events[0].Flags&loop.Writable == 0 {
			t.Errorf("%s: events %v", tc.name, events[:n])
		}
		if failed := events[0].Flags&loop.Hangup != 0; failed != (tc.result != nil) {
			t.Errorf("%s: event %s", tc.name, flagNames(events[0].Flags))
		}
		if err := k.DialResult(fd); err != tc.result || k.Now().Sub(begun) != tc.after {
			t.Errorf("%s: %v after %v, want %v after %v", tc.name, err, k.Now().Sub(begun), tc.result, tc.after)
		}
	}
}

// TestClosedWhileConnecting: the result of an abandoned attempt is reported to nobody.
func TestClosedWhileConnecting(t *testing.T) {
	k := New(1)
	v := k.Serve(backend)
	fd, _ := k.Dial(&backend)
	k.Watch(fd, 1)
	k.Close(fd, false)
	if got := look(t, k); got != 0 || v.Accept() != nil || k.OpenFDs() != 0 {
		t.Errorf("event %s, %d open", flagNames(got), k.OpenFDs())
	}
}

// TestMisuse: wrong use of a descriptor is recorded and has no effect.
func TestMisuse(t *testing.T) {
	for name, do := range map[string]func(k *Kernel, fd int){
		"read after close":  func(k *Kernel, fd int) { k.Close(fd, false); k.Read(fd, make([]byte, 1)) },
		"write after close": func(k *Kernel, fd int) { k.Close(fd, false); k.Write(fd, make([]byte, 1)) },
		"double close":      func(k *Kernel, fd int) { k.Close(fd, false); k.Close(fd, false) },
		"unknown":           func(k *Kernel, fd int) { k.ShutdownWrite(99) },
		"negative":          func(k *Kernel, fd int) { k.Close(-1, true) },
		"read of listener":  func(k *Kernel, fd int) { k.Read(3, make([]byte, 1)) },
		"accept of a conn":  func(k *Kernel, fd int) { k.Accept(fd) },
		"second watch":      func(k *Kernel, fd int) { k.Watch(fd, 2) },
		"empty read":        func(k *Kernel, fd int) { k.Read(fd, nil) },
		"empty write":       func(k *Kernel, fd int) { k.Writev(fd, nil, nil, nil) },
	} {
		k := New(1)
		fd, _ := accepted(t, k)
		if len(k.Misuses()) != 0 {
			t.Fatalf("before: %q", k.Misuses())
		}
		if do(k, fd); len(k.Misuses()) != 1 {
			t.Errorf("%s: %q", name, k.Misuses())
		}
	}
}
