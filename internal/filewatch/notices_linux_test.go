package filewatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A log that grows beside the file costs a read now and then, not one for each line.
func TestGrowingNeighbour(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n, err := newNotices()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if !n.follow([]string{dir}, []string{log.Name()}) {
		t.Fatal("the directory is not followed")
	}
	const lines = 5
	began := time.Now()
	for range lines {
		if _, err := log.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case ev := <-n.events:
			if ev.mask != unix.IN_MODIFY || ev.name != "log" {
				t.Fatalf("mask %x of %q", ev.mask, ev.name)
			}
		case <-time.After(time.Minute):
			t.Fatal("no notice")
		}
	}
	if took := time.Since(began); took < (lines-1)*readEvery {
		t.Errorf("%d reads in %v", lines, took)
	}
}

// TestSharedNotices: notices of one directory share what the system has, each hears of its own
// file alone, and one that ends takes nothing from the other. The directory that takes the
// place of theirs is heard of by each that follows it.
func TestSharedNotices(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	one, two := following(t, dir, "one"), following(t, dir, "two")
	if one.on != two.on {
		t.Error("they have an instance each")
	}
	write(t, filepath.Join(dir, "two"))
	write(t, filepath.Join(dir, "one"))
	awaitName(t, one, "one")
	awaitName(t, two, "two")
	one.close()
	write(t, filepath.Join(dir, "two"))
	awaitName(t, two, "two")
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	three := following(t, dir, "two")
	two.follow([]string{dir}, []string{filepath.Join(dir, "two")})
	three.close()
	write(t, filepath.Join(dir, "two"))
	for what := stirred; what != written; {
		ev := <-two.events
		if path, sign := two.explain(ev); path == filepath.Join(dir, "two") {
			what = sign
		}
	}
	two.close()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.in == two.on && len(two.on.users) == 0 {
		t.Error("the instance stays, and is used by none")
	}
}

// TestLateNotices: one that does not read its events holds up no other, and hears that there
// were some.
func TestLateNotices(t *testing.T) {
	dir := t.TempDir()
	late, other := following(t, dir, "late"), following(t, dir, "other")
	defer late.close()
	defer other.close()
	late.on.mu.Lock()
	watch := late.dirs[dir]
	for range 3 * queueMax {
		late.put(event{watch: watch, mask: unix.IN_MODIFY, name: "late"})
	}
	n := len(late.queue)
	late.on.mu.Unlock()
	if n > queueMax {
		t.Errorf("%d events wait", n)
	}
	write(t, filepath.Join(dir, "other"))
	awaitName(t, other, "other")
	for ev := range late.events {
		if path, _ := late.explain(ev); path == "" {
			return
		}
	}
}

func following(t *testing.T, dir, name string) *notices {
	t.Helper()
	n, err := newNotices()
	if err != nil {
		t.Fatal(err)
	}
	if !n.follow([]string{dir}, []string{filepath.Join(dir, name)}) {
		t.Fatal("the directory is not followed")
	}
	return n
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitName returns when n reports that a file was closed, and fails if it reports another one.
func awaitName(t *testing.T, n *notices, name string) {
	t.Helper()
	for {
		select {
		case ev := <-n.events:
			if ev.name != name {
				t.Fatalf("mask %x of %q", ev.mask, ev.name)
			}
			if ev.mask&unix.IN_CLOSE_WRITE != 0 {
				return
			}
		case <-time.After(time.Minute):
			t.Fatal("no notice")
		}
	}
}
