package upstream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// may returns the indexes that a pool picks, in order, or the reason if there is
// none. It picks often enough to find all of them.
func may(p *Pool[*conn], now tick.Instant) (list []int, why Why) {
	k := newKeys(5)
	for range 60 * len(p.Backends) {
		b, w := p.Pick(Ask{Key: k.next()}, now)
		if w != Picked {
			return list, w
		}
		p.Release(b)
		if !slices.Contains(list, b) {
			list = append(list, b)
		}
	}
	slices.Sort(list)
	return list, Picked
}

// state returns a pool whose backends have the states in letters, one each: u
// up, d down, e ejected, w draining (winding down), x disabled, c drained by the
// configuration; U, D, E and W the same for a backup; . unchanged, B an
// unchanged backup.
func (b *build) state(letters string) (*Pool[*conn], *board.Board) {
	for i, l := range letters {
		b.Backends[i].Backup = l >= 'A' && l <= 'Z'
		b.Backends[i].Drain = l == 'c'
	}
	p, shared := b.pool()
	for i, l := range letters {
		switch s := shared.State(i); l {
		case 'u', 'U':
			shared.SetHealth(i, board.Up, board.ReasonOK, 200, 1)
		case 'd', 'D':
			shared.SetHealth(i, board.Down, board.ReasonConnect, 0, 1)
		case 'e', 'E':
			s.EjectedUntil.Store(uint64(start.Add(time.Minute)))
			shared.Changed()
		case 'w', 'W':
			shared.SetAdmin(i, board.Draining, 1)
		case 'x':
			shared.SetAdmin(i, board.Disabled, 1)
		}
	}
	return p, shared
}

func TestAvailable(t *testing.T) {
	for _, tc := range []struct {
		states string
		want   []int
		why    Why
	}{
		{"..", []int{0, 1}, Picked},
		{".u", []int{0, 1}, Picked}, // not checked yet: usable
		{"d.", []int{1}, Picked},
		{"dd", nil, Down},
		{"e.", []int{1}, Picked},
		{"ee", []int{0, 1}, Picked}, // faults alone never empty a pool
		{"ed", []int{0}, Picked},
		{"dde", []int{2}, Picked},
		{"w.x", []int{1}, Picked},
		{"c.", []int{1}, Picked},
		{"cwx", nil, Drained},
		{"cd", nil, Down},
		{"ce", []int{1}, Picked},
		{".B.", []int{0, 2}, Picked},
		{"dBd", []int{1}, Picked},
		{"eBd", []int{1}, Picked}, // a working backup goes before an ejected backend
		{"eBu", []int{2}, Picked},
		{"eEd", []int{0}, Picked},
		{"dEd", []int{1}, Picked},
		{"wU", []int{1}, Picked},
		{"dD", nil, Down},
		{"dW", nil, Down},
		{"BB", []int{0, 1}, Picked},
	} {
		eachStrategy(t, func(t *testing.T, strategy string) {
			p, _ := buildOf(strategy, equal(len(tc.states), 1)...).state(tc.states)
			if got, why := may(p, start); why != tc.why || !slices.Equal(got, tc.want) {
				t.Errorf("%s: %v, %d, want %v, %d", tc.states, got, why, tc.want, tc.why)
			}
		})
	}
}

// TestAvailableModel: under random changes of state, picks are always from the best
// tier, and shared by weight within it.
func TestAvailableModel(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 9))
			set := buildOf(strategy, equal(1+rng.IntN(12), 1)...)
			for i := range set.Backends {
				set.Backends[i].Backup = rng.IntN(4) == 0
				set.Backends[i].Weight = 1 + rng.IntN(5)
			}
			p, shared := set.pool()
			now, k := start, newKeys(seed)
			for range 100 {
				now += tick.Instant(rng.Int64N(int64(10 * time.Second)))
				i := rng.IntN(len(set.Backends))
				switch s := shared.State(i); rng.IntN(4) {
				case 0:
					shared.SetHealth(i, board.Health(rng.IntN(3)), board.ReasonOK, 0, int64(now))
				case 1:
					shared.SetAdmin(i, board.Admin(rng.IntN(3)), int64(now))
				case 2:
					if s.EjectedUntil.CompareAndSwap(0, uint64(now.Add(20*time.Second))) {
						shared.Changed()
					}
				}
				best, tiers := 99, make([]int, len(set.Backends))
				for j := range tiers {
					tiers[j] = modelTier(set.Backends[j], shared.State(j), now)
					best = min(best, tiers[j])
				}
				for range 5 {
					b, why := p.Pick(Ask{Key: k.next()}, now)
					if (why == Picked) != (best < 4) {
						t.Fatalf("seed %d: why is %d with tiers %v", seed, why, tiers)
					}
					if why != Picked {
						continue
					}
					p.Release(b)
					if tiers[b] != best {
						t.Fatalf("seed %d: picked %d of tiers %v", seed, b, tiers)
					}
				}
			}
		}
	})
}

// modelTier ranks a backend: 0 is best, 4 and above must not be used.
func modelTier(b config.Backend, s *board.State, now tick.Instant) (tier int) {
	if board.Health(s.Health.Load()) == board.Down || s.Admin.Load() != uint64(board.Enabled) || b.Drain {
		return 4
	}
	if b.Backup {
		tier++
	}
	if tick.Instant(s.EjectedUntil.Load()) > now {
		tier += 2
	}
	return tier
}

// TestSharesOfTheRest: when some backends are out the rest are shared by weight; by
// round_robin exactly, and in turns.
func TestSharesOfTheRest(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		p, _ := buildOf(strategy, 5, 1, 3, 2, 9).state("d.e.x")
		counts := count(t, p, 30_000, start)
		want := []float64{0, 1, 0, 2, 0}
		if chiSquare(counts, want) > 4 {
			t.Errorf("picks %v, want 1:2 (%f deviations off)", counts, chiSquare(counts, want))
		}
		if strategy == config.RoundRobin && (counts[1] != 10_000 || counts[3] != 20_000) {
			t.Errorf("picks %v, want exactly 1:2", counts)
		}
	})
}

// TestTriedIsNotPickedAgain: for each strategy and size every backend is tried once
// before any is tried again, backups last.
func TestTriedIsNotPickedAgain(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		for _, n := range []int{1, 2, 3, 10, 300} {
			set := buildOf(strategy, equal(n+1, 1)...)
			set.Backends[0].Weight = 60000
			set.Backends[n].Backup = true
			p, _ := set.pool()
			for _, key := range []uint64{0, 1, 99} {
				var tried Tried
				for i := range n + 1 {
					b, why := p.Pick(Ask{Tried: &tried, Key: key}, start)
					if why != Picked || tried.Has(b) || (b == n) != (i == n) {
						t.Fatalf("%d and a backup, pick %d: %v, %d", n, i, b, why)
					}
					tried.Add(b)
					p.Release(b)
				}
				if b, why := p.Pick(Ask{Tried: &tried, Key: key}, start); why != Picked || b == n {
					t.Fatalf("all tried: %v, %d, want any that is no backup", b, why)
				}
				p.Release(0)
			}
		}
	})
}

// TestMaxConnections: all limits are used up and never exceeded, then the pool is
// full. A released place can be used again.
func TestMaxConnections(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		for _, n := range []int{1, 2, 10, 100} {
			set := buildOf(strategy, equal(n, 1)...)
			set.loops = 3
			room := 0
			for i := range set.Backends {
				set.Backends[i].MaxConnections = 1 + i%4
				set.Backends[i].Weight = 1 + i%7
				room += 1 + i%4
			}
			shared := board.New(set.loops, n)
			var pools []*Pool[*conn]
			for loop := range set.loops {
				pools = append(pools, set.on(shared, loop))
			}
			k := newKeys(3)
			var last int
			for i := range room {
				b, why := pools[i%3].Pick(Ask{Key: k.next()}, start)
				if why != Picked {
					t.Fatalf("%d backends: full at %d of %d", n, i, room)
				}
				last = b
			}
			for i := range set.loops {
				if b, why := pools[i].Pick(Ask{Key: k.next()}, start); why != Full || b != none {
					t.Fatalf("%d backends: %v, %d in a full pool", n, b, why)
				}
			}
			for i := range n {
				if got := shared.InFlight(i); got != uint64(1+i%4) {
					t.Errorf("backend %d of %d has %d in flight, want %d", i, n, got, 1+i%4)
				}
			}
			pools[(room-1)%3].Release(last)
			if b, why := pools[0].Pick(Ask{Key: k.next()}, start); why != Picked || b != last {
				t.Errorf("%d backends: %v, %d, want the one with room again, %d", n, b, why, last)
			}
		}
	})
}

// TestFullIsNotDown: an exchange waits for a full backend; backups are for when others
// are out, and a retry waits rather than return to a backend that it has tried.
func TestFullIsNotDown(t *testing.T) {
	set := buildOf(config.RoundRobin, 1, 1, 1)
	set.Backends[0].MaxConnections = 1
	set.Backends[2].Backup = true
	p, shared := set.state(".dB")
	if b, why := p.Pick(Ask{}, start); why != Picked || b != 0 {
		t.Fatalf("%v, %d", b, why)
	}
	if b, why := p.Pick(Ask{}, start); why != Full {
		t.Errorf("%v, %d, want to wait for the one that is full", b, why)
	}
	shared.SetHealth(1, board.Up, board.ReasonOK, 200, int64(start))
	shared.SetHealth(2, board.Down, board.ReasonConnect, 0, int64(start))
	var tried Tried
	tried.Add(1)
	if b, why := p.Pick(Ask{Tried: &tried}, start); why != Full {
		t.Errorf("%v, %d: want to wait for the one that was not tried", b, why)
	}
}

// TestRoundRobinGoesOn: changes of state do not restart round_robin.
func TestRoundRobinGoesOn(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1, 1).pool()
	counts := make([]int, 4)
	for range 4000 {
		b, _ := p.Pick(Ask{}, start)
		counts[b]++
		p.Release(b)
		shared.Changed()
	}
	if want := equal(4, 1000); !slices.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
}

// TestPickNoAllocEver: no strategy allocates for a pick, a retry, a change of state
// or a full pool.
func TestPickNoAllocEver(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		set := buildOf(strategy, equal(20, 3)...)
		set.SlowStart = time.Minute
		set.Hash.BalanceFactor = 1.5
		for i := range set.Backends {
			set.Backends[i].MaxConnections = 1
		}
		p, shared := set.pool()
		p.UseSticky([]byte("key"))
		cookie := []byte(p.Sticky(3))
		tried := new(Tried)
		now, held := start, make([]int, 0, 64)
		allocs := testing.AllocsPerRun(50, func() {
			now = now.Add(time.Second)
			shared.SetHealth(1, board.Health(1+now/second%2), board.ReasonOK, 200, int64(now))
			tried.Reset()
			tried.Add(0)
			held = held[:0]
			for i := range 25 {
				if b, why := p.Pick(Ask{Tried: tried, Key: uint64(i), Sticky: cookie}, now); why == Picked {
					held = append(held, b)
				}
			}
			for _, b := range held {
				p.Failed(b, Fault{Why: board.ReasonReset, Detail: 0}, now)
				p.Succeeded(b, time.Millisecond, now)
				p.Release(b)
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}

func BenchmarkStrategies(b *testing.B) {
	const loops = 8
	for _, strategy := range strategies {
		for _, n := range []int{2, 10, 1000} {
			for _, mode := range []string{"all", "one"} {
				set := buildOf(strategy, equal(n, 1)...)
				for i := range set.Backends {
					set.Backends[i].Weight = 1 + i%5
				}
				set.loops = loops
				shared := board.New(loops, n)
				p := set.on(shared, 0)
				if mode == "one" {
					for i := 1; i < n; i++ {
						shared.SetHealth(i, board.Down, board.ReasonConnect, 0, 1)
					}
				}
				b.Run(fmt.Sprintf("%s/backends=%d/up=%s", strategy, n, mode), func(b *testing.B) {
					b.ReportAllocs()
					key := uint64(0)
					for b.Loop() {
						key += prime1
						t, _ := p.Pick(Ask{Key: key}, start)
						p.Release(t)
					}
				})
			}
		}
	}
}

// BenchmarkRenew is the cost of a change of state to a loop.
func BenchmarkRenew(b *testing.B) {
	for _, strategy := range strategies {
		p, _ := buildOf(strategy, equal(1000, 1)...).pool()
		b.Run(strategy, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.roster.renew(start)
			}
		})
	}
}
