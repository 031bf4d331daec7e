package ports

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"lb/internal/host"
	"lb/internal/unixsock"
	"lb/supervise/listen"
)

// privileged is the first port that everyone may listen on, unless the system was told
// otherwise.
const privileged = 1024

// Mend adds to an error of listening at address, host:port or unix:/path, why that cannot be,
// such as which process is there, and what to do. Other errors, and nil, stay as they are.
func Mend(err error, address string) error {
	if path := listen.PathOf(address); path != "" {
		return mendPath(err, path)
	}
	port := listen.PortOf(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && port != 0:
		who := cmp.Or(host.PortHolder(port), "another process")
		return fmt.Errorf("%w: %s listens there; end it, or choose another port", err, who)
	case errors.Is(err, syscall.EACCES) && port != 0 && port < privileged:
		return fmt.Errorf("%w: port %d is for root; setcap cap_net_bind_service=+ep on the binary, "+
			"AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit (packaging/lb.service), "+
			"sysctl net.ipv4.ip_unprivileged_port_start=%d, or have systemd open it (packaging/lb.socket)", err, port, port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no interface of this machine has it; choose one of those that \"ip addr\" lists, or 0.0.0.0", err)
	}
	return err
}

// mendPath is Mend for a unix socket.
func mendPath(err error, path string) error {
	switch {
	case errors.Is(err, unixsock.ErrInUse):
		if who := host.SocketHolder(path); who != "" {
			err = fmt.Errorf("%w (%s)", err, who)
		}
		return fmt.Errorf("%w; end it, or choose another path", err)
	case errors.Is(err, unixsock.ErrNotSocket):
		return fmt.Errorf("%w; remove it, or choose another path", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: lb's user may not write in %s; choose another folder, such as that of RuntimeDirectory= in the unit",
			err, filepath.Dir(path))
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w: there is no folder %s; make it, or choose another path", err, filepath.Dir(path))
	}
	return err
}
