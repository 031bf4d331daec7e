package supervise

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"lb/config"
)

// activated returns the listening sockets that systemd has opened for this
// process, each as a set from which all loops accept. They stay open as long as
// the process lives: systemd would not open them again. Nothing of them is left
// in the environment.
func activated(log *slog.Logger) (sets []*listeners) {
	for _, f := range activation.Files(true) {
		ls, err := activatedSet(f)
		if err != nil {
			log.Warn("socket of systemd is of no use", "socket", f.Name(), "cause", err)
			continue
		}
		sets = append(sets, ls)
	}
	return sets
}

// activatedSet takes over f.
func activatedSet(f *os.File) (*listeners, error) {
	defer f.Close()
	fd := int(f.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || kind != unix.SOCK_STREAM || listening == 0 {
		return nil, errors.New("it does not listen for streams; want ListenStream and no Accept")
	}
	addr := boundAddr(f)
	if !addr.IsValid() {
		return nil, errors.New("it has no address of IPv4 or IPv6")
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	own, err := dupQuietly(fd)
	if err != nil {
		return nil, err
	}
	return &listeners{addr: addr.String(), shared: true, systemd: true, files: []*os.File{own}}, nil
}

// listen returns sockets for n loops at the address of cfg: those that there are
// already, if they fit. What it returns stays open until dropListeners.
func (s *server) listen(cfg *config.Config, n int) (*listeners, error) {
	ls, err := listen(s.resolver, cfg.Host, cfg.Port, n, s.sets()...)
	if err == nil && ls.systemd && ls != s.listeners {
		s.log.Info("listening on the socket of systemd", "address", ls.addr,
			"configured", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	}
	return ls, err
}

// takeSockets finds the sockets that this process was given, by systemd or by the
// process before it.
func (s *server) takeSockets() {
	s.given = activated(s.log)
	if s.from != nil {
		s.given = append(s.given, s.from.sets...)
	}
}

// dropGiven closes the sets that were given and not used, but for those of
// systemd, which a later reload may want.
func (s *server) dropGiven() {
	s.given = slices.DeleteFunc(s.given, func(ls *listeners) bool {
		s.dropListeners(ls)
		return !ls.systemd
	})
}

// dropListeners closes ls when it is not at work and not of systemd.
func (s *server) dropListeners(ls *listeners) {
	if ls != s.listeners && !ls.systemd {
		ls.close()
	}
}

// sets returns all sets of sockets that this process has open.
func (s *server) sets() []*listeners {
	if s.listeners == nil || slices.Contains(s.given, s.listeners) {
		return s.given
	}
	return append([]*listeners{s.listeners}, s.given...)
}

// closeSets closes all of them.
func (s *server) closeSets() {
	for _, ls := range s.sets() {
		ls.close()
	}
	s.listeners, s.given = nil, nil
}
