//go:build !linux

package filewatch

import (
	"slices"

	"github.com/fsnotify/fsnotify"
)

// notices tells of changes in directories. Its methods are for one goroutine.
type notices struct {
	events chan event // closed when no more come
	fs     *fsnotify.Watcher
	ended  chan struct{} // closed by close
}

// event is a notice; one without a name says that others were lost.
type event = fsnotify.Event

// newNotices returns notices that tell of no directory yet.
func newNotices() (*notices, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	n := &notices{make(chan event), fs, make(chan struct{})}
	go n.run()
	return n, nil
}

// run passes events on, until close.
func (n *notices) run() {
	defer close(n.events)
	for {
		var ev event
		open := true
		select {
		case ev, open = <-n.fs.Events:
		case _, open = <-n.fs.Errors:
		case <-n.ended:
			return
		}
		if !open {
			return
		}
		select {
		case n.events <- ev:
		case <-n.ended:
			return
		}
	}
}

// follow has n tell of these directories and no others, also of other entries. It reports
// whether it can.
func (n *notices) follow(dirs, _ []string) (all bool) {
	all = true
	for _, dir := range n.fs.WatchList() {
		if !slices.Contains(dirs, dir) {
			n.fs.Remove(dir)
		}
	}
	for _, dir := range dirs {
		// Even if it is watched already: another directory may have its name by now.
		if n.fs.Add(dir) != nil {
			all = false
		}
	}
	return all
}

// explain returns the path that ev is about, and what it says of it. No path: any may
// have changed.
func (n *notices) explain(ev event) (path string, what sign) { return ev.Name, stirred }

// close ends the notices.
func (n *notices) close() {
	close(n.ended)
	n.fs.Close()
}
