package supervise

import (
	"log/slog"
	"os"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// applyTimeout is how long apply waits for the loops.
const applyTimeout = 800 * time.Millisecond

// crew is the loops of either mode. Only the desk calls its methods, one after
// the other, except running, which any goroutine may call.
type crew interface {
	// apply gives every loop s, starts loops and retires others until n are at
	// work, and gives them the sockets of ls, which has at least n of them, stay
	// the caller's and are open until the next apply or finish. It returns when
	// all loops have acknowledged s, or after applyTimeout with an error that
	// names those that have not; they get it when they come back.
	apply(s *snapshot, ls *listeners, n int) error
	// setAddrs gives every loop new addresses of the backend with this board ID,
	// which the snapshot of the next apply has to have, too.
	setAddrs(id int, addrs []Addr)
	// seats returns every loop: those at work by their place, then those that retire.
	seats() []seatStatus
	// ping returns nil when every loop that serves has turned within timeout, else
	// an error that names those that have not.
	ping(timeout time.Duration) error
	// running returns how many loops serve, and how many worker processes were
	// replaced since the first start. Any goroutine may call it.
	running() (n int, restarts uint64)
	// finish drains all loops, retiring ones included, and returns when they have
	// ended; it is the last call. After timeout, or when now is closed, what still
	// runs is cut off. It returns how many exchanges that were, those of workers
	// that died meanwhile included.
	finish(timeout time.Duration, now <-chan struct{}) (cut int)
}

// seatState is what a loop is doing.
type seatState string

const (
	seatServing  seatState = "serving"
	seatStarting seatState = "starting" // a worker process that does not serve yet
	seatWaiting  seatState = "waiting"  // its worker died, the next one is not due yet
	seatRetiring seatState = "retiring" // it finishes what it has, and takes nothing new
)

// seatStatus is one loop as an operator sees it.
type seatStatus struct {
	Slot     int       // on the board
	PID      int       // of its process, 0 while it has none; in mt this process
	Since    time.Time // when its process or thread began; the zero time: it has none
	Restarts int       // how often its worker was replaced
	State    seatState
}

// common is what crews of either mode need. All of it stays the caller's.
type common struct {
	log       *slog.Logger
	board     *board.Board
	boardFile *os.File
	slots     *slotBook
	limit     uint64 // of descriptors, of this process
}

// clock returns the time of the clock that all loops and the board go by.
func clock() tick.Instant { return now() }

// startCrew starts n loops in the mode of s and returns when all of them serve.
// After an error, which names the loop that could not begin, none is left.
func startCrew(c common, s *snapshot, ls *listeners, n int) (crew, error) {
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
