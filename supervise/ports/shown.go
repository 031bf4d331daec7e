package ports

import (
	"lb/admin/api"
	"lb/config"
	"lb/supervise/listen"
)

// Shown returns the listeners of cfg for an operator. sets are theirs, see Prepare.
func Shown(cfg *config.Config, sets []*listen.Set) (list api.Listeners) {
	for i, l := range cfg.Listening() {
		list = append(list, api.Listener{Address: sets[i].Addr, Role: roleOf(l)})
	}
	return list
}

func roleOf(l config.Listener) string {
	switch {
	case l.RedirectHTTPS:
		return api.RoleRedirect
	case l.TLS:
		return api.RoleHTTPS
	}
	return api.RoleHTTP
}
