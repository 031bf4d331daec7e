package filewatch

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"lb/internal/testkit"
)

// half writes the first half of a file, and returns it open.
func half(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	return f
}

// A file that a process has open for writing is no content.
func TestLookWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	before, err := Look(path)
	if err != nil || !before.Whole || before.Hash != hashOf("a") {
		t.Errorf("%+v, %v", before, err)
	}
	if again, err := Look(path); err != nil || again != before {
		t.Errorf("%+v, %v; want %+v as before", again, err, before)
	}
	f := half(t, path)
	if c, err := Look(path); !errors.Is(err, ErrWriting) {
		t.Errorf("open for writing: %+v, %v", c, err)
	}
	f.Close()
	if c, err := Look(path); err != nil || c.Hash != hashOf("half") || c == before {
		t.Errorf("closed: %+v, %v", c, err)
	}
}

// Half a file is never reported, whether the system says that it is open for writing or
// only gives notices, as it does for files of other users.
func TestWatchWriting(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	blind := func(path string) (Content, error) {
		data, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		return Content{Hash: hashOf(string(data)), file: identity(info)}, err
	}
	for name, look := range map[string]func(string) (Content, error){"a lease": Look, "notices": blind} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "lb.toml")
			testkit.WriteFile(t, path, "a")
			r := &reader{hashes: make(chan string, 64)}
			looks := make(chan struct{}, 1)
			r.Watcher = newWatcher(path, slog.New(slog.NewTextHandler(&r.log, nil)), func(_ <-chan struct{}, n News) { r.hashes <- n.Hash })
			r.look = func(path string) (Content, error) {
				select {
				case looks <- struct{}{}:
				default:
				}
				return look(path)
			}
			n, err := newNotices()
			if err != nil {
				t.Fatal(err)
			}
			r.start(n)
			defer r.Close()
			r.want(t, "a")
			f := half(t, path)
			testkit.Until(t, "a notice of the write", r.Writing)
			for range 6 { // it is looked at again and again
				testkit.Wait(t, looks, "a look at the file")
			}
			if len(r.hashes) > 0 {
				t.Error("half a file was reported")
			}
			if _, err := f.WriteString(" and half"); err != nil {
				t.Fatal(err)
			}
			f.Close()
			r.want(t, "half and half")
			testkit.Until(t, "a notice of the close", func() bool { return !r.Writing() })
		})
	}
}
