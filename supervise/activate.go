package supervise

import (
	"log/slog"
	"net"
	"slices"
	"strconv"

	"lb/config"
	"lb/internal/systemd"
	"lb/supervise/listen"
)

// activated returns the listening sockets that systemd has opened for this
// process, each as a set from which all loops accept. They stay open as long as
// the process lives: systemd would not open them again. Nothing of them is left
// in the environment.
func activated(log *slog.Logger) (sets []*listen.Set) {
	for _, f := range systemd.Sockets() {
		ls, err := listen.FromSystemd(f)
		if err != nil {
			log.Warn("socket of systemd is of no use", "socket", f.Name(), "cause", err)
			continue
		}
		sets = append(sets, ls)
	}
	return sets
}

// listen returns sockets for n loops at the address of cfg: those that there are
// already, if they fit. What it returns stays open until dropListeners.
func (s *server) listen(cfg *config.Config, n int) (*listen.Set, error) {
	ls, err := listen.Open(s.resolver, cfg.Host, cfg.Port, n, s.sets()...)
	if err == nil && ls.Systemd && ls != s.listeners {
		s.log.Info("listening on the socket of systemd", "address", ls.Addr,
			"configured", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	}
	return ls, err
}

// takeSockets finds the sockets that this process was given, by systemd or by the
// process before it.
func (s *server) takeSockets() {
	s.given = activated(s.log)
	if s.from != nil {
		s.given = append(s.given, s.from.Sets...)
	}
}

// dropGiven closes the sets that were given and not used, but for those of
// systemd, which a later reload may want.
func (s *server) dropGiven() {
	s.given = slices.DeleteFunc(s.given, func(ls *listen.Set) bool {
		s.dropListeners(ls)
		return !ls.Systemd
	})
}

// dropListeners closes ls when it is not at work and not of systemd.
func (s *server) dropListeners(ls *listen.Set) {
	if ls != s.listeners && !ls.Systemd {
		ls.Close()
	}
}

// sets returns all sets of sockets that this process has open.
func (s *server) sets() []*listen.Set {
	if s.listeners == nil || slices.Contains(s.given, s.listeners) {
		return s.given
	}
	return append([]*listen.Set{s.listeners}, s.given...)
}

// closeSets closes all of them.
func (s *server) closeSets() {
	for _, ls := range s.sets() {
		ls.Close()
	}
	s.listeners, s.given = nil, nil
}
