package supervise

import (
	"log/slog"

	"lb/internal/filewatch"
)

// fileWatch is the watch over the configuration file. It belongs to the desk.
type fileWatch struct {
	log     *slog.Logger
	news    func(cancelled <-chan struct{}, hash string) // see filewatch.Start
	watcher *filewatch.Watcher                           // nil if the file is not watched
	path    string                                       // of the file that is watched, or ""
	seen    string                                       // hash of the content that was tried last
}

// try notes that the file at path is about to be read.
func (f *fileWatch) try(path string) { f.seen = filewatch.HashFile(path) }

// set has the file at path watched in the place of another, or none if path is "".
func (f *fileWatch) set(path string) {
	if path == f.path {
		return
	}
	f.stop()
	if f.path = path; path != "" {
		f.watcher = filewatch.Start(path, f.log, f.news)
	}
}

// poke has the file read again, if it is watched.
func (f *fileWatch) poke() {
	if f.watcher != nil {
		f.watcher.Poke()
	}
}

// stop ends the watch.
func (f *fileWatch) stop() {
	if f.watcher != nil {
		f.watcher.Close()
		f.watcher = nil
	}
}

// fileChanged brings to the desk that the file has settled, with the hash of its
// content. Content that was tried before is not tried again.
func (d *desk) fileChanged(cancelled <-chan struct{}, hash string) {
	d.queue.tell("reloading", cancelled, func() {
		if hash != d.file.seen && d.refusal() == nil {
			d.reloadFor("file")
		}
	})
}
