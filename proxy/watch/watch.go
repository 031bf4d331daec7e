// Package watch has a loop notice the changes that others make on the board, even while no
// exchange picks a backend.
package watch

import (
	"time"

	"lb/board"
	"lb/loop"
)

// Every is how often a loop looks. Exchanges that wait at a backend which another loop has
// ejected, or a check has found down, wait that much longer.
const Every = 100 * time.Millisecond

// Watch looks at the board's version while the loop has something to do. It belongs to that
// loop.
type Watch struct {
	Loop  *loop.Loop
	Board *board.Board
	Busy  func() bool // reports whether to go on
	// Changed is called when the version has changed. While it returns true, it is called
	// each time.
	Changed func() (again bool)

	timer   loop.Timer
	version uint64
	idle    uint64 // the version at the last Look
	on      bool
	again   bool
}

// Begin has w look from now on, until the loop is no longer busy. It may be called again.
func (w *Watch) Begin() {
	if !w.on {
		w.begin()
	}
}

func (w *Watch) begin() {
	w.on, w.version = true, w.Board.Version()
	w.Loop.Arm(&w.timer, w, w.Loop.Now().Add(Every))
}

// Look looks now, if that has not been done by the timer: the loop may be idle, or have
// nothing but tunnels. It is to be called now and then.
func (w *Watch) Look() {
	v := w.Board.Version()
	if v != w.idle && !w.on {
		w.Changed()
	}
	w.idle = v
}

// Expired is called by the loop when it is time to look.
func (w *Watch) Expired() {
	if w.on = w.Busy(); !w.on {
		return
	}
	w.Loop.Arm(&w.timer, w, w.Loop.Now().Add(Every))
	if v := w.Board.Version(); v != w.version || w.again {
		w.version = v
		w.again = w.Changed()
	}
}
