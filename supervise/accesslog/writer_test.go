package accesslog

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// fakeRing is a ring of size bytes, which is full as soon as that many wait.
type fakeRing struct {
	mu   sync.Mutex
	text []byte
	head int
	tail int
	wake chan struct{} // has a value after a line was added
}

func newRing(size int, wake chan struct{}) *fakeRing {
	return &fakeRing{text: make([]byte, size), wake: wake}
}

// add appends a line, or returns false if there is no room.
func (r *fakeRing) add(line string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head-r.tail+len(line) > len(r.text) {
		return false
	}
	for i := range len(line) {
		r.text[(r.head+i)%len(r.text)] = line[i]
	}
	r.head += len(line)
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return true
}

func (r *fakeRing) Pending() (first, rest []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to := r.tail%len(r.text), r.head%len(r.text)
	switch {
	case r.head == r.tail:
		return nil, nil
	case from < to:
		return r.text[from:to], nil
	}
	return r.text[from:], r.text[:to]
}

func (r *fakeRing) Consume(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail += n; r.tail > r.head {
		panic("more is consumed than there is")
	}
}

func (r *fakeRing) waits() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head - r.tail
}

// rig is a Writer with two rings.
type rig struct {
	*Writer
	t             *testing.T
	rings         []*fakeRing
	dropped, lost atomic.Uint64
	log           testkit.Log
}

func newRig(t *testing.T, ringSize int) *rig {
	wake := make(chan struct{}, 1)
	g := &rig{t: t, rings: []*fakeRing{newRing(ringSize, wake), newRing(ringSize, wake)}}
	g.Writer = New(Options{
		Log:     slog.New(slog.NewTextHandler(&g.log, nil)),
		Rings:   func() []Ring { return []Ring{g.rings[0], g.rings[1]} },
		Await:   func(d time.Duration) { await(wake, min(d, time.Millisecond)) },
		Dropped: g.dropped.Load,
		Lost:    func(n uint64) { g.lost.Add(n) },
	})
	t.Cleanup(func() {
		if !g.Close() {
			t.Error("the writer did not end")
		}
	})
	return g
}

// await returns when lines wait, and after d at the latest, as Board.AwaitLog does.
func await(lines <-chan struct{}, d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-lines:
	case <-late.C:
	}
}

// use has lines go to path.
func (g *rig) use(path string) {
	g.t.Helper()
	c, err := g.Prepare(path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Use(c)
}

// add adds numbered lines, by turns to each ring, and counts those without room.
func (g *rig) add(from, to int) {
	for i := from; i < to; i++ {
		if !g.rings[i%2].add(line(i)) {
			g.dropped.Add(1)
		}
	}
}

// addAll adds numbered lines and waits for room where there is none.
func (g *rig) addAll(from, to int) {
	g.t.Helper()
	for i := from; i < to; i++ {
		testkit.Until(g.t, "room in the ring", func() bool { return g.rings[i%2].add(line(i)) })
	}
}

// line has a length that changes, so that lines end anywhere in a ring.
func line(i int) string { return fmt.Sprintf("line %06d %s\n", i, strings.Repeat("x", i%97)) }

func (g *rig) untilWritten() {
	g.t.Helper()
	testkit.Until(g.t, "all lines to be written", func() bool { return g.rings[0].waits()+g.rings[1].waits() == 0 })
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantLines wants each of the lines from..to once in text, whole, in any order, and no other.
func wantLines(t *testing.T, text string, from, to int) {
	t.Helper()
	seen := make([]int, to)
	for got := range strings.Lines(text) {
		var i int
		fmt.Sscanf(got, "line %d", &i)
		if i < from || i >= to || got != line(i) {
			t.Fatalf("there is a line %q", got)
		}
		seen[i]++
	}
	for i, n := range seen[from:] {
		if n != 1 {
			t.Fatalf("line %d is there %d times", from+i, n)
		}
	}
}

// TestFile: all lines of all rings come, each once and whole, those that lie in both parts of
// a ring as well, and in the order of their ring.
func TestFile(t *testing.T) {
	g, path := newRig(t, 1000), filepath.Join(t.TempDir(), "access.log")
	testkit.WriteFile(t, path, line(0))
	g.use(path)
	g.Start()
	g.addAll(1, 5000)
	g.untilWritten()
	got := read(t, path)
	wantLines(t, got, 0, 5000)
	last := map[bool]string{}
	for l := range strings.Lines(got) {
		even := (l[10]-'0')%2 == 0
		if l[:11] <= last[even] {
			t.Fatalf("%q comes after %q", l, last[even])
		}
		last[even] = l[:11]
	}
	if g.log.String() != "" || g.lost.Load() != 0 {
		t.Errorf("lost %d: %s", g.lost.Load(), g.log.String())
	}
}

// TestMode: the file is made for lb's user and its group.
func TestMode(t *testing.T) {
	g, path := newRig(t, 1000), filepath.Join(t.TempDir(), "access.log")
	g.use(path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^0o640 != 0 || info.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("the file has %v, %v", info.Mode(), err)
	}
}

// TestEnd: what is in the rings when lb ends is written.
func TestEnd(t *testing.T) {
	g, path := newRig(t, 100000), filepath.Join(t.TempDir(), "access.log")
	g.use(path)
	g.Start()
	g.add(0, 1000)
	if !g.Close() {
		t.Fatal("it did not end")
	}
	wantLines(t, read(t, path), 0, 1000)
}

// TestOff: without a path lines that come all the same are counted, and after the log is
// turned off nothing goes to the file.
func TestOff(t *testing.T) {
	g, path := newRig(t, 100000), filepath.Join(t.TempDir(), "access.log")
	g.use("")
	g.Start()
	g.use(path)
	g.add(0, 100)
	g.untilWritten()
	g.add(100, 200)
	g.use("")
	g.untilWritten()
	g.add(200, 203)
	g.Wake()
	g.untilWritten()
	wantLines(t, read(t, path), 0, 200)
	testkit.Until(t, "three lines to be counted", func() bool { return g.lost.Load() == 3 })
}

// TestBegin: a change that turns the log on is used by Begin, any other by Use.
func TestBegin(t *testing.T) {
	g, dir := newRig(t, 1000), t.TempDir()
	on, _ := g.Prepare(filepath.Join(dir, "a"))
	g.Begin(on)
	if !on.used {
		t.Error("the log is not turned on at once")
	}
	g.Use(on)
	other, _ := g.Prepare(filepath.Join(dir, "b"))
	if g.Begin(other); other.used {
		t.Error("another path is used before the loops write to it")
	}
	if g.Use(other); !other.used {
		t.Error("another path is not used")
	}
}

// TestRotation: the file is renamed again and again while lines come. Each is found once,
// whole, and the path is there again without a line to write.
func TestRotation(t *testing.T) {
	g, dir := newRig(t, 4000), t.TempDir()
	path := filepath.Join(dir, "access.log")
	g.use(path)
	g.Start()
	stop := make(chan struct{})
	rotated := make(chan int)
	go func() {
		n := 0
		for !testkit.IsClosed(stop) {
			if os.Rename(path, fmt.Sprintf("%s.%d", path, n)) == nil {
				n++
			}
		}
		rotated <- n
	}()
	g.addAll(0, 20000)
	close(stop)
	n := testkit.Wait(t, rotated, "the rotation to end")
	g.untilWritten()
	testkit.Until(t, "the file to be there again", func() bool { _, err := os.Stat(path); return err == nil })
	all := read(t, path)
	for i := range n {
		all += read(t, fmt.Sprintf("%s.%d", path, i))
	}
	wantLines(t, all, 0, 20000)
	if n < 3 {
		t.Errorf("only %d rotations", n)
	}
}

// TestReopen: Reopen opens the path again although the same file is there.
func TestReopen(t *testing.T) {
	g, dir := newRig(t, 100000), t.TempDir()
	path := filepath.Join(dir, "access.log")
	g.use(path)
	g.Start()
	g.add(0, 10)
	g.untilWritten()
	testkit.Rename(t, path, path+".1")
	g.Reopen()
	testkit.Until(t, "the file to be there again", func() bool { _, err := os.Stat(path); return err == nil })
	g.add(10, 20)
	g.untilWritten()
	wantLines(t, read(t, path+".1"), 0, 10)
	wantLines(t, read(t, path), 10, 20)
}

// TestFolderIsGone: lines go where they went while the path cannot be opened, which is said
// once, and to the path again when it can.
func TestFolderIsGone(t *testing.T) {
	g, dir := newRig(t, 100000), t.TempDir()
	path := filepath.Join(dir, "logs", "access.log")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	g.use(path)
	g.Start()
	testkit.Rename(t, filepath.Dir(path), filepath.Join(dir, "old"))
	for i := range 10 {
		g.add(i*10, i*10+10)
		g.untilWritten()
	}
	wantLines(t, read(t, filepath.Join(dir, "old", "access.log")), 0, 100)
	testkit.Until(t, "a line in the log", func() bool { return g.log.String() != "" })
	if text := g.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "cannot be opened again") ||
		!strings.Contains(text, "mend=\"make the folder ") {
		t.Errorf("it said %s", text)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "the file to be there again", func() bool { _, err := os.Stat(path); return err == nil })
	g.add(100, 110)
	g.untilWritten()
	wantLines(t, read(t, path), 100, 110)
	testkit.Until(t, "the end of it to be said", func() bool { return strings.Contains(g.log.String(), "written again") })
}

// TestUseWaitsForTheSwitch: after Use, lines go to the new target, though the goroutine waits
// for lines at that moment.
func TestUseWaitsForTheSwitch(t *testing.T) {
	g := newRig(t, 20000)
	g.Writer.o.Await = func(d time.Duration) { await(nil, d) }
	dir := t.TempDir()
	first := filepath.Join(dir, "0")
	g.use(first)
	g.Start()
	for i := range 5 {
		path := filepath.Join(dir, fmt.Sprint(i+1))
		g.use(path)
		g.addAll(i, i+1)
		testkit.Until(t, "the line in the new file", func() bool { return read(t, path) == line(i) })
	}
	if text := read(t, first); text != "" {
		t.Errorf("the first file has %q", text)
	}
}
