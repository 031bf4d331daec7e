package board

import (
	"os"

	"golang.org/x/sys/unix"
)

// sharedFile returns size zero bytes of memory that is a file, sealed at its
// size: nobody who is given it can cut it short under those who have it mapped.
func sharedFile(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("lb-board", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3, which knows no MFD_NOEXEC_SEAL
		fd, err = unix.MemfdCreate("lb-board", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "lb-board")
	err = f.Truncate(int64(size))
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
		err = os.NewSyscallError("fcntl", err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
