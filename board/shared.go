package board

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Size is how many loops, backends and series a configuration has, or a board has room
// for.
type Size struct{ Loops, Backends, Series int }

// Room returns the room to create a board with for a configuration of this size:
// several times as much, because a board cannot grow while it is in use. Each is at
// least 1.
func Room(n Size) Size {
	loops := min(roomForLoops(n.Loops), loopsMax)
	s := shape{loops: loops, series: min(roomForSeries(n.Series), seriesMax)}
	return Size{loops, min(roomForBackends(s, n.Backends), backendsMax), s.series}
}

// Create returns a board in shared memory with nothing in use, and its file. The
// file is closed on exec unless it is passed to a process, and has no name under
// which others could open it. The caller closes both. The board stays usable after
// the file is closed, but see Slots.
func Create(n Size) (*Board, *os.File, error) {
	room := shape{loops: n.Loops, backends: n.Backends, series: n.Series}
	if err := room.check(); err != nil {
		return nil, nil, err
	}
	f, err := sharedFile(room.bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("board: cannot create %d bytes of shared memory: %w", room.bytes(), err)
	}
	mem, err := mapFile(f, room.bytes())
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	room.writeHeader(mapped(mem))
	return newBoard(room, mapped(mem), mem), f, nil
}

// Open maps the board in f, which another process created, after checking its
// magic, version, shape and what is in use. The caller keeps owning f and may close
// it at once, unless the process holds slots of the board, see Slots.
func Open(f *os.File) (*Board, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	if info.Size() < headerBytes {
		return nil, fmt.Errorf("board: %d bytes are too few for a board", info.Size())
	}
	room, err := shapeOf(f)
	if err != nil {
		return nil, err
	}
	if info.Size() != int64(room.bytes()) {
		return nil, fmt.Errorf("board: %d bytes, but %d loops, %d backends and %d series take %d",
			info.Size(), room.loops, room.backends, room.series, room.bytes())
	}
	mem, err := mapFile(f, room.bytes())
	if err != nil {
		return nil, err
	}
	return newBoard(room, mapped(mem), mem), nil
}

// shapeOf reads the header of the board in f.
func shapeOf(f *os.File) (shape, error) {
	mem, err := mapFile(f, headerBytes)
	if err != nil {
		return shape{}, err
	}
	defer unix.Munmap(mem)
	return readHeader(mapped(mem))
}

// Close unmaps a shared board; afterwards neither the board nor its slots may be
// touched. On a board on the heap, and when called again, it does nothing.
func (b *Board) Close() error {
	mem := b.mem
	b.mem = nil
	if mem == nil {
		return nil
	}
	b.words = nil
	return os.NewSyscallError("munmap", unix.Munmap(mem))
}

func mapFile(f *os.File, size int) ([]byte, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	runtime.KeepAlive(f) // the collector must not close it before it is mapped
	if err != nil {
		return nil, fmt.Errorf("board: %w", os.NewSyscallError("mmap", err))
	}
	advise(mem)
	return mem, nil
}

// unlinkedFile returns a temporary file of size zero bytes whose name is already
// removed. The bytes are really written: if a full disk could not provide a page
// later, every worker would get a SIGBUS.
func unlinkedFile(size int) (*os.File, error) {
	f, err := os.CreateTemp("", "lb-board-*")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	zeros := make([]byte, min(size, 1<<16))
	for left := size; left > 0 && err == nil; left -= len(zeros) {
		_, err = f.Write(zeros[:min(left, len(zeros))])
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
