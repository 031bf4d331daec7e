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

// childEnv set to "1" makes the test binary the other process of the tests.
const childEnv = "LB_BOARD_TEST_CHILD"

// childFD is where a started process finds its first extra file.
const childFD = 3

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "1" {
		if err := child(os.NewFile(childFD, "board")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is loop 1 of the board in f. It says what it found, counts, says so, and
// waits until its standard input ends.
func child(f *os.File) error {
	b, err := Open(f)
	if err != nil {
		return err
	}
	defer b.Close()
	f.Close()
	fmt.Println("found", b.Loop(0).Requests.Load(), b.Backend(0, 2).BytesTo.Load())

	b.TakeOver(1)
	b.Loop(1).ClientConns.Add(9)
	b.Loop(1).Requests.Add(7)
	b.Backend(1, 2).BytesTo.Add(1 << 40)
	fmt.Println("counted")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startChild starts the other process and returns it when it has counted, with
// the first line it said.
func startChild(t *testing.T, f *os.File) (cmd *exec.Cmd, stdin io.Closer, found string) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
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
	for _, line := range []*string{&found, new(string)} {
		if !lines.Scan() {
			t.Fatalf("the other process ended early: %v, %v", lines.Err(), cmd.Wait())
		}
		*line = lines.Text()
	}
	return cmd, in, found
}

func create(t *testing.T, loops, backends int) (*Board, *os.File) {
	t.Helper()
	b, f, err := Create(loops, backends)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b, f
}

// TestTwoProcesses: what one process writes the other reads, and a worker's
// counters outlive it however it ends; its gauges go when its successor begins.
func TestTwoProcesses(t *testing.T) {
	b, f := create(t, 2, 3)
	b.Loop(0).Requests.Add(5)
	b.Backend(0, 2).BytesTo.Add(11)

	killed, _, found := startChild(t, f)
	if want := "found 5 11"; found != want {
		t.Errorf("the other process %s, want %s", found, want)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := killed.Wait(); err == nil {
		t.Fatal("the worker was to be killed, but ended")
	}
	check := func(when string, conns, requests, bytes uint64) {
		t.Helper()
		totals, backend := b.Totals(), b.BackendTotals(2)
		if totals.ClientConns != conns || totals.Requests != requests || backend.BytesTo != bytes {
			t.Errorf("%s: %d conns, %d requests, %d bytes, want %d, %d, %d", when,
				totals.ClientConns, totals.Requests, backend.BytesTo, conns, requests, bytes)
		}
	}
	check("worker killed", 9, 12, 11+1<<40)

	successor, stdin, _ := startChild(t, f)
	check("successor at work", 9, 19, 11+2<<40)
	stdin.Close()
	if err := successor.Wait(); err != nil {
		t.Errorf("the successor ended with %v", err)
	}
}

func TestOpenSeesCreate(t *testing.T) {
	b, f := create(t, 3, 4)
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	if other.Loops() != 3 || other.Backends() != 4 {
		t.Errorf("%d loops and %d backends, want 3 and 4", other.Loops(), other.Backends())
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

// TestUnlinkedFile: the file of systems without memfd is shared memory too, and
// leaves no name behind.
func TestUnlinkedFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := shape{2, 5}
	f, err := unlinkedFile(s.bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	mem, err := mapFile(f, s.bytes())
	if err != nil {
		t.Fatal(err)
	}
	b := &Board{shape: s, words: mapped(mem), mem: mem}
	defer b.Close()
	s.writeHeader(b.words)
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
	good := shape{2, 3}
	for _, tc := range []struct {
		name string
		size int
		set  map[int]uint64 // words other than those of a good board
		want string
	}{
		{"empty", 0, nil, "too few"},
		{"less than a header", lineBytes - 1, nil, "too few"},
		{"not a board", good.bytes(), map[int]uint64{wordMagic: 0}, "not a board"},
		{"older layout", good.bytes(), map[int]uint64{wordVersion: layoutVersion - 1}, "layout version"},
		{"newer layout", good.bytes(), map[int]uint64{wordVersion: layoutVersion + 1}, "layout version"},
		{"no loops", good.bytes(), map[int]uint64{wordLoops: 0}, "0 loops"},
		{"one loop more", good.bytes(), map[int]uint64{wordLoops: 3}, "3 loops and 3 backends take"},
		{"one backend less", good.bytes(), map[int]uint64{wordBackends: 2}, "2 loops and 2 backends take"},
		{"sizes that overflow", good.bytes(), map[int]uint64{wordLoops: 1 << 60, wordBackends: 1 << 60}, "claims"},
		{"negative", good.bytes(), map[int]uint64{wordBackends: ^uint64(0)}, "claims"},
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
	if size >= lineBytes {
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
	for _, s := range []shape{{0, 1}, {-1, 1}, {1, -1}, {loopsMax + 1, 1}, {1, backendsMax + 1}} {
		if b, f, err := Create(s.loops, s.backends); err == nil {
			f.Close()
			b.Close()
			t.Errorf("Create made a board of %+v", s)
		}
	}
}
