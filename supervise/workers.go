package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop"
)

const (
	// readyTimeout is how long the first worker of a seat may take to serve, also on
	// a machine that is busy, as when everything is started at once.
	readyTimeout = 30 * time.Second
	// A worker that lived shorter than youngWorker is replaced after respawnDelay,
	// any other at once.
	youngWorker  = time.Second
	respawnDelay = 100 * time.Millisecond
	// killDelay is how long a worker may take to leave that was told to end at once.
	killDelay = 2 * time.Second
)

// workers are the loops of mp: processes with one loop each, replaced when they die.
type workers struct {
	cfg       *config.Config
	log       *slog.Logger
	board     *board.Board
	boardFile *os.File
	seats     []*seat
	restarts  atomic.Uint64
	keepers   sync.WaitGroup
	ending    chan struct{} // closed when nobody is replaced any more

	mu    sync.Mutex // guards what follows, and process in the seats
	ended bool       // ending is closed
	addrs [][][]loop.Addr
}

// seat is the place of one worker. Index, listening socket and slot on the board
// stay when the process changes.
type seat struct {
	index    int
	listener *os.File // not owned
	process  *process // the last one that was started
}

// startWorkers returns when every worker accepts connections, or one could not
// begin. It takes over the board's file f; the listeners ls stay the caller's.
func startWorkers(cfg *config.Config, log *slog.Logger, b *board.Board, f *os.File,
	ls []*os.File, addrs [][][]loop.Addr) (*workers, error) {
	w := &workers{cfg: cfg, log: log, board: b, boardFile: f, addrs: addrs, ending: make(chan struct{})}
	for i, l := range ls {
		w.seats = append(w.seats, &seat{index: i, listener: l})
	}
	err := w.startAll()
	if err != nil {
		now := make(chan struct{})
		close(now)
		w.finish(0, now)
		return nil, err
	}
	for _, s := range w.seats {
		w.keepers.Go(func() { w.keep(s) })
	}
	return w, nil
}

func (w *workers) startAll() error {
	for _, s := range w.seats {
		if err := w.spawn(s); err != nil {
			return err
		}
	}
	late := time.NewTimer(readyTimeout)
	defer late.Stop()
	for _, s := range w.seats {
		select {
		case <-s.process.ready:
		case <-s.process.exited:
			return fmt.Errorf("worker %d: %w", s.index, s.process.cause())
		case <-late.C:
			return fmt.Errorf("worker %d does not serve after %v", s.index, readyTimeout)
		}
	}
	return nil
}

// errEnding says that no more workers are started.
var errEnding = errors.New("no more workers are started")

// spawn starts a process for s. What changes from now on reaches it as orders.
func (w *workers) spawn(s *seat) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return errEnding
	}
	p, err := startProcess(s.index, w.boardFile, s.listener)
	if err != nil {
		return fmt.Errorf("worker %d: %w", s.index, err)
	}
	s.process = p
	p.order(order{Start: &startOrder{
		Config: w.cfg,
		Index:  s.index,
		Loops:  len(w.seats),
		Addrs:  w.addrs,
	}})
	return nil
}

// keep replaces the process of s whenever it is gone, until the end.
func (w *workers) keep(s *seat) {
	for {
		p := s.process // only keep changes it, now that all are started
		select {
		case <-w.ending:
			return
		case <-p.exited:
		}
		select {
		case <-w.ending:
			return
		default:
		}
		w.logDeath(s)
		w.board.TakeOver(s.index)
		if !w.replace(s, p.age() < youngWorker) {
			return
		}
	}
}

// logDeath tells why the process of s, which has exited, is gone.
func (w *workers) logDeath(s *seat) {
	p := s.process
	w.log.Error("worker died", "worker", s.index, "pid", p.pid(), "cause", p.cause(), "age", p.age())
}

// replace starts a new process for s, and returns false when it is not to be
// replaced any more.
func (w *workers) replace(s *seat, wait bool) bool {
	for {
		if wait {
			delay := time.NewTimer(respawnDelay)
			select {
			case <-w.ending:
				delay.Stop()
				return false
			case <-delay.C:
			}
		}
		switch err := w.spawn(s); err {
		case nil:
			w.restarts.Add(1)
			w.log.Info("worker started", "worker", s.index, "pid", s.process.pid())
			return true
		case errEnding:
			return false
		default:
			w.log.Error("worker cannot be started", "worker", s.index, "cause", err)
			wait = true
		}
	}
}

// setAddrs tells every worker, and every later one, new addresses of a backend.
func (w *workers) setAddrs(at place, addrs []loop.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addrs[at.Pool][at.Backend] = addrs
	for _, s := range w.seats {
		s.process.order(order{Addrs: &addrsOrder{At: at, Addrs: addrs}})
	}
}

// running returns how many workers serve, and how many were replaced.
func (w *workers) running() (n int, restarts uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seats {
		if s.process.serving() {
			n++
		}
	}
	return n, w.restarts.Load()
}

// finish drains all workers and returns when they are gone: after timeout, or
// when now is closed, what they still do is cut off. It returns how many
// exchanges that were.
func (w *workers) finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	w.mu.Lock()
	w.ended = true
	close(w.ending)
	w.mu.Unlock()
	w.keepers.Wait()

	var total atomic.Int64
	var all sync.WaitGroup
	for _, s := range w.seats {
		if s.process == nil {
			continue // it was never started
		}
		all.Go(func() {
			served := s.process.serving()
			reported := s.process.finish(timeout, now)
			if reported < 0 { // it died: what it had at work is still on the board
				reported = int(w.board.Loop(s.index).Exchanges.Load())
				if served { // else it is known already
					w.logDeath(s)
				}
			}
			total.Add(int64(reported))
		})
	}
	all.Wait()
	w.boardFile.Close()
	return int(total.Load())
}
