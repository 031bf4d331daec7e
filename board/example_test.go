package board_test

import (
	"fmt"

	"lb/board"
)

func Example() {
	b, file, err := board.Create(board.Size{Loops: 4, Backends: 16}) // room for 4 loops and 16 backends
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	defer b.Close()

	// The control plane claims what the configuration needs.
	for slot := range 2 {
		b.ClaimLoop(slot)
		b.TakeOver(slot)
	}
	b.ClaimBackend(0)

	// Each loop, in this process or another one, counts in its own slots.
	for slot := range 2 {
		b.Loop(slot).Requests.Add(10)
		b.Backend(slot, 0).Attempts.Add(10)
		b.Backend(slot, 0).InFlight.Add(1)
	}
	b.Backend(1, 0).InFlight.Sub(1)

	// Readers add up the slots.
	fmt.Println(b.Totals().Requests, "requests")
	fmt.Println(b.BackendTotals(0).Attempts, "attempts, of which active:", b.InFlight(0))

	// At most 2 attempts at once, over all loops.
	fmt.Println(b.Reserve(0, 0, 2), b.Reserve(1, 0, 2))
	// Output:
	// 20 requests
	// 20 attempts, of which active: 1
	// true false
}
