package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lb/arena"
	"lb/loop"
)

// pieceBytes is the most that one read takes, and that is held for a slow side.
const pieceBytes = 64 << 10

// Options are the listener and the backends of a relay.
type Options struct {
	Listener net.Listener // TCP or unix; Start takes it over
	Backends []string     // "address:port" or "unix:/path", at least one
}

// Relay is one loop that passes bytes. Any goroutine may call Addr and Close; the
// rest belongs to the loop.
type Relay struct {
	addr     string
	loop     *loop.Loop
	listener int // our own descriptor of it
	backends []loop.Addr
	next     int // index of the next backend
	slabs    *arena.Arena
	piece    [pieceBytes]byte // the bytes just read, until they are written
	pairs    map[*pair]struct{}
	free     []*pair // for reuse

	closing sync.Once
	done    chan struct{} // closed after the loop has ended and the listener is closed
}

// Start starts a relay, which runs on a goroutine of its own until Close.
func Start(o Options) (*Relay, error) {
	r, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	go r.run()
	return r, nil
}

// open makes a relay without its goroutine. It closes the listener, even if it
// fails.
func open(o Options) (*Relay, error) {
	addr := o.Listener.Addr().String()
	fd, err := descriptorOf(o.Listener)
	if err := errors.Join(err, o.Listener.Close()); err != nil {
		return nil, err
	}
	r := &Relay{addr: addr, listener: fd, pairs: make(map[*pair]struct{}), done: make(chan struct{})}
	if err := r.setUp(o.Backends); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return r, nil
}

func (r *Relay) setUp(backends []string) error {
	if len(backends) == 0 {
		return errors.New("no backends")
	}
	for _, b := range backends {
		a, err := addrOf(b)
		if err != nil {
			return err
		}
		r.backends = append(r.backends, a)
	}
	kernel, err := loop.NewKernel()
	if err != nil {
		return err
	}
	r.loop = loop.New(kernel, loop.Options{})
	r.slabs = arena.New(pieceBytes, pieceBytes)
	if err := r.loop.Listen(r.listener, r); err != nil {
		r.loop.Close()
		return err
	}
	return nil
}

func addrOf(backend string) (loop.Addr, error) {
	if path, ok := strings.CutPrefix(backend, "unix:"); ok {
		return loop.Addr{Path: path}, nil
	}
	ip, err := netip.ParseAddrPort(backend)
	return loop.Addr{IP: ip}, err
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
	if err == nil && ln.Addr().Network() == "tcp" { // its conns inherit the option
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return fd, os.NewSyscallError("listener", err)
}

// Addr returns where the relay listens: "address:port" or a path.
func (r *Relay) Addr() string { return r.addr }

// Close ends every pair and the loop, and returns after that. It may be called more
// than once.
func (r *Relay) Close() error {
	r.closing.Do(func() { r.loop.Post(r.stop) })
	<-r.done
	return nil
}

func (r *Relay) run() {
	defer close(r.done)
	r.loop.Run()
	unix.Close(r.listener)
}

func (r *Relay) stop() {
	r.loop.Unlisten()
	for p := range r.pairs {
		p.end(false)
	}
	r.loop.Stop()
}

// Accepted pairs a client with a conn to the next backend.
func (r *Relay) Accepted(fd int, _ netip.AddrPort) {
	p := r.newPair()
	if r.loop.Adopt(&p.client.Conn, &p.client, fd) != nil {
		r.free = append(r.free, p)
		return
	}
	r.pairs[p] = struct{}{}
	to := &r.backends[r.next]
	r.next = (r.next + 1) % len(r.backends)
	if r.loop.Dial(&p.backend.Conn, &p.backend, to) != nil {
		p.end(true)
	}
}
