package host

import (
	"os"
	"path/filepath"
	"testing"
)

// The path that lb was started from is the one that was named, with its links, if the
// parent process named the right one.
func TestStartPath(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "lb")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("PATH", dir)
	args := os.Args
	defer func() { os.Args = args }()
	for name, want := range map[string]string{
		link:      link,
		"./lb":    link,
		"lb":      link, // through PATH
		exe:       exe,
		"/bin/sh": exe, // a lie
		"missing": exe,
		"":        exe,
	} {
		os.Args = []string{name}
		if got := StartPath(); got != want {
			t.Errorf("started as %q: %s, want %s", name, got, want)
		}
	}
}
