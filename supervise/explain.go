package supervise

import (
	"lb/admin/api"
	"lb/supervise/queue"
)

// Explain asks a loop what it would do with a request.
func (c commands) Explain(ask api.ExplainAsk) (api.Explained, error) {
	if loops := c.d.loops.Load(); loops != nil {
		return (*loops).Explain(ask)
	}
	return api.Explained{}, queue.ErrEnding
}
