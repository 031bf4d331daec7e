package upstream

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// drawPool draws a pool of any strategy, whose backends have limits, weights and roles.
func drawPool(rng *rand.Rand) (*Pool[*conn], *board.Board) {
	b := buildOf(strategies[rng.IntN(len(strategies))])
	for i := range 1 + rng.IntN(6) {
		b.Backends = append(b.Backends, config.Backend{Host: fmt.Sprintf("10.0.0.%d", i), Port: 80, Weight: 1 + rng.IntN(3),
			Backup: i > 0 && rng.IntN(5) == 0, Drain: rng.IntN(9) == 0, MaxConnections: rng.IntN(4)})
	}
	if b.Strategy == config.HashOnKey && rng.IntN(2) == 0 {
		b.Hash.BalanceFactor = 1.2
	}
	if rng.IntN(2) == 0 {
		b.SlowStart = 10 * time.Second
	}
	p, shared := b.pool()
	if rng.IntN(2) == 0 {
		p.UseSticky([]byte("a key of sixteen"))
	}
	return p, shared
}

// disturb changes the state of a backend, or its load.
func disturb(rng *rand.Rand, p *Pool[*conn], shared *board.Board, now tick.Instant) {
	i := rng.IntN(len(p.Backends))
	switch rng.IntN(8) {
	case 0:
		shared.SetHealth(i, board.Health(rng.IntN(3)), board.ReasonConnect, 0, int64(now))
	case 1:
		shared.SetAdmin(i, board.Admin(rng.IntN(3)), int64(now))
	case 2:
		shared.SetWeight(i, rng.IntN(5))
	case 3:
		p.Failed(i, Fault{Why: board.ReasonConnect, Own: true}, now)
	case 4:
		p.Succeeded(i, time.Duration(1+rng.IntN(1e9)), now)
	default:
		if p.Backends[i].Slot.InFlight.Load() > 0 {
			p.Release(i)
		}
	}
}

// drawAsk draws what an exchange asks for.
func drawAsk(rng *rand.Rand, p *Pool[*conn]) Ask {
	a := Ask{Key: rng.Uint64(), Tried: &Tried{}}
	if rng.IntN(2) == 0 {
		a.Sticky = []byte(p.Sticky(rng.IntN(len(p.Backends))))
	}
	for i := range p.Backends {
		if rng.IntN(4) == 0 {
			a.Tried.Add(i)
		}
	}
	return a
}

// words returns everything that picks of p may write.
func words(p *Pool[*conn], shared *board.Board) (all []any) {
	all = append(all, shared.Version())
	for i := range p.Backends {
		all = append(all, *shared.CopyState(i), p.Backends[i].Slot.InFlight.Load())
	}
	return all
}

// TestPeek: Peek says what the next Pick does, for every strategy and state, however often
// it is asked, and it writes nothing.
func TestPeek(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p, shared := drawPool(rng)
		now := start
		restored := 0
		p.Notify(func(Change) { restored++ })
		for range 40 {
			disturb(rng, p, shared, now)
			now = now.Add(time.Duration(rng.IntN(4)) * time.Second)
			a := drawAsk(rng, p)
			before, told := words(p, shared), restored
			first, second := p.Peek(a, now), p.Peek(a, now)
			if !reflect.DeepEqual(first, second) || !reflect.DeepEqual(before, words(p, shared)) || restored != told {
				t.Fatalf("seed %d: Peek changes something: %+v, then %+v", seed, first, second)
			}
			i, why := p.Pick(a, now)
			if first.Why != why || why == Picked && first.Index != i {
				t.Fatalf("seed %d: Peek says %d (%d), Pick %d (%d) of %+v", seed, first.Index, first.Why, i, why, first.Candidates)
			}
			if why == Picked && !first.Candidates[i].Open && !first.Candidates[i].Spare && !first.Candidates[i].Home {
				t.Fatalf("seed %d: %d was picked, and is said not to be one of those: %+v", seed, i, first.Candidates)
			}
		}
	}
}

// TestCandidates: what Peek says of each backend.
func TestCandidates(t *testing.T) {
	b := buildOf(config.RoundRobin, 1, 1, 2, 1, 1, 1)
	b.Backends[2].MaxConnections = 1
	p, shared := b.state("uBude.")
	shared.SetAdmin(5, board.Disabled, 1)
	p.Backends[2].Slot.InFlight.Add(1)
	got := p.Peek(Ask{}, start)
	want := []Standing{Primary, Backup, Primary, DownOut, EjectedPrimary, DisabledOut}
	for i, c := range got.Candidates {
		if c.Standing != want[i] || c.Open != (i == 0 || i == 2) || c.Spare != (i == 1) || c.Full() != (i == 2) {
			t.Errorf("backend %d: %+v", i, c)
		}
	}
	if got.Why != Picked || got.Index != 0 {
		t.Errorf("%+v", got)
	}
}
