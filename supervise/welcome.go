package supervise

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"lb/admin/api"
	"lb/config"
	"lb/supervise/ports"
)

// welcome logs what serves where, and what is amiss with the way lb was started.
func (d *desk) welcome(cfg *config.Config, loops int) {
	admin := "off"
	if at := d.operator.address(); at != nil {
		admin = at.String()
	}
	listeners := d.listeners()
	if len(listeners) > 1 || listeners[0].Role != api.RoleHTTP {
		d.logListeners(nil)
	}
	d.log.Info("serving", "address", listeners[0].Address, "mode", cfg.Mode, "loops", loops, "number", d.now.Number,
		"version", d.o.Version, "file", cmp.Or(cfg.Source, "none"), "admin", admin,
		"commands", cmp.Or(d.operator.runtimePath, "off"))
	reachable := d.operator.runtime == nil || d.operator.runtimePath != ""
	for _, w := range amiss(reachable || socketPath(cfg) != "", os.Geteuid() == 0, cfg.Admin.Socket == config.SocketOff) {
		d.log.Warn(w.what, "mend", w.mend)
	}
}

// listeners returns where clients connect.
func (d *desk) listeners() api.Listeners { return ports.Shown(d.now.Config, d.ports.InUse()) }

// logListeners logs where clients connect that they did not before, and no longer do.
func (d *desk) logListeners(before api.Listeners) {
	now := d.listeners()
	for _, l := range before {
		if !slices.Contains(now, l) {
			d.log.Info("no longer listening", "address", l.Address, "role", l.Role)
		}
	}
	for _, l := range now {
		if !slices.Contains(before, l) {
			d.log.Info("listening", "address", l.Address, "role", l.Role)
		}
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

// withAdminMend is ports.Mend for an error of the operator's servers, if it is not about
// the socket for commands.
func withAdminMend(err error, cfg *config.Config) error {
	if strings.HasPrefix(err.Error(), "admin: ") {
		return ports.Mend(err, cfg.Admin.Address)
	}
	return err
}
