package admin

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lb/admin/rest"
)

// http.Server.Shutdown refuses requests that it reads after it was called, and does
// not know of a connection that Accept has just returned. In an upgrade another
// process goes on with the listener, and no client should notice the end of this
// server. So it first stops accepting, then answers every connection that it has, and
// only then shuts down.

// newcomerTimeout is how long close waits for the request of a new connection.
const newcomerTimeout = 100 * time.Millisecond

// rushTimeout is how long a new connection has for its request before it is closed when its
// place is needed.
const rushTimeout = time.Second

// queueTimeout is how long unlisten waits for what is queued to be accepted.
const queueTimeout = 100 * time.Millisecond

// httpServer is an HTTP server whose connections have timeouts for everything. Any
// goroutine may call its methods.
type httpServer struct {
	http.Server
	serving sync.WaitGroup

	over    context.Context // done when streams are to end: no listener is left
	endThem context.CancelFunc

	mu        sync.Mutex // guards what follows
	listeners []net.Listener
	open      int // listeners that are served
	conns     map[net.Conn]connState
	connsMax  int    // more are not served
	changes   uint64 // of states
}

// connState is what a connection does, and since when.
type connState struct {
	http.ConnState
	since uint64 // which change
	at    time.Time
}

// newHTTP returns a server of connsMax connections at most, which needs a Handler yet. They
// count among the descriptors that host keeps back from the loops of mt.
func newHTTP(connsMax int, errorLog *log.Logger) *httpServer {
	s := &httpServer{conns: map[net.Conn]connState{}, connsMax: connsMax}
	s.over, s.endThem = context.WithCancel(context.Background())
	s.Server = http.Server{
		ConnContext:       rest.ConnContext,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          errorLog,
		ConnState:         s.note,
	}
	return s
}

func (s *httpServer) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
		return
	case http.StateNew:
		if !s.admit() {
			c.Close()
			return
		}
	}
	if _, known := s.conns[c]; known || state == http.StateNew { // else it was closed to make room
		s.conns[c] = connState{state, s.changes, time.Now()}
	}
}

// admit returns after there is room for another connection, or with false if it must be
// closed. In a rush it lets the connections that have just come send their request first:
// the next ones wait in the queue of the listener. mu is locked, and unlocked meanwhile.
func (s *httpServer) admit() bool {
	for begun := time.Now(); len(s.conns) >= s.connsMax; {
		patient := time.Since(begun) < rushTimeout
		switch {
		case s.makeRoom(patient):
		case !patient:
			return false
		default:
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
			s.mu.Lock()
		}
	}
	return true
}

// makeRoom closes the connection that has been without a request for the longest time, with
// spare not one that has come a moment ago. It returns false if there is none.
func (s *httpServer) makeRoom(spare bool) bool {
	var oldest net.Conn
	for c, state := range s.conns {
		if spare && state.ConnState == http.StateNew && time.Since(state.at) < rushTimeout {
			continue
		}
		if state.ConnState != http.StateActive && (oldest == nil || state.since < s.conns[oldest].since) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	oldest.Close()
	delete(s.conns, oldest)
	return true
}

// serve begins to serve l and returns at once. Closing l ends that, and leaves other
// listeners alone. With the last one streams end, because new conns find another server.
func (s *httpServer) serve(l net.Listener, log *slog.Logger, what string) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.open++
	s.mu.Unlock()
	s.serving.Go(func() {
		defer s.closed()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error(what+": no longer listening", "address", l.Addr(), "cause", err,
				"mend", "restart lb, or reload it with another place for "+what)
		}
	})
}

// closed notes that a listener was closed.
func (s *httpServer) closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open--; s.open == 0 {
		s.endThem()
	}
}

// unlisten closes all listeners, each after what waits in its queue was accepted, which a
// close would reset. Conns go on.
func (s *httpServer) unlisten() {
	s.mu.Lock()
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		look := time.NewTicker(time.Millisecond)
		for begun := time.Now(); queued(l) && time.Since(begun) < queueTimeout; {
			<-look.C
		}
		look.Stop()
		l.Close()
	}
}

// queued reports whether conns wait to be accepted.
func queued(l net.Listener) (some bool) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		some = n > 0 && err == nil
	})
	return some
}

// close closes all listeners and answers the connections that there are until ctx is
// done; then it cuts off the rest and returns ctx's error.
func (s *httpServer) close(ctx context.Context) error {
	s.mu.Lock()
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	s.endThem()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for begun := time.Now(); s.busy(time.Since(begun) < newcomerTimeout) && ctx.Err() == nil; {
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
	err := s.Shutdown(ctx)
	if err != nil {
		s.Close()
	}
	return err
}

// busy reports whether a request is unanswered or, with newcomers, whether a
// connection has not sent a request yet.
func (s *httpServer) busy(newcomers bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.conns {
		if newcomers && state.ConnState == http.StateNew || state.ConnState == http.StateActive {
			return true
		}
	}
	return false
}
