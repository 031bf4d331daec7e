package supervise

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/loop"
)

// The supervisor and a worker talk over a pair of connected sockets, in JSON
// values one behind the other: orders go down, reports come up. The end of the
// stream says that the other process is gone.

// order is what the supervisor tells a worker; one field is set.
type order struct {
	Start *startOrder `json:",omitempty"` // the first, and only once
	Addrs *addrsOrder `json:",omitempty"`
	Drain bool        `json:",omitempty"`
	Cut   bool        `json:",omitempty"` // end at once, also amid a drain
}

// startOrder is all that a worker needs beside its descriptors.
type startOrder struct {
	Config *config.Config
	Index  int
	Loops  int
	Addrs  [][][]loop.Addr
}

// addrsOrder is new addresses of one backend.
type addrsOrder struct {
	At    place
	Addrs []loop.Addr
}

// report is what a worker tells its supervisor; one field is set.
type report struct {
	Ready bool   `json:",omitempty"` // it accepts connections
	Fault string `json:",omitempty"` // why it could not begin
	Gone  *gone  `json:",omitempty"` // the last: it has finished
}

// gone tells how many exchanges were cut off at the end.
type gone struct{ Cut int }

// sendTimeout is how long the other process may leave its end unread.
const sendTimeout = 5 * time.Second

// channel is one end. send may be called by several goroutines, receive by one.
type channel struct {
	f       *os.File
	timeout time.Duration // of a send
	mu      sync.Mutex
	enc     *json.Encoder
	dec     *json.Decoder
}

// newChannel takes over fd, the end of a socket pair.
func newChannel(fd int) (*channel, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil { // so that deadlines work, and Close ends a Read
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "control")
	return &channel{f: f, timeout: sendTimeout, enc: json.NewEncoder(f), dec: json.NewDecoder(f)}, nil
}

// send writes one value. After an error the stream is of no more use.
func (c *channel) send(v any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.f.SetWriteDeadline(time.Now().Add(c.timeout))
	return errors.Join(err, c.enc.Encode(v))
}

// receive reads one value; io.EOF when the other process is gone.
func (c *channel) receive(v any) error { return c.dec.Decode(v) }

func (c *channel) close() { c.f.Close() }

// controlPair returns the supervisor's end, and the worker's to be handed over.
func controlPair() (ours *channel, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // darwin has no SOCK_CLOEXEC
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if ours, err = newChannel(fds[0]); err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	return ours, os.NewFile(uintptr(fds[1]), "control"), nil
}
