// Package ports has listening sockets open for every listener of the configuration: those
// of systemd and of the process before this one where they fit, new ones else. It does not
// know the loops that accept from them.
//
// # Which sockets of systemd serve which listener
//
// All that systemd has opened are served, because connections would wait in them for ever
// otherwise. A socket serves the listener at whose address it is, or else the only one with
// its port. All others serve the first listener, as every socket does where there is only
// one listener. A listener for which there is no socket is opened by lb itself. The one
// exception is a unix socket whose path no listener has: it is logged and not served.
package ports

import (
	"context"
	"log/slog"
	"slices"

	"lb/config"
	"lb/internal/systemd"
	"lb/supervise/discover"
	"lb/supervise/listen"
)

// Ports are the listening sockets for traffic. They belong to the desk.
type Ports struct {
	log      *slog.Logger
	resolver discover.Resolver
	inUse    []*listen.Set // by listener of the configuration in use; nil before Open
	given    []*listen.Set // by systemd, of one socket each, and until Open by the process before this one
}

// New returns Ports with no socket open.
func New(resolver discover.Resolver, log *slog.Logger) *Ports {
	return &Ports{log: log, resolver: resolver}
}

// activated returns the listening sockets that systemd has opened for this
// process, each as a set from which all loops accept. They stay open as long as
// the process lives: systemd would not open them again. The environment no longer
// names them.
func activated(log *slog.Logger) (sets []*listen.Set) {
	for _, f := range systemd.Sockets() {
		set, err := listen.FromSystemd(f)
		if err != nil {
			log.Warn("socket of systemd is of no use", "socket", f.Name(), "cause", err, "mend", "take it out of lb.socket")
			continue
		}
		sets = append(sets, set)
	}
	return sets
}

// Take finds the sockets that this process was given: by systemd, and by the
// process before it, which handed over inherited.
func (p *Ports) Take(inherited []*listen.Set) {
	p.given = activated(p.log)
	for _, set := range inherited {
		if set.Systemd {
			p.given = append(p.given, set.Split()...)
		} else {
			p.given = append(p.given, set)
		}
	}
}

// Prepare returns sockets for n loops, a set for each listener of cfg in its order: sets
// that are open already, if they fit. After an error, which names the listener, nothing
// has changed.
func (p *Ports) Prepare(cfg *config.Config, n int) (_ []*listen.Set, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), discover.Timeout)
	defer cancel()
	s := &search{Ports: p, cfg: cfg, list: cfg.Listening(), loops: n}
	defer func() {
		if err != nil {
			for _, set := range s.opened {
				set.Leave()
			}
		}
	}()
	if err := s.find(ctx); err != nil {
		return nil, err
	}
	if err := listen.Grow(s.sets, n); err != nil { // last: the system uses the new sockets at once
		return nil, err
	}
	for i, set := range s.sets {
		known := func(old *listen.Set) bool { return old.Systemd && old.Addr == set.Addr }
		if set.Systemd && !slices.ContainsFunc(p.inUse, known) {
			p.log.Info("listening on the socket of systemd", "address", set.Addr, "configured", s.list[i].Address)
		}
	}
	return s.sets, nil
}

// Open prepares sockets, uses them and closes those that were given and are not
// used.
func (p *Ports) Open(cfg *config.Config, n int) (err error) {
	if p.inUse, err = p.Prepare(cfg, n); err != nil {
		return err
	}
	p.given = slices.DeleteFunc(p.given, func(set *listen.Set) bool {
		if !set.Systemd && !slices.Contains(p.inUse, set) { // a later reload may want systemd's
			set.Close()
		}
		return !set.Systemd
	})
	for _, set := range p.given {
		serves := func(used *listen.Set) bool { return used.Systemd && used.Unix() && used.Addr == set.Addr }
		if set.Unix() && !slices.ContainsFunc(p.inUse, serves) {
			p.log.Warn("socket of systemd is of no use", "socket", set.Addr, "cause", "no listener has this address", "mend", "take it out of lb.socket, or add a listener for it")
		}
	}
	return nil
}

// Swap uses next, from Prepare, and leaves the sockets of addresses that are no
// longer served.
func (p *Ports) Swap(next []*listen.Set) {
	old := p.inUse
	p.inUse = next
	for _, set := range old {
		if !slices.Contains(next, set) {
			leave(set)
		}
	}
}

// leave stops serving the address of set, unless systemd has opened it.
func leave(set *listen.Set) {
	if !set.Systemd {
		set.Leave()
	}
}

// InUse returns the sockets that are served, a set for each listener. They stay the
// caller's to read only.
func (p *Ports) InUse() []*listen.Set { return p.inUse }

// All returns all sets of sockets that this process has open.
func (p *Ports) All() (sets []*listen.Set) {
	for _, set := range p.inUse {
		if !set.Systemd {
			sets = append(sets, set)
		}
	}
	return append(sets, p.given...)
}

// Serving returns which of inherited are served, by index. Systemd's always are.
func (p *Ports) Serving(inherited []*listen.Set) (served []int) {
	for i, set := range inherited {
		if set.Systemd || slices.Contains(p.inUse, set) {
			served = append(served, i)
		}
	}
	return served
}

// Own says that no other process removes the paths of unix sockets any longer.
func (p *Ports) Own() {
	for _, set := range p.inUse {
		set.Own()
	}
}

// HandOver leaves All to a process that has taken over. left reports whether that one
// does not serve the set of this index.
func (p *Ports) HandOver(left func(i int) bool) {
	for i, set := range p.All() {
		if left(i) {
			leave(set)
		}
		set.Disown()
	}
}

// Finish closes the sockets that are served: the loops close their descriptors.
func (p *Ports) Finish() {
	for _, set := range p.inUse {
		set.Unlink()
		set.Close()
	}
}

// Close closes all sockets.
func (p *Ports) Close() {
	p.Finish()
	for _, set := range p.given {
		set.Close()
	}
	p.inUse, p.given = nil, nil
}
