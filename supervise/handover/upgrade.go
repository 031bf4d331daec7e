package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"lb/supervise/listen"
)

var errCancelled = errors.New("lb is ending")

// Upgrade is an upgrade under way, as the old process sees it. Its outcome may be
// read once Begin's news was called or Cancel has returned.
type Upgrade struct {
	contents  *contents
	fds       []int      // of what is handed over; open as long as the upgrade goes on
	dups      []*os.File // the ones of fds that belong to the upgrade
	timeout   time.Duration
	cancelled chan struct{}
	ended     chan struct{} // closed when the goroutine has nothing left to do

	mu        sync.Mutex
	successor *successor // nil if it was not started

	ready readyReport
	took  tookReport
	err   error
}

// Holdings is what the old process hands over. All of it stays the caller's, and
// open until the upgrade has ended.
type Holdings struct {
	Number       uint64 // of the configuration
	Registry     any    // handed over as JSON
	Certs        json.RawMessage
	Members      json.RawMessage // as discover.Hub exports them
	Board        *os.File
	Admin        net.Listener      // nil if there is none
	AdminAddress string            // as configured
	Runtime      *net.UnixListener // for commands; nil if there is none
	RuntimePath  string
	Sets         []*listen.Set
}

// NewUpgrade prepares to hand h over to a new process, which may take timeout to
// serve and as long again to take over.
func NewUpgrade(h Holdings, timeout time.Duration) (*Upgrade, error) {
	reg, err := json.Marshal(h.Registry)
	if err != nil {
		return nil, err
	}
	u := &Upgrade{
		contents:  &contents{Protocol: protocol, Number: h.Number, Registry: reg, Certs: h.Certs, Members: h.Members},
		fds:       []int{int(h.Board.Fd())},
		timeout:   timeout,
		cancelled: make(chan struct{}),
		ended:     make(chan struct{}),
	}
	if h.Admin != nil {
		u.contents.Admin = h.AdminAddress
		err = u.addListener(h.Admin)
	}
	if h.Runtime != nil && err == nil {
		u.contents.Runtime = h.RuntimePath
		err = u.addListener(h.Runtime)
	}
	if err != nil {
		u.closeDups()
		return nil, err
	}
	for _, ls := range h.Sets {
		u.addSet(ls)
	}
	return u, nil
}

func (u *Upgrade) addListener(l net.Listener) error {
	c, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a listener of type %T cannot be handed over", l)
	}
	f, err := listen.DupListener(c)
	if err != nil {
		return err
	}
	u.dups = append(u.dups, f)
	u.fds = append(u.fds, int(f.Fd()))
	return nil
}

func (u *Upgrade) addSet(ls *listen.Set) {
	handed, fds := ls.Hand()
	u.contents.Sets = append(u.contents.Sets, handed)
	u.fds = append(u.fds, fds...)
}

func (u *Upgrade) closeDups() {
	for _, f := range u.dups {
		f.Close()
	}
}

// Begin starts the program at binary and calls news, on a goroutine, once the new
// process has taken over or cannot. news has to return when the channel that it is
// given is closed, which is when Cancel is called.
func (u *Upgrade) Begin(binary string, news func(cancelled <-chan struct{})) {
	go func() {
		defer close(u.ended)
		u.run(binary)
		news(u.cancelled)
	}()
}

// run starts the new process and returns with the outcome in u.
func (u *Upgrade) run(binary string) {
	defer u.closeDups()
	p, err := u.start(binary)
	if err != nil {
		u.err = err
		return
	}
	if u.ready, u.took, u.err = p.takeOver(u.contents, u.fds, u.timeout); u.err == nil {
		return
	}
	select {
	case <-u.cancelled: // Cancel ends the process
	default:
		p.kill()
	}
}

func (u *Upgrade) start(binary string) (*successor, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-u.cancelled:
		return nil, errCancelled
	default:
	}
	p, err := startSuccessor(binary)
	if err == nil {
		u.successor = p
	}
	return p, err
}

// Cancel ends the upgrade because this process is to end, and returns when the
// upgrade's goroutine has. A new process that serves already has conns to finish,
// so it drains. One that has taken over goes on: Err is nil then.
func (u *Upgrade) Cancel() {
	u.mu.Lock()
	close(u.cancelled)
	p := u.successor
	u.mu.Unlock()
	select {
	case <-u.ended:
		return
	default:
	}
	if p != nil {
		p.dismiss()
	}
	<-u.ended
}

// Err returns why the new process has not taken over, or nil if it has.
func (u *Upgrade) Err() error { return u.err }

// Successor returns the number and the version of the process that has taken over.
func (u *Upgrade) Successor() (pid int, version string) { return u.successor.pid(), u.ready.Version }

// TookRuntime reports whether the path of the socket for commands belongs to the
// new process now.
func (u *Upgrade) TookRuntime() bool { return u.took.Runtime }

// Left reports whether no process serves set i of the old one's any longer, because the
// new configuration has no listener for it.
func (u *Upgrade) Left(i int) bool {
	switch {
	case u.took.Left:
		return true
	case len(u.took.Serves) > 0:
		return !slices.Contains(u.took.Serves, i)
	}
	// An older binary serves one set, and does not say which. It knows no unix sockets.
	return listen.PathOf(u.contents.Sets[i].Addr) != ""
}

// Release ends the talk with the new process, which waits for that before it speaks
// to systemd.
func (u *Upgrade) Release() { u.successor.talk.Close() }
