package board

import (
	"os"

	"golang.org/x/sys/unix"
)

// roomForBackends returns how many backends there is to be room for. Room costs
// address space only, of which a board takes roomBytes at most, unless the
// configuration wants more.
func roomForBackends(loopsRoom, backends int) int {
	const roomBytes = 1 << 30
	s := shape{loops: loopsRoom}
	fit := (roomBytes - s.bytes()) / (s.blockWords() * wordBytes)
	return max(min(1<<16, fit), 4*backends)
}

// sharedFile returns size zero bytes of memory that is a file, sealed at its
// size: nobody who is given it can cut it short under those who have it mapped.
// It takes memory by the page, where it has been touched.
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

// advise keeps a mapping as sparse as it is. A core dump would read all of it,
// which gives every page memory, and has no business with the secret; a huge
// page would be given to what needs a small one. Refusals do no harm to speak of.
func advise(mem []byte) {
	unix.Madvise(mem, unix.MADV_DONTDUMP)
	unix.Madvise(mem, unix.MADV_NOHUGEPAGE)
}
