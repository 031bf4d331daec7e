package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lb/config/logging"
)

// target is where the lines go. One goroutine uses it.
type target interface {
	// write writes whole lines. It returns how many bytes were taken, which may end
	// within a line. With less than all of b and no error, the target takes no more now.
	write(b []byte) (n int, err error)
	// await returns when the target may take more, or after timeout.
	await(timeout time.Duration)
	// moved reports whether the path names something else by now, or nothing.
	moved() bool
	// cut takes back the last n bytes, which are a part of a line, if it can. It returns
	// false if they stay.
	cut(n int) bool
	// slow says why the target takes no more, and what to do about that.
	slow() (cause, mend string)
	close()
}

// open opens what path names.
func open(path string) (target, error) {
	if path == logging.Stdout {
		return openStdout(), nil
	}
	if socket, ok := strings.CutPrefix(path, logging.SyslogPrefix); ok {
		return openSyslog(socket)
	}
	return openFile(path)
}

// openError is an error of open, with its place and what to do about it.
func openError(path string, err error) error {
	return fmt.Errorf("access_log.path: %q cannot be opened: %w; %s", path, err, mend(path, err))
}

// mend says what to do about an error of the target at path.
func mend(path string, err error) string {
	file := strings.TrimPrefix(path, logging.SyslogPrefix)
	dir := filepath.Dir(file)
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(syscall.ENOSPC), is(syscall.EDQUOT):
		return "make room on the disk of " + dir + ", or choose another path"
	case is(syscall.EFBIG):
		return "the file may not be larger (LimitFSIZE=, ulimit -f); rotate it, or raise the limit"
	case is(syscall.EROFS):
		return "choose a path that can be written; in packaging/lb.service, LogsDirectory= makes /var/log/lb"
	case is(syscall.EACCES), is(syscall.EPERM):
		return fmt.Sprintf("let the user of lb (uid %d) write there, or choose another path", os.Geteuid())
	case is(syscall.ENOENT) && file != path:
		return "start syslog, or choose the path at which it listens"
	case is(syscall.ENOENT), is(syscall.ENOTDIR):
		return "make the folder " + dir + ", or choose another path"
	case is(syscall.EISDIR):
		return "name a file in that folder"
	case is(syscall.ENXIO), is(errSocket):
		return `choose a file; a socket of syslog is named "` + logging.SyslogPrefix + file + `"`
	case is(syscall.ECONNREFUSED), is(syscall.ENOTCONN), is(syscall.ECONNRESET):
		return "start syslog, or choose another path"
	case is(syscall.EPROTOTYPE):
		return "choose a datagram socket, such as /dev/log"
	case is(syscall.EPIPE):
		return "start lb with a standard output that is read, or choose another access_log.path"
	}
	return "choose another path"
}

// errSocket is the error of a path that is a socket and not named as one.
var errSocket = errors.New("it is a socket")

// place is a path, and the file that was opened there.
type place struct {
	path string
	file fs.FileInfo
}

func (p place) moved() bool {
	now, err := os.Stat(p.path)
	return err != nil || !os.SameFile(p.file, now)
}
