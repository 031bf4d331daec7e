package filewatch

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// notices tells of changes in directories. fsnotify would do, but does not tell when a
// file that was written is closed. Its methods are for one goroutine.
type notices struct {
	events chan event // closed when no more come
	fd     int        // of file, whose Fd would make it blocking
	file   *os.File
	ended  chan struct{}    // closed by close
	dirs   map[string]int32 // the watch of each directory
}

// event is a notice as the system gives it.
type event struct {
	watch int32
	mask  uint32
	name  string // in the directory of the watch; "": the directory itself
}

const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ATTRIB |
	unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// newNotices returns notices that tell of no directory yet.
func newNotices() (*notices, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	n := &notices{
		events: make(chan event),
		fd:     fd,
		file:   os.NewFile(uintptr(fd), "inotify"),
		ended:  make(chan struct{}),
		dirs:   map[string]int32{},
	}
	go n.run()
	return n, nil
}

// readEvery is the least time between two reads. The system makes one notice of those that
// are alike, so a log that grows in one of the directories costs no more than this.
const readEvery = 20 * time.Millisecond

// run passes events on, until close.
func (n *notices) run() {
	defer close(n.events)
	buf := make([]byte, 64<<10)
	for {
		size, err := n.file.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:size]; len(b) >= unix.SizeofInotifyEvent; {
			name := b[unix.SizeofInotifyEvent:][:binary.NativeEndian.Uint32(b[12:])]
			ev := event{int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), string(bytes.TrimRight(name, "\x00"))}
			b = b[unix.SizeofInotifyEvent+len(name):]
			select {
			case n.events <- ev:
			case <-n.ended:
				return
			}
		}
		select {
		case <-time.After(readEvery):
		case <-n.ended:
			return
		}
	}
}

// follow has n tell of these directories and no others. It reports whether it can.
func (n *notices) follow(dirs []string) (all bool) {
	all = true
	before := n.dirs
	n.dirs = map[string]int32{}
	kept := map[int32]bool{}
	for _, dir := range dirs {
		// Even if it is watched already: another directory may have its name by now.
		watch, err := unix.InotifyAddWatch(n.fd, dir, mask)
		if err != nil {
			all = false
			continue
		}
		n.dirs[dir], kept[int32(watch)] = int32(watch), true
	}
	for _, watch := range before {
		if !kept[watch] {
			unix.InotifyRmWatch(n.fd, uint32(watch)) // an error says that it is gone already
		}
	}
	return all
}

// explain returns the path that ev is about, and what it says of it. No path: any may
// have changed.
func (n *notices) explain(ev event) (path string, what sign) {
	if ev.mask&unix.IN_Q_OVERFLOW != 0 {
		return "", stirred
	}
	switch {
	case ev.mask&unix.IN_CLOSE_WRITE != 0:
		what = written
	case ev.mask&unix.IN_MODIFY != 0:
		what = changing
	case ev.mask&unix.IN_CREATE != 0:
		what = created
	case ev.mask&unix.IN_MOVED_TO != 0:
		what = moved
	}
	for dir, watch := range n.dirs {
		if watch == ev.watch {
			return filepath.Join(dir, ev.name), what
		}
	}
	return ignored, what // of a directory that is no longer watched
}

// close ends the notices.
func (n *notices) close() {
	close(n.ended)
	n.file.Close()
}
