package filewatch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// reader is one watcher, and the contents that it reports.
type reader struct {
	*Watcher
	hashes  chan string
	swapped atomic.Bool // of what was reported last
	log     testkit.Log
}

// read begins to watch path, which contains text.
func read(t *testing.T, path, text string) *reader {
	t.Helper()
	r := &reader{hashes: make(chan string, 64)}
	r.Watcher = Start(path, slog.New(slog.NewTextHandler(&r.log, nil)), func(_ <-chan struct{}, n News) { r.swapped.Store(n.Swapped); r.hashes <- n.Hash })
	t.Cleanup(r.Close)
	r.want(t, text)
	return r
}

// hashOf returns the Hash of a Content with this text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// want waits for text to be reported, and for no other content before it.
func (r *reader) want(t *testing.T, text string) {
	t.Helper()
	select {
	case hash := <-r.hashes:
		if hash != hashOf(text) {
			t.Errorf("another content was brought than %q", text)
		}
	case <-time.After(testkit.Patience):
		t.Fatalf("waited %v for %q to be brought", testkit.Patience, text)
	}
}

// A rename and another link bring a whole file; what is written in place may be a part of
// one.
func TestWatchSwapped(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	for i, tc := range []struct {
		name    string
		swapped bool
		way     func(t testing.TB, path, text string)
	}{
		{"write in place", false, testkit.WriteFile},
		{"rename", true, testkit.SwapFile},
		{"a backup, and a new file", false, func(t testing.TB, path, text string) {
			testkit.Rename(t, path, path+"~")
			testkit.WriteFile(t, path, text)
		}},
		{"a link in its place", true, func(t testing.TB, path, text string) {
			testkit.WriteFile(t, path+".1", text)
			os.Remove(path)
			if err := os.Symlink("lb.toml.1", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"a write to where it leads", false, func(t testing.TB, path, text string) { testkit.WriteFile(t, path+".1", text) }},
		{"a link that leads elsewhere", true, func(t testing.TB, path, text string) {
			testkit.WriteFile(t, path+".2", text)
			if err := os.Symlink("lb.toml.2", path+".new"); err != nil {
				t.Fatal(err)
			}
			testkit.Rename(t, path+".new", path)
		}},
	} {
		text := fmt.Sprint("text ", i)
		tc.way(t, path, text)
		r.want(t, text)
		if r.swapped.Load() != tc.swapped && runtime.GOOS == "linux" {
			t.Errorf("%s: swapped is %v", tc.name, !tc.swapped)
		}
	}
}

// A pipe that took the place of the file is not waited for, and neither it nor a
// directory is content.
func TestWatchNoFile(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "a warning about the pipe", func() bool { return strings.Contains(r.log.String(), "it is a pipe or a device") })
	if _, err := Look(path); !errors.Is(err, ErrNoFile) || IsFile(path) {
		t.Errorf("of a pipe: %v", err)
	}
	os.Remove(path)
	if !IsFile(path) {
		t.Error("a file that is missing cannot come back")
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "a warning about the directory", func() bool { return strings.Contains(r.log.String(), "is a directory") })
	os.Remove(path)
	testkit.SwapFile(t, path, "b")
	r.want(t, "b")
}

// TestMend: a file that lb may not read is not called empty.
func TestMend(t *testing.T) {
	if got := mend(&fs.PathError{Op: "open", Path: "lb.toml", Err: syscall.EACCES}); !strings.Contains(got, "let the user of lb read it") {
		t.Errorf("%q", got)
	}
	if got := mend(nil); !strings.Contains(got, "write the whole configuration") {
		t.Errorf("%q", got)
	}
}

// A file that is empty or missing for a while is no new content. Each time is logged
// once.
func TestWatchBetween(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	logged := func(text string, times int) {
		t.Helper()
		testkit.Until(t, "a warning: "+text, func() bool { return strings.Count(r.log.String(), text) >= times })
	}
	testkit.WriteFile(t, path, " \n")
	logged("it is empty", 1)
	os.Remove(path)
	logged("no such file", 1)
	testkit.SwapFile(t, path, "b") // it is never empty
	r.want(t, "b")
	testkit.WriteFile(t, path, "")
	logged("it is empty", 2)
	testkit.WriteFile(t, path, "\n")
	os.Chmod(path, 0o640)
	testkit.SwapFile(t, path, "c")
	r.want(t, "c")
	if n := strings.Count(r.log.String(), "\n"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, r.log.String())
	}
}

// Writes to files beside the watched one neither cause a read of it nor delay one,
// however many there are.
func TestWatchOthersBeside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !testkit.IsClosed(end) {
			os.WriteFile(path+".log", []byte("x"), 0o600)
		}
	}()
	for _, text := range []string{"b", "c"} {
		testkit.WriteFile(t, path, text)
		r.want(t, text)
	}
	close(end)
	<-ended
	if len(r.hashes) != 0 {
		t.Error("it was read once more")
	}
}

// A file that changes all the time is read all the same.
func TestWatchNeverSettled(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	r := read(t, path, "a")
	for i := 0; len(r.hashes) == 0; i++ {
		testkit.SwapFile(t, path, fmt.Sprint("x", i)) // it is never empty
	}
}

// Without watches from the system, the file is looked at now and then.
func TestWatchByLooking(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	testkit.WriteFile(t, path, "a")
	hashes := make(chan string, 8)
	w := newWatcher(path, slog.New(slog.DiscardHandler), func(_ <-chan struct{}, n News) { hashes <- n.Hash })
	w.start(nil)
	defer w.Close()
	for _, text := range []string{"a", "b"} {
		testkit.WriteFile(t, path, text)
		for hash := range hashes { // the first content may be reported twice
			if hash == hashOf(text) {
				break
			}
		}
	}
}

func TestTrail(t *testing.T) {
	dir := t.TempDir()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	for _, d := range []string{"v1", "conf", "far"} {
		os.Mkdir(at(d), 0o700)
	}
	testkit.WriteFile(t, at("v1", "lb.toml"), "x")
	testkit.WriteFile(t, at("conf", "plain"), "x")
	for link, target := range map[string]string{
		at("conf", "..data"): "../v1",
		at("conf", "map"):    "..data/lb.toml",
		at("far", "abs"):     at("conf", "map"),
		at("far", "nowhere"): "missing/x",
		at("far", "loop"):    "loop",
		at("near"):           "far",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		path          string
		entries, dirs []string
	}{
		{at("conf", "plain"), []string{at("conf", "plain")}, []string{at("conf")}},
		{at("conf", "missing"), []string{at("conf", "missing")}, []string{at("conf")}},
		{at("gone", "x"), []string{at("gone")}, []string{dir}},
		{at("conf", "map"), []string{at("conf", "map"), at("conf", "..data"), at("v1", "lb.toml")}, []string{at("conf"), at("v1")}},
		{at("near", "abs"), []string{at("near"), at("far", "abs"), at("conf", "map"), at("conf", "..data"), at("v1", "lb.toml")},
			[]string{dir, at("far"), at("conf"), at("v1")}},
		{at("far", "nowhere"), []string{at("far", "nowhere"), at("far", "missing")}, []string{at("far")}},
	} {
		entries, dirs := trail(tc.path)
		if !slices.Equal(entries, tc.entries) || !slices.Equal(dirs, tc.dirs) {
			t.Errorf("%s:\n%q in %q, want\n%q in %q", tc.path, entries, dirs, tc.entries, tc.dirs)
		}
	}
	if entries, dirs := trail(at("far", "loop")); len(entries) == 0 || !slices.Equal(dirs, []string{at("far")}) {
		t.Errorf("a link to itself: %q in %q", entries, dirs)
	}
}
