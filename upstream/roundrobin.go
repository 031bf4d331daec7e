package upstream

// sequenceMax bounds the sequence of a pool, in entries of 4 bytes; weights that
// would be rounded to nothing add at most one entry for each backend.
const sequenceMax = 65536

// roundRobin is smooth weighted round robin. nginx's rule says which backend
// comes next from the current weights of all of them, which costs a pass over
// the pool for each pick. Its choices repeat, with the sum of the weights as
// their period, so they are worked out once and a pick is a step along them.
// What may not be picked is left out of the steps: the others keep their order
// and their shares.
//
// Retries walk with a cursor of their own: first picks keep their exact shares
// whatever fails, and the load of a failing backend is spread over all others
// by weight, not put on the one that follows it in the sequence.
type roundRobin struct {
	sequence []int32 // index of a backend, one period
	steps    []int32 // places in sequence, in order, of those that are open
	first    int     // in steps, for an exchange's first pick
	retry    int     // in steps, for its further ones
	isOpen   []bool  // by index; only renew's
	weights  uint64  // of the roster, that sequence is made from
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

// weightsOf returns what backends weigh now.
func weightsOf(entries []entry) []int {
	weights := make([]int, len(entries))
	for i := range entries {
		weights[i] = int(entries[i].weight)
	}
	return weights
}

// renew goes on from the same places in the sequence. In one of other weights
// these are as far from its beginning as in the one before.
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

// along returns the place in a sequence of a length that is as far from its
// beginning as that of a cursor in this one.
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

// shorten returns weights of the same proportions with a sum that is as small
// as can be. Above sequenceMax they are rounded down, none of them to 0.
func shorten(weights []int) []int {
	weights = divide(weights)
	sum := total(weights)
	if sum <= sequenceMax {
		return weights
	}
	scaled := make([]int, len(weights))
	for i, w := range weights {
		scaled[i] = max(1, w*sequenceMax/sum)
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

// group is the backends of one weight. Among them the rule takes turns in the
// order of index, so only one of them is in question at each step.
type group struct {
	weight, current int // current is that of the member whose turn it is
	turns           int // taken by every member, behind those of members before turn
	turn            int // in members
	members         []int32
}

// smooth returns one period of nginx's smooth weighted round robin: at each
// step the current weight of every backend grows by its weight, the greatest
// (the first of equals) is chosen, and loses the sum of all weights. A step
// looks at the distinct weights, of which few fit below sequenceMax, and not at
// the backends.
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
	place := make(map[int]int) // weight to its group
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
