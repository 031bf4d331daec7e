package arena

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestASlabIsEmptyAndOfItsSize(t *testing.T) {
	a := New(64, 256)
	for range 2 { // the second time from the free list
		small, large := a.Get(), a.GetLarge()
		if len(small.B) != 64 || small.Large() || len(large.B) != 256 || !large.Large() {
			t.Errorf("small %d %v, large %d %v", len(small.B), small.Large(), len(large.B), large.Large())
		}
		if small.Len() != 0 || len(small.Room()) != 64 || a.Out() != 2 {
			t.Errorf("holds %d, room %d, %d out", small.Len(), len(small.Room()), a.Out())
		}
		small.W = copy(small.Room(), "left over")
		a.Put(small)
		a.Put(large)
	}
	if a.Put(nil); a.Out() != 0 || a.Free() != 2 {
		t.Errorf("%d out, %d free", a.Out(), a.Free())
	}
}

func TestBytesRoomAndTake(t *testing.T) {
	s := New(8, 16).Get()
	s.W += copy(s.Room(), "abcdef")
	s.Take(2)
	if string(s.Bytes()) != "cdef" || s.Len() != 4 || len(s.Room()) != 2 {
		t.Errorf("%q, room %d", s.Bytes(), len(s.Room()))
	}
	if s.Take(4); s.Len() != 0 || len(s.Room()) != 8 {
		t.Error("an emptied slab does not start at the front")
	}
}

func TestTheLastOnePutIsHandedOutFirst(t *testing.T) {
	a := New(8, 16)
	x, y := a.Get(), a.Get()
	a.Put(x)
	a.Put(y)
	if a.Get() != y || a.Get() != x {
		t.Error("not last in, first out")
	}
}

func TestTrimKeepsWhatWasNeeded(t *testing.T) {
	a := New(8, 16)
	take := func(n int) {
		var slabs []*Slab
		for range n {
			slabs = append(slabs, a.Get())
		}
		for _, s := range slabs {
			a.Put(s)
		}
	}
	take(10)
	if a.Trim(); a.Free() != 10 {
		t.Errorf("%d free, want the 10 that were needed", a.Free())
	}
	take(3)
	if freed := a.Trim(); a.Free() != 3 || freed != 7*8 {
		t.Errorf("%d free, %d bytes freed; want 3 and 7 slabs", a.Free(), freed)
	}
	s := a.Get()
	a.Trim()
	if a.Trim(); a.Free() != 0 || a.Out() != 1 {
		t.Errorf("%d free, %d out, want none and the one in use", a.Free(), a.Out())
	}
	a.Put(s)
}

// TestFit: bytes move to the smallest slab that holds them, if that is shorter by a quarter;
// the slab from before is free.
func TestFit(t *testing.T) {
	for _, tc := range []struct{ held, want int }{
		{0, 512}, {512, 512}, {513, 2 << 10}, {8 << 10, 8 << 10}, {8<<10 + 1, 12 << 10}, {12<<10 + 1, 20 << 10}, {20 << 10, 20 << 10},
	} {
		a := New(20<<10, 80<<10)
		s := a.Get()
		if s.W = tc.held; tc.held > 0 && tc.held < len(s.B) { // not at the front
			s.W++
			s.B[tc.held] = 'x'
			s.Take(1)
		}
		fit := a.Fit(s)
		if len(fit.B) != tc.want || fit.Len() != tc.held || fit.Fitted() != (tc.want < 20<<10) || a.Out() != 1 {
			t.Errorf("%d bytes: a slab of %d with %d, %d out; want %d", tc.held, len(fit.B), fit.Len(), a.Out(), tc.want)
		}
		if b := fit.Bytes(); tc.held > 0 && tc.held < 20<<10 && b[len(b)-1] != 'x' {
			t.Errorf("%d bytes: they are others now", tc.held)
		}
		if a.Fit(fit) != fit {
			t.Errorf("%d bytes: they do not fit where they fit", tc.held)
		}
		a.Put(fit)
		if a.Out() != 0 || a.Free() != 1+min(1, (20<<10-1)/tc.want) {
			t.Errorf("%d bytes: %d out, %d free", tc.held, a.Out(), a.Free())
		}
	}
}

// TestKeep: a copy in the smallest slab that holds it.
func TestKeep(t *testing.T) {
	for _, tc := range []struct{ held, want int }{
		{0, 512}, {512, 512}, {513, 2 << 10}, {48 << 10, 48 << 10}, {48<<10 + 1, 80 << 10}, {80<<10 + 1, 80<<10 + 1},
	} {
		a := New(20<<10, 80<<10)
		b := bytes.Repeat([]byte{'x'}, tc.held)
		s := a.Keep(b)
		if len(s.B) != tc.want || !bytes.Equal(s.Bytes(), b) || a.Out() != 1 {
			t.Errorf("%d bytes: a slab of %d with %d, %d out; want %d", tc.held, len(s.B), s.Len(), a.Out(), tc.want)
		}
		if a.Put(s); a.Out() != 0 {
			t.Errorf("%d bytes: not put back", tc.held)
		}
	}
}

func TestAForgottenSlabIsNeverHandedOutAgain(t *testing.T) {
	a := New(8, 16)
	small, large := a.Get(), a.GetLarge()
	a.Forget(small)
	a.Forget(large)
	a.Forget(nil)
	if a.Out() != 0 || a.Free() != 0 || a.Get() == small || a.GetLarge() == large {
		t.Errorf("%d out, %d free", a.Out(), a.Free())
	}
}

// TestAgainstModel: no slab ever has two owners, and the counts are right, in any
// order of calls.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		a := New(8, 2<<10)
		var out []*Slab
		owned := map[*Slab]bool{}
		for range 1000 {
			switch op := rng.IntN(9); {
			case op < 4 || len(out) == 0:
				get := a.Get
				if op == 0 {
					get = a.GetLarge
				}
				s := get()
				if owned[s] {
					t.Fatalf("seed %d: a slab is handed out twice", seed)
				}
				owned[s] = true
				out = append(out, s)
			case op == 4:
				a.Trim()
			case op == 8:
				i := rng.IntN(len(out))
				delete(owned, out[i])
				if out[i] = a.Fit(out[i]); owned[out[i]] {
					t.Fatalf("seed %d: Fit returns a slab that is handed out", seed)
				}
				owned[out[i]] = true
			default:
				i := rng.IntN(len(out))
				delete(owned, out[i])
				if op == 5 {
					a.Forget(out[i])
				} else {
					a.Put(out[i])
				}
				out[i] = out[len(out)-1]
				out = out[:len(out)-1]
			}
			if a.Out() != len(out) {
				t.Fatalf("seed %d: %d out, want %d", seed, a.Out(), len(out))
			}
		}
	}
}

func TestGetAndPutAllocateNothing(t *testing.T) {
	a := New(64, 256)
	a.Put(a.Get())
	if n := testing.AllocsPerRun(100, func() { a.Put(a.Get()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGetPut(b *testing.B) {
	a := New(16<<10, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		a.Put(a.Get())
	}
}

// TestGrow: later large slabs have the new size. Older ones stay valid, are
// counted, and are not handed out again.
func TestGrow(t *testing.T) {
	a := New(8, 16)
	free, old, kept := a.GetLarge(), a.GetLarge(), a.GetLarge()
	a.Put(free)
	copy(old.Room(), "old bytes")
	a.Grow(32)
	if old.Large() || string(old.B[:9]) != "old bytes" || a.Out() != 2 {
		t.Errorf("large %v, %q, %d out", old.Large(), old.B, a.Out())
	}
	if s := a.GetLarge(); len(s.B) != 32 || !s.Large() {
		t.Errorf("%d bytes, want 32", len(s.B))
	}
	a.Put(old)
	if s := a.GetLarge(); s == old || s == free || len(s.B) != 32 {
		t.Errorf("%d bytes, want a new slab of 32", len(s.B))
	}
	a.Forget(kept)
	if a.Out() != 2 || a.Free() != 0 {
		t.Errorf("%d out, %d free, want 2 and none", a.Out(), a.Free())
	}
	a.Grow(20)
	if s := a.GetLarge(); len(s.B) != 32 {
		t.Errorf("shrunk to %d", len(s.B))
	}
	if s := a.Get(); len(s.B) != 8 {
		t.Errorf("a small one of %d", len(s.B))
	}
}
