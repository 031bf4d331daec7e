// Package admin is what an operator sees: health and metrics over plain
// net/http, off the hot path. It reads the board and the configuration and does
// not know who runs the loops. No request waits for it.
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

// Options are what a server shows. Board has a slot for every backend of Config.
type Options struct {
	Board   *board.Board
	Config  *config.Config
	Version string
	Log     *slog.Logger // nil: nothing is logged
	// Now is the clock of the board, in nanoseconds.
	Now func() int64
	// Workers tells about the worker processes; nil where there are none. It is
	// called by several goroutines at once.
	Workers func() Workers
}

// Workers is the state of the worker processes in mp.
type Workers struct {
	Running  int
	Restarts uint64 // since the supervisor started
}

// Server answers /healthz and /metrics. Its methods may be called by any
// goroutine, Listen once.
type Server struct {
	address  string
	log      *slog.Logger
	http     *http.Server
	served   chan struct{} // closed when no more connections are accepted; nil before Listen
	draining atomic.Bool
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{address: o.Config.Admin.Address, log: log}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", metricsHandler(newRegistry(o), errorLog))
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
		ErrorLog:          errorLog,
	}
	return s
}

// Listen opens the configured address, serves it until Close, and returns what
// it was bound to, with the port that stands for 0. It returns nil and no error
// when the address is empty. An error is one line for the operator.
func (s *Server) Listen() (net.Addr, error) {
	if s.address == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("admin: cannot listen on %s: %w (set [admin] address)", s.address, reason(err))
	}
	s.served = make(chan struct{})
	go s.serve(ln)
	return ln.Addr(), nil
}

func (s *Server) serve(ln net.Listener) {
	defer close(s.served)
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("admin: no longer listening", "address", ln.Addr(), "error", err)
	}
}

// Close stops listening, lets running answers end until ctx is done, then cuts
// them off and returns ctx's error. It may be called when Listen was not.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	if s.served != nil {
		<-s.served
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
