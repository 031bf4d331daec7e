package board

import (
	"os"
	"strings"
	"testing"
)

// TestSealed: a process that holds the file cannot cut it short under the
// others, which would kill them with SIGBUS at their next count.
func TestSealed(t *testing.T) {
	b, f := create(t, 1, 1)
	if err := f.Truncate(0); err == nil {
		t.Fatal("the file could be cut short")
	}
	b.Loop(0).Requests.Add(1)
}

// TestNothingLeft: boards that are opened, refused and closed leave neither a
// descriptor nor a mapping.
func TestNothingLeft(t *testing.T) {
	fds, maps := held(t)
	for range 10 {
		b, f, err := Create(1, 1)
		if err != nil {
			t.Fatal(err)
		}
		other, err := Open(f)
		if err != nil {
			t.Fatal(err)
		}
		b.words[wordMagic] = 0
		if _, err := Open(f); err == nil {
			t.Fatal("opened what is not a board")
		}
		f.Close()
		b.Close()
		other.Close()
	}
	if fdsNow, mapsNow := held(t); fdsNow > fds || mapsNow > maps {
		t.Errorf("%d descriptors and %d mappings, want %d and %d at most", fdsNow, mapsNow, fds, maps)
	}
}

// held returns how many descriptors and mappings of boards the process has.
func held(t *testing.T) (fds, maps int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return len(list), strings.Count(string(text), "lb-board")
}
