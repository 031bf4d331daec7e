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
	if !n.follow([]string{dir}) {
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
