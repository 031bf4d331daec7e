package board

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// childEnv makes the test binary run as the other process of a test. Its value is a key
// of children and a loop slot, such as "hold 3".
const childEnv = "LB_BOARD_TEST_CHILD"

// childFD is the descriptor of the first extra file of a child process.
const childFD = 3

// children are the actions of the other processes. A child prints the text that its
// action returns, then waits until its standard input ends.
var children = map[string]func(b *Board, f *os.File, slot int) (said string, err error){
	"count": count,
	"hold": func(b *Board, f *os.File, slot int) (string, error) {
		return "holds", b.Slots(f).Hold(slot)
	},
	"ask": func(b *Board, f *os.File, slot int) (string, error) {
		held, err := b.Slots(f).Held(slot)
		return fmt.Sprint(held), err
	},
}

func TestMain(m *testing.M) {
	if action := os.Getenv(childEnv); action != "" {
		if err := child(action, os.NewFile(childFD, "board")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(action string, f *os.File) error {
	defer f.Close()
	b, err := Open(f)
	if err != nil {
		return err
	}
	defer b.Close()
	var name string
	var slot int
	if _, err := fmt.Sscan(action, &name, &slot); err != nil {
		return err
	}
	said, err := children[name](b, f, slot)
	if err != nil {
		return err
	}
	fmt.Println(said)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// count acts as the loop of a slot: it reports the counts that it found, and counts.
func count(b *Board, _ *os.File, slot int) (string, error) {
	found := fmt.Sprint("found ", b.Loop(0).Requests.Load(), b.Backend(0, 2).BytesTo.Load())
	b.TakeOver(slot)
	b.Loop(slot).ClientConns.Add(9)
	b.Loop(slot).Requests.Add(7)
	b.Backend(slot, 2).BytesTo.Add(1 << 40)
	return found, nil
}

// started is a running child process.
type started struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	said  string
}

// start starts a child process and returns after it has printed its text.
func start(t *testing.T, f *os.File, action string, slot int) *started {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", childEnv, action, slot),
		"GORACE=atexit_sleep_ms=0") // otherwise each of them takes a second to end
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the other process ended early: %v, %v", lines.Err(), cmd.Wait())
	}
	return &started{t, cmd, in, lines.Text()}
}

// end makes the process end on its own.
func (s *started) end() {
	s.t.Helper()
	s.stdin.Close()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the other process ended with %v", err)
	}
}

// kill kills the process.
func (s *started) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err == nil {
		s.t.Fatal("the other process was to be killed, but ended")
	}
}

// create returns a shared board with room for more than the loops and backends
// that are claimed on it.
func create(t *testing.T, loops, backends int) (*Board, *os.File) {
	t.Helper()
	b, f, err := Create(Size{Loops: loops + 3, Backends: backends + 5, Series: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if b.Loops() != 0 || b.Backends() != 0 {
		t.Errorf("%d loops and %d backends are in use on a new board", b.Loops(), b.Backends())
	}
	b.ClaimLoop(loops - 1)
	b.ClaimBackend(backends - 1)
	return b, f
}

// TestTwoProcesses: each process reads the counts that the other writes. A worker's
// counters outlive it however it ends; its gauges are zero once its successor begins.
func TestTwoProcesses(t *testing.T) {
	b, f := create(t, 2, 3)
	b.Loop(0).Requests.Add(5)
	b.Backend(0, 2).BytesTo.Add(11)

	worker := start(t, f, "count", 1)
	if want := "found 5 11"; worker.said != want {
		t.Errorf("the other process %s, want %s", worker.said, want)
	}
	worker.kill()
	check := func(when string, conns, requests, bytes uint64) {
		t.Helper()
		totals, backend := b.Totals(), b.BackendTotals(2)
		if totals.ClientConns != conns || totals.Requests != requests || backend.BytesTo != bytes {
			t.Errorf("%s: %d conns, %d requests, %d bytes, want %d, %d, %d", when,
				totals.ClientConns, totals.Requests, backend.BytesTo, conns, requests, bytes)
		}
	}
	check("worker killed", 9, 12, 11+1<<40)

	successor := start(t, f, "count", 1)
	check("successor at work", 9, 19, 11+2<<40)
	successor.end()
}

// TestClaimSeen: a claim of one process counts for another that has the board open.
func TestClaimSeen(t *testing.T) {
	b, f := create(t, 1, 1)
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b.ClaimLoop(2)
	b.ClaimBackend(4)
	if other.Loops() != 3 || other.Backends() != 5 {
		t.Errorf("%d loops and %d backends, want 3 and 5", other.Loops(), other.Backends())
	}
	other.Loop(2).Turns.Add(1)
	other.Backend(2, 4).Conns.Add(1)
	other.State(4).Faults.Add(1)
	b.Control().Reloads.Add(1)
	if b.Totals().Turns != 1 || b.BackendTotals(4).Conns != 1 || b.State(4).Faults.Load() != 1 ||
		other.Control().Reloads.Load() != 1 {
		t.Error("what one wrote the other does not see")
	}
}

func TestOpenSeesCreate(t *testing.T) {
	b, f := create(t, 3, 4)
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	if other.room != b.room || other.Loops() != 3 || other.Backends() != 4 {
		t.Errorf("%d loops and %d backends of %+v, want 3 and 4 of %+v", other.Loops(), other.Backends(), other.room, b.room)
	}
	other.Backend(2, 3).Attempts.Add(2)
	if got := b.BackendTotals(3).Attempts; got != 2 {
		t.Errorf("%d attempts, want the 2 of the other mapping", got)
	}
	for range 2 {
		if err := other.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if got := b.BackendTotals(3).Attempts; got != 2 {
		t.Errorf("%d attempts after the other mapping was closed, want 2", got)
	}
}

// TestUnlinkedFile: the file of systems without memfd is shared memory too, and its name
// is removed.
func TestUnlinkedFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := shape{loops: 20, backends: 50} // more bytes than are written at once
	f, err := unlinkedFile(s.bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != int64(s.bytes()) {
		t.Errorf("%v, %v, want %d bytes", info, err, s.bytes())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	mem, err := mapFile(f, s.bytes())
	if err != nil {
		t.Fatal(err)
	}
	b := newBoard(s, mapped(mem), mem)
	defer b.Close()
	s.writeHeader(b.words)
	b.ClaimLoop(1)
	b.Loop(1).Panics.Add(3)
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := other.Totals(); got != (LoopTotals{Panics: 3}) {
		t.Errorf("the other mapping has %+v, want 3 panics", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := shape{loops: 2, backends: 3, series: 1}
	for _, tc := range []struct {
		name string
		size int
		set  map[int]uint64 // words that differ from a good board
		want string
	}{
		{"empty", 0, nil, "too few"},
		{"less than a header", headerBytes - 1, nil, "too few"},
		{"not a board", good.bytes(), map[int]uint64{wordMagic: 0}, "not a board"},
		{"older layout", good.bytes(), map[int]uint64{wordVersion: layoutVersion - 1}, "restart lb"},
		{"newer layout", good.bytes(), map[int]uint64{wordVersion: layoutVersion + 1}, "layout version"},
		{"room for no loop", good.bytes(), map[int]uint64{wordLoopsRoom: 0}, "0 loops"},
		{"room for one loop more", good.bytes(), map[int]uint64{wordLoopsRoom: 4}, "4 loops, 3 backends and 1 series take"},
		{"room for one backend less", good.bytes(), map[int]uint64{wordBackendsRoom: 2}, "2 loops, 2 backends and 1 series take"},
		{"sizes that overflow", good.bytes(), map[int]uint64{wordLoopsRoom: 1 << 60, wordBackendsRoom: 1 << 60}, "claims"},
		{"negative room", good.bytes(), map[int]uint64{wordBackendsRoom: ^uint64(0)}, "claims"},
		{"more loops than room", good.bytes(), map[int]uint64{wordLoops: 3}, "claims 3 loops, 0 backends"},
		{"more backends than room", good.bytes(), map[int]uint64{wordBackends: 4}, "claims 0 loops, 4 backends"},
		{"more series than room", good.bytes(), map[int]uint64{wordSeries: 2}, "0 backends and 2 series"},
		{"series that overflow", good.bytes(), map[int]uint64{wordSeriesRoom: 1 << 60}, "claims"},
		{"negative use", good.bytes(), map[int]uint64{wordLoops: ^uint64(0)}, "with room for 2, 3 and 1"},
		{"cut short", good.bytes() - wordBytes, nil, "take"},
		{"longer", good.bytes() + lineBytes, nil, "take"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			words := make([]uint64, good.words())
			good.writeHeader(words)
			for word, value := range tc.set {
				words[word] = value
			}
			err := openImage(t, words, tc.size)
			if err == nil || !strings.HasPrefix(err.Error(), "board: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open: %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// openImage opens a file of size bytes that begins with words.
func openImage(t *testing.T, words []uint64, size int) error {
	t.Helper()
	f, err := unlinkedFile(size)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if size >= headerBytes {
		mem, err := mapFile(f, size)
		if err != nil {
			t.Fatal(err)
		}
		b := &Board{words: mapped(mem), mem: mem}
		defer b.Close()
		copy(b.words, words)
	}
	b, err := Open(f)
	if err == nil {
		b.Close()
	}
	return err
}

func TestCreateRefuses(t *testing.T) {
	for _, s := range []shape{{backends: 1}, {loops: -1, backends: 1}, {loops: 1, backends: -1}, {loops: loopsMax + 1, backends: 1}, {loops: 1, backends: backendsMax + 1}, {loops: 1, series: -1}, {loops: 1, series: seriesMax + 1}} {
		if b, f, err := Create(Size{Loops: s.loops, Backends: s.backends, Series: s.series}); err == nil {
			f.Close()
			b.Close()
			t.Errorf("Create made a board of %+v", s)
		}
	}
}
