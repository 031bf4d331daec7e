package h2

import (
	"time"

	"lb/loop/tick"
)

// Budget is one of the things that a peer may not do too often.
type Budget uint8

// The budgets; see sizes.
const (
	NoFlood       Budget = iota
	FloodResets          // streams that the peer opens and resets before our answer's end (rapid reset)
	FloodFaults          // streams that the peer makes us reset, and malformed heads (MadeYouReset)
	FloodRefused         // streams above MAX_CONCURRENT_STREAMS
	FloodBlocks          // header blocks of too many bytes or CONTINUATION frames
	FloodHeads           // bytes of heads beyond the limits (HPACK bombs)
	FloodEmpty           // DATA without bytes and without END_STREAM
	FloodSettings        // SETTINGS
	FloodPings           // PING
	FloodPriority        // PRIORITY, PRIORITY_UPDATE
	FloodWindow          // WINDOW_UPDATE
	FloodSlivers         // small DATA frames that small windows force us to send
	FloodClosed          // frames in closed streams
	FloodUnknown         // frames of unknown types
	FloodTable           // changes of the size of HPACK's table
	floods
)

var floodNames = [floods]string{"", "resets", "faults", "refused", "blocks", "heads", "empty", "settings", "pings",
	"priority", "window", "slivers", "closed", "unknown",
	"table"}

// String returns a word for logs and counters, or "" for NoFlood.
func (b Budget) String() string { return floodNames[b] }

// size is how much a budget has at once, and what comes back in a second.
type size struct{ most, second int32 }

// sizes are the budgets of a client's conn. A backend's has eight times as much: it is the
// operator's own, but it may be as broken as any. What work was worth, earns: see below.
var sizes = [floods]size{
	// A browser leaves a page and cancels 100 images; a gRPC client cancels calls for as
	// long as it lives. Each stream that ends well earns another reset.
	FloodResets: {500, 100},
	// No client that we know breaks a rule on purpose; h2spec does some at once.
	FloodFaults: {100, 10},
	// Clients that open more than 128 before they have read our SETTINGS.
	FloodRefused: {1000, 100},
	// 64 for each block, see blockMax and contsMax; this one has no rate.
	FloodBlocks: {0, 0},
	// A cookie jar that is too large comes with every request and gets its 431 each time.
	// A bomb stands for 4 KiB with each byte.
	FloodHeads: {1 << 20, 64 << 10},
	// Some libraries flush without bytes, once or twice in a stream.
	FloodEmpty: {1000, 200},
	// Once in a conn, and once more for each change.
	FloodSettings: {100, 10},
	// One a second keeps a conn alive. gRPC measures its bandwidth by one for each round
	// trip in which it got DATA: each DATA frame that we send earns one.
	FloodPings: {500, 20},
	// Once in a stream, or twice; a stream earns 2.
	FloodPriority: {1000, 100},
	// Two for each DATA frame that we send, or for each 1 KiB of it: such a frame earns two,
	// and one for each 256 bytes, unless it is a sliver; a stream earns 4.
	// What was earned is kept, see earnedMax: what is in the buffers of two kernels when the
	// last of an answer is sent is answered after that.
	FloodWindow: {1000, 100},
	// Windows below 256 bytes at the end of a transfer, or of a client that is short of
	// memory; with one byte a frame costs us ten times its payload. Each larger frame earns
	// one: a window that is given back as it was used has a sliver at the end each time.
	FloodSlivers: {200, 20},
	// What was under way when we reset a stream: 64 KiB of an upload.
	FloodClosed: {2000, 200},
	// Clients send one or two to keep peers tolerant (RFC 8701).
	FloodUnknown: {100, 10},
	// Two in one block make sense, and are free (RFC 7541 4.2); more come from no encoder.
	// What else is done to the table costs us no more than the bytes of the block.
	FloodTable: {100, 10},
}

// refillEvery is how often what comes back is added up.
const refillEvery = 100 * time.Millisecond

// backendFactor is how much more a backend may do.
const backendFactor = 8

// budgets are what one conn has left.
type budgets struct {
	left  [floods]int32
	since tick.Instant // of the last refill
}

// reset fills all budgets.
func (b *budgets) reset(r Role, now tick.Instant) {
	for k := range sizes {
		b.left[k] = sizes[k].of(r).most
	}
	b.since = now
}

func (z size) of(r Role) size {
	if r == Client {
		return size{z.most * backendFactor, z.second * backendFactor}
	}
	return z
}

// spend takes cost from k, and reports whether there was so much.
func (b *budgets) spend(k Budget, cost int, r Role, now tick.Instant) bool {
	if cost > 1<<30 {
		return false
	}
	if b.left[k] >= int32(cost) {
		b.left[k] -= int32(cost)
		return true
	}
	if passed := now.Sub(b.since); passed >= refillEvery {
		b.since = now
		for i := range sizes {
			z := sizes[i].of(r)
			b.left[i] = max(b.left[i], int32(min(int64(z.most), int64(b.left[i])+int64(min(passed, time.Hour)/time.Millisecond)*int64(z.second)/1000)))
		}
	}
	b.left[k] = max(b.left[k]-int32(cost), -1)
	return b.left[k] >= 0
}

// earnedMax is how many WINDOW_UPDATE frames DATA may earn before any has come: some MiB
// of it are in the buffers of sockets, and on a long way.
const earnedMax = 1 << 20

// earn gives n back to k.
func (b *budgets) earn(k Budget, n int, r Role) {
	most := sizes[k].of(r).most
	if k == FloodWindow {
		most = earnedMax
	}
	b.left[k] = min(most, b.left[k]+int32(n))
}
