// Package admin is what an operator sees and turns: health and metrics on a TCP
// port, and commands on a unix socket, over plain net/http, off the hot path. It
// reads the board and the configuration, passes commands on to an api.Control,
// and does not know who runs the loops. No request waits for it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"lb/board"
	"lb/config"
)

// What one client of the server can hold of it, and for how long.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
	headerBytesMax = 16 << 10
)

// Options are what a server shows, and where.
type Options struct {
	Address string // host:port; "" for off
	Board   *board.Board
	// View returns what is at work now; it is called for every scrape, by several
	// goroutines at once. Every ID in it was claimed on the board before.
	View    func() View
	Version string
	Log     *slog.Logger // nil: nothing is logged
	// Now is the clock of the board, in nanoseconds.
	Now func() int64
	// Workers returns how many worker processes run; nil where there are none. It
	// is called by several goroutines at once.
	Workers func() int
}

// View is a configuration and where its backends are on the board, by pool and
// backend. Nobody changes it.
type View struct {
	Config *config.Config
	IDs    [][]int
	Number uint64 // of the configuration, counted from 1
}

// Server answers /healthz and /metrics. Its methods may be called by any
// goroutine, Listen and Serve once each, one after the other.
type Server struct {
	address  string
	log      *slog.Logger
	http     *httpServer
	listener net.Listener // nil before Listen or Serve
	draining atomic.Bool
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	s := &Server{address: o.Address, log: loggerOr(o.Log)}
	errorLog := slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", metricsHandler(newRegistry(o), errorLog))
	s.http = newHTTP(mux, errorLog)
	return s
}

func loggerOr(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// Listen opens the address and serves nothing yet; connections wait. It returns
// nil and no error when the address is empty. An error is one line for the
// operator.
func (s *Server) Listen() (net.Listener, error) {
	if s.address == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("admin: cannot listen on %s: %w (set [admin] address)", s.address, reason(err))
	}
	s.listener = ln
	return ln, nil
}

// Serve begins to serve l, which is the server's from now on, and returns at
// once. l is from Listen, or was opened by another process. Who closes it ends
// this.
func (s *Server) Serve(l net.Listener) {
	s.listener = l
	s.http.serve(l, s.log, "admin")
}

// Close stops listening, lets running answers end until ctx is done, then cuts
// them off and returns ctx's error. It may be called when Serve or Listen was not.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.close(ctx)
	if s.listener != nil {
		s.listener.Close() // it was never served, or is closed
	}
	return err
}

// SetDraining says what /healthz answers: 503 when draining, else 200.
func (s *Server) SetDraining(draining bool) { s.draining.Store(draining) }

// health answers whoever decides whether to send new connections here.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if s.draining.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("draining"))
		return
	}
	w.Write([]byte("ok"))
}

var errInUse = errors.New("address in use")

// reason returns what is at the bottom of err, without the operation and the
// address, which the caller names.
func reason(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return errInUse
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
