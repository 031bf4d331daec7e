package board

import (
	"os"

	"golang.org/x/sys/unix"
)

// On Linux, room costs only address space. Backends take at most roomBytes of it, unless
// the configuration needs more.
const roomBytes = 1 << 30

// wide is 1 where addresses have 64 bits, and 0 where they have 32.
const wide = ^uint(0) >> 63

// logBytes is how much of the access log waits for its writer in each loop: what a loop at
// its most writes in 80 ms. The writer is woken at half of that. In mt each time costs the
// loops, since Go's monitor stays awake for a while (decision D110), so few are better.
const logBytes = 1 << (20 + 2*wide)

// tallySets is how many lines of 8 keys each a loop counts clients and routes in, a power
// of 2: 512 KiB, of which pages are touched that are used.
const tallySets = 1 << (10 + 2*wide)

// roomForLoops returns how many loops to make room for.
func roomForLoops(loops int) int { return max(32<<wide, 4*loops) }

// roomForSeries returns how many series to make room for.
func roomForSeries(series int) int { return max(32<<(4*wide), 4*series) }

// roomForBackends returns how many backends to make room for in s.
func roomForBackends(s shape, backends int) int {
	fit := (roomBytes - s.blockStart(0)*wordBytes) / (s.blockWords() * wordBytes)
	return max(min(1<<16, fit), 4*backends)
}

// sharedFile returns a memfd of size zero bytes whose size is sealed, so that
// nobody who has the file can truncate it under the processes that map it. A page
// takes memory only once it is touched.
func sharedFile(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("lb-board", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // Linux before 6.3 has no MFD_NOEXEC_SEAL
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

// advise keeps a mapping sparse. A core dump would touch every page and would
// contain the secret; a huge page would take memory where a small one suffices.
// Failures are harmless.
func advise(mem []byte) {
	unix.Madvise(mem, unix.MADV_DONTDUMP)
	unix.Madvise(mem, unix.MADV_NOHUGEPAGE)
}
