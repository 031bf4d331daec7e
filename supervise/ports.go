package supervise

import (
	"log/slog"
	"net"
	"slices"
	"strconv"

	"lb/config"
	"lb/internal/systemd"
	"lb/supervise/discover"
	"lb/supervise/listen"
)

// ports are the listening sockets for traffic. They belong to the desk.
type ports struct {
	log      *slog.Logger
	resolver discover.Resolver
	inUse    *listen.Set   // nil before start
	given    []*listen.Set // by systemd, in one set, and by the process before this one
}

// activated returns the listening sockets that systemd has opened for this
// process, each as a set from which all loops accept. They stay open as long as
// the process lives: systemd would not open them again. The environment no longer
// names them.
func activated(log *slog.Logger) (sets []*listen.Set) {
	for _, f := range systemd.Sockets() {
		set, err := listen.FromSystemd(f)
		if err != nil {
			log.Warn("socket of systemd is of no use", "socket", f.Name(), "cause", err)
			continue
		}
		sets = append(sets, set)
	}
	return sets
}

// take finds the sockets that this process was given: by systemd, and by the
// process before it, which handed over inherited.
func (p *ports) take(inherited []*listen.Set) {
	theirs := activated(p.log)
	var others []*listen.Set
	for _, set := range inherited {
		if set.Systemd {
			theirs = append(theirs, set)
		} else {
			others = append(others, set)
		}
	}
	if len(theirs) > 1 {
		theirs = []*listen.Set{listen.Join(theirs)}
	}
	p.given = append(theirs, others...)
}

// prepare returns sockets for n loops at the address of cfg: sockets that are open
// already, if they fit.
func (p *ports) prepare(cfg *config.Config, n int) (*listen.Set, error) {
	set, err := listen.Open(p.resolver, cfg.Host, cfg.Port, n, p.all()...)
	if err == nil && set.Systemd && set != p.inUse {
		p.log.Info("listening on the socket of systemd", "address", set.Addr,
			"configured", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	}
	return set, err
}

// open prepares sockets, uses them and closes those that were given and are not
// used.
func (p *ports) open(cfg *config.Config, n int) (err error) {
	if p.inUse, err = p.prepare(cfg, n); err != nil {
		return err
	}
	p.given = slices.DeleteFunc(p.given, func(set *listen.Set) bool {
		if set != p.inUse && !set.Systemd { // a later reload may want systemd's
			set.Close()
		}
		return !set.Systemd
	})
	return nil
}

// swap uses next, from prepare, and leaves the sockets of an address that is no
// longer served.
func (p *ports) swap(next *listen.Set) {
	old := p.inUse
	if p.inUse = next; old != next {
		leave(old)
	}
}

// leave stops serving the address of set, unless systemd has opened it.
func leave(set *listen.Set) {
	if !set.Systemd {
		set.Leave()
	}
}

// all returns all sets of sockets that this process has open.
func (p *ports) all() []*listen.Set {
	if p.inUse == nil || slices.Contains(p.given, p.inUse) {
		return p.given
	}
	return append([]*listen.Set{p.inUse}, p.given...)
}

// close closes all of them.
func (p *ports) close() {
	for _, set := range p.all() {
		set.Close()
	}
	p.inUse, p.given = nil, nil
}
