// Package setup makes the hub of names and sources as a running lb has it: the name servers
// of the machine, a source for each scheme, and a file for what is known.
package setup

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/internal/statedir"
	"lb/internal/storeurl"
	"lb/supervise/discover"
	"lb/supervise/discover/consul"
	"lb/supervise/discover/dns"
	"lb/supervise/discover/docker"
	"lb/supervise/discover/etcd"
	"lb/supervise/discover/filesource"
)

// Options are what a hub is made from.
type Options struct {
	Log     *slog.Logger
	Changed func(cancelled <-chan struct{}) // see discover.Options
	Config  *config.Config                  // of the start
	Getenv  func(string) string
	Root    bool // the process is root's

	// Resolver is asked in the place of name servers, and believed for Every; nil: none is.
	// It is for tests: there is no file then.
	Resolver discover.Resolver
	Every    time.Duration
	// Sources makes other sources; nil: Make does.
	Sources func(pool config.Pool) (discover.Source, error)
}

// Hub returns a hub.
func Hub(o Options) *discover.Hub {
	client := dns.New()
	h := discover.Options{Log: o.Log, Changed: o.Changed, Namer: client, Routed: dns.Routed, Make: o.Sources}
	if h.Make == nil {
		m := &maker{client: client, log: o.Log}
		h.Make = m.source
	}
	if o.Resolver != nil {
		h.Namer, h.Routed = discover.NamerOf(o.Resolver, o.Every), nil
	} else {
		h.Cache = CacheFile(o.Config, o.Getenv, o.Root)
	}
	return discover.New(h)
}

// maker makes sources.
type maker struct {
	client *dns.Client
	log    *slog.Logger
}

// source returns the source of a pool, by the scheme of its Discover.
func (m *maker) source(pool config.Pool) (discover.Source, error) {
	u, flaw := discovery.Parse(pool.Discover)
	if flaw != nil {
		return nil, fmt.Errorf("discover: %s", flaw.What)
	}
	switch u.Scheme {
	case discovery.Etcd:
		return etcd.New(pool, m.log)
	case discovery.SRV:
		return m.client.Service(pool)
	case discovery.Consul:
		return consul.New(u, m.log), nil
	case discovery.File:
		return filesource.New(u, m.log), nil
	case discovery.Docker:
		return docker.New(u, pool.Name, m.log), nil
	}
	return nil, fmt.Errorf("this lb cannot follow %s:// yet", u.Scheme)
}

// CacheFile returns the file in which what is known is kept for the next start, or "" if
// there is no place for it: a file for each configuration file, or without one for each
// listening address, in the folder of package statedir.
func CacheFile(cfg *config.Config, getenv func(string) string, root bool) string {
	id := cfg.Source
	if abs, err := filepath.Abs(id); err == nil && id != "" && !storeurl.Is(id) {
		id = abs
	}
	if id == "" {
		for _, l := range cfg.Listening() {
			id += l.Address + "\n"
		}
	}
	return statedir.File(getenv, root, "discover", id, ".json")
}
