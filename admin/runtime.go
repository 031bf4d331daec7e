package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"lb/admin/api"
	"lb/config"
)

// bodyMax is the largest body of a command, in bytes.
const bodyMax = 64 << 10

// Runtime answers commands on unix sockets: JSON over HTTP, one path for each
// command. A process that may open the socket may give every command. Any goroutine
// may call its methods.
type Runtime struct {
	control api.Control
	log     *slog.Logger
	http    *httpServer
}

// NewRuntime returns a server that passes commands on to control. It serves no socket
// yet. log may be nil.
func NewRuntime(control api.Control, log *slog.Logger) *Runtime {
	r := &Runtime{control: control, log: loggerOr(log)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", r.status)
	mux.HandleFunc("GET /v1/backends", r.backends)
	mux.HandleFunc("POST /v1/backends", r.setBackend)
	mux.HandleFunc("POST /v1/reload", r.reload)
	mux.HandleFunc("POST /v1/upgrade", r.upgrade)
	mux.HandleFunc("POST /v1/drain", r.drain)
	r.http = newHTTP(mux, callsMax, slog.NewLogLogger(r.log.Handler(), slog.LevelWarn))
	return r
}

// Serve begins to serve l and returns at once. It may be called again with another
// listener. Closing l ends that, and leaves other listeners alone.
func (r *Runtime) Serve(l net.Listener) {
	r.http.serve(l, r.log, "commands")
}

// Close closes all listeners and lets running commands end until ctx is done; then it
// cuts them off and returns ctx's error.
func (r *Runtime) Close(ctx context.Context) error {
	return r.http.close(ctx)
}

// The messages on the socket, besides the types of api.
type (
	reloadRequest struct {
		Plan bool `json:"plan"`
	}
	upgradeRequest struct {
		Binary string `json:"binary"`
	}
	backendRequest struct {
		Pool    string     `json:"pool"`
		Address string     `json:"address"`
		Action  api.Action `json:"action"`
		Weight  int        `json:"weight"` // for the action weight
	}
	backendsAnswer struct {
		Pools []api.Pool `json:"pools"`
	}
	// refusal is every answer that is not 200.
	refusal struct {
		Error    string        `json:"error"`              // for people; may have several lines
		Errors   config.Errors `json:"errors,omitempty"`   // the mistakes in a file, one by one
		Reloaded *api.Reloaded `json:"reloaded,omitempty"` // what a reload has changed in spite of the error
	}
)

func (r *Runtime) status(w http.ResponseWriter, _ *http.Request) { r.answer(w, r.control.Status()) }

func (r *Runtime) backends(w http.ResponseWriter, _ *http.Request) {
	r.answer(w, backendsAnswer{r.control.Status().Pools})
}

func (r *Runtime) setBackend(w http.ResponseWriter, req *http.Request) {
	var ask backendRequest
	if !r.read(w, req, &ask) {
		return
	}
	b, err := r.control.SetBackend(ask.Pool, ask.Address, ask.Action, ask.Weight)
	if err != nil {
		r.refuse(w, codeOf(err), refusal{Error: err.Error()})
		return
	}
	r.answer(w, b)
}

func (r *Runtime) reload(w http.ResponseWriter, req *http.Request) {
	var ask reloadRequest
	if !r.read(w, req, &ask) {
		return
	}
	done, err := r.control.Reload(ask.Plan)
	if err == nil {
		r.answer(w, done)
		return
	}
	no := refusal{Error: err.Error()}
	errors.As(err, &no.Errors)
	if len(done.Changes) > 0 {
		no.Reloaded = &done
	}
	r.refuse(w, codeOf(err), no)
}

func (r *Runtime) upgrade(w http.ResponseWriter, req *http.Request) {
	var ask upgradeRequest
	if !r.read(w, req, &ask) {
		return
	}
	done, err := r.control.Upgrade(ask.Binary)
	if err != nil {
		r.refuse(w, codeOf(err), refusal{Error: err.Error()})
		return
	}
	r.answer(w, done)
}

func (r *Runtime) drain(w http.ResponseWriter, req *http.Request) {
	if !r.read(w, req, &struct{}{}) {
		return
	}
	if err := r.control.Drain(); err != nil {
		r.refuse(w, codeOf(err), refusal{Error: err.Error()})
		return
	}
	r.answer(w, struct{}{})
}

// codeOf returns the status code for an error of Control.
func codeOf(err error) int {
	var file config.Errors
	var missing api.NotFoundError
	switch {
	case errors.As(err, &file):
		return http.StatusUnprocessableEntity
	case errors.As(err, &missing):
		return http.StatusNotFound
	}
	return http.StatusConflict
}

// read reads the body, one JSON value, into ask. An empty body is {}. It returns
// false if it has refused the body and told the client so.
func (r *Runtime) read(w http.ResponseWriter, req *http.Request, ask any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, req.Body, bodyMax))
	d.DisallowUnknownFields()
	err := d.Decode(ask)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return true
	}
	code := http.StatusBadRequest
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		code = http.StatusRequestEntityTooLarge
	}
	r.refuse(w, code, refusal{Error: fmt.Sprintf("the body of %s is not what it should be: %v", req.URL.Path, err)})
	return false
}

func (r *Runtime) answer(w http.ResponseWriter, v any) { r.write(w, http.StatusOK, v) }

func (r *Runtime) refuse(w http.ResponseWriter, code int, no refusal) { r.write(w, code, no) }

func (r *Runtime) write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		r.log.Debug("commands: an answer was not taken", "error", err)
	}
}
