package listen

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Grow opens more sockets until each of sets has n, all or none. It opens none for a
// shared set.
func Grow(sets []*Set, n int) (err error) {
	more := make([][]*os.File, len(sets))
	defer func() {
		if err != nil {
			for _, files := range more {
				closeFiles(files)
			}
		}
	}()
	for i, ls := range sets {
		for !ls.Shared && len(ls.files)+len(more[i]) < n {
			f, err := bindLike(ls.files[0])
			if err != nil {
				return fmt.Errorf("listen %s: %w", ls.Addr, err)
			}
			more[i] = append(more[i], f)
		}
	}
	// From here on the system sends connections to the sockets, so everything that can
	// go wrong comes before.
	for i, files := range more {
		for _, f := range files {
			if err := unix.Listen(int(f.Fd()), backlogMax); err != nil {
				return fmt.Errorf("listen %s: %w", sets[i].Addr, os.NewSyscallError("listen", err))
			}
		}
	}
	for i, ls := range sets {
		ls.add(more[i])
	}
	return nil
}

func (ls *Set) add(more []*os.File) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.files = append(ls.files, more...)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
