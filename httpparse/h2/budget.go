package h2

// Budget is one of the things that a peer may not do too often.
type Budget uint8

// The budgets; see budgets for their sizes.
const (
	NoFlood       Budget = iota
	FloodResets          // streams that the peer opens and resets before their end (rapid reset)
	FloodFaults          // streams that the peer makes us reset, or whose head is malformed (MadeYouReset)
	FloodRefused         // streams above MAX_CONCURRENT_STREAMS
	FloodBlocks          // header blocks in too many or too many empty CONTINUATION frames, or too long
	FloodHeads           // bytes of heads that are beyond the limits (HPACK bombs)
	FloodEmpty           // DATA without bytes and without END_STREAM
	FloodSettings        // SETTINGS
	FloodPings           // PING
	FloodPriority        // PRIORITY, PRIORITY_UPDATE
	FloodWindow          // WINDOW_UPDATE
	FloodSlivers         // small DATA frames that small windows force us to send
	FloodClosed          // frames in closed streams
	FloodUnknown         // frames of unknown types
	floods
)

var floodNames = [floods]string{"", "resets", "faults", "refused", "blocks", "heads", "empty", "settings", "pings", "priority",
	"window", "slivers", "closed", "unknown"}

// String returns a word for logs and counters, or "" for NoFlood.
func (b Budget) String() string { return floodNames[b] }
