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
		room := board.Room(board.Size{Loops: loops, Backends: backends(cfg), Series: plan.SeriesWanted(cfg)})
		if d.board, d.boardFile, err = board.Create(room); err != nil {
			return err
		}
		d.board.Control().StartedAt.Set(uint64(time.Now().UnixNano()))
	}
	d.slots = slots.New(d.board, d.boardFile)
	return nil
}

// backends returns how many backends all pools have together.
func backends(cfg *config.Config) (n int) {
	for _, p := range cfg.Pools {
		n += len(p.Backends)
	}
	return n
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

// assigned returns the places on the board of a configuration with this number.
func (d *desk) assigned(cfg *config.Config, number uint64) (*plan.Assignment, error) {
	a, err := d.registry.Assign(cfg.Pools, number, d.board.BackendsRoom(), d.reusable)
	if err != nil {
		return nil, err
	}
	a.Unseen = a.AssignSeries(d.registry.Series, cfg, number, d.board.SeriesRoom(), func(by uint64) bool { return d.board.OldestConfig() >= by })
	return a, nil
}

// assign makes the board ready for a, before any loop hears of it. slowStart says
// that new backends join others that are warm.
func (d *desk) assign(a *plan.Assignment, slowStart bool) {
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
	d.registry = a.Registry
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
