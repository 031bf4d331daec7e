// Package filesource has the members of a pool from a file: a JSON array of backends, which
// is read again whenever it has changed.
package filesource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/internal/filewatch"
	"lb/supervise/discover"
)

// Source is the source of one pool.
type Source struct {
	path  string
	log   *slog.Logger
	again time.Duration // until a file with an empty list is read again
}

// New returns a source that reads the file that u names.
func New(u discovery.URL, log *slog.Logger) *Source {
	return &Source{u.Path, log, discover.EmptyAfter}
}

// Run implements discover.Source. A file that is missing, empty, half written or not
// accepted is an error, which keeps what is known; an empty list is "[]".
func (s *Source) Run(ctx context.Context, report func([]config.Backend, error)) {
	moved := make(chan struct{}, 1) // has a value when the file is not what was reported
	empty := make(chan struct{}, 1) // has a value when the list is empty
	w := filewatch.Options{
		Path: s.path,
		Log:  s.log,
		News: func(_ <-chan struct{}, n filewatch.News) {
			list, err := s.read(n)
			if errors.Is(err, errMoved) {
				notify(moved)
				return
			}
			if report(list, err); err == nil && len(list) == 0 {
				notify(empty)
			}
		},
		Refused: func(err error) { report(nil, s.refusal(err)) },
	}.Start()
	defer w.Close()
	var again <-chan time.Time // nil: no need
	for {
		select {
		case <-ctx.Done():
			return
		case <-moved:
			w.Poke()
		case <-empty:
			again = time.After(s.again)
		case <-again:
			w.Poke()
		}
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has a value, which says the same
	}
}

// errMoved is the error of read of a file that has changed since the news of it.
var errMoved = errors.New("the file has changed")

// read returns the list in the file that n is about.
func (s *Source) read(n filewatch.News) ([]config.Backend, error) {
	data, c, err := filewatch.Read(s.path)
	if err != nil || c.Hash != n.Hash {
		return nil, errMoved // a look at it says what is the matter
	}
	list, err := config.ParseEntries(s.path, data)
	var all config.Errors
	if errors.As(err, &all) && len(all) > 1 {
		err = fmt.Errorf("%w (and %d more mistakes)", all[0], len(all)-1)
	}
	return list, err
}

// refusal says what to do about a file that cannot be taken up for err.
func (s *Source) refusal(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file; write it, with [] for no backend", s.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w; let the user of lb read it", s.path, fs.ErrPermission)
	case errors.Is(err, filewatch.ErrEmpty):
		return fmt.Errorf("%s: it is empty; write [] for no backend", s.path)
	case errors.Is(err, filewatch.ErrWriting):
		return fmt.Errorf("%s: %w; close it, or rename a whole file into its place", s.path, err)
	}
	return fmt.Errorf("%w; name a file that lb can read", err) // it has the path
}
