// Package ejection logs the ejections that a loop makes, and their ends.
package ejection

import (
	"log/slog"

	"lb/proxy/record"
	"lb/upstream"
)

// Began logs an ejection by a fault in phase ph. detail belongs to its reason.
func Began(log *slog.Logger, pool string, c upstream.Change, detail uint64, ph record.Phase) {
	args := []any{"pool", pool, "backend", c.Name, "reason", c.Reason.String(), "phase", ph.String(),
		"count", c.Count, "for", c.For, "mend", "lb faults shows the requests; look at the backend"}
	if detail != 0 {
		args = append(args, "status", detail)
	}
	log.Warn("backend ejected", args...)
}

// Ended logs that a backend is in use again.
func Ended(log *slog.Logger, pool string, c upstream.Change) {
	log.Info("backend restored", "pool", pool, "backend", c.Name, "ejected_for", c.For)
}
