package board

// LoopTotals is the sum of all loops' slots, field by field as in Loop. The
// fields are read one after another while the loops go on: each is right for
// itself, two of them need not be of the same moment.
type LoopTotals struct {
	ClientConns  uint64
	BackendConns uint64
	BackendIdle  uint64
	Exchanges    uint64
	Tunnels      uint64

	Accepted                         uint64
	AcceptErrors                     uint64
	Requests                         uint64
	Replies                          [6]uint64
	OwnReplies                       [6]uint64
	BytesFromClient, BytesToClient   uint64
	BytesFromBackend, BytesToBackend uint64
	Retries                          uint64
	ClientAborts                     uint64
	Panics                           uint64
	Turns                            uint64
	OldestConfig                     uint64 // of no use as a sum
}

// BackendTotals is the sum of a backend's slots over all loops, field by field
// as in Backend, with the caveat of LoopTotals.
type BackendTotals struct {
	InFlight                                              uint64
	Attempts                                              uint64
	Replies                                               [6]uint64
	ConnectFaults, ResetFaults, TimeoutFaults, BadAnswers uint64
	Conns                                                 uint64
	BytesFrom, BytesTo                                    uint64
	WaitsSince                                            uint64 // of no use as a sum
}

// Totals adds up the slots of all loops, past ones included. Any goroutine may call it.
func (b *Board) Totals() LoopTotals {
	var t LoopTotals
	for i := range b.Loops() {
		addUp(t.words(), b.Loop(i).counters())
	}
	return t
}

// BackendTotals adds up the slots of a backend over all loops. Any goroutine may
// call it. It panics if there is no such backend.
func (b *Board) BackendTotals(backend int) BackendTotals {
	var t BackendTotals
	for i := range b.Loops() {
		addUp(t.words(), b.Backend(i, backend).counters())
	}
	return t
}

func addUp(sums []uint64, counters []Counter) {
	for i := range sums {
		sums[i] += counters[i].Load()
	}
}
