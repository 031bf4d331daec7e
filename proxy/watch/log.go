package watch

import (
	"log/slog"

	"lb/proxy/record"
	"lb/upstream"
)

// LogRestored logs that a backend of a pool is in use again. upstream reports that to one
// loop.
func LogRestored(log *slog.Logger, pool string, c upstream.Change) {
	log.Info("backend restored", "pool", pool, "backend", c.Name, "ejected_for", c.For)
}

// LogEjected logs an ejection by a fault in phase ph.
func LogEjected(log *slog.Logger, pool string, c upstream.Change, detail uint64, ph record.Phase) {
	args := []any{"pool", pool, "backend", c.Name, "reason", c.Reason.String(), "phase", ph.String(),
		"count", c.Count, "for", c.For, "mend", "lb faults shows the requests; look at the backend"}
	if detail != 0 {
		args = append(args, "status", detail)
	}
	log.Warn("backend ejected", args...)
}
