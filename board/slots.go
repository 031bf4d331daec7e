package board

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Slots reports which loop slots of a shared board are held, over all processes
// that have its file. A worker and its supervisor both hold the worker's slot; once
// all holders have ended, in whatever way, it is free again. A hold is a shared
// POSIX record lock (fcntl) on the byte of the file whose offset is the slot's
// number; the byte itself does not matter.
//
// Such locks belong to a process, not to a descriptor: a process that closes ANY
// descriptor of the board's file loses all its holds. So a process that holds slots
// keeps the file open and passes f itself on, never a duplicate that would be
// closed later. Descriptors that a child process closes are its own: exec.Cmd's
// ExtraFiles are safe.
type Slots struct {
	file *os.File // nil: the board belongs to one process
	room int
}

// Slots returns access to the holds of the board's loop slots. f is the file that
// the board was created with or opened from; the caller keeps owning it and closes
// it once the process needs no holds. For a board on the heap f is nil: no other
// process has slots of it. The control plane calls Slots, and a worker at its
// start.
func (b *Board) Slots(f *os.File) *Slots {
	b.file = f
	return &Slots{f, b.room.loops}
}

// Hold makes this process a holder of the slot, until Drop or its end. Others may
// hold it too; a second Hold by the same process changes nothing.
func (s *Slots) Hold(slot int) error {
	return s.fcntl(unix.F_SETLK, slot, &unix.Flock_t{Type: unix.F_RDLCK})
}

// Drop ends this process's hold of the slot, if there is one.
func (s *Slots) Drop(slot int) error {
	return s.fcntl(unix.F_SETLK, slot, &unix.Flock_t{Type: unix.F_UNLCK})
}

// Held returns true if another process holds the slot. It does not see this
// process's own hold.
func (s *Slots) Held(slot int) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK} // conflicts with any other process's hold
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
