package supervise

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/internal/host"
	"lb/supervise/discover"
	"lb/supervise/plan"
	"lb/supervise/remote"
	"lb/supervise/signals"
)

// Options are what Serve needs besides the configuration. The zero value serves,
// but cannot reload and takes no commands.
type Options struct {
	// Log gets all log lines; nil uses standard error, as configured. LogSettings is the
	// same log if a reload sets its level and format; nil leaves them as they are.
	Log         *slog.Logger
	LogSettings *host.Log
	// Version is shown by status, and sent to the old process in an upgrade.
	Version string
	// Ready is called once traffic is served, with the listeners, of which there is at
	// least one. adminAddr is nil without an operator's server.
	Ready func(listeners api.Listeners, adminAddr net.Addr)
	// Load reads the configuration again, flags included; without it there is no
	// reload. Its error is config.Errors for a file that is not accepted. The file
	// that is watched is the Source of what it returned last.
	Load func() (*config.Config, error)
	// Store is where Load has the configuration from, if that is no file; else nil.
	Store *remote.Store
	// Admin makes the operator's server for the address in cfg, at the start and
	// whenever a reload changes that address; nil if there is none.
	Admin func(cfg *config.Config, r Running) Admin
	// Runtime makes the server for commands, once; nil if there is none. It is asked to
	// listen at socket.Path.
	Runtime func(api.Control) Runtime
	// Resolver finds the addresses of names; nil asks the name servers itself.
	Resolver Resolver
	// Sources returns the source of a pool with discover.
	Sources func(pool config.Pool) (discover.Source, error)
	// Signals replaces the process's signals (for tests); nil uses the process's own.
	// It must not be closed.
	Signals <-chan os.Signal
	// UpgradeTimeout is how long a new process may take to serve; 0 is api.UpgradeMax.
	UpgradeTimeout time.Duration
	// ResolveEvery is for how long an answer of Resolver is believed.
	ResolveEvery time.Duration
}

// Resolver finds the addresses of a name; *net.Resolver is one. Several goroutines call
// it at once.
type Resolver = discover.Resolver

// Admin is the operator's server as the supervisor uses it; *admin.Server is one.
type Admin interface {
	// Listen opens the configured address and serves nothing yet. It returns nil and no
	// error if the configuration has none. An error is one line for the operator. old is
	// where this process listens until then, with the same port perhaps, or nil.
	Listen(old net.Addr) (net.Listener, error)
	// Serve begins to serve l, which it takes over, and returns at once. l is from
	// Listen, or was opened by the process before this one.
	Serve(l net.Listener)
	// SetDraining sets whether health shows that lb drains.
	SetDraining(draining bool)
	// Unlisten closes the listener after what is in its queue was accepted. The server goes
	// on with the conns that it has, until Close. It comes after Serve.
	Unlisten()
	// Close closes the listener and ends the server, by force when ctx is done. It may
	// be called without Serve.
	Close(ctx context.Context) error
}

// Runtime is the server for commands as the supervisor uses it.
type Runtime interface {
	// Listen opens a socket at path, with mode 0600, and serves nothing yet. It replaces
	// a socket that nobody listens on any longer. The listener removes the path when it
	// is closed, unless SetUnlinkOnClose(false) is called.
	Listen(path string) (*net.UnixListener, error)
	// Serve begins to serve l and returns at once. It is called again with another
	// listener after a reload that changed the path. The supervisor closes l, which ends
	// only the serving of l.
	Serve(l net.Listener)
	// Close closes all listeners and ends the server, by force when ctx is done.
	Close(ctx context.Context) error
}

// Running is what the operator's server can look at.
type Running struct {
	Board *board.Board
	Now   func() int64 // the clock of the board, in nanoseconds
	// View returns the snapshot in use, which must not be changed. Any goroutine may
	// call it.
	View func() *plan.Snapshot
	// Workers returns how many worker processes serve, and how many were replaced since
	// the first start. It is nil in mt. Any goroutine may call it.
	Workers func() (running int, restarts uint64)
	// Processes returns the supervisor and the worker processes that live. It is nil in
	// mt. Any goroutine may call it.
	Processes func() []Process
	// Certs returns the certificates in use, and the names that have none yet. Any goroutine
	// may call it.
	Certs func() []api.Certificate
	// Discovery returns the sources and names of backends. Any goroutine may call it.
	Discovery func() []api.Discovery
	// ConfigStore returns the state of the store that has the configuration, or nil if that
	// is a file. Any goroutine may call it.
	ConfigStore func() *api.ConfigStore
	// Control carries out what the operator asks for.
	Control api.Control
	// LastReload returns whether the last reload was taken up, and when the
	// configuration in use was. Any goroutine may call it.
	LastReload func() (ok bool, loaded time.Time)
}

// Process is one process of lb.
type Process struct {
	Name string // "supervisor" or "worker 1"
	PID  int
}

// NewLog returns a log of key=value lines on w. level is debug, info, warn or
// error; anything else is info.
func NewLog(w io.Writer, level string) *slog.Logger {
	return host.NewLog(w, nil, host.LogText, level).Logger
}

// OpenLog returns a log on w whose level and format can be changed while it is used. stream
// is where w writes in the end, or nil; format is text, json, or auto: what suits stream.
func OpenLog(w io.Writer, stream *os.File, format, level string) *host.Log {
	return host.NewLog(w, stream, format, level)
}

// NewLogQueue returns a writer for the log and everything else that this process writes,
// which never waits for w. A broken pipe ends the process no longer.
func NewLogQueue(w io.Writer) *host.LogQueue {
	signals.IgnoreWrites()
	return host.NewLogQueue(w)
}
