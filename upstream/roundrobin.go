package upstream

// sequenceMax bounds a pool's sequence, in entries of 4 bytes. Weights that would
// round to nothing add at most one entry for each backend.
const sequenceMax = 65536

// roundRobin is smooth weighted round robin. nginx computes each choice from the
// current weights of all backends, one pass over the pool for every pick. Its
// choices repeat with the sum of the weights as period, so here they are computed
// once and a pick is one step along them. Backends that may not be picked are left
// out of the steps; the others keep their order and shares.
//
// Retries use a cursor of their own: first picks keep their exact shares whatever
// fails, and the load of a failing backend spreads over all others by weight
// instead of hitting the one that follows it.
type roundRobin struct {
	sequence []int32 // indexes of backends, one period
	steps    []int32 // indexes into sequence of the open backends, in order
	first    int     // index into steps for an exchange's first pick
	retry    int     // index into steps for its retries
	isOpen   []bool  // by index; used by renew only
	weights  uint64  // roster.weights that sequence was built from
}

func newRoundRobin(entries []entry, at Seat) *roundRobin {
	r := &roundRobin{sequence: smooth(shorten(weightsOf(entries))), isOpen: make([]bool, len(entries))}
	r.steps = make([]int32, len(r.sequence))
	for i := range r.steps {
		r.steps[i] = int32(i)
	}
	r.first = at.Place * len(r.sequence) / at.Loops
	r.retry = r.first
	return r
}

// weightsOf returns the weights in use now.
func weightsOf(entries []entry) []int {
	weights := make([]int, len(entries))
	for i := range entries {
		weights[i] = int(entries[i].weight)
	}
	return weights
}

// renew keeps both cursors at their places in the sequence; after a change of
// weights, at the same fraction of the new one.
func (rr *roundRobin) renew(r *roster) {
	first, retry := rr.steps[rr.first], rr.steps[rr.retry]
	if rr.weights != r.weights {
		sequence := smooth(shorten(weightsOf(r.entries)))
		first, retry = int32(rr.along(rr.first, len(sequence))), int32(rr.along(rr.retry, len(sequence)))
		rr.sequence, rr.weights = sequence, r.weights
	}
	clear(rr.isOpen)
	for _, i := range r.open {
		rr.isOpen[i] = true
	}
	rr.steps, rr.first, rr.retry = rr.steps[:0], 0, 0
	for at, index := range rr.sequence {
		if !rr.isOpen[index] {
			continue
		}
		if int32(at) < first {
			rr.first++
		}
		if int32(at) < retry {
			rr.retry++
		}
		rr.steps = append(rr.steps, int32(at))
	}
	rr.first %= len(rr.steps)
	rr.retry %= len(rr.steps)
}

// along scales a cursor's place in this sequence to one of another length.
func (rr *roundRobin) along(cursor, length int) int {
	return int(rr.steps[cursor]) * length / len(rr.sequence)
}

func (rr *roundRobin) next(r *roster, d draw) int {
	cursor := &rr.first
	if d.again {
		cursor = &rr.retry
	}
	index := rr.step(cursor)
	if d.now < r.ramping {
		for range rampTries {
			if r.admits(index, uint32(r.rand.Uint64()), d.now) {
				break
			}
			index = rr.step(cursor)
		}
	}
	return index
}

func (rr *roundRobin) step(cursor *int) int {
	index := rr.sequence[rr.steps[*cursor]]
	if *cursor++; *cursor == len(rr.steps) {
		*cursor = 0
	}
	return int(index)
}

// shorten returns weights in the same proportions with the smallest sum. If the sum
// still exceeds sequenceMax they are rounded down, but none to 0.
func shorten(weights []int) []int {
	weights = divide(weights)
	sum := total(weights)
	if sum <= sequenceMax {
		return weights
	}
	scaled := make([]int, len(weights))
	for i, w := range weights {
		scaled[i] = max(1, int(int64(w)*sequenceMax/int64(sum)))
	}
	return divide(scaled)
}

// divide returns weights divided by their greatest common divisor.
func divide(weights []int) []int {
	divisor := 0
	for _, w := range weights {
		a, b := divisor, w
		for b != 0 {
			a, b = b, a%b
		}
		divisor = a
	}
	divided := make([]int, len(weights))
	for i, w := range weights {
		divided[i] = w / divisor
	}
	return divided
}

func total(weights []int) (sum int) {
	for _, w := range weights {
		sum += w
	}
	return sum
}

// group is the backends of one weight. They take turns by index, so each step
// considers only one of them.
type group struct {
	weight, current int // current belongs to the member whose turn it is
	turns           int // complete turns taken by every member
	turn            int // index into members
	members         []int32
}

// smooth returns one period of nginx's smooth weighted round robin: at each step
// the current weight of every backend grows by its weight, the greatest (first
// among equals) is chosen, and it loses the sum of all weights. A step looks at
// each distinct weight, of which few fit below sequenceMax, instead of at each
// backend.
func smooth(weights []int) []int32 {
	groups := groupByWeight(weights)
	sum := total(weights)
	sequence := make([]int32, 0, sum)
	for step := 1; step <= sum; step++ {
		var best *group
		for i := range groups {
			g := &groups[i]
			g.current = step*g.weight - g.turns*sum
			if best == nil || g.current > best.current ||
				g.current == best.current && g.members[g.turn] < best.members[best.turn] {
				best = g
			}
		}
		sequence = append(sequence, best.members[best.turn])
		if best.turn++; best.turn == len(best.members) {
			best.turn, best.turns = 0, best.turns+1
		}
	}
	return sequence
}

func groupByWeight(weights []int) []group {
	var groups []group
	place := make(map[int]int) // index in groups, by weight
	for i, w := range weights {
		g, ok := place[w]
		if !ok {
			g = len(groups)
			place[w] = g
			groups = append(groups, group{weight: w})
		}
		groups[g].members = append(groups[g].members, int32(i))
	}
	return groups
}
