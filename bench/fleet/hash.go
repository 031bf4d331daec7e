package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/upstream"
)

// keys is how many keys the shares below are counted over.
const keys = 50_000

// conn stands for a conn to a backend.
type conn struct{}

// machine is one lb with strategy = "hash".
type machine struct {
	pool *upstream.Pool[*conn]
	own  *board.Board
}

// newMachine returns a machine that knows these backends.
func newMachine(names []config.Backend) *machine {
	cfg := config.NewPool("web")
	cfg.Strategy, cfg.Backends = config.HashOnKey, names
	m := &machine{own: board.New(1, len(names))}
	var list []*upstream.Backend[*conn]
	for id, b := range names {
		list = append(list, upstream.NewBackend[*conn](m.own, 0, id, b.String()))
	}
	m.pool = upstream.NewPool(cfg, m.own, list, upstream.Seat{Loops: 1})
	return m
}

// choices returns the backend of each key.
func (m *machine) choices() []string {
	out := make([]string, keys)
	for k := range out {
		i, why := m.pool.Pick(upstream.Ask{Key: upstream.Hash([]byte(fmt.Sprint("client ", k)))}, tick.Instant(1))
		if why != upstream.Picked {
			panic("fleet: a pool without backends")
		}
		m.pool.Release(i)
		out[k] = m.pool.Backends[i].Name
	}
	return out
}

// addresses returns n backends.
func addresses(n int) (list []config.Backend) {
	for i := range n {
		list = append(list, config.Backend{Host: fmt.Sprintf("10.1.%d.%d", i/250, i%250+1), Port: 8080, Weight: 1})
	}
	return list
}

// differ returns the share of keys with another backend.
func differ(a, b []string) float64 {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return float64(n) / float64(len(a))
}

// movedByDown returns the share of the keys that move when one of n backends goes down.
func movedByDown(n int) float64 {
	m := newMachine(addresses(n))
	before := m.choices()
	m.own.SetHealth(n/2, board.Down, board.ReasonConnect, 0, 1)
	return differ(before, m.choices())
}

// movedByLeaving returns the share of the keys that move when one of n backends leaves the
// list.
func movedByLeaving(n int) float64 {
	list := addresses(n)
	before := newMachine(list).choices()
	return differ(before, newMachine(slices.Delete(slices.Clone(list), n/2, n/2+1)).choices())
}

// disagreement returns the share of the keys for which two machines differ that have found
// the same backends in another order, with two of them down.
func disagreement(n int) float64 {
	list := addresses(n)
	shuffled := slices.Clone(list)
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	down := []string{list[0].Host, list[n/2].Host}
	a, b := newMachine(list), newMachine(shuffled)
	for i := range n {
		if slices.Contains(down, list[i].Host) {
			a.own.SetHealth(i, board.Down, board.ReasonConnect, 0, 1)
		}
		if slices.Contains(down, shuffled[i].Host) {
			b.own.SetHealth(i, board.Down, board.ReasonConnect, 0, 1)
		}
	}
	return differ(a.choices(), b.choices())
}

// movedByModulo returns the share of the clients that reach another machine when one of n
// goes, those of that machine included, if a router takes the hash of a flow modulo n.
func movedByModulo(n int) float64 {
	if n == 1 {
		return 1
	}
	r := rand.New(rand.NewPCG(3, 4))
	gone, moved := n/2, 0
	for range keys {
		flow := r.Uint64()
		before, after := int(flow%uint64(n)), int(flow%uint64(n-1))
		if after >= gone { // the machines after it move up
			after++
		}
		if before != after {
			moved++
		}
	}
	return float64(moved) / keys
}
