package supervise

import (
	"errors"
	"os"
	"time"

	"lb/admin/api"
	"lb/internal/host"
	"lb/supervise/handover"
)

// upgrading is an upgrade under way.
type upgrading struct {
	*handover.Upgrade
	done func(api.Upgraded, error) // called once, on the desk
}

// beginUpgrade begins to put the program at binary in the place of this one; ""
// is the path that this one was started from. done is called on the desk: when
// the new process has taken over and this one has begun to drain, or with the
// reason why it goes on. Only the desk calls beginUpgrade, and goes on meanwhile.
func (s *server) beginUpgrade(binary string, done func(api.Upgraded, error)) {
	if binary == "" {
		binary = s.program
	}
	m, err := s.newUpgrade(done)
	if err != nil {
		s.upgradeFailed(binary, err)
		done(api.Upgraded{}, err)
		return
	}
	s.log.Info("upgrade begins", "binary", binary)
	s.moving = m
	s.publish()
	m.Begin(binary, func(cancelled <-chan struct{}) {
		s.desk.tell("upgrading", cancelled, func() { s.endUpgrade(binary, m) })
	})
}

// newUpgrade collects what is to be handed over.
func (s *server) newUpgrade(done func(api.Upgraded, error)) (*upgrading, error) {
	switch {
	case os.Getpid() == 1:
		return nil, errors.New("lb is process 1 here, with which all others end; start the container anew instead")
	case s.moving != nil:
		return nil, errors.New("an upgrade is under way already")
	case s.ending != nil:
		return nil, errEnding
	}
	h := handover.Holdings{
		Number:       s.now.Number,
		Registry:     s.registry,
		Board:        s.boardFile,
		Admin:        s.adminListener,
		AdminAddress: s.now.Config.Admin.Address,
		Runtime:      s.runtimeListener,
		RuntimePath:  s.runtimePath,
		Sets:         s.sets(),
	}
	u, err := handover.NewUpgrade(h, s.o.UpgradeTimeout)
	if err != nil {
		return nil, err
	}
	return &upgrading{u, done}, nil
}

// endUpgrade, on the desk, does what follows from the outcome.
func (s *server) endUpgrade(binary string, m *upgrading) {
	s.moving = nil
	if err := m.Err(); err != nil {
		s.upgradeFailed(binary, err)
		if err := host.WritePID(s.pidFile); err != nil { // it may have come so far
			s.log.Error("pid file is lost", "cause", err)
		}
		if s.watch != nil {
			s.watch.Poke() // a change of the file was left to the new process
		}
		m.done(api.Upgraded{}, err)
		return
	}
	pid, version := m.Successor()
	s.log.Info("upgraded, draining", "pid", pid, "version", version, "timeout", s.now.Config.Timeouts.Drain)
	s.letGo(m)
	s.finish(false)
	s.ending.replaced = true
}

// letGo leaves to the new process what only one can have.
func (s *server) letGo(m *upgrading) {
	if s.runtimeListener != nil {
		s.runtimeListener.SetUnlinkOnClose(!m.TookRuntime())
	}
	pid, version := m.Successor()
	s.notifier.HandOver(pid)
	m.Release()
	m.done(api.Upgraded{PID: pid, Version: version}, nil)
	// Who comes from now on is the new process's. Those who are here already, the one
	// who asked for the upgrade among them, are answered until the end.
	if s.runtimeListener != nil {
		s.runtimeListener.Close()
	}
	if s.adminListener != nil {
		s.adminListener.Close()
	}
	if m.LeftSockets() && !s.listeners.Systemd {
		s.listeners.Leave()
	}
	if s.prober != nil {
		s.prober.Close()
		s.prober = nil
	}
}

// cancelUpgrade ends an upgrade that is under way because this process is to end.
// A new process that has taken over already goes on.
func (s *server) cancelUpgrade() {
	m := s.moving
	if m == nil {
		return
	}
	s.moving = nil
	m.Cancel()
	if m.Err() == nil {
		s.letGo(m)
		return
	}
	m.done(api.Upgraded{}, errEnding)
}

func (s *server) upgradeFailed(binary string, err error) {
	s.upFault = fault{err.Error(), time.Now()}
	s.log.Error("upgrade failed, this process goes on", "binary", binary, "cause", err)
	s.publish()
	if s.watch != nil {
		s.watch.Poke() // a change of the file was left to the new process
	}
}
