package buckets

import (
	"fmt"
	"sync"
	"testing"
)

// TestShape: no two parts of an area share a line, and all of it is used.
func TestShape(t *testing.T) {
	for _, s := range []Shape{{Loops: 1}, {Loops: 64}, {Loops: 3, Shrink: 4}} {
		if s.countWords()%lineWords != 0 || s.loopWords()%lineWords != 0 || s.loopStart(0)%lineWords != 0 {
			t.Errorf("%+v: parts begin within a line", s)
		}
		if len(newArea(s).Table.words) != s.places()*placeWords {
			t.Errorf("%+v: the table is cut", s)
		}
	}
	if got := (Shape{Loops: 1}).places() * placeWords * 8; got != 16<<20 {
		t.Errorf("the table has %d bytes", got)
	}
}

// TestLimits: a name keeps its number; names for which there is no room share the last.
func TestLimits(t *testing.T) {
	a := newArea(Shape{Loops: 2, Shrink: 4})
	seen := map[int]string{}
	for i := range a.shape.limits() - 1 {
		name := fmt.Sprint("limit", i)
		n := a.Limit(name)
		if other := seen[n]; other != "" || a.Limit(name) != n {
			t.Errorf("%s has the number of %s", name, other)
		}
		seen[n] = name
	}
	if x, y := a.Limit("x"), a.Limit("y"); x != y || seen[x] != "" {
		t.Errorf("numbers %d and %d without room", x, y)
	}
}

// TestCounts: counts are by limit, over all loops.
func TestCounts(t *testing.T) {
	a := newArea(Shape{Loops: 2, Shrink: 4})
	for loop := range 2 {
		c := a.Counter(loop, 3)
		c.Pass()
		c.Pass()
		c.Refuse()
		a.Counter(loop, 4).Spare()
	}
	if got, want := a.Totals(3, 2), (Counts{Passed: 4, Refused: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := a.Totals(4, 2), (Counts{Spared: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestNotes: a reader gets each note once, while a loop writes; those without room are
// counted.
func TestNotes(t *testing.T) {
	a := newArea(Shape{Loops: 2, Shrink: 4})
	n, size := a.Notes(1), a.shape.notes()
	for i := range size + 5 {
		n.Put(uint64(i), i%7)
	}
	got := 0
	var copied []Note
	copied = n.Read(copied, func(note Note) {
		want := Note{Key: uint64(got), Limit: got % 7}
		if note != want {
			t.Errorf("%+v, want %+v", note, want)
		}
		got++
	})
	if got != size || n.Lost() != 5 || a.Notes(0).Lost() != 0 {
		t.Errorf("%d notes, %d lost", got, n.Lost())
	}
	const all = 100000
	var writer sync.WaitGroup
	done := make(chan bool)
	writer.Go(func() {
		for i := range all {
			n.Put(uint64(i), 1)
		}
		close(done)
	})
	read, last := uint64(0), -1
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		copied = n.Read(copied, func(note Note) {
			if int(note.Key) <= last {
				t.Errorf("%d after %d", note.Key, last)
			}
			last = int(note.Key)
			read++
		})
	}
	writer.Wait()
	if lost := n.Lost() - 5; read+lost != all {
		t.Errorf("%d read and %d lost of %d", read, lost, all)
	}
}
