package upstream

import (
	"math/bits"

	"lb/loop/tick"
)

// sampler draws a backend by weight in constant time: Walker's alias method, filled
// the way Vose does. All columns are equally wide; each belongs to one backend up
// to its mark, and to its alias above.
type sampler struct {
	columns      []column // one for each open backend
	left         []uint64 // weight not yet in a column
	small, large []int32  // columns not yet filled; columns with more than fits
}

type column struct {
	mark         uint32 // in units of 1/2^32
	index, alias int32  // of backends
}

func newSampler(backends int) sampler {
	return sampler{
		columns: make([]column, 0, backends),
		left:    make([]uint64, backends),
		small:   make([]int32, 0, backends),
		large:   make([]int32, 0, backends),
	}
}

func (s *sampler) renew(r *roster) {
	n, sum := uint64(len(r.open)), uint64(0)
	for _, i := range r.open {
		sum += r.entries[i].weight
	}
	s.columns, s.small, s.large = s.columns[:0], s.small[:0], s.large[:0]
	for at, i := range r.open {
		s.columns = append(s.columns, column{index: i, alias: i})
		s.left[at] = r.entries[i].weight * n // a column holds sum
		s.sort(int32(at), sum)
	}
	for len(s.small) > 0 && len(s.large) > 0 {
		low, high := s.small[len(s.small)-1], s.large[len(s.large)-1]
		s.small, s.large = s.small[:len(s.small)-1], s.large[:len(s.large)-1]
		mark, _ := bits.Div64(s.left[low]>>32, s.left[low]<<32, sum)
		s.columns[low].mark = uint32(mark)
		s.columns[low].alias = s.columns[high].index
		s.left[high] -= sum - s.left[low]
		s.sort(high, sum)
	}
}

// sort puts a column into small or large by what is left.
func (s *sampler) sort(at int32, sum uint64) {
	if s.left[at] < sum {
		s.small = append(s.small, at)
	} else {
		s.large = append(s.large, at)
	}
}

// draw returns the index of a backend by weight, less often during slow start.
func (s *sampler) draw(r *roster, now tick.Instant) int {
	i := s.drawOnce(r.rand.Uint64())
	if now < r.ramping {
		for range rampTries {
			if r.admits(i, uint32(r.rand.Uint64()), now) {
				break
			}
			i = s.drawOnce(r.rand.Uint64())
		}
	}
	return i
}

func (s *sampler) drawOnce(chance uint64) int {
	at, _ := bits.Mul64(chance, uint64(len(s.columns)))
	c := &s.columns[at]
	if uint32(chance) < c.mark {
		return int(c.index)
	}
	return int(c.alias)
}

// pairTries bounds how often pair draws its second backend.
const pairTries = 4

// pair draws two backends. The second differs from the first and is untried, if
// pairTries draws find such a one.
func (s *sampler) pair(r *roster, d draw) (a, b int) {
	a = s.draw(r, d.now)
	for range pairTries {
		b = s.draw(r, d.now)
		if b != a && !d.tried.Has(b) {
			break
		}
	}
	return a, b
}

// random draws by weight.
type random struct{ sampler }

func (x *random) next(r *roster, d draw) int { return x.draw(r, d.now) }
