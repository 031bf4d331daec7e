package board

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Slots tells which loop slots of a shared board have an owner, over all
// processes that have its file: a worker and its supervisor hold the slot, and
// one whose holders have all ended, in whatever way, is free again. A hold is a
// shared POSIX record lock (fcntl) on the byte of the file with the slot's number; it
// has nothing to do with what that byte says.
//
// Such locks belong to a process, not to a descriptor: a process that closes ANY
// descriptor of the board's file loses all its holds. So whoever holds slots keeps
// the file open, and passes on f itself, never a duplicate that would be closed behind
// it. (What a child process closes is its own: exec.Cmd's ExtraFiles do no harm.)
type Slots struct {
	file *os.File // nil: a board of one process
	room int
}

// Slots returns the owners of the board's loop slots. f is the file that the
// board was created with or opened from; the caller goes on owning it, and closes it
// when it needs its holds no longer. For a board on the heap f is nil: no other
// process has slots of it. Only the control plane calls it, and a worker at its
// start.
func (b *Board) Slots(f *os.File) *Slots {
	b.file = f
	return &Slots{f, b.room.loops}
}

// Hold makes this process a holder of the slot, until Drop or its end. Others may
// hold it too; holding it twice is holding it once.
func (s *Slots) Hold(slot int) error {
	return s.fcntl(unix.F_SETLK, slot, &unix.Flock_t{Type: unix.F_RDLCK})
}

// Drop ends this process's hold of the slot, if there is one.
func (s *Slots) Drop(slot int) error {
	return s.fcntl(unix.F_SETLK, slot, &unix.Flock_t{Type: unix.F_UNLCK})
}

// Taken returns true if another process holds the slot. What this one holds it
// does not see.
func (s *Slots) Taken(slot int) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK} // which any other's hold would refuse
	if err := s.fcntl(unix.F_GETLK, slot, &lock); err != nil {
		return false, err
	}
	return s.file != nil && lock.Type != unix.F_UNLCK, nil
}

// fcntl calls fcntl with a lock on the slot's byte.
func (s *Slots) fcntl(cmd, slot int, lock *unix.Flock_t) error {
	if uint(slot) >= uint(s.room) {
		panic(fmt.Sprintf("board: loop %d, but room for %d", slot, s.room))
	}
	if s.file == nil {
		return nil
	}
	lock.Whence, lock.Start, lock.Len = io.SeekStart, int64(slot), 1
	if err := unix.FcntlFlock(s.file.Fd(), cmd, lock); err != nil { // F_SETLK does not wait, so no EINTR
		return fmt.Errorf("board: loop slot %d: %w", slot, os.NewSyscallError("fcntl", err))
	}
	runtime.KeepAlive(s.file)
	return nil
}
