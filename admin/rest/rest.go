// Package rest answers what an operator asks lb over HTTP: JSON below /v1/, the same on
// the unix socket and on the admin address, and the pages beside it. Endpoints lists what
// there is. It decides who may ask, checks what is asked, and passes it on to an
// api.Control. It knows neither sockets nor what runs the loops.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lb/admin/api"
	"lb/config"
)

// BodyMax is the largest body of a request, in bytes.
const BodyMax = 64 << 10

// Options say what a server shows, and to whom.
type Options struct {
	Control api.Control // nil: there is nothing at /v1/
	Log     *slog.Logger
	// Network has the rules for clients over TCP. It is nil for a unix socket: who may open
	// that may do everything.
	Network *Network
	// Streams is how many streams there may be at once. A stream holds a conn.
	Streams int
	// Over is done when streams are to end, because the server ends or is replaced.
	Over context.Context
	// Events and Page are what admin/dashboard has to show; a nil one is not there. Events
	// ends with the context of its request.
	Events, Page http.Handler
	// Health, Ready and Metrics answer monitors on the admin address.
	Health, Ready, Metrics http.Handler
}

// Server is an http.Handler for all endpoints of one side: those of the socket, or those
// of the admin address.
type Server struct {
	o       Options
	paths   map[string]map[string]*Endpoint // by path and method
	streams atomic.Int64
	denied  atomic.Int64 // when a denial was logged last, in nanoseconds since 1970

	writeTimeout time.Duration // of streams
}

// New returns a handler.
func New(o Options) *Server {
	s := &Server{o: o, paths: byPath(o.Network != nil), writeTimeout: writeTimeout}
	if o.Control == nil {
		maps.DeleteFunc(s.paths, func(path string, _ map[string]*Endpoint) bool { return strings.HasPrefix(path, "/v1/") })
	}
	return s
}

// call is one request.
type call struct {
	*http.Request
	w http.ResponseWriter
	e *Endpoint
}

// Refusal is every answer that is not 200.
type Refusal struct {
	Error    string        `json:"error"`              // for people; may have several lines
	Errors   config.Errors `json:"errors,omitempty"`   // the mistakes in a file, one by one
	Reloaded *api.Reloaded `json:"reloaded,omitempty"` // what a reload has changed in spite of the error
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	methods, known := s.paths[r.URL.Path]
	c := &call{r, w, methods[r.Method]}
	guarded := true
	for _, e := range methods {
		guarded = guarded && !e.AnyHost
	}
	if guarded {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		if code, why := s.o.Network.checkSite(r); code != 0 {
			c.refuse(code, Refusal{Error: why})
			return
		}
	}
	switch {
	case !known:
		c.refuse(http.StatusNotFound, Refusal{Error: fmt.Sprintf("there is nothing at %s; GET /v1/openapi.json lists what there is", r.URL.Path)})
	case c.e == nil:
		h.Set("Allow", allowed(methods))
		c.refuse(http.StatusMethodNotAllowed, Refusal{Error: fmt.Sprintf("%s has no %s, but %s", r.URL.Path, r.Method, allowed(methods))})
	case s.mayUse(c) && c.checkBody(s.o.Network != nil) && c.checkQuery():
		c.e.serve(s, c)
	}
}

// allowed lists the methods of a path, for the field Allow.
func allowed(methods map[string]*Endpoint) string {
	var names []string
	for name := range methods {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// pass has another handler answer.
func (s *Server) pass(h http.Handler, c *call) {
	if h == nil {
		c.refuse(http.StatusNotFound, Refusal{Error: c.URL.Path + " is not there"})
		return
	}
	h.ServeHTTP(c.w, c.Request)
}

// codeOf returns the status code for an error of Control.
func codeOf(err error) int {
	var file config.Errors
	var missing api.NotFoundError
	var ask api.AskError
	switch {
	case errors.As(err, &file):
		return http.StatusUnprocessableEntity
	case errors.As(err, &missing):
		return http.StatusNotFound
	case errors.As(err, &ask):
		return http.StatusBadRequest
	}
	return http.StatusConflict
}

// read reads the body, one JSON value, into ask. An empty body is {}. It returns
// false if it has refused the body and told the client so.
func (c *call) read(ask any) bool {
	d := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, BodyMax))
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
	c.refuse(code, Refusal{Error: fmt.Sprintf("the body of %s is not what it should be: %v", c.URL.Path, err)})
	return false
}

// answer sends v.
func (c *call) answer(v any) { c.write(http.StatusOK, v) }

// fail sends the error of a Control.
func (c *call) fail(err error) { c.refuse(codeOf(err), Refusal{Error: err.Error()}) }

func (c *call) refuse(code int, no Refusal) { c.write(code, no) }

// write sends v as JSON. A client that does not take it is gone, which is its own affair.
func (c *call) write(code int, v any) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(code)
	e := json.NewEncoder(c.w)
	e.SetEscapeHTML(false)
	e.Encode(v)
}
