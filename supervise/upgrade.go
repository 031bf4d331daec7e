package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"lb/admin/api"
)

// An upgrade, step by step. The old process starts the new one, which says hello,
// and hands over sockets, board and registry; the new one starts its loops on the
// same sockets and reports that it is ready; both accept from now on. The old one says go; the
// new one writes the pid file, begins to answer the operator on the same two
// listeners, and reports that it has taken over. The old one tells systemd which
// process matters now, ends the talk, which the new one has waited for, and
// drains. Whatever goes wrong before that last report, the new one is ended and
// the old one goes on. A socket that is handed over is only ever closed, never
// shut down: that would end it for both.

// upgradeTimeout is how long a new process may take to serve, and to take over.
const upgradeTimeout = 10 * time.Second

// moving is an upgrade under way. Its goroutine works on what it was given, and
// its outcome may be read when ended is closed.
type moving struct {
	handover  *handover
	fds       []int      // of what is handed over; open as long as the upgrade goes on
	dups      []*os.File // those of fds that are the upgrade's own
	timeout   time.Duration
	done      func(api.Upgraded, error)
	cancelled chan struct{}
	ended     chan struct{} // closed when the goroutine has nothing more to do

	mu        sync.Mutex
	successor *successor // nil: it was not started

	ready readyReport
	took  tookReport
	err   error
}

// beginUpgrade begins to put the program at binary in the place of this one; ""
// is the path that this one was started from. done is called on the desk: when
// the new process has taken over and this one has begun to drain, or with the
// reason why it goes on. Only the desk calls beginUpgrade, and goes on meanwhile.
func (s *server) beginUpgrade(binary string, done func(api.Upgraded, error)) {
	if binary == "" {
		binary = s.program
	}
	m, err := s.newMoving(done)
	if err != nil {
		s.upgradeFailed(binary, err)
		done(api.Upgraded{}, err)
		return
	}
	s.log.Info("upgrade begins", "binary", binary)
	s.moving = m
	s.publish()
	go func() {
		defer close(m.ended)
		m.run(binary)
		s.desk.tell("upgrading", m.cancelled, func() { s.endUpgrade(binary, m) })
	}()
}

// newMoving collects what is to be handed over.
func (s *server) newMoving(done func(api.Upgraded, error)) (*moving, error) {
	switch {
	case os.Getpid() == 1:
		return nil, errors.New("lb is process 1 here, with which all others end; start the container anew instead")
	case s.moving != nil:
		return nil, errors.New("an upgrade is under way already")
	case s.ending != nil:
		return nil, errEnding
	}
	reg, err := json.Marshal(s.registry)
	if err != nil {
		return nil, err
	}
	m := &moving{
		handover:  &handover{Protocol: upgradeProtocol, Number: s.now.Number, Registry: reg},
		fds:       []int{int(s.boardFile.Fd())},
		timeout:   s.o.UpgradeTimeout,
		done:      done,
		cancelled: make(chan struct{}),
		ended:     make(chan struct{}),
	}
	if m.timeout == 0 {
		m.timeout = upgradeTimeout
	}
	if s.adminListener != nil {
		m.handover.Admin = s.now.Config.Admin.Address
		err = m.addListener(s.adminListener)
	}
	if s.runtimeListener != nil && err == nil {
		m.handover.Runtime = s.runtimePath
		err = m.addListener(s.runtimeListener)
	}
	if err != nil {
		m.closeDups()
		return nil, err
	}
	for _, ls := range s.sets() {
		m.addSet(ls)
	}
	return m, nil
}

func (m *moving) addListener(l net.Listener) error {
	c, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a listener of type %T cannot be handed over", l)
	}
	f, err := dupListener(c)
	if err != nil {
		return err
	}
	m.dups = append(m.dups, f)
	m.fds = append(m.fds, int(f.Fd()))
	return nil
}

func (m *moving) addSet(ls *listeners) {
	m.handover.Sets = append(m.handover.Sets, handedSet{
		Configured: ls.configured,
		Addr:       ls.addr,
		Shared:     ls.shared,
		Systemd:    ls.systemd,
		Sockets:    len(ls.files),
	})
	for _, f := range ls.files {
		m.fds = append(m.fds, int(f.Fd()))
	}
}

func (m *moving) closeDups() {
	for _, f := range m.dups {
		f.Close()
	}
}

// run starts the new process and returns with the outcome in m.
func (m *moving) run(binary string) {
	defer m.closeDups()
	p, err := m.start(binary)
	if err != nil {
		m.err = err
		return
	}
	if m.ready, m.took, m.err = p.takeOver(m.handover, m.fds, m.timeout); m.err == nil {
		return
	}
	select {
	case <-m.cancelled: // which sees to the process
	default:
		p.kill()
	}
}

func (m *moving) start(binary string) (*successor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.cancelled:
		return nil, errEnding
	default:
	}
	p, err := startSuccessor(binary)
	if err == nil {
		m.successor = p
	}
	return p, err
}

// cancel ends the upgrade because this process is to end, and returns when its
// goroutine has. A new process that serves already has conns to finish: it is told
// to drain. It is not touched when it has taken over.
func (m *moving) cancel() {
	m.mu.Lock()
	close(m.cancelled)
	p := m.successor
	m.mu.Unlock()
	select {
	case <-m.ended:
		return
	default:
	}
	if p != nil {
		p.dismiss()
	}
	<-m.ended
}

// endUpgrade, on the desk, does what follows from the outcome.
func (s *server) endUpgrade(binary string, m *moving) {
	s.moving = nil
	if m.err != nil {
		s.upgradeFailed(binary, m.err)
		if err := writePID(s.pidFile); err != nil { // it may have come so far
			s.log.Error("pid file is lost", "cause", err)
		}
		if s.watch != nil {
			s.watch.poke() // a change of the file was left to the new process
		}
		m.done(api.Upgraded{}, m.err)
		return
	}
	pid := m.successor.pid()
	s.log.Info("upgraded, draining", "pid", pid, "version", m.ready.Version, "timeout", s.now.Config.Timeouts.Drain)
	s.letGo(m)
	s.finish(false)
	s.ending.replaced = true
}

// letGo leaves to the new process what only one can have.
func (s *server) letGo(m *moving) {
	if s.runtimeListener != nil {
		s.runtimeListener.SetUnlinkOnClose(!m.took.Runtime)
	}
	s.notifier.handOver(m.successor.pid())
	m.successor.control.close()
	m.done(api.Upgraded{PID: m.successor.pid(), Version: m.ready.Version}, nil)
	// Who comes from now on is the new process's. Those who are here already, the one
	// who asked for the upgrade among them, are answered until the end.
	if s.runtimeListener != nil {
		s.runtimeListener.Close()
	}
	if s.adminListener != nil {
		s.adminListener.Close()
	}
	if m.took.Left && !s.listeners.systemd {
		s.listeners.leave()
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
	m.cancel()
	if m.err == nil {
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
		s.watch.poke() // a change of the file was left to the new process
	}
}
