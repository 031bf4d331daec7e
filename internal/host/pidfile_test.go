package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A reader of the PID file while it is rewritten finds a whole number, and
// nothing is left beside it.
func TestPIDFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lb.pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := WritePID(path); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	if n, _ := before.Read(b); string(b[:n]) != "1\n" {
		t.Errorf("a reader that had the old file open reads %q, want its 1", b[:n])
	}
	text, err := os.ReadFile(path)
	if want := strconv.Itoa(os.Getpid()) + "\n"; err != nil || string(text) != want {
		t.Errorf("the file has %q, %v; want %q", text, err, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v; want 0644, for programs that watch lb", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("in the directory: %v, want the file alone", entries)
	}
}

// A path that is no plain file is not replaced by one.
func TestPIDFileLink(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := WritePID(link); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v; want it to be one still", info.Mode(), err)
	}
	if text, err := os.ReadFile(target); err != nil || len(text) == 0 {
		t.Errorf("its target has %q, %v; want the number", text, err)
	}
}

func TestPIDFileErrors(t *testing.T) {
	err := WritePID(filepath.Join(t.TempDir(), "missing", "lb.pid"))
	if err == nil || !strings.HasPrefix(err.Error(), "pid file: ") || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v, want one that names the file", err)
	}
	if err := WritePID(""); err != nil {
		t.Errorf("no file: %v, want no error", err)
	}
}

// The file of another process stays, also if its number is the same, as in another
// container.
func TestRemovePID(t *testing.T) {
	own := strconv.Itoa(os.Getpid()) + "\n"
	for name, tc := range map[string]struct {
		write func(path string) error
		stays bool
	}{
		"ours":                  {func(string) error { return nil }, false},
		"another number":        {func(path string) error { return os.WriteFile(path, []byte("1\n"), 0o600) }, true},
		"another file":          {func(path string) error { return replaceFile(path, "1\n") }, true},
		"another of our number": {func(path string) error { return replaceFile(path, own) }, true},
	} {
		path := filepath.Join(t.TempDir(), "lb.pid")
		if err := errors.Join(WritePID(path), tc.write(path)); err != nil {
			t.Fatal(err)
		}
		RemovePID(path)
		if _, err := os.Stat(path); (err == nil) != tc.stays {
			t.Errorf("%s: %v, want it to stay: %v", name, err, tc.stays)
		}
	}
	RemovePID("") // is no file
}

// The check changes nothing, and says what would go wrong.
func TestCheckPID(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lb.pid")
	if err := replaceFile(path, "1\n"); err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{"", path, filepath.Join(dir, "new")} {
		if err := CheckPID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if err := CheckPID(filepath.Join(dir, "missing", "lb.pid")); err == nil {
		t.Error("no error for a directory that is missing")
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left: %v", list)
	}
	if text, _ := os.ReadFile(path); string(text) != "1\n" {
		t.Errorf("the file has %q", text)
	}
}

// A PID file that another process has written meanwhile stays.
func TestPIDFileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lb.pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	RemovePID(path)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the other's PID file is gone: %v", err)
	}
}
