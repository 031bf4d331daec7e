package supervise

import (
	"lb/admin/api"
	"lb/board"
	"lb/config/show"
)

// History returns the last ten minutes; those of the old process do not outlive an upgrade.
func (c commands) History() api.History { return c.d.past.History() }

// Explain asks a loop what it would do with a request. No server serves before there are any.
func (c commands) Explain(ask api.ExplainAsk) (api.Explained, error) {
	return (*c.d.loops.Load()).Explain(ask)
}

// Settings returns the settings of the configuration in use, and what was changed at run time.
func (c commands) Settings() []api.Setting {
	d, now := c.d, c.d.view.Load()
	d.looking.RLock()
	defer d.looking.RUnlock()
	r := show.Runtime{LogLevel: c.LogLevel()}
	if !d.unmapped {
		r.Backend = func(pool, i int) (weight int, admin string) {
			for at, j := range now.Find(pool, now.Base.Pools[pool].Backends[i]) {
				s := d.board.State(now.IDs[pool][j])
				w, a := int(s.WeightOverride.Load()), board.Admin(s.Admin.Load()).String()
				if at > 0 && (w != weight || a != admin) { // the addresses of a name
					return 0, ""
				}
				weight, admin = w, a
			}
			return weight, admin
		}
	}
	return show.Settings(now.Base, r)
}
