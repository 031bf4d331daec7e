package spares

import "testing"

// TestList: what is put in comes out again, and what was not needed between two trims is gone.
func TestList(t *testing.T) {
	var l List[int]
	if l.Get() != nil || l.Trim() != 0 {
		t.Error("an empty list has something")
	}
	n := [5]int{}
	for i := range n {
		l.Put(&n[i])
	}
	if l.Trim() != 0 || l.Len() != 5 {
		t.Errorf("%d are left of those that have just come", l.Len())
	}
	a, b := l.Get(), l.Get()
	if a == nil || a == b {
		t.Error("the same one twice")
	}
	l.Put(a)
	l.Put(b)
	if l.Trim() != 3 || l.Len() != 2 || l.Trim() != 2 || l.Get() != nil {
		t.Errorf("%d are left", l.Len())
	}
}
