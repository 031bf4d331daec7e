package board

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// TestSealed: no process can truncate the file. The others would get a SIGBUS at their
// next count.
func TestSealed(t *testing.T) {
	b, f := create(t, 1, 1)
	if err := f.Truncate(0); err == nil {
		t.Fatal("the file could be cut short")
	}
	b.Loop(0).Requests.Add(1)
}

// TestNothingLeft: opening, refusing and closing boards leaks neither descriptors
// nor mappings.
func TestNothingLeft(t *testing.T) {
	fds, maps := held(t)
	for range 10 {
		b, f, err := Create(Size{Loops: 1, Backends: 1, Series: 1})
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

// held returns the number of this process's descriptors and mappings of boards.
func held(t *testing.T) (fds, maps int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return testkit.OpenFDs(), strings.Count(string(text), "lb-board")
}

// TestSparse: a board takes memory only for the part in use, even after all of that was
// read, cleared, taken over and opened again.
func TestSparse(t *testing.T) {
	const loops, backends = 2, 3
	b, f, err := Create(Room(Size{Loops: loops, Backends: backends}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer b.Close()
	b.ClaimLoop(loops - 1)
	b.ClaimBackend(backends - 1)
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, b := range []*Board{b, other} {
		for i := range loops {
			b.TakeOver(i)
		}
		_, _, _ = b.Totals(), b.OldestConfig(), b.Secret()
		for i := range backends {
			_ = b.BackendTotals(i)
			b.Clear(i)
			b.Reserve(1, i, 5)
		}
	}
	// A page for the header, and at most two for each loop and each backend.
	if got, most := allocated(t, f), int64((1+2*loops+2*backends)*os.Getpagesize()); got > most {
		t.Errorf("%d loops and %d backends take %d bytes of memory, want at most %d", loops, backends, got, most)
	}
	t.Logf("%d bytes of memory for %d loops and %d backends", allocated(t, f), loops, backends)
	b.ClaimBackend(999)
	for i := range b.Backends() {
		_ = b.BackendTotals(i)
	}
	if got, most := allocated(t, f), int64(2000*os.Getpagesize()); got > most {
		t.Errorf("1000 backends take %d bytes of memory, want at most %d", got, most)
	}
	t.Logf("%d bytes of memory for 1000 backends, of %d mapped", allocated(t, f), len(b.mem))
}

// allocated returns how much memory a file takes, in bytes.
func allocated(t *testing.T, f *os.File) int64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		t.Fatal(err)
	}
	return s.Blocks * 512
}

// TestNotDumped: the mapping is left out of core dumps, which would touch every page.
func TestNotDumped(t *testing.T) {
	_, f := create(t, 1, 1)
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	mappings := bytes.Split(text, []byte("lb-board"))[1:]
	if len(mappings) != 2 {
		t.Errorf("%d mappings, want 2", len(mappings))
	}
	for _, text := range mappings {
		_, flags, _ := bytes.Cut(text, []byte("VmFlags:"))
		flags, _, _ = bytes.Cut(flags, []byte("\n"))
		if !bytes.Contains(flags, []byte(" dd")) {
			t.Errorf("a mapping of the board has the flags %q, want dd", flags)
		}
	}
}

// TestRoom: there is room for several times the configuration, within a GiB of address
// space if that is enough; and such a board can always be created.
func TestRoom(t *testing.T) {
	for _, tc := range []struct{ loops, backends, loopsRoom, backendsLeast, backendsMost int }{
		{1, 0, 64, 63_000, 65536},
		{2, 4, 64, 63_000, 65536},
		{16, 1000, 64, 63_000, 65536},
		{17, 1000, 68, 60_000, 65536},
		{2, 20_000, 64, 80_000, 80_000},
		{64, 4, 256, 15_000, 16_500},
		{256, 4, 1024, 4_000, 4_100},
		{256, 4000, 1024, 16_000, 16_000},
		{loopsMax, 1, loopsMax, 950, 1025},
		{1, backendsMax, 64, backendsMax, backendsMax},
	} {
		room := Room(Size{Loops: tc.loops, Backends: tc.backends})
		loops, backends := room.Loops, room.Backends
		if loops != tc.loopsRoom || backends < tc.backendsLeast || backends > tc.backendsMost {
			t.Errorf("%d loops and %d backends: room for %d and %d, want %d and %d to %d", tc.loops, tc.backends,
				loops, backends, tc.loopsRoom, tc.backendsLeast, tc.backendsMost)
		}
		s := shape{loops: loops, backends: backends}
		if err := s.check(); err != nil {
			t.Error(err)
		}
		if s.blockStart(backends)*wordBytes > 1<<30 && backends > 4*tc.backends {
			t.Errorf("%d loops and %d backends: %d bytes, which nothing asks for", tc.loops, tc.backends, s.bytes())
		}
	}
}
