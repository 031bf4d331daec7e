package supervise

import (
	"context"
	"net"

	"lb/config"
)

// This file opens, swaps and closes the servers for the operator: the one on an
// address, and the one for commands on a unix socket.

// openAdmin makes the operator's server for the first time; it does not serve yet.
func (s *server) openAdmin(cfg *config.Config) error {
	if s.o.Admin == nil {
		return nil
	}
	var o opened[Admin, net.Listener]
	if err := s.listenAdmin(cfg, &o, new([]func())); err != nil {
		return err
	}
	if o.any {
		s.admin, s.adminListener = o.at, o.listener
	}
	return nil
}

// swapAdmin puts another server in the place of the operator's.
func (s *server) swapAdmin(o *opened[Admin, net.Listener]) {
	if old := s.admin; old != nil {
		s.closing.Go(func() { // answers may take a while
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			s.cutOff(old.Close(ctx))
		})
	}
	s.admin, s.adminListener = nil, nil
	if o.any {
		s.admin, s.adminListener = o.at, o.listener
		s.admin.Serve(s.adminListener)
	}
}

func (s *server) closeAdmin(ctx context.Context) {
	if s.admin != nil {
		s.cutOff(s.admin.Close(ctx))
		s.adminListener.Close() // which the server does not know before Serve
		s.admin, s.adminListener = nil, nil
	}
}

// cutOff notes that a server was closed by force, if err says so. What it was
// answering then may still look at the board.
func (s *server) cutOff(err error) {
	if err != nil {
		s.lookedAt.Store(true)
	}
}

// openRuntime makes the server for commands, which does not serve yet.
func (s *server) openRuntime(cfg *config.Config) error {
	if s.o.Runtime == nil {
		return nil
	}
	s.runtime = s.o.Runtime(control{s})
	var o opened[string, *net.UnixListener]
	if err := s.listenRuntime(cfg, &o, new([]func())); err != nil {
		return err
	}
	s.setRuntime(&o)
	return nil
}

func (s *server) setRuntime(o *opened[string, *net.UnixListener]) {
	s.runtimeListener, s.runtimePath = nil, ""
	if o.any {
		s.runtimeListener, s.runtimePath = o.listener, o.at
	}
}

// swapRuntime takes commands at another path. Who is connected goes on: one of
// them may be waiting for the end of this reload.
func (s *server) swapRuntime(o *opened[string, *net.UnixListener]) {
	if s.runtimeListener != nil {
		s.runtimeListener.Close()
	}
	s.setRuntime(o)
	if o.any {
		s.runtime.Serve(s.runtimeListener)
	}
}

func (s *server) closeRuntime(ctx context.Context) {
	if s.runtimeListener != nil {
		s.runtimeListener.Close()
		s.runtimeListener = nil
	}
	if s.runtime != nil {
		s.cutOff(s.runtime.Close(ctx))
	}
}

// running is what the operator's server can look at.
func (s *server) running() Running {
	r := Running{
		Board: s.board,
		Now:   func() int64 { return int64(s.clock()) },
		View:  func() View { return *s.view.Load() },
	}
	if s.now.Config.Mode == config.MP {
		r.Workers = func() (running int, restarts uint64) {
			if crew := s.loops.Load(); crew != nil {
				return (*crew).Running()
			}
			return 0, 0
		}
	}
	return r
}
