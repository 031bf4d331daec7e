// Package tlsconf makes the configurations of crypto/tls from lb's own and the contents of
// its files. It reads no file and opens no socket. The supervisor uses it to check, the
// loops to serve, and health checks to probe, so that all three agree.
package tlsconf

import (
	"crypto/tls"
	"slices"

	"lb/config"
)

// Set is everything that one configuration needs of crypto/tls. It may be shared by loops,
// and does not change once it is made.
type Set struct {
	// Server is for clients, or nil without a TLS listener.
	Server *tls.Config
	// Pools is for backends, by pool; nil for a pool without a TLS backend. ServerName is
	// empty if the backend's host is to be taken.
	Pools []*tls.Config
	// Tokens are the answers to HTTP-01 challenges, by token (RFC 8555 8.3).
	Tokens map[string]string

	clients *clientCheck // nil if no certificate is asked of clients
	book    *book        // of certificates for clients, or nil without a TLS listener
}

// Build returns what cfg and s need of crypto/tls. A nil s is like one without contents. An
// error says what is wrong with the contents.
func Build(cfg *config.Config, s *Secrets) (*Set, error) { return (*Set)(nil).Next(cfg, s) }

// Next is Build for the set that comes after before, which may be nil: certificates that
// stay are not read again, and what has not changed about TLS to backends stays, with its
// sessions.
func (before *Set) Next(cfg *config.Config, s *Secrets) (*Set, error) {
	if s == nil {
		s = &Secrets{}
	}
	set := &Set{Tokens: s.Tokens}
	var err error
	if slices.ContainsFunc(cfg.Listening(), func(l config.Listener) bool { return l.TLS }) {
		var old *book
		if before != nil {
			old = before.book
		}
		if set.book, err = newBook(s.Certs, old); err == nil {
			set.Server, set.clients, err = server(cfg, s, set.book)
		}
		if err != nil {
			return nil, err
		}
	}
	if set.Pools, err = buildPools(cfg, s); err != nil {
		return nil, err
	}
	set.Keep(before)
	return set, nil
}
