// Package ipc lets two processes of lb on one machine talk: framed messages, and
// descriptors that travel with them, over a pair of connected sockets. It does not
// know any message: orders and reports belong to the packages that exchange them.
package ipc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A frame is four bytes of length, then a JSON value. Descriptors travel with a frame's
// first byte. A frame without a value brings descriptors for the next one that has a
// value, because a system call takes no more than some 250. The end of the stream means
// that the other process is gone.

const (
	// SendTimeout is how long the other process may leave its end unread.
	SendTimeout = 5 * time.Second
	// frameBytesMax is the greatest length that is believed.
	frameBytesMax = 256 << 20
	frameHeader   = 4
	frameFDsMax   = 200
)

// Channel is one end of the pair. Several goroutines may call Send, one may call
// Receive.
type Channel struct {
	conn    *net.UnixConn
	timeout time.Duration // of a send
	mu      sync.Mutex
	oob     []byte // for the control messages that Receive gets
}

// New returns a channel over fd, the end of a socket pair, and takes fd over.
func New(fd int) (*Channel, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "control")
	if f == nil {
		return nil, os.NewSyscallError("fcntl", unix.EBADF)
	}
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("control channel: not a unix socket")
	}
	return &Channel{
		conn:    uc,
		timeout: SendTimeout,
		oob:     make([]byte, unix.CmsgSpace(4*frameFDsMax)),
	}, nil
}

// Send writes v as JSON, with fds, which stay the caller's. It waits SendTimeout at
// most. After an error the channel is of no use any longer, unless the error is about
// JSON: then nothing was sent.
func (c *Channel) Send(v any, fds ...int) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(text) > frameBytesMax {
		return fmt.Errorf("control channel: a message of %d bytes", len(text))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	for ; len(fds) > frameFDsMax; fds = fds[frameFDsMax:] {
		if err := c.sendFrame(nil, fds[:frameFDsMax]); err != nil {
			return err
		}
	}
	return c.sendFrame(text, fds)
}

func (c *Channel) sendFrame(text []byte, fds []int) error {
	frame := make([]byte, frameHeader, frameHeader+len(text))
	binary.BigEndian.PutUint32(frame, uint32(len(text)))
	frame = append(frame, text...)
	if len(fds) > 0 {
		n, _, err := c.conn.WriteMsgUnix(frame, unix.UnixRights(fds...), nil)
		if err != nil {
			return err
		}
		if frame = frame[n:]; len(frame) == 0 {
			return nil // writing nothing fails if the reader has gone with what it was sent
		}
	}
	_, err := c.conn.Write(frame) // all of it, or an error
	return err
}

// Receive reads one value into v. fds came with it; they are the caller's, closed on
// exec, and fewer than were sent if this process had no room for more. There are none
// with an error, which is io.EOF if the other process is gone.
func (c *Channel) Receive(v any) (fds []int, err error) {
	defer func() {
		if err != nil {
			CloseAll(fds)
			fds = nil
		}
	}()
	var header [frameHeader]byte
	for {
		if err := c.fill(header[:], &fds); err != nil {
			return fds, err
		}
		n := binary.BigEndian.Uint32(header[:])
		if n == 0 {
			continue
		}
		if n > frameBytesMax {
			return fds, fmt.Errorf("control channel: a message of %d bytes", n)
		}
		text := make([]byte, n)
		if err := c.fill(text, &fds); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fds, err
		}
		return fds, json.Unmarshal(text, v)
	}
}

// fill fills b, and appends the descriptors that come along to *fds, also before an
// error.
func (c *Channel) fill(b []byte, fds *[]int) error {
	for at := 0; at < len(b); {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(b[at:], c.oob)
		if got, rightsErr := rights(c.oob[:oobn]); rightsErr == nil {
			*fds = append(*fds, got...)
		} else if err == nil {
			err = rightsErr
		}
		at += max(n, 0)
		if err != nil {
			if errors.Is(err, io.EOF) { // package net wraps it
				return eof(at)
			}
			return err
		}
	}
	return nil
}

// eof returns the error for a stream that ends after so many bytes of a frame.
func eof(at int) error {
	if at > 0 {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// rights returns the descriptors in control messages.
func rights(oob []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			CloseAll(fds)
			return nil, os.NewSyscallError("recvmsg", err)
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// SetReadDeadline has Receive fail with os.ErrDeadlineExceeded at that time.
func (c *Channel) SetReadDeadline(at time.Time) { c.conn.SetReadDeadline(at) }

// Close closes this end.
func (c *Channel) Close() { c.conn.Close() }

// CloseAll closes descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Pair returns a channel, and its other end for another process.
func Pair() (ours *Channel, theirs *os.File, err error) {
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
	if ours, err = New(fds[0]); err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	return ours, os.NewFile(uintptr(fds[1]), "control"), nil
}

// Dup returns a second descriptor of f, closed on exec. Unlike File.Fd it never changes
// whether the socket blocks, which all processes that hold it share.
func Dup(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if ctlErr != nil {
		return -1, ctlErr
	}
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	return fd, nil
}

// DupAll is Dup for each of files. After an error there are no descriptors.
func DupAll(files []*os.File) (fds []int, err error) {
	for _, f := range files {
		fd, err := Dup(f)
		if err != nil {
			CloseAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}
