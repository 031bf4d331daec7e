package listen

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lb/internal/unixsock"
)

// unixMode lets every user of the machine connect, as to a port. Who may, is for the
// folder that the socket is in. nginx does the same; HAProxy goes by the umask.
const unixMode = 0o666

// fileID identifies a file on this machine.
type fileID struct{ Dev, Ino uint64 }

// idOf returns the ID of what is at path, or the zero value if nothing is.
func idOf(path string) fileID {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return fileID{}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}
}

// openUnix opens the unix socket of a.
func (a *Address) openUnix() (*Set, error) {
	l, err := unixsock.Listen(a.path, unixMode)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", unixPrefix+a.path, err)
	}
	defer l.Close()
	f, err := DupListener(l)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return &Set{
		Configured: a.text,
		Addr:       unixPrefix + a.path,
		Shared:     true,
		path:       a.path,
		bound:      idOf(a.path),
		owner:      true,
		files:      []*os.File{f},
	}, nil
}

// Own says that this process removes the path of a unix socket from now on, because
// the process that had opened it ends. What systemd has opened is not removed.
func (ls *Set) Own() { ls.owner = ls.path != "" && !ls.Systemd }

// Disown says that another process removes the path from now on.
func (ls *Set) Disown() { ls.owner = false }

// Unlink removes the path of a unix socket, if that is for this process to do and if it
// is still this socket's.
func (ls *Set) Unlink() {
	if ls.owner && ls.bound != (fileID{}) && idOf(ls.path) == ls.bound {
		os.Remove(ls.path)
	}
	ls.owner = false
}
