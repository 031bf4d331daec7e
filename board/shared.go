package board

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Create returns a board in shared memory and its file, which is closed on exec
// unless it is handed to a process, and has no name that others could open. The
// caller closes both; the board stays usable when the file is closed.
func Create(loops, backends int) (*Board, *os.File, error) {
	s := shape{loops, backends}
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	f, err := sharedFile(s.bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("board: cannot create %d bytes of shared memory: %w", s.bytes(), err)
	}
	mem, err := mapFile(f, s.bytes())
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	words := mapped(mem)
	s.writeHeader(words)
	return &Board{shape: s, words: words, mem: mem}, f, nil
}

// Open maps the board in f, which another process created; it checks magic,
// version and shape. The caller goes on owning f and may close it at once.
func Open(f *os.File) (*Board, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	if info.Size() < lineBytes {
		return nil, fmt.Errorf("board: %d bytes are too few for a board", info.Size())
	}
	s, err := shapeOf(f)
	if err != nil {
		return nil, err
	}
	if info.Size() != int64(s.bytes()) {
		return nil, fmt.Errorf("board: %d bytes, but %d loops and %d backends take %d",
			info.Size(), s.loops, s.backends, s.bytes())
	}
	mem, err := mapFile(f, s.bytes())
	if err != nil {
		return nil, err
	}
	return &Board{shape: s, words: mapped(mem), mem: mem}, nil
}

// shapeOf reads the header of the board in f.
func shapeOf(f *os.File) (shape, error) {
	mem, err := mapFile(f, lineBytes)
	if err != nil {
		return shape{}, err
	}
	defer unix.Munmap(mem)
	return readHeader(mapped(mem))
}

// Close unmaps a shared board, after which none of its slots may be touched.
// It does nothing to a board on the heap, or when called again.
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
	runtime.KeepAlive(f) // not closed by the collector while it is being mapped
	if err != nil {
		return nil, fmt.Errorf("board: %w", os.NewSyscallError("mmap", err))
	}
	return mem, nil
}

// unlinkedFile returns size zero bytes in a temporary file that has lost its
// name. They are written, not only promised: a page that a full disk cannot
// give later would be a SIGBUS in every worker.
func unlinkedFile(size int) (*os.File, error) {
	f, err := os.CreateTemp("", "lb-board-*")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = f.Write(make([]byte, size))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
