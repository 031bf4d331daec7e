package admin

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

	"lb/config"
)

const (
	socketMode  = 0o600
	dialTimeout = time.Second // for the client, and to find out whether a socket is alive
)

var (
	errLive      = errors.New("another lb listens there")
	errNotSocket = errors.New("there is a file that is no socket")
)

// Listen opens a socket at path, with mode 0600 whatever the umask is. Connections
// wait until Serve is called. A socket that no process listens on any longer is
// replaced; one that is in use, and every other file, is left alone. The directory
// must exist. An error is one line for the operator. Closing the listener removes the
// path, unless SetUnlinkOnClose(false) was called.
func (r *Runtime) Listen(path string) (*net.UnixListener, error) {
	l, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("commands: cannot listen on %s: %w (set [admin] socket)", path, err)
	}
	return l, nil
}

func listenUnix(path string) (*net.UnixListener, error) {
	if len(path) > config.SocketPathMax { // the system says only "invalid argument"
		return nil, fmt.Errorf("the path is %d bytes long, a socket's may be %d", len(path), config.SocketPathMax)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// On Linux, bind gives the file no more than the mode that the socket has here.
		// Other systems refuse this, and the file has its mode only after Chmod.
		return c.Control(func(fd uintptr) { syscall.Fchmod(int(fd), socketMode) })
	}}
	l, err := lc.Listen(context.Background(), "unix", unabstract(path))
	if err != nil {
		return nil, reason(err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, reason(err)
	}
	return l.(*net.UnixListener), nil
}

// removeStale removes the socket at path if no process listens on it.
func removeStale(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return reason(err)
	case info.Mode().Type() != fs.ModeSocket:
		return errNotSocket
	}
	c, err := net.DialTimeout("unix", unabstract(path), dialTimeout)
	switch {
	case err == nil:
		c.Close()
		return errLive
	case errors.Is(err, syscall.EAGAIN): // its queue is full
		return errLive
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return reason(err)
}

// unabstract returns path in a form that package net takes for a path even if it
// begins with "@". Otherwise net would use an abstract name of Linux, which has no mode.
func unabstract(path string) string {
	if strings.HasPrefix(path, "@") {
		return "./" + path
	}
	return path
}
