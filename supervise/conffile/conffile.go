// Package conffile has the configuration file of a running lb: the watch over it, one
// version of it at a time, and the doubt about one that may be cut off. It does not know
// what a new configuration changes.
package conffile

import (
	"errors"
	"fmt"
	"log/slog"

	"lb/admin/api"
	"lb/config"
	"lb/internal/filewatch"
	"lb/supervise/remote"
)

// File is the watch over the configuration file. The zero value watches nothing. It is for
// one goroutine.
type File struct {
	Log  *slog.Logger
	News func(cancelled <-chan struct{}, n filewatch.News) // see filewatch.Start

	Store *remote.Store // has the configuration in the place of a file; nil: none

	watcher watcher // nil if the file is not watched
	path    string  // of the file that is watched, or ""
	seen    string  // hash of the content that was tried last
	doubted bool    // it was refused for the way in which it came
}

// watcher is a *filewatch.Watcher or a *remote.Watch.
type watcher interface {
	Poke()
	Close()
}

// Begin notes that the configuration of the start came from path a moment ago.
func (f *File) Begin(path string) {
	if f.Store != nil {
		f.Tried(f.Store.Hash())
	} else if c, err := filewatch.Look(path); err == nil {
		f.Tried(c.Hash)
	}
}

// State returns what is known of the store, or nil if there is none. Any goroutine may call it.
func (f *File) State() *api.ConfigStore {
	if f.Store == nil {
		return nil
	}
	return f.Store.State()
}

// Taken notes that the configuration that was loaded last is in use.
func (f *File) Taken() {
	if f.Store != nil {
		f.Store.Accepted()
	}
}

// Watch has the file at path watched in the place of another, or none if path is "".
func (f *File) Watch(path string) {
	if path == f.path {
		return
	}
	f.Stop()
	if f.path = path; path != "" && f.Store != nil {
		f.watcher = f.Store.Watch(f.News)
	} else if path != "" {
		f.watcher = filewatch.Start(path, f.Log, f.News)
	}
}

// Watching reports whether the file is watched.
func (f *File) Watching() bool { return f.watcher != nil }

// Poke has the file read again, if it is watched.
func (f *File) Poke() {
	if f.watcher != nil {
		f.watcher.Poke()
	}
}

// Stop ends the watch.
func (f *File) Stop() {
	if f.watcher != nil {
		f.watcher.Close()
		f.watcher = nil
	}
}

// Tried notes that the content with this hash is about to be tried; "" is none.
func (f *File) Tried(hash string) { f.seen, f.doubted = hash, false }

// IsNew reports whether n is to be tried: it was not yet, or comes in a better way.
func (f *File) IsNew(n filewatch.News) bool {
	return n.Hash != f.seen || f.doubted && n.Swapped
}

// Load reads the configuration again by read: one version of the file at path, which no
// process is writing, as far as the system says. It also returns the hash of that, or "" if
// the file is to be tried again whatever it holds. path is "" for a configuration without a
// file.
func (f *File) Load(path string, read func() (*config.Config, error)) (cfg *config.Config, hash string, err error) {
	if path == "" {
		cfg, err = read()
		return cfg, "", err
	}
	if f.Store != nil {
		cfg, err = read()
		return cfg, f.Store.Hash(), err
	}
	before, err := filewatch.Look(path)
	if err == nil && !before.Whole && f.isWriting() {
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
	if cfg, err = read(); err != nil {
		return nil, before.Hash, err
	}
	if after, err := filewatch.Look(path); err != nil || after != before {
		return nil, "", fmt.Errorf("%s was written while it was read; try again", path)
	}
	return cfg, before.Hash, nil
}

// isWriting reports whether a process is writing the file, as far as its watch knows.
func (f *File) isWriting() bool {
	w, ok := f.watcher.(*filewatch.Watcher)
	return ok && w.Writing()
}

// Doubt returns why cfg, which comes after old, is not taken up now that its file was
// written in place, or nil: an error that is ErrDoubted. A file without its end is often a
// configuration, too. It is taken up after all if it comes by a rename.
func (f *File) Doubt(old, cfg *config.Config) error {
	left := LeftOf(old, cfg)
	if left == "" {
		return nil
	}
	f.doubted = true
	if f.Store != nil {
		return fmt.Errorf("%w: it has %s", errShrunk, left)
	}
	return fmt.Errorf("%w: it has %s", ErrDoubted, left)
}

// LeftOf returns how many backends or routes cfg has, in words, if that is less than half
// of those of old, and "" otherwise.
func LeftOf(old, cfg *config.Config) string {
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

// ErrDoubted is what errors of File.Doubt wrap.
var ErrDoubted = errors.New("the file was written in place and may be cut off; lb reload or SIGHUP takes it as it is, and so does a rename into its place")

// errShrunk is ErrDoubted for a store, which has a value as a whole, but one for many machines.
var errShrunk error = shrunk{}

type shrunk struct{}

func (shrunk) Error() string {
	return "the new revision has lost more than half; lb reload or SIGHUP takes it as it is"
}

func (shrunk) Is(target error) bool { return target == ErrDoubted }

// backendsOf returns how many backends the pools of cfg have.
func backendsOf(cfg *config.Config) (n int) {
	for _, p := range cfg.Pools {
		n += len(p.Backends)
	}
	return n
}
