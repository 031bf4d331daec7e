package board

// LoopTotals is the sum of all loops' slots, with the fields of Loop. The loops
// keep running while fields are read: each sum is right, but two need not be of the
// same moment.
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
	PoolLess                         [6]uint64
	BytesFromClient, BytesToClient   uint64
	BytesFromBackend, BytesToBackend uint64
	Retries                          uint64
	Unrouted                         uint64
	ClientAborts                     uint64
	Panics                           uint64
	Turns                            uint64
	Handshakes                       [HandshakeEnds]uint64
	HandshakeTimes                   [handshakeBuckets]uint64
	HandshakeNanos                   uint64
	HTTP2Conns, HTTP2BackendConns    uint64
	HTTP2Requests, HTTP2Refused      uint64
	HTTP2Floods                      [Floods]uint64
	HTTP2Goaways, HTTP2Unprocessed   uint64
	LogLines, LogLost                uint64
	Faults                           [FaultKinds]uint64
	OldestConfig                     uint64 // meaningless as a sum
}

// BackendTotals is the sum of a backend's slots over all loops, with the fields of
// Backend. Two sums need not be of the same moment.
type BackendTotals struct {
	InFlight                                              uint64
	Attempts                                              uint64
	Replies                                               [4]uint64
	ConnectFaults, ResetFaults, TimeoutFaults, BadAnswers uint64
	Conns                                                 uint64
	BytesFrom, BytesTo                                    uint64
	Queued                                                uint64
	FirstBytes                                            uint64 // see FirstBytesOf
	WaitsSince                                            uint64 // meaningless as a sum
}

// Totals adds up the slots of all loops, including ended ones. Any goroutine may
// call it.
func (b *Board) Totals() LoopTotals {
	var t LoopTotals
	for i := range b.Loops() {
		addUp(t.words(), b.Loop(i).counters())
	}
	return t
}

// BackendTotals adds up the slots of a backend over all loops. Any goroutine may
// call it. It panics if the ID was never claimed.
func (b *Board) BackendTotals(backend int) BackendTotals {
	var t BackendTotals
	for i := range b.Loops() {
		addUp(t.words(), b.Backend(i, backend).counters())
	}
	return t
}

// SeriesTotals adds up a series over all loops. Any goroutine may call it. It panics if
// the series was never claimed.
func (b *Board) SeriesTotals(series int) *SeriesSum {
	t := new(SeriesSum)
	for i := range b.Loops() {
		addUp(t.words(), b.Series(i, series).counters())
	}
	return t
}

func addUp(sums []uint64, counters []Counter) {
	for i := range sums {
		sums[i] += counters[i].Load()
	}
}

// Requests returns how many requests the backend has answered.
func (t *BackendTotals) Requests() (n uint64) {
	for _, k := range t.Replies {
		n += k
	}
	return n
}
