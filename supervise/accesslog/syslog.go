package accesslog

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// syslogPriority is that of every line: facility local0, severity informational.
const syslogPriority = 16*8 + 6

// syslog is a target that takes each line as a message of RFC 5424, over a unix socket for
// datagrams. A message has the time at which it is sent; the line has that of the request.
type syslog struct {
	place
	fd      int // -1 while there is no connection
	host    string
	message []byte
	skipped func(lines uint64) // counts lines that the socket never takes
}

func openSyslog(path string) (target, error) {
	s := &syslog{fd: -1, host: hostname(), place: place{path: path}}
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s, nil
}

// hostname returns the name of the machine for RFC 5424, section 6.2.4.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || len(name) > 255 {
		return "-"
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' {
			return "-"
		}
	}
	return name
}

// connect connects again.
func (s *syslog) connect() error {
	s.close()
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	if err = unix.SetNonblock(fd, true); err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: s.path})
	}
	if err != nil {
		unix.Close(fd)
		return os.NewSyscallError("connect", err)
	}
	s.fd, s.file = fd, info
	return nil
}

func (s *syslog) write(b []byte) (n int, err error) {
	for n < len(b) {
		line := b[n:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		err := s.send(line)
		switch {
		case err == unix.EAGAIN || err == unix.ENOBUFS:
			return n, nil
		case err == unix.EMSGSIZE:
			s.skipped(1)
		case err != nil:
			return n, err
		}
		n = min(n+len(line)+1, len(b))
	}
	return n, nil
}

// send sends one line. A server that was started again gets it over a new connection.
func (s *syslog) send(line []byte) error {
	s.message = fmt.Appendf(s.message[:0], "<%d>1 %s %s lb %d access - %s", syslogPriority,
		time.Now().Format("2006-01-02T15:04:05.000000Z07:00"), s.host, os.Getpid(), line)
	for again := true; ; again = false {
		err := error(unix.ENOTCONN)
		if s.fd >= 0 {
			_, err = unix.Write(s.fd, s.message)
		}
		switch err {
		case unix.EINTR:
			continue
		case nil, unix.EAGAIN, unix.ENOBUFS, unix.EMSGSIZE:
			return err
		}
		if !again {
			return err
		}
		if err := s.connect(); err != nil {
			return err
		}
	}
}

func (s *syslog) await(timeout time.Duration) {
	if s.fd >= 0 {
		writable(s.fd, timeout)
	}
}

func (s *syslog) cut(int) bool { return false }

func (s *syslog) slow() (cause, mend string) {
	return "syslog is too slow, or has stopped", "look at its service, or choose another access_log.path"
}

func (s *syslog) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}
