// Package upkeep is what a loop does now and then, busy or not: it frees memory left over
// from a busy time, and puts its turns on the board.
package upkeep

import (
	"time"

	"lb/board"
	"lb/loop"
	"lb/loop/tick"
)

const (
	every         = 2 * time.Second
	giveBackEvery = 10 * time.Second
	giveBackMin   = 512 << 10 // bytes that are worth it
)

// Upkeep is that of one loop, to which it belongs.
type Upkeep struct {
	Loop     *loop.Loop
	Counters *board.Loop
	Trim     func() (freed int) // frees what was not needed since the last call, and returns its bytes
	GiveBack func()             // returns to the system what Trim has freed; it is called seldom

	timer loop.Timer
	freed int          // bytes since the last GiveBack
	given tick.Instant // the time of that
	turns uint64       // of the loop, that are on the board
}

// Begin begins the upkeep, which goes on as long as the loop.
func (u *Upkeep) Begin() { u.Loop.Arm(&u.timer, u, u.Loop.Now().Add(every)) }

// Expired is called by the loop when it is time.
func (u *Upkeep) Expired() {
	u.freed += u.Trim()
	if now := u.Loop.Now(); u.freed >= giveBackMin && now.Sub(u.given) >= giveBackEvery {
		u.freed, u.given = 0, now
		u.GiveBack()
	}
	turns := u.Loop.Counters().Turns
	u.Counters.Turns.Add(turns - u.turns)
	u.turns = turns
	u.Begin()
}
