// Package consul has the members of a pool from Consul: the healthy instances of a service,
// by blocking queries to the agent's HTTP API. One GET and four fields of its answer need no
// client library: github.com/hashicorp/consul/api brings 17 modules.
package consul

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/supervise/discover"
	"lb/supervise/discover/pace"
)

const (
	// wait is how long Consul may hold an answer back until there is news. It is below the
	// minute after which middleboxes forget a silent connection, with what Consul adds.
	wait = 55 * time.Second
	// plainTimeout is for a question that is answered at once. A server without a leader
	// looks for one for some 7 s before it says so.
	plainTimeout = 15 * time.Second
	// gap is the least time between two questions: a service may change all the time.
	gap = 200 * time.Millisecond
)

// Source is the source of one pool.
type Source struct {
	log     *slog.Logger
	base    url.URL // of the question, without what differs from one to the next
	user    *url.Userinfo
	service string
	secret  secret
	ca      string       // file of the certificates that are trusted; "": those of the system
	client  *http.Client // nil until it is needed

	wait, empty, gap, plain time.Duration // see the constants; empty is wait while the list is empty
	pause                   pace.Backoff
	left                    string // why instances were left out, as the log has it
}

// New returns a source that asks the agent that u names.
func New(u discovery.URL, log *slog.Logger) *Source {
	s := &Source{
		log:     log,
		user:    u.User,
		service: strings.Trim(u.Path, "/"),
		secret:  secret{u.Query.Get("token"), u.Query.Get("token_file")},
		ca:      u.Query.Get("ca"),
		wait:    wait, empty: discover.EmptyAfter, gap: gap, plain: plainTimeout,
	}
	s.base = url.URL{Scheme: "http", Host: u.Hosts[0], Path: "/v1/health/service/" + s.service}
	if scheme := u.Query.Get("scheme"); scheme != "" {
		s.base.Scheme = scheme
	}
	ask := url.Values{"passing": {"1"}}
	for _, name := range []string{"tag", "dc", "near", "ns", "partition"} {
		if given := u.Query[name]; len(given) > 0 {
			ask[name] = given
		}
	}
	s.base.RawQuery = ask.Encode()
	return s
}

// Run implements discover.Source.
//
// A list that is not empty counts whoever gives it. An empty one counts only as the answer
// to a plain question: with an index, a server that has lost its leader answers 200 and [],
// where it says "No cluster leader" without one.
func (s *Source) Run(ctx context.Context, report func([]config.Backend, error)) {
	defer func() {
		if s.client != nil {
			s.client.CloseIdleConnections()
		}
	}()
	index, hold := uint64(0), s.wait
	for {
		asked := time.Now()
		a, err := s.ask(ctx, index, hold)
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(a.list) == 0 {
			if index > 0 {
				index = 0
				continue
			}
			err = a.doubt()
		}
		if err != nil {
			report(nil, err)
			index = 0
			if !s.pause.Wait(ctx) {
				return
			}
			continue
		}
		report(a.list, nil)
		if hold = s.wait; len(a.list) == 0 {
			hold = s.empty
		}
		index = next(index, a.index)
		rest := s.gap - time.Since(asked)
		if a.index == 0 { // there is nothing to wait for
			rest = s.pause.Next()
		} else {
			s.pause.Reset()
		}
		if !pace.Sleep(ctx, rest) {
			return
		}
	}
}

// next returns the index for the question after one with the index asked, which was answered
// with got. One that goes backwards, as after a restore of Consul's state, is not waited for.
func next(asked, got uint64) uint64 {
	if got < asked {
		return 0
	}
	return got
}
