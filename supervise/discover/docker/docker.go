// Package docker has the members of a pool from a Docker engine: the containers that its
// labels put into the pool, by the list of containers, read again after each event.
//
// The API is plain HTTP over the engine's unix socket. Docker's client library brings 18
// modules for it.
package docker

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/supervise/discover"
	"lb/supervise/discover/pace"
)

const (
	// answerTimeout is for questions that are answered at once.
	answerTimeout = 10 * time.Second
	// begin is how long the first list waits for the stream of events to begin. An engine may
	// send the head of its answer with the first event.
	begin = 300 * time.Millisecond
	// every is how often the list is read without an event.
	every = time.Minute
	// leavingFor is how long a container that was asked to end is left out if it does not.
	leavingFor = 30 * time.Second
)

// Source is the source of one pool.
type Source struct {
	log     *slog.Logger
	socket  string
	pool    string // the value of the label
	network string // whose addresses are taken where no label says so; "": see address
	client  *http.Client

	begin, every, empty, leaving time.Duration // see the constants; empty is every while the list is empty
	pause                        pace.Backoff
	version                      string               // "/v1.44", which both sides know; "": not asked yet
	gone                         map[string]time.Time // containers that were asked to end, by ID, and until when that is believed
	flaws                        map[string]string    // what the log has about containers that cannot be used, by ID
}

// New returns a source of the containers with the label lb.pool=pool, of the engine whose
// socket u names.
func New(u discovery.URL, pool string, log *slog.Logger) *Source {
	s := &Source{
		log: log, socket: u.Path, pool: pool, network: u.Query.Get("network"),
		begin: begin, every: every, empty: discover.EmptyAfter, leaving: leavingFor,
		gone: map[string]time.Time{}, flaws: map[string]string{},
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "unix", s.socket)
			},
			MaxIdleConns:    1,
			IdleConnTimeout: every / 2,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Run implements discover.Source.
func (s *Source) Run(ctx context.Context, report func([]config.Backend, error)) {
	defer s.client.CloseIdleConnections()
	for {
		err := s.follow(ctx, report)
		if ctx.Err() != nil {
			return
		}
		report(nil, err)
		s.version = "" // it may be another engine after that
		if !s.pause.Wait(ctx) {
			return
		}
	}
}

// follow reports the list of containers whenever it has changed, until something fails. The
// events are asked for before the list, so that none is lost between the two.
func (s *Source) follow(ctx context.Context, report func([]config.Backend, error)) (err error) {
	if err := s.negotiate(ctx); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	events, ended := make(chan event, 64), make(chan struct{})
	go func() {
		defer close(ended)
		streamErr := s.events(inner, events)
		if inner.Err() == nil {
			err = streamErr
		}
	}()
	defer func() { cancel(); <-ended }()
	again := time.NewTimer(s.begin)
	defer again.Stop()
	for {
		select {
		case <-ended:
			return err
		case e := <-events:
			s.note(e)
			s.drain(events)
		case <-again.C:
		}
		list, err := s.list(ctx)
		if err != nil {
			return err
		}
		report(list, nil)
		again.Reset(s.rest(list))
	}
}

// rest returns how long the list is believed without an event.
func (s *Source) rest(list []config.Backend) time.Duration {
	d := s.every
	if len(list) == 0 {
		d = s.empty
	}
	for _, until := range s.gone {
		d = min(d, max(time.Until(until), 0))
	}
	return d
}

// drain notes the events that have come meanwhile: one list is enough for all.
func (s *Source) drain(events <-chan event) {
	for {
		select {
		case e := <-events:
			s.note(e)
		default:
			return
		}
	}
}

// note notes what e says beyond that the list has changed. A container that is asked to end
// is in the list until it has, but takes no more requests for sure.
func (s *Source) note(e event) {
	switch action, _, _ := strings.Cut(e.Action, ":"); action {
	case "": // the stream has begun
		s.pause.Reset()
	case "kill":
		if e.ends() {
			s.gone[e.Actor.ID] = time.Now().Add(s.leaving)
		}
	case "start", "restart", "unpause":
		delete(s.gone, e.Actor.ID)
	}
}
