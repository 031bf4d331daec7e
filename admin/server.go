// Package admin serves lb's operator: health and metrics on a TCP port, and commands
// on a unix socket, over plain net/http. It reads the board and the configuration,
// and passes commands on to an api.Control. It does not know what runs the loops, and
// no request of a client waits for it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lb/admin/api"
	"lb/admin/dashboard"
	"lb/admin/metrics"
	"lb/admin/rest"
	"lb/board"
)

// What one client of the operator's servers can use, and for how long.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
	headerBytesMax = 16 << 10
	explainMax     = headerBytesMax - 1<<10 // of a question to explain: there are other fields
	connsMax       = 32                     // at once, of metrics and health
	callsMax       = 16                     // at once, of commands
)

// Options say where a server listens and what it shows.
type Options struct {
	Address string // host:port; "" for off
	Board   *board.Board
	// View returns the configuration in use. It is called for every scrape, by several
	// goroutines at once. Every ID in it is claimed on the board.
	View    func() View
	Version string
	Log     *slog.Logger // or nil for no log
	// Now is the clock of the board, in nanoseconds.
	Now func() int64
	// Workers returns how many worker processes run. It is called by several goroutines
	// at once. It is nil if lb runs without workers.
	Workers func() int
	// Processes returns the processes of lb: this one, and its workers. It is called by
	// several goroutines at once. It is nil if lb runs without workers.
	Processes func() []Process
	// LastReload returns whether the last reload was taken up, and when the
	// configuration in use was. It is called by several goroutines at once. nil shows
	// neither.
	LastReload func() (ok bool, loaded time.Time)
	// Certificates returns the certificates in use. It is called by several goroutines at
	// once. nil shows none.
	Certificates func() []api.Certificate
	// Discovery returns the sources and names of backends. It is called by several
	// goroutines at once. nil shows none.
	Discovery func() []api.Discovery
	// ConfigStore is that of metrics.Options.
	ConfigStore func() *api.ConfigStore
	// Control does what the runtime API is asked for. nil: there is neither that nor a
	// dashboard.
	Control api.Control
}

// Process is one process of lb.
type Process = metrics.Process

// View is a configuration and the numbers on the board of what is in it.
type View = metrics.View

// Server answers what package rest lists on a TCP port. Any goroutine may call its methods, but
// Listen and Serve only once each and one after the other.
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
	s.http = newHTTP(connsMax, errorLog)
	api := rest.Options{
		Control: o.Control,
		Log:     s.log,
		Network: network(o),
		Streams: connsMax / 2,
		Over:    s.http.over,
		Health:  http.HandlerFunc(s.health),
		Ready:   http.HandlerFunc(s.ready(o)),
		Metrics: metrics.Handler(metrics.Options{
			Board: o.Board, View: o.View, Now: o.Now, Version: o.Version, Workers: o.Workers,
			Processes: o.Processes, LastReload: o.LastReload, Certificates: o.Certificates, Discovery: o.Discovery, ConfigStore: o.ConfigStore,
		}, errorLog),
	}
	if o.Control != nil {
		api.Events, api.Page = dashboard.NewEvents(o.Control), dashboard.Page()
	}
	s.http.Handler = rest.New(api)
	return s
}

// network returns the rules for clients over TCP.
func network(o Options) *rest.Network {
	host, _, _ := net.SplitHostPort(o.Address)
	machine, _ := os.Hostname()
	return &rest.Network{
		Token: func() string { return o.View().Config.Admin.Token },
		Hosts: []string{strings.ToLower(host), strings.ToLower(machine)},
	}
}

func loggerOr(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// Listen opens the address. Connections wait until Serve is called. It returns nil
// and no error if the address is empty. An error is one line for the operator. old is
// the address of a listener of this process, or nil: the new one may have its port.
func (s *Server) Listen(old net.Addr) (net.Listener, error) {
	if s.address == "" {
		return nil, nil
	}
	ln, err := listenBeside(s.address, old)
	if err != nil {
		return nil, fmt.Errorf("admin: cannot listen on %s: %w (set [admin] address)", s.address, reason(err))
	}
	s.listener = ln
	return ln, nil
}

// listenBeside opens address, which may share its port with old, so that a server can move
// from one address of the machine to all of them. Both sockets need SO_REUSEPORT for that,
// with which the system would also let two lbs share a port. So that is tried without first.
func listenBeside(address string, old net.Addr) (net.Listener, error) {
	_, port, _ := net.SplitHostPort(address)
	if was, ok := old.(*net.TCPAddr); !ok || strconv.Itoa(was.Port) != port {
		ln, err := net.Listen("tcp", address)
		if err != nil || port == "0" {
			return ln, err
		}
		ln.Close()
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(ctlErr, err)
	}}
	return lc.Listen(context.Background(), "tcp", address)
}

// Serve begins to serve l and returns at once. The server owns l from then on. l comes
// from Listen or from another process. Closing l ends the serving.
func (s *Server) Serve(l net.Listener) {
	s.listener = l
	s.http.serve(l, s.log, "admin")
}

// Unlisten stops listening, and returns when new conns find only what else listens at the
// address. What was queued before, and conns that are open, are still answered.
func (s *Server) Unlisten() { s.http.unlisten() }

// Close stops listening and lets running answers end until ctx is done; then it cuts
// them off and returns ctx's error. It may be called without Serve or Listen.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.close(ctx)
	if s.listener != nil {
		s.listener.Close() // it was never served, or is closed
	}
	return err
}

// SetDraining sets what /healthz answers: 503 if draining, else 200.
func (s *Server) SetDraining(draining bool) { s.draining.Store(draining) }

// reason returns the cause of err without the operation and the address, which the
// caller names.
func reason(err error) error {
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
