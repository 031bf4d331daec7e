package crew

import (
	"log/slog"
	"os"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/supervise/engine"
	"lb/supervise/listen"
	"lb/supervise/plan"
)

// applyTimeout is how long apply waits for the loops.
const applyTimeout = 800 * time.Millisecond

// Crew is the loops of either mode. Only the desk calls its methods, one after
// the other, except running, which any goroutine may call.
type Crew interface {
	// Apply gives every loop s, starts loops and retires others until n are at
	// work, and gives them the sockets of ls, which has at least n of them, stay
	// the caller's and are open until the next apply or finish. It returns when
	// all loops have acknowledged s, or after applyTimeout with an error that
	// names those that have not; they get it when they come back.
	Apply(s *plan.Snapshot, ls *listen.Set, n int) error
	// SetAddrs gives every loop new addresses of the backend with this board ID,
	// which the snapshot of the next apply has to have, too.
	SetAddrs(id int, addrs []plan.Addr)
	// Loops returns every loop: those at work by their place, then those that retire.
	Loops() []Loop
	// Ping returns nil when every loop that serves has turned within timeout, else
	// an error that names those that have not.
	Ping(timeout time.Duration) error
	// Running returns how many loops serve, and how many worker processes were
	// replaced since the first start. Any goroutine may call it.
	Running() (n int, restarts uint64)
	// Finish drains all loops, retiring ones included, and returns when they have
	// ended; it is the last call. After timeout, or when now is closed, what still
	// runs is cut off. It returns how many exchanges that were, those of workers
	// that died meanwhile included.
	Finish(timeout time.Duration, now <-chan struct{}) (cut int)
}

// State is what a loop is doing.
type State string

const (
	Serving  State = "serving"
	Starting State = "starting" // a worker process that does not serve yet
	Waiting  State = "waiting"  // its worker died, the next one is not due yet
	Retiring State = "retiring" // it finishes what it has, and takes nothing new
)

// Loop is one loop as an operator sees it.
type Loop struct {
	Slot     int       // on the board
	PID      int       // of its process, 0 while it has none; in mt this process
	Since    time.Time // when its process or thread began; the zero time: it has none
	Restarts int       // how often its worker was replaced
	State    State
}

// Options is what crews of either mode need. All of it stays the caller's.
type Options struct {
	Log       *slog.Logger
	Board     *board.Board
	BoardFile *os.File
	Slots     *Slots
	Limit     uint64 // of descriptors, of this process
}

// Now returns the time of the clock that all loops and the board go by.
func Now() tick.Instant { return engine.Now() }

// Start starts n loops in the mode of s and returns when all of them serve.
// After an error, which names the loop that could not begin, none is left.
func Start(c Options, s *plan.Snapshot, ls *listen.Set, n int) (Crew, error) {
	if s.Config.Mode == config.MT {
		t, err := startThreads(c, s, ls, n)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	w, err := startWorkers(c, s, ls, n)
	if err != nil {
		return nil, err
	}
	return w, nil
}
