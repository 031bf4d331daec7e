package listen

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// FromSystemd takes f, a socket that systemd has opened, over and returns it as a
// shared set. It is an error if f does not listen for streams.
func FromSystemd(f *os.File) (*Set, error) {
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
	own, err := dupQuietly(fd)
	if err != nil {
		return nil, err
	}
	ls := oneOfSystemd(own)
	if ls.Addr == "" {
		own.Close()
		return nil, errors.New("it has no address of IPv4 or IPv6 and no path")
	}
	if ls.path == "" {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			own.Close()
			return nil, os.NewSyscallError("setsockopt TCP_NODELAY", err)
		}
	}
	return ls, nil
}

// oneOfSystemd returns the set of f, with an Addr of "" if it has no address of a kind
// that clients of HTTP use.
func oneOfSystemd(f *os.File) *Set {
	ls := &Set{Shared: true, Systemd: true, files: []*os.File{f}}
	if addr := boundAddr(f); addr.IsValid() {
		ls.Addr = addr.String()
	} else if sa, err := unix.Getsockname(int(f.Fd())); err == nil {
		if at, ok := sa.(*unix.SockaddrUnix); ok && at.Name != "" && at.Name[0] != '@' {
			ls.Addr, ls.path = unixPrefix+at.Name, at.Name
		}
	}
	return ls
}

// Unix reports whether ls is a unix socket.
func (ls *Set) Unix() bool { return ls.path != "" }

// Split returns every socket of ls, which systemd has opened, as a set of its own. They
// take the files over.
func (ls *Set) Split() (sets []*Set) {
	for _, f := range ls.files {
		sets = append(sets, oneOfSystemd(f))
	}
	return sets
}

// Join returns the sockets of sets, all of systemd, as one shared set. The files stay those
// of sets.
func Join(sets []*Set) *Set {
	if len(sets) == 1 {
		return sets[0]
	}
	all := &Set{Shared: true, Systemd: true}
	var addrs []string
	for _, ls := range sets {
		all.files = append(all.files, ls.files...)
		addrs = append(addrs, ls.Addr)
	}
	all.Addr = strings.Join(addrs, ",")
	return all
}
