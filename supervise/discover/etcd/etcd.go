// Package etcd has the members of a pool from etcd: each value below a prefix is a backend in
// JSON. It does not know how etcd is asked.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"lb/config"
	"lb/internal/storeurl"
	"lb/supervise/store/etcd"
)

// Source is the source of one pool.
type Source struct {
	store *etcd.Store
	pool  string
	log   *slog.Logger

	known []entry // by key
}

// entry is what is known of a key.
type entry struct {
	key      string
	revision int64 // of the value that was read last
	backend  config.Backend
	good     bool // there is a backend, of this value or of one before
}

// New returns the source of pool, whose Discover is etcd://HOST:PORT,HOST:PORT/PREFIX/.
func New(pool config.Pool, log *slog.Logger) (*Source, error) {
	u, err := storeurl.Parse(pool.Discover, "")
	if err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	if !strings.HasSuffix(u.Key, "/") {
		u.Key += "/" // else web would be web2, too
	}
	return &Source{store: etcd.New(u, true), pool: pool.Name, log: log}, nil
}

// Run implements discover.Source.
func (s *Source) Run(ctx context.Context, report func([]config.Backend, error)) {
	s.store.Follow(ctx, func(v etcd.View, err error) {
		if err != nil {
			report(nil, err)
			return
		}
		report(s.backends(v), nil)
	})
}

// backends returns the backends in v, in the order of their keys. A value that is none is left
// out, or the last good one of its key stays.
func (s *Source) backends(v etcd.View) []config.Backend {
	list := make([]config.Backend, 0, len(v.Pairs))
	now := make([]entry, 0, len(v.Pairs))
	before := s.known
	for _, p := range v.Pairs {
		if len(p.Value) == 0 && strings.HasSuffix(p.Key, "/") {
			continue // a folder, as some tools write them
		}
		for len(before) > 0 && before[0].key < p.Key {
			before = before[1:]
		}
		e := entry{key: p.Key}
		if len(before) > 0 && before[0].key == p.Key {
			e = before[0]
		}
		if e.revision != p.Revision {
			e = s.read(p, e)
		}
		if now = append(now, e); e.good {
			list = append(list, e.backend)
		}
	}
	s.known = now
	return list
}

// read returns what is known of a key after its value p, before which it was e.
func (s *Source) read(p etcd.Pair, e entry) entry {
	b, err := config.ParseEntry(p.Key, p.Value)
	e.revision = p.Revision
	if err == nil {
		e.backend, e.good = b, true
		return e
	}
	var all config.Errors
	if errors.As(err, &all) && len(all) > 1 {
		err = fmt.Errorf("%w (and %d more mistakes)", all[0], len(all)-1)
	}
	what := "is left out"
	if e.good {
		what = "stays as it was, " + e.backend.String()
	}
	s.log.Warn("value in etcd is no backend", "pool", s.pool, "key", p.Key, "revision", p.Revision, "entry", what, "cause", err,
		"mend", `write it again: {"host": "10.0.0.1", "port": 8080}; the other entries are not concerned`)
	return e
}
