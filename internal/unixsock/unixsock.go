// Package unixsock listens on unix sockets. It does not know what they are for.
package unixsock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"lb/config/value"
)

// dialTimeout is for finding out whether a process listens on a socket.
const dialTimeout = time.Second

// Errors of Listen.
var (
	ErrInUse     = errors.New("another process listens there")
	ErrNotSocket = errors.New("there is a file that is no socket")
)

// Listen opens a socket at path with that mode, whatever the umask is. A socket that no
// process listens on any longer is replaced; one that is in use, and every other file, is
// left alone. The directory must exist. Closing the listener removes the path, unless
// SetUnlinkOnClose(false) was called. An error does not name the path.
func Listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	l, err := listen(path, mode)
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return l, err
}

func listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if len(path) > value.SocketPathMax { // the system says only "invalid argument"
		return nil, fmt.Errorf("the path is %d bytes long, a socket's may be %d", len(path), value.SocketPathMax)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// On Linux, bind gives the file no more than the mode that the socket has here.
		// Other systems refuse this, and the file has its mode only after Chmod.
		return c.Control(func(fd uintptr) { syscall.Fchmod(int(fd), uint32(mode)) })
	}}
	l, err := lc.Listen(context.Background(), "unix", Name(path))
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// removeStale removes the socket at path if no process listens on it.
func removeStale(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return ErrNotSocket
	}
	c, err := net.DialTimeout("unix", Name(path), dialTimeout)
	switch {
	case err == nil:
		c.Close()
		return ErrInUse
	case errors.Is(err, syscall.EAGAIN): // its queue is full
		return ErrInUse
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return err
}

// Name returns path in a form that package net takes for a path even if it begins with
// "@". Otherwise net would use an abstract name of Linux, which has no mode.
func Name(path string) string {
	if strings.HasPrefix(path, "@") {
		return "./" + path
	}
	return path
}
