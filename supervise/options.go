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
)

// Options are what Serve needs beside the configuration. The zero value serves,
// but cannot reload and takes no commands.
type Options struct {
	// Log is where it all goes; nil: NewLog on stderr at the configured level. A
	// log made with NewLevelLog comes with its Level, which a reload sets.
	Log   *slog.Logger
	Level *slog.LevelVar // nil: the level stays as it is
	// Version is what status and an upgrade tell.
	Version string
	// Ready is called once traffic is served, with host:port as it is: a port of
	// 0 in the configuration is the real one here. adminAddr is nil without a
	// server for the operator.
	Ready func(addr string, adminAddr net.Addr)
	// Load reads the configuration again, flags included; nil: there is no
	// reload. Its error is config.Errors for a file that is not accepted. The file
	// that is watched is the Source of what it returned last.
	Load func() (*config.Config, error)
	// Admin makes the operator's server for the address in cfg, once at the start
	// and again whenever a reload changes that address; nil: there is none.
	Admin func(cfg *config.Config, r Running) Admin
	// Runtime makes the server for commands, once; nil: there is none. It is asked
	// to listen at config.SocketPath.
	Runtime func(api.Control) Runtime
	// Resolver finds the addresses of names; nil: net.DefaultResolver.
	Resolver Resolver
	// Signals, which is never closed, is obeyed instead of the signals that the
	// process is sent; nil: those.
	Signals <-chan os.Signal
	// UpgradeTimeout is how long a new process may take to serve; 0: 10 s.
	UpgradeTimeout time.Duration
	// ResolveEvery is how often names are looked up again; 0: every 30 s.
	ResolveEvery time.Duration
}

// Resolver finds the addresses of a name; *net.Resolver is one. It is called by
// several goroutines at once.
type Resolver = discover.Resolver

// Admin is the operator's server as the supervisor uses it; *admin.Server is one.
type Admin interface {
	// Listen opens the configured address and serves nothing yet; nil and no error
	// when it is configured off. An error is one line for the operator.
	Listen() (net.Listener, error)
	// Serve begins to serve l, which is the server's from now on, and returns at
	// once. l is from Listen, or was opened by the process before this one.
	Serve(l net.Listener)
	// SetDraining says what health shows.
	SetDraining(draining bool)
	// Close closes the listener and ends the server, by force when ctx is done. It
	// may be called when Serve was not.
	Close(ctx context.Context) error
}

// Runtime is the server for commands as the supervisor uses it.
type Runtime interface {
	// Listen opens a socket at path, with mode 0600, and serves nothing yet. A
	// socket that nobody listens on any more is replaced. The listener removes the
	// path when it is closed; who does not want that calls SetUnlinkOnClose.
	Listen(path string) (*net.UnixListener, error)
	// Serve begins to serve l and returns at once; it may be called again with
	// another, after a reload that changed the path. The supervisor closes l, which
	// ends this and nothing else.
	Serve(l net.Listener)
	// Close closes all listeners and ends the server, by force when ctx is done.
	Close(ctx context.Context) error
}

// Running is what the server for the operator can look at.
type Running struct {
	Board *board.Board
	Now   func() int64 // the clock of the board, in nanoseconds
	// View returns what is at work now. Any goroutine may call it.
	View func() View
	// Workers returns how many worker processes serve, and how many were replaced
	// since the first start; nil in mt. Any goroutine may call it.
	Workers func() (running int, restarts uint64)
}

// View is the configuration at work. Nobody changes it.
type View struct {
	Config *config.Config
	IDs    [][]int // on the board, of every backend of every pool
	Number uint64  // of the configuration, counted from 1 over reloads and upgrades
}

// NewLog returns a log of key=value lines on w. level is debug, info, warn or
// error; anything else is info.
func NewLog(w io.Writer, level string) *slog.Logger {
	log, _ := NewLevelLog(w, level)
	return log
}

// NewLevelLog is NewLog with a level that can be changed while the log is used.
func NewLevelLog(w io.Writer, level string) (*slog.Logger, *slog.LevelVar) {
	return host.NewLevelLog(w, level)
}
