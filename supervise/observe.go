package supervise

import "lb/admin/api"

func (c commands) LogLevel() string         { return "" }
func (c commands) SetLogLevel(string) error { return nil }

// History returns the last ten minutes; those of the old process do not outlive an upgrade.
func (c commands) History() api.History { return c.d.past.History() }
