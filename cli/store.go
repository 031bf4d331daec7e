package cli

import (
	"fmt"
	"time"

	"lb/admin/api"
)

// printStore writes the state of the store that has the configuration.
func printStore(p page, s *api.ConfigStore, now time.Time) {
	text := fmt.Sprintf("revision %d", s.Revision)
	if s.FromDisk {
		text = "the copy on this machine of the last one accepted"
	}
	if s.Newest != 0 && s.Newest != s.Revision {
		text += fmt.Sprintf(", the store has %d", s.Newest)
	}
	if !s.Answered.IsZero() {
		text += fmt.Sprintf(", last answer %s ago", age(s.Answered, now))
	}
	p.line("store     ", text)
	if s.Fault != "" {
		p.lineIn("          ", "STORE FAILS "+storeFault(s, now), red)
	}
}

// storeFault says since when and why a store fails.
func storeFault(s *api.ConfigStore, now time.Time) string {
	return fmt.Sprintf("for %s: %s", age(s.FaultAt, now), s.Fault)
}
