// Package filewatch reports the content of one file whenever it has changed and has
// been left alone for a moment. It does not know what is in the file.
package filewatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long the file has to be left alone before it is read:
	// editors and tools write in several steps.
	settleTime = 200 * time.Millisecond
	// settleMax is how long a file that is not left alone can put the read off.
	settleMax = 2 * time.Second
	// lookEvery is how often the file is looked at without a notice: some file systems
	// give none, and the system may have no watch left.
	lookEvery = 2 * time.Second
	// lostEvery is the same while a directory that is to be watched is missing.
	lostEvery = 100 * time.Millisecond
)

// Watcher reads a file when it has changed, in whatever way: written, renamed into
// place, or reached by a link that leads elsewhere now, as Kubernetes swaps the
// directory of a ConfigMap. So it watches directories, not the file, and follows the
// links again whenever one of the directories changes.
type Watcher struct {
	path   string // absolute
	log    *slog.Logger
	news   func(cancelled <-chan struct{}, hash string) // see Start
	cancel context.CancelFunc
	look   chan struct{} // has a value to read the file again
	ended  chan struct{}

	// The rest belongs to run.
	fs      *fsnotify.Watcher // nil if the system has none left
	entries []string          // the file and the links to it
	dirs    []string          // that they are in, which are watched
	lost    bool              // not all of dirs are watched
	print   string            // fingerprint of the file when it was read last
	reason  string            // why news was not called then, or "" if it was
}

// Start begins to watch the file at path and reads it once. It calls news with the Hash
// of the content each time the file has settled. news has to return when cancelled is
// closed, which is when Close is called.
func Start(path string, log *slog.Logger, news func(<-chan struct{}, string)) *Watcher {
	w := newWatcher(path, log, news)
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("file is not watched, but looked at now and then", "file", w.path, "every", lookEvery, "cause", err)
		notices = nil
	}
	w.start(notices)
	return w
}

func newWatcher(path string, log *slog.Logger, news func(<-chan struct{}, string)) *Watcher {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return &Watcher{path: path, log: log, news: news, look: make(chan struct{}, 1), ended: make(chan struct{})}
}

// start takes notices over, which are nil if there are none.
func (w *Watcher) start(notices *fsnotify.Watcher) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.fs = cancel, notices
	w.follow() // before the caller goes on, so that later changes are seen
	go w.run(ctx)
}

// Poke has the file read again.
func (w *Watcher) Poke() {
	select {
	case w.look <- struct{}{}:
	default: // it has a value, which says the same
	}
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.cancel()
	<-w.ended
}

func (w *Watcher) run(ctx context.Context) {
	defer close(w.ended)
	var events chan fsnotify.Event
	var faults chan error
	if w.fs != nil {
		defer w.fs.Close()
		events, faults = w.fs.Events, w.fs.Errors
	}
	settled := time.NewTimer(0) // read once to begin with
	defer settled.Stop()
	var since time.Time // of the first event since the last read; zero if there is none
	stir := func() {
		if since.IsZero() {
			since = time.Now()
		}
		if left := settleMax - time.Since(since); left > 0 { // else a read is due, and not put off again
			settled.Reset(min(settleTime, left))
		}
	}
	for {
		every := time.NewTimer(w.lookAfter())
		select {
		case <-ctx.Done():
			every.Stop()
			return
		case ev, open := <-events:
			if !open { // the notices have ended
				events, faults = nil, nil
			} else if w.concerns(ev) {
				w.follow()
				stir()
			}
		case <-faults: // events were lost
			w.follow()
			stir()
		case <-w.look:
			stir()
		case <-every.C:
			w.follow()
			if since.IsZero() && fingerprint(w.path) != w.print {
				stir()
			}
		case <-settled.C:
			since = time.Time{}
			w.read(ctx)
		}
		every.Stop()
	}
}

func (w *Watcher) lookAfter() time.Duration {
	if w.lost {
		return lostEvery
	}
	return lookEvery
}

// concerns reports whether ev may have changed the file.
func (w *Watcher) concerns(ev fsnotify.Event) bool {
	return slices.Contains(w.entries, ev.Name) || slices.Contains(w.dirs, ev.Name)
}

// follow finds out through which directories the path leads now, and watches those.
func (w *Watcher) follow() {
	w.entries, w.dirs = trail(w.path)
	if w.lost = false; w.fs == nil {
		return
	}
	for _, dir := range w.fs.WatchList() {
		if !slices.Contains(w.dirs, dir) {
			w.fs.Remove(dir)
		}
	}
	for _, dir := range w.dirs {
		// Even if it is watched already: another directory may have its name by now.
		if w.fs.Add(dir) != nil {
			w.lost = true
		}
	}
}

// linksMax is how many links are followed, as the kernel does.
const linksMax = 40

// trail returns the entries that decide which file an absolute path leads to, which are
// the links on the way and the file, and the directories that these are in.
func trail(path string) (entries, dirs []string) {
	rest := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		link := err == nil && info.Mode()&fs.ModeSymlink != 0
		if link || err != nil || len(rest) == 0 {
			entries = append(entries, next)
			if !slices.Contains(dirs, at) {
				dirs = append(dirs, at)
			}
		}
		target := ""
		if link {
			target, err = os.Readlink(next)
			links++
		}
		if err != nil || links > linksMax {
			break
		}
		if !link {
			at = next
			continue
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(filepath.Clean(target), "/"), "/"), rest...)
	}
	return entries, dirs
}

// fingerprint changes whenever the file is likely to have changed.
func fingerprint(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	print := fmt.Sprint(info.Size(), info.ModTime().UnixNano(), info.Mode())
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		print += fmt.Sprint("", sys.Dev, sys.Ino)
	}
	return print
}

// read reads the file and calls news. It ignores a file that is empty or missing: that
// is a moment between two versions, and an empty file would even be accepted.
func (w *Watcher) read(ctx context.Context) {
	w.print = fingerprint(w.path)
	data, err := os.ReadFile(w.path)
	reason := ""
	switch {
	case err != nil:
		reason = err.Error()
	case len(bytes.TrimSpace(data)) == 0:
		reason = "it is empty"
	}
	if reason != "" && reason != w.reason {
		w.log.Warn("configuration file is not taken up as it is", "file", w.path, "cause", reason)
	}
	if w.reason = reason; reason == "" {
		w.news(ctx.Done(), Hash(data))
	}
}

// Hash returns a text that differs for different data.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// HashFile returns the Hash of the file at path, or "" if it cannot be read.
func HashFile(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return Hash(data)
}
