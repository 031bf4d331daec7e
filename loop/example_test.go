package loop_test

import (
	"fmt"
	"io"
	"net/netip"

	"lb/loop"
	"lb/loop/looptest"
)

// echo is one client's conn and the bytes that are still to be sent back.
type echo struct {
	loop.Conn
	buf [4096]byte
	out []byte
}

// Ready moves bytes until the socket has none, or no room. Then it returns: the loop
// calls it again when that changes.
func (e *echo) Ready() {
	for {
		var n int
		var err error
		switch {
		case len(e.out) > 0 && e.Writable():
			n, err = e.Write(e.out)
			e.out = e.out[n:]
		case len(e.out) == 0 && e.Readable():
			n, err = e.Read(e.buf[:])
			e.out = e.buf[:n]
		default:
			return
		}
		if err != nil { // io.EOF: the client has ended its side
			e.Close(err != io.EOF)
			return
		}
	}
}

func (e *echo) Panicked(value any, _ []byte) { e.Close(true) }

// server accepts clients.
type server struct{ *loop.Loop }

func (s server) Accepted(fd int, client netip.AddrPort) {
	e := &echo{}
	if err := s.Adopt(&e.Conn, e, fd); err == nil {
		fmt.Println("client", client)
	}
}

// An echo server on the fake kernel of looptest. With real sockets the kernel is
// loop.NewKernel's, the listener a non-blocking socket, and l.Run runs the loop.
func Example() {
	k := looptest.New(1)
	listener := k.Listen()
	l := loop.New(k, loop.Options{})
	if err := l.Listen(listener, server{l}); err != nil {
		fmt.Println(err)
		return
	}

	client := k.Connect(listener, netip.MustParseAddrPort("192.0.2.1:4711"))
	client.Send([]byte("hello"))
	client.Shut()
	k.Run(l, client.Ended, 100)

	fmt.Printf("%s; %d conns open\n", client.Received(), l.Conns())
	// Output:
	// client 192.0.2.1:4711
	// hello; 0 conns open
}
