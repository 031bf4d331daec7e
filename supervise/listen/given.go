package listen

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// FromSystemd takes f, a socket that systemd has opened, over and returns it as a
// shared set. It is an error if f does not listen for streams of IP.
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
	return &Set{Addr: addr.String(), Shared: true, Systemd: true, files: []*os.File{own}}, nil
}

// Join returns one shared set of the sockets of sets, all of systemd, which it takes over:
// whatever systemd has opened is served, because connections would wait in it for ever
// otherwise.
func Join(sets []*Set) *Set {
	all := &Set{Shared: true, Systemd: true}
	var addrs []string
	for _, ls := range sets {
		all.files = append(all.files, ls.files...)
		addrs = append(addrs, ls.Addr)
	}
	all.Addr = strings.Join(addrs, ",")
	return all
}

// Deal returns the sockets from which each of n loops accepts. Each socket is dealt to
// one loop, that of a shared set to all. The files stay the set's.
func (ls *Set) Deal(n int) (files [][]*os.File) {
	for place := range n {
		files = append(files, ls.dealTo(place, n))
	}
	return files
}
