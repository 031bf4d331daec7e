package accesslog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// smallDisk mounts a disk of 64 KiB, or skips the test where that is not allowed.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a disk for the test cannot be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill writes lines until the disk is full, and then until some are dropped. It returns how
// many there were.
func (g *rig) fill() (in int) {
	g.t.Helper()
	testkit.Until(g.t, "the disk to be full", func() bool {
		for g.rings[in%2].add(line(in)) {
			in++
		}
		return strings.Contains(g.log.String(), "cannot be written")
	})
	for g.dropped.Load() == 0 {
		g.add(in, in+1)
		in++
	}
	return in
}

// TestDiskIsFull: lines wait while the disk is full, which is said once, and go on with the
// rest of the one that was cut when there is room again.
func TestDiskIsFull(t *testing.T) {
	g, dir := newRig(t, 10000), smallDisk(t)
	path, other := filepath.Join(dir, "access.log"), filepath.Join(dir, "other")
	testkit.WriteFile(t, other, strings.Repeat("x", 32<<10))
	g.use(path)
	g.Start()
	in := g.fill()
	testkit.Until(t, "two lines in the log", func() bool { return strings.Count(g.log.String(), "\n") == 2 })
	text := g.log.String()
	if !strings.Contains(text, `"access log cannot be written, its lines wait"`) || !strings.Contains(text, `"lines of the access log are lost"`) ||
		strings.Count(text, `cause="no space left on device" mend="make room on the disk of `+dir) != 2 {
		t.Errorf("it said %s", text)
	}
	if now := g.Trouble(); !strings.HasPrefix(now, "lines of the access log are lost: "+path+": no space left on device; make room") {
		t.Errorf("status shows %q", now)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	g.untilWritten()
	testkit.Until(t, "the end of it to be said", func() bool { return strings.Contains(g.log.String(), "written again") && g.Trouble() == "" })
	if want := fmt.Sprintf("lost=%d ", g.dropped.Load()+g.lost.Load()); !strings.Contains(g.log.String(), want) {
		t.Errorf("want %s; it said %s", want, g.log.String())
	}
	g.wantSome(read(t, path), in)
}

// TestRotationOnFullDisk: the old file has no part of a line, and the new one has the whole.
func TestRotationOnFullDisk(t *testing.T) {
	g, dir := newRig(t, 20000), smallDisk(t)
	link := filepath.Join(t.TempDir(), "access.log")
	path := filepath.Join(dir, "access.log")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	g.use(link)
	g.Start()
	in := g.fill()
	if err := os.Remove(link); err != nil { // the next file is on another disk
		t.Fatal(err)
	}
	g.untilWritten()
	if old := read(t, path); !strings.HasSuffix(old, "\n") {
		t.Errorf("the old file ends with %q", old[len(old)-100:])
	}
	g.wantSome(read(t, path)+read(t, link), in)
}

// wantSome wants whole lines, none of them twice, and as many as were not dropped.
func (g *rig) wantSome(text string, in int) {
	g.t.Helper()
	seen := map[string]bool{}
	for l := range strings.Lines(text) {
		var i int
		fmt.Sscanf(l, "line %d", &i)
		if seen[l] || l != line(i) {
			g.t.Fatalf("%q is torn, or there twice", l)
		}
		seen[l] = true
	}
	if out := g.dropped.Load() + g.lost.Load(); len(seen) != in-int(out) {
		g.t.Errorf("%d lines came, %d were written and %d of them dropped", len(seen), in, out)
	}
}

// TestFullDevice: /dev/full takes nothing, ever.
func TestFullDevice(t *testing.T) {
	g := newRig(t, 20000)
	g.use("/dev/full")
	g.Start()
	g.fill()
	testkit.Until(t, "a line in the log", func() bool { return strings.Contains(g.log.String(), "are lost") })
}

// TestRefusedLinesAreCounted: lines that a full disk refuses for longer than patience are
// lost and counted, though they would fit into the rings, and that is said once.
func TestRefusedLinesAreCounted(t *testing.T) {
	g := newRig(t, 20000)
	g.use("/dev/full")
	g.Start()
	g.addAll(0, 5)
	testkit.Until(t, "five lost lines", func() bool { return g.lost.Load() == 5 })
	g.addAll(5, 7)
	testkit.Until(t, "two more", func() bool { return g.lost.Load() == 7 })
	testkit.Until(t, "both lines in the log", func() bool { return strings.Contains(g.log.String(), "are lost") })
	if text := g.log.String(); strings.Count(text, "\n") != 2 {
		t.Errorf("it said %s", text)
	}
}

// TestRefusedRestOfALine: the rest of a line of which the file has a part comes first when
// there is room again, whatever was lost in between.
func TestRefusedRestOfALine(t *testing.T) {
	g, dir := newRig(t, 10000), smallDisk(t)
	path, other := filepath.Join(dir, "access.log"), filepath.Join(dir, "other")
	testkit.WriteFile(t, other, strings.Repeat("x", 32<<10))
	g.use(path)
	g.Start()
	in := g.fill()
	testkit.Until(t, "lines to be given up", func() bool { return g.lost.Load() > 0 })
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	g.addAll(in, in+100)
	g.untilWritten()
	g.wantSome(read(t, path), in+100)
}
