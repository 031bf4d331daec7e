package lane

import (
	"testing"

	"lb/arena"
)

// TestInbox: the slab comes with the first byte and goes with the last. Bytes that do
// not fit move to the front of the slab, then to a large one; then there is no room.
func TestInbox(t *testing.T) {
	a := arena.New(8, 16)
	var in Inbox
	put := func(s string) int {
		n := copy(in.Room(a, false), s)
		if n > 0 {
			in.Put(n)
		}
		return n
	}
	check := func(want string, out int) {
		t.Helper()
		if string(in.Bytes()) != want || in.Len() != len(want) || a.Out() != out {
			t.Errorf("%q, %d slabs out; want %q, %d", in.Bytes(), a.Out(), want, out)
		}
	}
	in.Take(0)
	in.Drop(a)
	check("", 0)
	put("12345678")
	in.Take(3)
	check("45678", 1)
	if n := put("9abcdef"); n != 3 { // to the front of the same slab
		t.Errorf("%d bytes into a slab of 8 with 5", n)
	}
	check("456789ab", 1)
	if n := put("cdefghijkl"); n != 8 { // to a large slab
		t.Errorf("%d bytes into a slab of 16 with 8", n)
	}
	check("456789abcdefghij", 1)
	if room := in.Room(a, false); room != nil {
		t.Errorf("%d bytes of room in a large slab that is full", len(room))
	}
	in.Drop(a)
	in.Take(16)
	check("", 1)
	in.Drop(a)
	check("", 0)
	if room := in.Room(a, true); len(room) != 16 {
		t.Errorf("%d bytes of room for much, want 16", len(room))
	}
	in.Put(0)
	in.Release(a)
	put("1")
	in.Forget(a)
	check("", 0)
}

// TestInboxRest: bytes that wait lie in a slab that fits them. When more come they move to
// one with room, and they stay the same.
func TestInboxRest(t *testing.T) {
	for _, tc := range []struct {
		held  int
		bulk  bool
		rests int // size of the slab at rest
		room  int
	}{
		{0, false, 0, 4096},
		{100, false, 512, 4096 - 100},
		{100, true, 512, 16384 - 100},
		{2000, false, 2048, 4096 - 2000},
		{3100, false, 4096, 4096 - 3100},
		{4096, false, 4096, 16384 - 4096},
		{8000, false, 8192, 16384 - 8000},
	} {
		a := arena.New(4096, 16384)
		var in Inbox
		for held := 0; held < tc.held; held = in.Len() {
			in.Put(copy(in.Room(a, false), long(tc.held)[held:]))
		}
		in.Rest(a)
		size := 0
		if in.Slab != nil {
			size = len(in.Slab.B)
		}
		if size != tc.rests || string(in.Bytes()) != long(tc.held) {
			t.Errorf("%d bytes rest in a slab of %d, want %d", tc.held, size, tc.rests)
		}
		if room := len(in.Room(a, tc.bulk)); room != tc.room || string(in.Bytes()) != long(tc.held) || a.Out() != 1 {
			t.Errorf("%d bytes, then room for %d, %d slabs out; want %d and 1", tc.held, room, a.Out(), tc.room)
		}
		in.Release(a)
	}
}
