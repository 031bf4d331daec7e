package words

import (
	"fmt"
	"time"

	"lb/admin/api"
)

// Store says which text is in use of a store that has the configuration.
func Store(s *api.ConfigStore, now time.Time) string {
	text := fmt.Sprintf("revision %d", s.Revision)
	if s.FromDisk {
		text = "the copy on this machine of the last one accepted"
	}
	if s.Newest != 0 && s.Newest != s.Revision {
		text += fmt.Sprintf(", the store has %d", s.Newest)
	}
	if !s.Answered.IsZero() {
		text += fmt.Sprintf(", last answer %s ago", Age(s.Answered, now))
	}
	return text
}

// StoreFault says since when and why a store fails.
func StoreFault(s *api.ConfigStore, now time.Time) string {
	return fmt.Sprintf("fails for %s: %s", Age(s.FaultAt, now), s.Fault)
}
