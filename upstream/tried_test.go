package upstream

import (
	"math/rand/v2"
	"testing"
)

// TestTried compares the set with a map under random operations, below and above
// the 256 backends that need no allocation.
func TestTried(t *testing.T) {
	for _, backends := range []int{2, 64, 65, 256, 257, 2000} {
		rng := rand.New(rand.NewPCG(uint64(backends), 3))
		var tried Tried
		model := make(map[int]bool)
		for step := range 3000 {
			index := rng.IntN(backends)
			if rng.IntN(100) == 0 {
				tried.Reset()
				clear(model)
			} else if rng.IntN(2) == 0 {
				tried.Add(index)
				model[index] = true
			}
			if tried.Has(index) != model[index] || tried.Len() != len(model) {
				t.Fatalf("%d backends, step %d: Has(%d) is %v, Len %d, want %v and %d",
					backends, step, index, tried.Has(index), tried.Len(), model[index], len(model))
			}
		}
	}
}

func TestTriedNil(t *testing.T) {
	var tried *Tried
	if tried.Has(0) || tried.Has(1000) || tried.Len() != 0 {
		t.Error("a nil set is not empty")
	}
}
