package backends

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lb/arena"
	"lb/httpparse/h2"
	"lb/loop"
	"lb/loop/tick"
)

const (
	smallBytes   = 16 << 10  // size of a slab for heads and short answers
	largeBytes   = 128 << 10 // size of a slab for bodies and long heads
	nameBytesMax = 128
)

// Options are the address and the name of a server.
type Options struct {
	Addr     string       // "host:port" or "unix:/path"; port 0: the system chooses one
	Listener net.Listener // TCP or unix; if set, Start takes it over and ignores Addr
	Name     string       // of the backend in its answers, visible ASCII; empty: its address
	Log      *slog.Logger // nil: none
}

// Server is one loop that answers requests. Any goroutine may call Addr and Close;
// the rest belongs to the loop.
type Server struct {
	addr, socket string // socket: path of a unix socket, removed at the end
	name         string
	log          *slog.Logger

	loop     *loop.Loop
	listener int // our own descriptor of it
	slabs    *arena.Arena
	conns    map[*conn]struct{}
	free     []*conn   // for reuse
	parsers  []*parser // not lent to a conn
	text     []byte    // space for the body of an answer

	h2conns map[*h2conn]struct{}
	shared  *h2.Shared
	head    []byte // space for the head of a request

	fields      []byte // the fields of every answer, with the date
	fieldsUntil tick.Instant

	closing sync.Once
	done    chan struct{} // closed after the loop has ended and all is released
}

// Start starts a server, which runs on a goroutine of its own until Close. If the
// address is in use, errors.Is(err, syscall.EADDRINUSE) is true.
func Start(o Options) (*Server, error) {
	kernel, err := loop.NewKernel()
	if err != nil {
		return nil, fmt.Errorf("backends: %w", err)
	}
	s, err := open(o, kernel)
	if err != nil {
		if kc, ok := kernel.(loop.KernelCloser); ok {
			kc.CloseKernel()
		}
		return nil, fmt.Errorf("backends: %w", err)
	}
	go s.run()
	return s, nil
}

// open makes a server without its goroutine. After an error the caller has to close
// the kernel; otherwise the loop does at its end.
func open(o Options, kernel loop.Kernel) (*Server, error) {
	ln, err := o.Listener, error(nil)
	if ln == nil {
		if path, ok := strings.CutPrefix(o.Addr, "unix:"); ok {
			ln, err = net.Listen("unix", path)
		} else {
			ln, err = net.Listen("tcp", o.Addr)
		}
	}
	if err != nil {
		return nil, err
	}
	s := &Server{
		loop:  loop.New(kernel, loop.Options{}),
		slabs: arena.New(smallBytes, largeBytes),
		conns: make(map[*conn]struct{}), h2conns: make(map[*h2conn]struct{}), shared: newShared(),
		done: make(chan struct{}),
	}
	if err := s.setUp(ln, o); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// setUp makes s the server of ln, which it takes over even if it fails.
func (s *Server) setUp(ln net.Listener, o Options) error {
	s.addr = ln.Addr().String()
	if ul, ok := ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
		s.socket, s.addr = s.addr, "unix:"+s.addr
	}
	var err error
	s.listener, err = descriptorOf(ln)
	if err := errors.Join(err, ln.Close()); err != nil {
		return err
	}
	if s.socket == "" { // its conns inherit the option
		err := unix.SetsockoptInt(s.listener, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if s.name = o.Name; s.name == "" {
		s.name = s.addr
	}
	if !validName(s.name) {
		return fmt.Errorf("name %q: want 1 to %d visible ASCII characters", s.name, nameBytesMax)
	}
	if s.log = o.Log; s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s.loop.Listen(s.listener, s)
}

// descriptorOf returns a descriptor of ln of our own. Go's poller does not watch it;
// it would wake for each connection.
func descriptorOf(ln net.Listener) (fd int, err error) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("listener of type %T has no descriptor", ln)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	if cerr := rc.Control(func(their uintptr) {
		fd, err = unix.FcntlInt(their, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil {
		return -1, cerr
	}
	return fd, os.NewSyscallError("dup", err)
}

func validName(name string) bool {
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= nameBytesMax
}

// Addr returns where the server listens: "host:port" or "unix:/path".
func (s *Server) Addr() string { return s.addr }

// Close ends every conn and the loop and removes the path of a unix socket. It
// returns after that, and may be called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() { s.loop.Post(s.stop) })
	<-s.done
	return nil
}

func (s *Server) run() {
	defer close(s.done)
	s.loop.Run()
	s.release()
}

// stop ends the loop, which closes ended conns at the end of its turn.
func (s *Server) stop() {
	s.loop.Unlisten()
	for c := range s.conns {
		c.end()
	}
	for c := range s.h2conns {
		c.close()
	}
	s.loop.Stop()
}

// release closes the listener and removes the path of a unix socket.
func (s *Server) release() {
	if s.listener >= 0 {
		unix.Close(s.listener)
	}
	if s.socket != "" {
		os.Remove(s.socket)
	}
}

// Accepted serves a new connection, with a conn of the free list if there is one.
func (s *Server) Accepted(fd int, _ netip.AddrPort) {
	var c *conn
	if n := len(s.free); n > 0 {
		c, s.free = s.free[n-1], s.free[:n-1]
	} else {
		c = &conn{server: s}
	}
	c.exchange = exchange{}
	if err := s.loop.Adopt(&c.Conn, c, fd); err != nil {
		s.log.Warn("conn not taken", "backend", s.name, "err", err)
		s.free = append(s.free, c)
		return
	}
	s.conns[c] = struct{}{}
	c.settle()
}

// newParser returns a parser that is ready for a head.
func (s *Server) newParser() *parser {
	var p *parser
	if n := len(s.parsers); n > 0 {
		p, s.parsers = s.parsers[n-1], s.parsers[:n-1]
	} else {
		p = new(parser)
	}
	p.req.Reset(&limits)
	return p
}

// common returns the fields that every answer has, with the present date.
func (s *Server) common() []byte {
	if now := s.loop.Now(); now >= s.fieldsUntil {
		wall := time.Now().UTC()
		s.fieldsUntil = now.Add(time.Second - time.Duration(wall.Nanosecond()))
		b := append(s.fields[:0], "Server: lb-backend\r\nX-Backend: "...)
		b = append(b, s.name...)
		b = append(b, "\r\nDate: "...)
		b = wall.AppendFormat(b, http.TimeFormat)
		s.fields = append(b, "\r\n"...)
	}
	return s.fields
}
