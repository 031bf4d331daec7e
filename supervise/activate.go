package supervise

import (
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
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

// addrs returns where sets listen, for a log.
func addrsOf(sets []*listeners) string {
	var addrs []string
	for _, ls := range sets {
		addrs = append(addrs, ls.addr)
	}
	return strings.Join(addrs, ",")
}
