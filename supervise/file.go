package supervise

import (
	"errors"
	"fmt"
	"log/slog"

	"lb/config"
	"lb/internal/filewatch"
)

// trigger is what made lb read its configuration again.
type trigger string

const (
	byCommand trigger = "command"
	bySignal  trigger = "signal"
	byFile    trigger = "file"
	// byWriting is byFile for a file that was written in place: it may be cut off.
	byWriting trigger = "file, written in place"
)

// fileWatch is the watch over the configuration file. It belongs to the desk.
type fileWatch struct {
	log     *slog.Logger
	news    func(cancelled <-chan struct{}, n filewatch.News) // see filewatch.Start
	watcher *filewatch.Watcher                                // nil if the file is not watched
	path    string                                            // of the file that is watched, or ""
	seen    string                                            // hash of the content that was tried last
	doubted bool                                              // it was refused for the way in which it came
}

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

// writing reports whether notices tell that the file is being written.
func (f *fileWatch) writing() bool { return f.watcher != nil && f.watcher.Writing() }

// stop ends the watch.
func (f *fileWatch) stop() {
	if f.watcher != nil {
		f.watcher.Close()
		f.watcher = nil
	}
}

// tried notes that the content with this hash is about to be tried.
func (f *fileWatch) tried(hash string) { f.seen, f.doubted = hash, false }

// isNew reports whether n is to be tried: it was not yet, or comes in a better way.
func (f *fileWatch) isNew(n filewatch.News) bool {
	return n.Hash != f.seen || f.doubted && n.Swapped
}

// fileChanged brings to the desk that the file has settled.
func (d *desk) fileChanged(cancelled <-chan struct{}, n filewatch.News) {
	d.queue.Tell("reloading", cancelled, func() {
		if !d.file.isNew(n) || d.refusal() != nil {
			return
		}
		by := byWriting
		if n.Swapped {
			by = byFile
		}
		d.reloadFor(by)
	})
}

// load reads the configuration again: one version of its file, which no process is
// writing, as far as the system says. It also returns the hash of that, or "" if the file is to be
// tried again whatever it holds.
func (d *desk) load() (cfg *config.Config, hash string, err error) {
	path := d.now.Config.Source
	if path == "" {
		cfg, err = d.o.Load()
		return cfg, "", err
	}
	before, err := filewatch.Look(path)
	if err == nil && !before.Whole && d.file.writing() {
		err = filewatch.ErrWriting
	}
	switch {
	case errors.Is(err, filewatch.ErrWriting):
		return nil, "", fmt.Errorf("%s is not taken up yet: %w; close it, or rename a whole file into its place", path, filewatch.ErrWriting)
	case errors.Is(err, filewatch.ErrNoFile):
		return nil, "", fmt.Errorf("%s cannot be read again: %w; what was read stays in use; start lb with a file to have reloads", path, filewatch.ErrNoFile)
	case err != nil:
		return nil, "", err
	}
	if cfg, err = d.o.Load(); err != nil {
		return nil, before.Hash, err
	}
	if after, err := filewatch.Look(path); err != nil || after != before {
		return nil, "", fmt.Errorf("%s was written while it was read; try again", path)
	}
	return cfg, before.Hash, nil
}

// doubt returns why cfg is not taken up after the file was written in place, or nil. A
// file without its end is often a configuration, too.
func doubt(old, cfg *config.Config) error {
	if left := leftOf(old, cfg); left != "" {
		return fmt.Errorf("%w: it has %s", errDoubted, left)
	}
	return nil
}

// leftOf returns how many backends or routes cfg has, in words, if that is less than half
// of those of old, and "" otherwise.
func leftOf(old, cfg *config.Config) string {
	for _, of := range []struct {
		what      string
		from, now int
	}{
		{"backends", backendsOf(old), backendsOf(cfg)},
		{"routes", len(old.Routes), len(cfg.Routes)},
	} {
		if 2*of.now < of.from {
			return fmt.Sprintf("%d of %d %s", of.now, of.from, of.what)
		}
	}
	return ""
}

// errDoubted is the cause of an error of doubt.
var errDoubted = errors.New("the file was written in place and may be cut off; lb reload or SIGHUP takes it as it is, and so does a rename into its place")

// backendsOf returns how many backends the pools of cfg have.
func backendsOf(cfg *config.Config) (n int) {
	for _, p := range cfg.Pools {
		n += len(p.Backends)
	}
	return n
}
