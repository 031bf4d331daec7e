// Package setup makes the hub of names and sources as a running lb has it: the name servers
// of the machine, a source for each scheme, and a file for what is known.
package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/supervise/discover"
	"lb/supervise/discover/dns"
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
	case discovery.SRV:
		return m.client.Service(pool)
	}
	return nil, fmt.Errorf("this lb cannot follow %s:// yet", u.Scheme)
}

// CacheFile returns the file in which what is known is kept for the next start, or "" if
// there is no place for it: a file for each configuration file, or without one for each
// listening address, in $STATE_DIRECTORY (of systemd), for root in /var/lib/lb, else in
// $XDG_STATE_HOME/lb or ~/.local/state/lb. As the XDG Base Directory Specification has it,
// a folder that is not absolute is ignored; in $STATE_DIRECTORY it means no file.
func CacheFile(cfg *config.Config, getenv func(string) string, root bool) string {
	folder := ""
	first, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":")
	home := getenv("HOME")
	switch state := getenv("XDG_STATE_HOME"); {
	case first != "":
		folder = first
	case root:
		folder = "/var/lib/lb"
	case filepath.IsAbs(state):
		folder = filepath.Join(state, "lb")
	case filepath.IsAbs(home):
		folder = filepath.Join(home, ".local/state/lb")
	}
	if !filepath.IsAbs(folder) {
		return ""
	}
	id := cfg.Source
	if abs, err := filepath.Abs(id); err == nil && id != "" {
		id = abs
	}
	if id == "" {
		for _, l := range cfg.Listening() {
			id += l.Address + "\n"
		}
	}
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(folder, "discover-"+hex.EncodeToString(sum[:6])+".json")
}
