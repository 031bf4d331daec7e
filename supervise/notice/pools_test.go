package notice

import (
	"testing"
	"time"

	"lb/board"
	"lb/config"
)

// TestFailsOpen: one line when a pool begins to use what is down, and one when that is over.
func TestFailsOpen(t *testing.T) {
	d := newDesk(t)
	p := &d.view.Config.Pools[0]
	p.Health.Type, p.Health.Panic, p.Health.PanicPercent = config.CheckHTTP, "fail_open", 100
	d.after(time.Second)
	d.board.SetHealth(0, board.Down, board.ReasonConnect, 0, int64(d.now))
	d.after(time.Second, `level=WARN msg="pool fails open: backends that are down are used as if they were up" pool=default down=1 of=1 mend="look at the backends, or at [health]; panic = \"503\" refuses requests instead"`)
	d.after(time.Second)
	d.board.SetHealth(0, board.Up, board.ReasonOK, 200, int64(d.now))
	d.after(time.Second, `level=INFO msg="pool uses the backends alone that are up" pool=default down=0 of=1`)
	d.after(time.Second)
}

// TestLeaving: one line when a backend asks for no new clients, and one when that is over.
func TestLeaving(t *testing.T) {
	d := newDesk(t)
	s := d.board.State(0)
	s.LeavingReason.Store(uint64(board.ReasonClosing503))
	s.LeavingUntil.Store(uint64(d.now.Add(10 * time.Second)))
	d.after(time.Second, `level=INFO msg="backend gets no new clients" pool=default backend=10.0.0.1:80 reason=closing_503 for=9s`)
	s.LeavingUntil.Store(uint64(d.now.Add(10 * time.Second))) // it has asked again
	d.after(9 * time.Second)
	d.after(time.Second, `level=INFO msg="backend gets new clients again" pool=default backend=10.0.0.1:80`)
	d.after(time.Second)
}
