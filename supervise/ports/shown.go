package ports

import (
	"strings"

	"lb/admin/api"
	"lb/config"
	"lb/supervise/listen"
)

// Shown returns the listeners of cfg for an operator. sets are theirs, see Prepare.
func Shown(cfg *config.Config, sets []*listen.Set) (list []api.Listener) {
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

// Text returns list in one line: the address of a single listener for HTTP, else each
// address with its role.
func Text(list []api.Listener) string {
	if len(list) == 1 && list[0].Role == api.RoleHTTP {
		return list[0].Address
	}
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.Address + " (" + l.Role + ")"
	}
	return strings.Join(texts, ", ")
}
