package filewatch

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// writer reports whether a process has f, which is open for reading, open for writing. If
// there is none, one that comes waits until f is closed: the lease that tells is for the
// reading of f. It is to be had for files of this user's, and by root, on most file
// systems.
func writer(f *os.File) writing {
	switch _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); {
	case err == nil:
		return closed
	case errors.Is(err, unix.EAGAIN):
		return open
	}
	return unknown
}
