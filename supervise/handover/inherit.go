package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/internal/ipc"
	"lb/supervise/listen"
)

// protocol goes up when the messages change in a way that an older or a newer
// binary would misread.
const protocol = 1

// contents says what the old process hands over. It is sent only after the new
// process has said hello: descriptors in a channel that nobody reads keep the
// sockets open. With it come the descriptors of the board, of the admin's and the
// runtime listener if they are named, and of the sockets of all sets.
type contents struct {
	Protocol int
	Number   uint64 // of the configuration in use
	Registry json.RawMessage
	Certs    json.RawMessage `json:",omitempty"` // see certs.Manager.HandOver; never in a file
	Members  json.RawMessage `json:",omitempty"` // as discover.Hub exports them
	Admin    string          // configured address of the operator's server; "" if there is none
	Runtime  string          // path of the socket for commands; "" if there is none
	Sets     []listen.Handed
}

// goOrder is what the old process says once the new one is ready.
type goOrder struct {
	Go bool // the new one is to take over
}

// progress is a report of the new process to the old one. One field is set.
type progress struct {
	Hello bool         `json:",omitempty"` // the first, unless there is a fault: it is an lb, and reads on
	Ready *readyReport `json:",omitempty"` // it accepts connections
	Fault string       `json:",omitempty"` // why it cannot take over
	Took  *tookReport  `json:",omitempty"` // it has taken over, and the old one may let go
}

type readyReport struct{ Version string }

// tookReport tells the old process what it no longer has to tidy up.
type tookReport struct {
	Runtime bool // the path of the socket for commands is the new one's
	Left    bool // no set of the old one's is served any longer
	// Serves are the sets that the new one serves, by index. Binaries that know one
	// listener do not say: they serve one of TCP, unless Left is set.
	Serves []int `json:",omitempty"`
}

// goTimeout is how long the old process may take to say what comes next. It is more
// than the old process gives this one to be ready.
const goTimeout = 30 * time.Second

// errOldGone means that the process before this one ended before it had handed
// anything over.
var errOldGone = errors.New("upgrade: the lb that started this one is gone")

// Inheritance is what the process before this one has handed over. Board and Sets belong
// to the caller of Inherit. The listeners do once a Take method has returned them; Close
// closes the others.
type Inheritance struct {
	Board     *board.Board
	BoardFile *os.File
	Number    uint64 // of the configuration that the old process uses
	Sets      []*listen.Set
	Certs     json.RawMessage // what the old process's certs.Manager hands over, or nil
	Members   json.RawMessage // what its discover.Hub exports, or nil

	talk         *ipc.Channel
	adminAddress string
	admin        net.Listener // nil if there is none, or it is taken
	runtimePath  string
	runtime      *net.UnixListener // nil if there is none, or it is taken
	taken        *net.UnixListener // what runtime was, once it is taken
}

// Inherit returns what was handed over to this process, and reads the registry into
// registry. It returns nil and no error if no process is to be replaced. An error was
// reported to the old process, and this one has to end.
func Inherit(registry any) (*Inheritance, error) {
	talk, err := talkFromEnv()
	if talk == nil || err != nil {
		return nil, err
	}
	in, err := receiveInheritance(talk, registry)
	if err != nil {
		talk.Send(progress{Fault: err.Error()})
		talk.Close()
		return nil, err
	}
	return in, nil
}

// talkFromEnv returns the channel to the process before this one, or nil if there is
// none. It removes it from the environment, where workers would find it.
func talkFromEnv() (*ipc.Channel, error) {
	text := os.Getenv(ipc.UpgradeEnv)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(ipc.UpgradeEnv)
	fd, err := strconv.Atoi(text)
	if err == nil && fd < 3 {
		err = unix.EBADF
	}
	var talk *ipc.Channel
	if err == nil {
		talk, err = ipc.New(fd)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is set, which lb does itself in an upgrade: %w", ipc.UpgradeEnv, err)
	}
	return talk, nil
}

// ReportFault tells the process that this one was to replace, if there is one, why
// that cannot be. It is for errors before Inherit.
func ReportFault(err error) {
	talk, _ := talkFromEnv()
	if talk == nil || err == nil {
		return
	}
	talk.Send(progress{Fault: err.Error()})
	talk.Close()
}

// ReportFault tells the old process why this one cannot take over. in is nil if the
// error came before Inherit or from it: then it is the function ReportFault.
func (in *Inheritance) ReportFault(err error) {
	if in == nil {
		ReportFault(err)
		return
	}
	in.talk.Send(progress{Fault: err.Error()})
}

func receiveInheritance(talk *ipc.Channel, registry any) (*Inheritance, error) {
	var h contents
	talk.SetReadDeadline(time.Now().Add(goTimeout))
	err := talk.Send(progress{Hello: true})
	var fds []int
	if err == nil {
		fds, err = talk.Receive(&h)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOldGone, err)
	}
	if h.Protocol != protocol {
		ipc.CloseAll(fds)
		return nil, fmt.Errorf("upgrade: the lb that runs speaks version %d of the handover, this binary version %d; stop the one and start the other",
			h.Protocol, protocol)
	}
	if len(fds) != h.descriptors() {
		ipc.CloseAll(fds)
		return nil, fmt.Errorf("upgrade: %d descriptors were handed over, want %d", len(fds), h.descriptors())
	}
	in := &Inheritance{talk: talk, Number: h.Number, Certs: h.Certs, Members: h.Members, adminAddress: h.Admin, runtimePath: h.Runtime}
	if err := in.receive(&h, fds, registry); err != nil {
		in.drop()
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	return in, nil
}

// descriptors returns how many descriptors belong to h.
func (h *contents) descriptors() int {
	n := 1 // the board
	if h.Admin != "" {
		n++
	}
	if h.Runtime != "" {
		n++
	}
	for _, set := range h.Sets {
		n += set.Sockets
	}
	return n
}

// receive fills in from h and its descriptors, and takes fds over.
func (in *Inheritance) receive(h *contents, fds []int, registry any) (err error) {
	defer func() { ipc.CloseAll(fds) }()
	next := func() int {
		fd := fds[0]
		fds = fds[1:]
		return fd
	}
	in.BoardFile = os.NewFile(uintptr(next()), "board")
	if in.Board, err = board.Open(in.BoardFile); err != nil {
		return err
	}
	if err := json.Unmarshal(h.Registry, registry); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if h.Admin != "" {
		if in.admin, err = fileListener(next()); err != nil {
			return err
		}
	}
	if h.Runtime != "" {
		l, err := fileListener(next())
		if err != nil {
			return err
		}
		var ok bool
		if in.runtime, ok = l.(*net.UnixListener); !ok {
			l.Close()
			return errors.New("the socket for commands is no unix socket")
		}
	}
	for _, set := range h.Sets {
		ls, err := listen.Take(set, fds[:set.Sockets])
		fds = fds[set.Sockets:]
		if err != nil {
			return err
		}
		in.Sets = append(in.Sets, ls)
	}
	return nil
}

// fileListener takes fd, a listening socket, over.
func fileListener(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	return net.FileListener(f) // of a second descriptor
}

// TakeAdmin returns the listener of the operator's server, or nil if none was handed
// over that was configured to be at address. in may be nil.
func (in *Inheritance) TakeAdmin(address string) net.Listener {
	if in == nil || in.adminAddress != address {
		return nil
	}
	l := in.admin
	in.admin = nil
	return l
}

// TakeRuntime returns the listener for commands, or nil if none at path was handed
// over. Closing it leaves the path alone as long as the old process may go on with
// it. in may be nil.
func (in *Inheritance) TakeRuntime(path string) *net.UnixListener {
	if in == nil || in.runtime == nil || in.runtimePath != path {
		return nil
	}
	in.runtime, in.taken = nil, in.runtime
	return in.taken
}

// Ready tells the old process that this one accepts connections, and returns when the
// old one has decided to be replaced, or is gone, which comes to the same. After an
// error it has not decided, and this process has to end.
func (in *Inheritance) Ready(version string) error {
	if in.talk.Send(progress{Ready: &readyReport{Version: version}}) != nil {
		return nil // it is gone
	}
	var o goOrder
	in.talk.SetReadDeadline(time.Now().Add(goTimeout))
	fds, err := in.talk.Receive(&o)
	ipc.CloseAll(fds)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("upgrade: the lb that started this one says nothing for %v", goTimeout)
	}
	return nil
}

// Took tells the old process that it may let go, and returns when the old one has
// told systemd which process is the main one now, or is gone. This process accepts from
// the Sets that serves has the indexes of. Took closes what was not taken: a listener that
// stays open would gather conns that nobody accepts.
func (in *Inheritance) Took(serves []int) {
	report := tookReport{Runtime: in.taken != nil, Left: len(serves) == 0, Serves: serves}
	if in.talk.Send(progress{Took: &report}) == nil {
		var o goOrder
		in.talk.SetReadDeadline(time.Now().Add(ipc.SendTimeout))
		fds, _ := in.talk.Receive(&o) // nothing but the end comes
		ipc.CloseAll(fds)
	}
	if in.taken != nil {
		in.taken.SetUnlinkOnClose(true)
	}
	in.Close()
}

// Close ends the talk with the old process and closes the listeners that were not
// taken. It may be called again. Board and Sets stay open.
func (in *Inheritance) Close() {
	in.talk.Close()
	in.closeListeners()
}

func (in *Inheritance) closeListeners() {
	if in.admin != nil {
		in.admin.Close()
	}
	if in.runtime != nil {
		in.runtime.Close()
	}
	in.admin, in.runtime = nil, nil
}

// drop closes everything but the talk with the old process.
func (in *Inheritance) drop() {
	in.closeListeners()
	for _, ls := range in.Sets {
		ls.Close()
	}
	if in.Board != nil {
		in.Board.Close()
	}
	if in.BoardFile != nil {
		in.BoardFile.Close()
	}
}
