package supervise

import "lb/admin/api"

func (c commands) Explain(api.ExplainAsk) (api.Explained, error) { return api.Explained{}, nil }
func (c commands) Settings() []api.Setting                       { return nil }

// History returns the last ten minutes; those of the old process do not outlive an upgrade.
func (c commands) History() api.History { return c.d.past.History() }
