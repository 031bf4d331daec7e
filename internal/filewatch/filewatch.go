// Package filewatch reports the content of one file whenever it has changed, is closed
// and has been left alone for a moment. It does not know what is in the file.
package filewatch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// settleTime is how long the file has to be left alone before it is read:
	// editors and tools write in several steps.
	settleTime = 200 * time.Millisecond
	// settleAppended is the same of a file that is opened and closed again and again, as
	// a script appends to one.
	settleAppended = time.Second
	// settleMax is how long a file that is not left alone can put the read off.
	settleMax = 2 * time.Second
	// appendedMax is settleMax of a file that is opened and closed again and again.
	appendedMax = 10 * time.Second
	// lookEvery is how often the file is looked at without a notice: some file systems
	// give none, and the system may have no watch left.
	lookEvery = 2 * time.Second
	// lostEvery is the same while a directory that is to be watched is missing.
	lostEvery = 100 * time.Millisecond
	// writingEvery is how often a file is looked at that a process has open for writing.
	writingEvery = 200 * time.Millisecond
	// writingMax is how long a file that was written counts as open without a notice that
	// it was closed, where the system does not say.
	writingMax = 30 * time.Second
	// writingWarn is how long a file may be open for writing without a word about it.
	writingWarn = 10 * time.Second
)

// News is a content that the file has now.
type News struct {
	Hash string // as that of Content
	// Swapped reports whether another file has come into the place of the one before, by
	// a rename or by a link: so it is no part of a file that is yet to be written.
	Swapped bool
}

// sign is what a notice says of an entry of a directory.
type sign int

const (
	stirred  sign = iota // something has happened
	created              // it is new, or has another name now
	changing             // it is being written
	written              // a process that could write it has closed it
	moved                // it came from another name
)

// ignored is the path of notices that are about nothing that is watched.
const ignored = "."

// Watcher reads a file when it has changed, in whatever way: written, renamed into
// place, or reached by a link that leads elsewhere now, as Kubernetes swaps the
// directory of a ConfigMap. So it watches directories, not the file, and follows the
// links again whenever one of the directories changes.
type Watcher struct {
	path   string // absolute
	log    *slog.Logger
	news   func(cancelled <-chan struct{}, n News) // see Start
	refuse func(error)                             // see Options; nil: the log
	cancel context.CancelFunc
	poked  chan struct{} // has a value to read the file again
	ended  chan struct{}
	look   func(path string) (Content, error) // Look

	// The rest belongs to run.
	notices *notices // nil if the system has none left
	entries []string // the file and the links to it
	dirs    []string // that they are in, which are watched
	lost    bool     // not all of dirs are watched

	print  string    // fingerprint of the file when it was looked at last
	file   string    // which file was reported last, or "" if none was
	reason string    // why news was not called then, or "" if it was
	since  time.Time // of the first change since the last report; zero if there is none
	latest time.Time // of the latest change
	warned bool      // that it is open for writing

	touched bool // written in place, and not moved there, since the last report
	unseen  bool // the latest change came without a notice
	closes  int  // how often it was closed after writing, since the last report

	writing atomic.Int64 // any goroutine: see Writing
}

// Start begins to watch the file at path and reads it once. It calls news each time the
// file has settled. news has to return when cancelled is closed, which is when Close is
// called.
func Start(path string, log *slog.Logger, news func(cancelled <-chan struct{}, n News)) *Watcher {
	return Options{Path: path, Log: log, News: news}.Start()
}

// Options are what a Watcher of a file other than the configuration needs.
type Options struct {
	Path string
	Log  *slog.Logger
	News func(cancelled <-chan struct{}, n News) // see Start
	// Refused gets the reason for which the file is not taken up as it is: missing, empty,
	// or open for writing for long. nil: the log gets it, as one of the configuration.
	Refused func(error)
}

// Start is the function Start.
func (o Options) Start() *Watcher {
	w := newWatcher(o.Path, o.Log, o.News)
	w.refuse = o.Refused
	log := o.Log
	notices, err := newNotices()
	if err != nil {
		log.Warn("file is not watched, but looked at now and then", "file", w.path, "every", lookEvery, "cause", err, "mend", "raise fs.inotify.max_user_instances")
		notices = nil
	}
	w.start(notices)
	return w
}

func newWatcher(path string, log *slog.Logger, news func(<-chan struct{}, News)) *Watcher {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return &Watcher{path: path, log: log, news: news, poked: make(chan struct{}, 1), ended: make(chan struct{}), look: Look}
}

// start takes n over, which is nil if there are no notices.
func (w *Watcher) start(n *notices) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.notices = cancel, n
	w.follow() // before the caller goes on, so that later changes are seen
	go w.run(ctx)
}

// Poke has the file read again.
func (w *Watcher) Poke() {
	select {
	case w.poked <- struct{}{}:
	default: // it has a value, which says the same
	}
}

// Writing reports whether the file is being written, as far as notices tell: there was one
// of a write not long ago, and none of a close since. Any goroutine may call it.
func (w *Watcher) Writing() bool {
	at := w.writing.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < writingMax
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.cancel()
	<-w.ended
}

func (w *Watcher) run(ctx context.Context) {
	defer close(w.ended)
	var events chan event
	if w.notices != nil {
		defer w.notices.close()
		events = w.notices.events
	}
	settled := time.NewTimer(0) // read once to begin with
	defer settled.Stop()
	every := time.NewTimer(w.lookAfter())
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case ev, open := <-events:
			if !open { // the notices have ended
				events = nil
			} else if w.concerns(ev) {
				if w.follow(); w.lost {
					every.Reset(w.lookAfter())
				}
				w.stir(settled)
			}
		case <-w.poked:
			w.stir(settled)
		case <-every.C:
			w.follow()
			every.Reset(w.lookAfter())
			if print := printOf(w.path); print != w.print {
				w.print, w.unseen = print, true
				w.stir(settled)
			}
		case <-settled.C:
			if wait := w.read(ctx); wait > 0 {
				settled.Reset(wait)
			}
		}
	}
}

// stir puts the read off, because the file may have changed.
func (w *Watcher) stir(settled *time.Timer) {
	w.latest = time.Now()
	if w.since.IsZero() {
		w.since = w.latest
	}
	wait, most := settleTime, settleMax
	if w.closes > 1 {
		wait, most = settleAppended, appendedMax
	}
	if left := most - time.Since(w.since); left > 0 { // else a read is due, and not put off again
		settled.Reset(min(wait, left))
	}
}

func (w *Watcher) lookAfter() time.Duration {
	if w.lost {
		return lostEvery
	}
	return lookEvery
}

// concerns reports whether ev may have changed the file, and notes what it says of it.
func (w *Watcher) concerns(ev event) bool {
	path, what := w.notices.explain(ev)
	if path == "" { // others were lost
		w.unseen = true
		return true
	}
	if !slices.Contains(w.entries, path) {
		return slices.Contains(w.dirs, path)
	}
	w.unseen = false
	switch what {
	case created:
		info, err := os.Lstat(path)
		w.touched = err == nil && info.Mode().IsRegular() // else a link, which came at once
	case changing:
		w.touched = true
		w.writing.Store(time.Now().UnixNano())
	case written:
		w.touched = true
		w.writing.Store(0)
		w.closes++
	case moved:
		w.touched, w.closes = false, 0
		w.writing.Store(0)
	}
	return true
}

// follow finds out through which directories the path leads now, and watches those.
func (w *Watcher) follow() {
	w.entries, w.dirs = trail(w.path)
	w.lost = w.notices != nil && !w.notices.follow(w.dirs, w.entries)
}

// read reads the file and calls news, or returns after which time to try again. A file
// that is empty or missing is ignored: that is a moment between two versions.
func (w *Watcher) read(ctx context.Context) (again time.Duration) {
	w.print = printOf(w.path)
	c, err := w.look(w.path)
	again = w.unfinished(c, err)
	if again > 0 {
		if !w.warned && !w.since.IsZero() && time.Since(w.since) > writingWarn {
			w.warned = true
			if w.refuse != nil {
				w.refuse(ErrWriting)
				return again
			}
			w.log.Warn("configuration file is not taken up yet: "+ErrWriting.Error(), "file", w.path, "since", w.since.Format(time.RFC3339),
				"mend", "close it, or rename a whole file into its place")
		}
		return again
	}
	reason := ""
	if err == nil && c.empty {
		err = ErrEmpty
	}
	if err != nil {
		reason = err.Error()
	}
	switch {
	case reason == "" || reason == w.reason:
	case w.refuse != nil:
		w.refuse(err)
	default:
		w.log.Warn("configuration file is not taken up as it is", "file", w.path, "cause", reason, "mend", mend(err))
	}
	w.reason, w.since, w.warned, w.unseen, w.closes = reason, time.Time{}, false, false, 0
	if reason != "" {
		return 0
	}
	swapped := c.file != w.file && w.file != "" && !w.touched
	w.file, w.touched = c.file, false
	w.news(ctx.Done(), News{c.Hash, swapped})
	return 0
}

// mend says what to do about a file that is not taken up for err.
func mend(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "let the user of lb read it; the old configuration goes on"
	}
	return "write the whole configuration there; the old one goes on"
}

// unfinished returns after which time to look again at a file that may be half written,
// or 0 if it is none.
func (w *Watcher) unfinished(c Content, err error) time.Duration {
	if w.since.IsZero() {
		w.since, w.latest = time.Now(), time.Now()
	}
	rest := time.Since(w.latest)
	switch {
	case errors.Is(err, ErrWriting):
		return writingEvery
	case err != nil, c.Whole:
		return 0
	case w.Writing(): // the notice that it was closed is to come
		return writingEvery
	case w.unseen && rest < lookEvery+settleTime: // so that a look has found it unchanged
		return writingEvery
	}
	return 0
}
