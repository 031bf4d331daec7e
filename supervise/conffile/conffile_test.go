package conffile

import (
	"errors"
	"testing"

	"lb/config"
	"lb/internal/filewatch"
)

// with returns a configuration with so many backends and routes.
func with(backends, routes int) *config.Config {
	return &config.Config{Pools: []config.Pool{{Backends: make([]config.Backend, backends)}}, Routes: make([]config.Route, routes)}
}

// A file that has lost more than half is doubted if it was written in place, and taken up
// once it comes by a rename.
func TestDoubt(t *testing.T) {
	for _, tc := range []struct {
		old, now *config.Config
		left     string
	}{
		{with(4, 4), with(4, 4), ""},
		{with(4, 4), with(2, 2), ""},
		{with(4, 4), with(1, 4), "1 of 4 backends"},
		{with(4, 4), with(4, 1), "1 of 4 routes"},
		{with(1, 0), with(9, 9), ""},
	} {
		var f File
		f.Tried("a")
		err := f.Doubt(tc.old, tc.now)
		if left := LeftOf(tc.old, tc.now); left != tc.left || errors.Is(err, ErrDoubted) != (left != "") {
			t.Errorf("left %q, doubt %v; want %q", left, err, tc.left)
		}
		if f.IsNew(filewatch.News{Hash: "a"}) || !f.IsNew(filewatch.News{Hash: "b"}) {
			t.Errorf("%q: what was tried is new, or something else is not", tc.left)
		}
		if again := f.IsNew(filewatch.News{Hash: "a", Swapped: true}); again != (tc.left != "") {
			t.Errorf("%q: by a rename it is tried again: %v", tc.left, again)
		}
	}
}
