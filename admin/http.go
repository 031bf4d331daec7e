package admin

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// http.Server.Shutdown sends a request away that it reads from then on, and does
// not know a connection that Accept has just returned. That is no matter for a
// server that ends, but one whose listener another process goes on with is not to
// be seen to end. So this one first stops to accept, then answers who is there,
// and only then shuts down.

// newcomerTimeout is how long a connection without a request is waited for then.
const newcomerTimeout = 100 * time.Millisecond

// httpServer is a server that no client can hold for long. Its methods may be
// called by any goroutine.
type httpServer struct {
	http.Server
	serving sync.WaitGroup

	mu        sync.Mutex // guards what follows
	listeners []net.Listener
	conns     map[net.Conn]http.ConnState // those that are new or at work
}

func newHTTP(h http.Handler, errorLog *log.Logger) *httpServer {
	s := &httpServer{conns: map[net.Conn]http.ConnState{}}
	s.Server = http.Server{
		Handler:           h,
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
	if state == http.StateNew || state == http.StateActive {
		s.conns[c] = state
	} else {
		delete(s.conns, c)
	}
}

// serve begins to serve l and returns at once. Who closes l ends this, and
// nothing else.
func (s *httpServer) serve(l net.Listener, log *slog.Logger, what string) {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.serving.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error(what+": no longer listening", "address", l.Addr(), "error", err)
		}
	})
}

// close closes all listeners, answers who is there until ctx is done, then cuts
// off the rest and returns ctx's error.
func (s *httpServer) close(ctx context.Context) error {
	s.mu.Lock()
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
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

// busy reports whether anybody has asked and not been answered, or, with newcomers,
// has connected and not asked yet.
func (s *httpServer) busy(newcomers bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.conns {
		if newcomers || state == http.StateActive {
			return true
		}
	}
	return false
}
