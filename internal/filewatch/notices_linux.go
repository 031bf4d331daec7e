package filewatch

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// notices tells of changes in directories. fsnotify would do, but does not tell when a
// file that was written is closed. Its methods are for one goroutine.
type notices struct {
	events chan event // closed when no more come
	ended  chan struct{}
	dirs   map[string]int32 // the watch of each directory
	on     *instance

	// The rest is locked by on.mu.
	names  []string // that events are passed on of; a directory may have many other files
	queue  []event
	queued chan struct{} // has a value when there is something in queue
}

// event is a notice as the system gives it.
type event struct {
	watch int32
	mask  uint32
	name  string // in the directory of the watch; "": the directory itself
}

const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ATTRIB |
	unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// instance is one of inotify, of which a user has few: all notices of the process share it.
type instance struct {
	fd   int // of file, whose Fd would make it blocking
	file *os.File

	mu    sync.Mutex
	users []*notices
}

// shared is the instance in use, or nil while there are no notices.
var shared struct {
	mu sync.Mutex // before that of the instance
	in *instance
}

// newNotices returns notices that tell of no directory yet.
func newNotices() (*notices, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.in == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, os.NewSyscallError("inotify_init1", err)
		}
		shared.in = &instance{fd: fd, file: os.NewFile(uintptr(fd), "inotify")}
		go shared.in.run()
	}
	n := &notices{
		events: make(chan event),
		ended:  make(chan struct{}),
		dirs:   map[string]int32{},
		on:     shared.in,
		queued: make(chan struct{}, 1),
	}
	n.on.mu.Lock()
	n.on.users = append(n.on.users, n)
	n.on.mu.Unlock()
	go n.run()
	return n, nil
}

// readEvery is the least time between two reads. The system makes one notice of those that
// are alike, so a log that grows in one of the directories costs no more than this.
const readEvery = 20 * time.Millisecond

// run deals events out, until the file is closed.
func (in *instance) run() {
	buf := make([]byte, 64<<10)
	for {
		size, err := in.file.Read(buf)
		if err != nil {
			return
		}
		in.deal(buf[:size])
		time.Sleep(readEvery)
	}
}

// deal puts the events in b into the queues of those that they concern.
func (in *instance) deal(b []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		name := b[unix.SizeofInotifyEvent:][:binary.NativeEndian.Uint32(b[12:])]
		ev := event{watch: int32(binary.NativeEndian.Uint32(b)), mask: binary.NativeEndian.Uint32(b[4:])}
		b = b[unix.SizeofInotifyEvent+len(name):]
		ev.name = string(bytes.TrimRight(name, "\x00"))
		for _, n := range in.users {
			if ev.mask&unix.IN_Q_OVERFLOW != 0 || n.has(ev.watch) && (ev.name == "" || slices.Contains(n.names, ev.name)) {
				n.put(ev)
			}
		}
	}
}

// has reports whether a watch is of n.
func (n *notices) has(watch int32) bool {
	for _, w := range n.dirs {
		if w == watch {
			return true
		}
	}
	return false
}

// queueMax is how many events wait for one that is late. Then it only hears that there were.
const queueMax = 1024

// put passes ev on, without waiting.
func (n *notices) put(ev event) {
	if len(n.queue) >= queueMax {
		n.queue = n.queue[:0]
		ev = event{watch: -1, mask: unix.IN_Q_OVERFLOW}
	}
	n.queue = append(n.queue, ev)
	select {
	case n.queued <- struct{}{}:
	default: // it has a value, which says the same
	}
}

// run passes events on, until close.
func (n *notices) run() {
	defer close(n.events)
	for {
		select {
		case <-n.queued:
		case <-n.ended:
			return
		}
		n.on.mu.Lock()
		queue := n.queue
		n.queue = nil
		n.on.mu.Unlock()
		for _, ev := range queue {
			select {
			case n.events <- ev:
			case <-n.ended:
				return
			}
		}
	}
}

// follow has n tell of these directories, of entries in them, and of nothing else. It reports
// whether it can.
func (n *notices) follow(dirs, entries []string) (all bool) {
	n.on.mu.Lock()
	defer n.on.mu.Unlock()
	n.names = n.names[:0]
	for _, path := range slices.Concat(dirs, entries) {
		n.names = append(n.names, filepath.Base(path))
	}
	all = true
	before := n.dirs
	n.dirs = map[string]int32{}
	for _, dir := range dirs {
		// Even if it is watched already: another directory may have its name by now.
		watch, err := unix.InotifyAddWatch(n.on.fd, dir, mask)
		if err != nil {
			all = false
			continue
		}
		n.dirs[dir] = int32(watch)
	}
	n.on.drop(before)
	return all
}

// drop ends those of these watches that no notices have.
func (in *instance) drop(dirs map[string]int32) {
	for _, watch := range dirs {
		if !slices.ContainsFunc(in.users, func(n *notices) bool { return n.has(watch) }) {
			unix.InotifyRmWatch(in.fd, uint32(watch)) // an error says that it is gone already
		}
	}
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
	for dir, watch := range n.dirs { // which follow alone changes, on this goroutine
		if watch == ev.watch {
			return filepath.Join(dir, ev.name), what
		}
	}
	return ignored, what // of a directory that is no longer watched
}

// close ends the notices.
func (n *notices) close() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	n.on.mu.Lock()
	defer n.on.mu.Unlock()
	close(n.ended)
	n.on.users = slices.DeleteFunc(n.on.users, func(o *notices) bool { return o == n })
	n.on.drop(n.dirs)
	if len(n.on.users) == 0 {
		n.on.file.Close()
		shared.in = nil
	}
}
