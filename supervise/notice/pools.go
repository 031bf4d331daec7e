package notice

import (
	"lb/board"
	"lb/loop/tick"
	"lb/supervise/plan"
	"lb/upstream/usable"
)

// lookAtPools logs which pools use backends that are down since so many are, and which
// backends ask for no new clients: once when it begins, and once when it is over.
func (n *Notices) lookAtPools(view *plan.Snapshot, now tick.Instant) {
	open, leaving := map[string]bool{}, map[int]bool{}
	for i := range view.Config.Pools {
		p := &view.Config.Pools[i]
		if s := usable.Of(n.o.Board, p, view.IDs[i]); s.Open {
			open[p.Name] = true
			if !n.open[p.Name] {
				n.o.Log.Warn("pool fails open: backends that are down are used as if they were up", "pool", p.Name, "down", s.Down, "of", s.All,
					"mend", `look at the backends, or at [health]; panic = "503" refuses requests instead`)
			}
		} else if n.open[p.Name] {
			n.o.Log.Info("pool uses the backends alone that are up", "pool", p.Name, "down", s.Down, "of", s.All)
		}
		for j := range p.Backends {
			n.lookAtWish(view.IDs[i][j], p.Name, p.Backends[j].String(), now, leaving)
		}
	}
	n.open, n.leaving = open, leaving
}

// lookAtWish adds a backend to leaving if it is.
func (n *Notices) lookAtWish(id int, pool, name string, now tick.Instant, leaving map[int]bool) {
	s := n.o.Board.State(id)
	until := tick.Instant(s.LeavingUntil.Load())
	switch was := n.leaving[id]; {
	case until > now:
		if leaving[id] = true; !was {
			n.o.Log.Info("backend gets no new clients", "pool", pool, "backend", name,
				"reason", board.Reason(s.LeavingReason.Load()).String(), "for", until.Sub(now))
		}
	case was && board.Health(s.Health.Load()) != board.Down:
		n.o.Log.Info("backend gets new clients again", "pool", pool, "backend", name)
	}
}
