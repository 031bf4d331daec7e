//go:build invariants

package arena

import (
	"testing"

	"lb/internal/testkit"
)

func TestWrongLifetimesAreLoud(t *testing.T) {
	a, b := New(8, 16), New(8, 16)
	s, view := a.Get(), []byte(nil)
	s.W = copy(s.Room(), "secret")
	view = s.Bytes()
	for name, wrong := range map[string]func(){
		"Put to another arena":    func() { b.Put(s) },
		"Forget by another arena": func() { b.Forget(s) },
		"Take of too much":        func() { s.Take(7) },
		"Put twice":               func() { x := a.Get(); a.Put(x); a.Put(x) },
		"Put after Forget":        func() { x := a.Get(); a.Forget(x); a.Put(x) },
	} {
		if !testkit.Panics(wrong) {
			t.Errorf("%s goes unnoticed", name)
		}
	}
	a.Put(s)
	for _, c := range view {
		if c != poison {
			t.Fatalf("a view shows %q after Put", view)
		}
	}
}
