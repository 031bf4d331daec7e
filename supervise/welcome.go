package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"lb/config"
	"lb/internal/host"
)

// welcome logs what serves where, and what is amiss with the way lb was started.
func (d *desk) welcome(cfg *config.Config, loops int) {
	admin := "off"
	if at := d.operator.address(); at != nil {
		admin = at.String()
	}
	d.log.Info("serving", "address", d.ports.inUse.Addr, "mode", cfg.Mode, "loops", loops, "number", d.now.Number,
		"version", d.o.Version, "file", cmp.Or(cfg.Source, "none"), "admin", admin,
		"commands", cmp.Or(d.operator.runtimePath, "off"))
	reachable := d.operator.runtime == nil || d.operator.runtimePath != ""
	for _, w := range amiss(reachable || socketPath(cfg) != "", os.Geteuid() == 0, cfg.Admin.Socket == config.SocketOff) {
		d.log.Warn(w.what, "mend", w.mend)
	}
}

// warning is something amiss, and what to do about it.
type warning struct{ what, mend string }

// amiss returns what is amiss with the way lb was started. reachable says that there is a
// socket for commands or a place for it, off that the operator wants none.
func amiss(reachable, root, off bool) (list []warning) {
	if !reachable && !off {
		list = append(list, warning{"no socket for commands, because XDG_RUNTIME_DIR is not set: lb status, lb reload and the others do not reach this lb",
			`set [admin] socket = "/path/lb.sock", or pid_file`})
	}
	if root {
		list = append(list, warning{"running as root, and staying root",
			"start lb as a user of its own: User= of systemd (packaging/lb.service); for ports below 1024, setcap cap_net_bind_service=+ep on the binary"})
	}
	return list
}

// privileged is the first port that everyone may listen on, unless the system was told
// otherwise.
const privileged = 1024

// withMend adds to an error of listening why that cannot be, such as which process is
// there, and what to do. port is 0 if it is not known. Other errors, and nil, stay as they
// are.
func withMend(err error, port int) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && port != 0:
		who := cmp.Or(host.PortHolder(port), "another process")
		return fmt.Errorf("%w: %s listens there; end it, or choose another port", err, who)
	case errors.Is(err, syscall.EACCES) && port != 0 && port < privileged:
		return fmt.Errorf("%w: port %d is for root; setcap cap_net_bind_service=+ep on the binary, "+
			"lower net.ipv4.ip_unprivileged_port_start, or have systemd open it (packaging/lb.socket)", err, port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no interface of this machine has it; choose one of those that \"ip addr\" lists, or 0.0.0.0", err)
	}
	return err
}

// withAdminMend is withMend for an error of the operator's servers, if it is not about the
// socket for commands.
func withAdminMend(err error, cfg *config.Config) error {
	if strings.HasPrefix(err.Error(), "admin: ") {
		return withMend(err, portOf(cfg.Admin.Address))
	}
	return err
}

// portOf returns the port of host:port, or 0.
func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}
