package accesslog

import (
	"bytes"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pipeMax is how many bytes a pipe takes without mixing them with those of others, which
// is PIPE_BUF of Linux, and at least as long as a line.
const pipeMax = 4096

// stream is a target that takes bytes: a file, a FIFO, a terminal, a socket.
type stream struct {
	fd    int
	place // its path is "" for standard output
	kind  fs.FileMode
	owned bool  // else it is a descriptor of the process, which may block
	size  int64 // of a regular file, after the last write that took a part of what it was given
}

// openFile opens the file at path for appending, or makes it. A FIFO is also opened for
// reading, so that it needs no reader, and that one that leaves changes nothing.
func openFile(path string) (target, error) {
	flags := os.O_WRONLY
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case info.Mode()&fs.ModeNamedPipe != 0:
		flags = os.O_RDWR
	case info.Mode()&fs.ModeSocket != 0:
		return nil, errSocket
	}
	var fd int
	for {
		fd, err = unix.Open(path, flags|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0o640)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if info, err = os.Stat(path); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &stream{fd: fd, place: place{path, info}, kind: info.Mode().Type(), owned: true}, nil
}

// openStdout returns standard output, through a descriptor that does not block where the
// system gives one. The one of the process stays as it is: others have it, too.
func openStdout() target {
	s := &stream{fd: unix.Stdout}
	if info, err := os.Stdout.Stat(); err == nil {
		s.kind = info.Mode().Type()
	}
	if s.kind&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0 {
		if fd, err := unix.Open("/proc/self/fd/1", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err == nil {
			s.fd, s.owned = fd, true
		}
	}
	return s
}

func (s *stream) moved() bool { return s.path != "" && s.place.moved() }

func (s *stream) close() {
	if s.owned {
		unix.Close(s.fd)
	}
}

// write implements target. A file takes everything at once, any other stream what a pipe
// takes.
func (s *stream) write(b []byte) (n int, err error) {
	for n < len(b) {
		part := b[n:]
		if s.kind != 0 {
			part = linesWithin(part, pipeMax)
		}
		var wrote int
		wrote, err = s.put(part)
		n += max(wrote, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return n, nil
		case err != nil:
			if n > 0 {
				s.noteSize()
			}
			return n, err
		case wrote <= 0:
			return n, nil
		}
	}
	return n, nil
}

// lasting reports whether an error of to is one that waiting seldom mends: that of a file
// or a device, such as a full disk.
func lasting(to target) bool {
	s, ok := to.(*stream)
	return ok && s.kind&(fs.ModeNamedPipe|fs.ModeSocket) == 0
}

// put writes once. A descriptor that may block is asked first whether it would.
func (s *stream) put(b []byte) (n int, err error) {
	if s.kind&fs.ModeSocket != 0 {
		return unix.SendmsgN(s.fd, b, nil, nil, unix.MSG_DONTWAIT)
	}
	if !s.owned && s.kind != 0 && !writable(s.fd, 0) {
		return 0, unix.EAGAIN
	}
	return unix.Write(s.fd, b)
}

// noteSize notes how long a regular file is, of which the end is ours.
func (s *stream) noteSize() {
	var stat unix.Stat_t
	if s.size = -1; s.kind == 0 && unix.Fstat(s.fd, &stat) == nil {
		s.size = stat.Size
	}
}

// cut implements target for a file to which nobody has written since.
func (s *stream) cut(n int) bool {
	if s.kind != 0 || s.path == "" {
		return false
	}
	before := s.size
	s.noteSize()
	return before == s.size && s.size >= int64(n) && unix.Ftruncate(s.fd, s.size-int64(n)) == nil
}

func (s *stream) await(timeout time.Duration) {
	if s.kind == 0 { // for which there is nothing to wait for
		time.Sleep(timeout)
		return
	}
	writable(s.fd, timeout)
}

func (s *stream) slow() (cause, mend string) {
	switch {
	case s.kind == 0:
		return "the disk is too slow", "write to a faster disk, or lower access_log.sample"
	case s.path == "":
		return "standard output is not read, or too slowly", "read it, or choose another access_log.path"
	}
	return "nobody reads it, or too slowly", "start its reader, or choose another access_log.path"
}

// writable returns true once fd takes bytes, or has an error, and false after timeout.
func writable(fd int, timeout time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(poll, int(timeout.Milliseconds()))
	return err == nil && n > 0
}

// linesWithin returns as many whole lines of b as limit bytes have, or limit bytes if that
// is less than one.
func linesWithin(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	if end := bytes.LastIndexByte(b[:limit], '\n'); end >= 0 {
		return b[:end+1]
	}
	return b[:limit]
}
