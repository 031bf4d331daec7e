package supervise

import (
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Connections are divided by the system, which goes by a hash: a few that stay
// for long can all be with one loop. A loop that has clearly more than its share
// passes on what it accepts (package proxy has the rule), here to another engine
// of the same process, or to the supervisor, which passes it on to another
// worker. A conn on its way has one owner, who closes the descriptor when nobody
// takes it, and all queues are short: a loop that is refused keeps the conn.

// passesMax is how many conns may be on their way to one loop, and from one
// worker to the supervisor.
const passesMax = 16

// socketNumbers gives listening sockets numbers, by which two processes mean the
// same one.
type socketNumbers struct {
	last  uint64
	known map[*os.File]uint64
}

// deal returns the numbers of the sockets of each loop. The numbers of others
// are forgotten.
func (n *socketNumbers) deal(files [][]*os.File) (numbers [][]uint64) {
	known := map[*os.File]uint64{}
	for _, dealt := range files {
		list := make([]uint64, len(dealt))
		for i, f := range dealt {
			number := known[f]
			if number == 0 {
				number = n.known[f]
			}
			if number == 0 {
				n.last++
				number = n.last
			}
			known[f], list[i] = number, number
		}
		numbers = append(numbers, list)
	}
	n.known = known
	return numbers
}

// dealt returns the files of ls for each of n loops.
func dealt(ls *listeners, n int) (files [][]*os.File) {
	for place := range n {
		files = append(files, ls.dealt(place, n))
	}
	return files
}

// dupRaw returns a second descriptor of f, closed on exec. Unlike File.Fd it
// never changes whether the socket blocks, which all who hold it share.
func dupRaw(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if ctlErr != nil {
		return -1, ctlErr
	}
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	return fd, nil
}

// dupAll is dupRaw for each of files: all or none.
func dupAll(files []*os.File) (fds []int, err error) {
	for _, f := range files {
		fd, err := dupRaw(f)
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// passed is a conn on its way from one loop to another.
type passed struct {
	fd   int // owned
	peer netip.AddrPort
}

// newSockets returns those of files, whose numbers are wanted, that are not
// among known.
func newSockets(wanted, known []uint64, files []*os.File) (fresh []*os.File) {
	for i, number := range wanted {
		if !slices.Contains(known, number) {
			fresh = append(fresh, files[i])
		}
	}
	return fresh
}
