package crew

import (
	"log/slog"
	"os"
	"runtime"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/internal/tlsconf"
	"lb/loop/tick"
	"lb/supervise/engine"
	"lb/supervise/listen"
	"lb/supervise/plan"
	"lb/supervise/slots"
)

// applyTimeout is how long Apply waits for the loops.
const applyTimeout = 800 * time.Millisecond

// Crew is the loops of either mode. Only one goroutine, the desk, calls its methods,
// except Explain and Running, which any goroutine may call.
type Crew interface {
	// Apply gives every loop s, starts and retires loops until n are in use, and
	// gives them the sockets of sets, which are those of the listeners of s. There must
	// be at least n sockets in each set, unless it is shared; they stay the caller's, and
	// open until the next Apply or Finish. Apply
	// returns when all loops have acknowledged s, or after applyTimeout with an error
	// that names those that have not; these get s when they turn again.
	Apply(s *plan.Snapshot, sets []*listen.Set, n int) error
	// Change gives every loop s, which d makes of the snapshot that the loops were given
	// last. It waits for none of them.
	Change(s *plan.Snapshot, d *plan.Delta)
	// SetSecrets gives every loop other secrets. The snapshot of the next Apply has to
	// have them, too.
	SetSecrets(secrets *tlsconf.Secrets)
	// SetLogLevel has the processes of all loops log from another level on. The snapshot of
	// the next Apply has to have it, too.
	SetLogLevel(level string)
	// Loops returns every loop: those in use by their place, then those that retire.
	Loops() []Loop
	// Ping returns nil if every loop that serves turns within timeout, else an error
	// that names those that do not.
	Ping(timeout time.Duration) error
	// Explain returns what one loop that serves would do with a request. It waits for no
	// longer than asking.Timeout. Any goroutine may call it.
	Explain(ask api.ExplainAsk) (api.Explained, error)
	// Running returns how many loops serve, and how many worker processes were
	// replaced since the first start. Any goroutine may call it.
	Running() (n int, restarts uint64)
	// Finish drains all loops, retiring ones included, and returns when they have
	// ended. It is the last call. After timeout, or when now is closed, what still
	// runs is cut off. It returns how many exchanges were cut off, those of workers
	// that died meanwhile included.
	Finish(timeout time.Duration, now <-chan struct{}) (cut int)
}

// procs returns GOMAXPROCS for a process with n loops: one for each, one for the rest, and
// with TLS one for the handshakes beside each loop.
func procs(n int, s *plan.Snapshot) int {
	if s.Secrets != nil {
		return 2*n + 1
	}
	return n + 1
}

// raiseProcs sets GOMAXPROCS to procs, if it is lower.
func raiseProcs(n int, s *plan.Snapshot) {
	if want := procs(n, s); runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}

// State is what a loop is doing.
type State string

// The states; their text is what an operator sees.
const (
	Serving  State = "serving"
	Starting State = "starting" // its worker process does not serve yet
	Waiting  State = "waiting"  // its worker died, and the next one is not due yet
	Retiring State = "retiring" // it finishes what it has, and takes nothing new
)

// Loop is one loop as an operator sees it.
type Loop struct {
	Slot     int       // on the board
	Place    int       // among those in use, from 0 on; no meaning for one that retires
	PID      int       // of its process, 0 while it has none; in mt that of this process
	Since    time.Time // when its process or thread began; the zero time if it has none
	Restarts int       // how often its worker was replaced
	State    State
}

// Options are what a crew of either mode needs. All of it stays the caller's.
type Options struct {
	Log       *slog.Logger
	Board     *board.Board
	BoardFile *os.File
	Slots     *slots.Slots
	Limit     uint64 // of descriptors, of this process
	Program   string // path of this binary, for workers where there is no /proc
}

// Now returns the time of the clock that all loops and the board go by.
func Now() tick.Instant { return engine.Now() }

// Start starts n loops in the mode of s, on the sockets of sets (see Crew.Apply), and
// returns when all of them serve. After an error, which names the loop that could not
// begin, none is left.
func Start(c Options, s *plan.Snapshot, sets []*listen.Set, n int) (Crew, error) {
	if s.Config.Mode == config.MT {
		t, err := startThreads(c, s, sets, n)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	w, err := startWorkers(c, s, sets, n)
	if err != nil {
		return nil, err
	}
	return w, nil
}
