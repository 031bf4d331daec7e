package notice

import (
	"log/slog"

	"lb/config"
	"lb/supervise/plan"
)

// Insecure warns of each pool whose backends may show any certificate. It is for every
// start and every reload, so that this is not forgotten.
func Insecure(now *plan.Snapshot, log *slog.Logger) {
	for i := range now.Config.Pools {
		p := &now.Config.Pools[i]
		if p.TLS.Insecure && speaksTLS(p.Backends) {
			log.Warn("certificates of backends are not verified",
				"pool", p.Name, "mend", "insecure = false, and ca with the authority that has signed them")
		}
	}
}

func speaksTLS(list []config.Backend) bool {
	for i := range list {
		if list[i].TLS {
			return true
		}
	}
	return false
}
