package supervise

import (
	"time"

	"lb/board"
	"lb/config"
	"lb/supervise/plan"
	"lb/supervise/slots"
)

// openBoard makes a board with room to grow, or takes over the one that was handed
// over, and the record of slots that belongs to it.
func (d *desk) openBoard(cfg *config.Config, loops int) (err error) {
	if d.from != nil {
		d.board, d.boardFile = d.from.Board, d.from.BoardFile
	} else {
		backends, series := plan.Wanted(cfg, d.hub.Effective(cfg))
		room := board.Room(board.Size{Loops: loops, Backends: backends, Series: series})
		if d.board, d.boardFile, err = board.Create(room); err != nil {
			return err
		}
		d.board.Control().StartedAt.Set(uint64(time.Now().UnixNano()))
	}
	d.slots = slots.New(d.board, d.boardFile)
	return nil
}

// reusable reports whether the board ID of a backend that configuration by has
// dropped may be given to another backend: no loop can pick the old one any longer,
// and no attempt at it is running.
func (d *desk) reusable(id int, by uint64) bool {
	if id >= d.board.Backends() {
		return true // the ID was never in use
	}
	return d.board.OldestConfig() >= by && d.board.InFlight(id) == 0
}

// room says what the board has room for.
func (d *desk) room() plan.Room {
	return plan.Room{Backends: d.board.BackendsRoom(), Series: d.board.SeriesRoom(), Reusable: d.reusable,
		Free: func(by uint64) bool { return d.board.OldestConfig() >= by }}
}

// assign makes a the assignment in use.
func (d *desk) assign(a *plan.Assignment, slowStart bool) {
	d.claim(&a.Claims, slowStart)
	d.registry = a.Registry
	d.noteCrowd(a.Left)
}

// claim makes the board ready for a, before any loop hears of it. slowStart says
// that new backends join others that are warm.
func (d *desk) claim(a *plan.Claims, slowStart bool) {
	at := int64(d.clock())
	for _, id := range a.Fresh {
		if id < d.board.Backends() { // else the ID was never in use
			d.board.Clear(id)
		}
		d.board.ClaimBackend(id)
		if slowStart {
			d.board.Added(id, at)
		}
	}
	for _, series := range a.FreshSeries {
		d.board.ClaimSeries(series)
		d.board.ClearSeries(series)
	}
	if a.Unseen > 0 {
		d.log.Warn("no room for more histograms until the next restart; lb_*_seconds leave pools or backends out",
			"left_out", a.Unseen, "room", d.board.SeriesRoom(), "mend", "restart lb, or set metrics.per_backend = false")
	}
	for _, id := range a.Back {
		d.board.ClearState(id)
		d.board.Added(id, at)
	}
}

// closeBoard unmaps the board when no other goroutine looks at it any longer. If
// one might, it is unmapped with the end of the process. written says that the writer of
// the access log does not.
func (d *desk) closeBoard(written bool) {
	d.looking.Lock()
	defer d.looking.Unlock()
	if written && !d.operator.forced.Load() {
		d.board.Close()
		d.unmapped = true
	}
}
