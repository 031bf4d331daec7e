package admin

import (
	"context"
	"log/slog"
	"net"

	"lb/admin/api"
	"lb/admin/dashboard"
	"lb/admin/rest"
)

// Runtime answers commands on unix sockets: JSON over HTTP, see package rest. A process
// that may open the socket may give every command. Any goroutine may call its methods.
type Runtime struct {
	log  *slog.Logger
	http *httpServer
}

// NewRuntime returns a server that passes commands on to control. It serves no socket
// yet. log may be nil.
func NewRuntime(control api.Control, log *slog.Logger) *Runtime {
	r := &Runtime{log: loggerOr(log)}
	r.http = newHTTP(callsMax, slog.NewLogLogger(r.log.Handler(), slog.LevelWarn))
	r.http.Handler = rest.New(rest.Options{
		Control: control,
		Log:     r.log,
		Streams: callsMax / 2,
		Over:    r.http.over,
		Events:  dashboard.NewEvents(control),
	})
	return r
}

// Serve begins to serve l and returns at once. It may be called again with another
// listener. Closing l ends that, and leaves other listeners alone. When none is left,
// streams end.
func (r *Runtime) Serve(l net.Listener) {
	r.http.serve(l, r.log, "commands")
}

// Close closes all listeners, ends streams and lets running commands end until ctx is done;
// then it cuts them off and returns ctx's error.
func (r *Runtime) Close(ctx context.Context) error {
	return r.http.close(ctx)
}
