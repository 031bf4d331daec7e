package upstream

import (
	"math"
	"testing"
	"time"

	"lb/board"
	"lb/config"
)

// TestShare: a tenth at first, the whole at the end, and a straight line between.
func TestShare(t *testing.T) {
	set := buildOf(config.RoundRobin, 1, 1)
	set.SlowStart = 30 * time.Second
	p, shared := set.pool()
	shared.Added(1, int64(start))
	for after, want := range map[time.Duration]float64{
		0: 0.1, 3 * time.Second: 0.19, 15 * time.Second: 0.55, 29 * time.Second: 0.97, 30 * time.Second: 1, time.Hour: 1,
	} {
		now := start.Add(after)
		p.roster.renew(now)
		if got := float64(p.roster.share(1, now)) / wholeShare; math.Abs(got-want) > 0.002 {
			t.Errorf("%v: a share of %.3f, want %.3f", after, got, want)
		}
		if got := p.roster.share(0, now); got != wholeShare {
			t.Errorf("%v: the other has a share of %d", after, got)
		}
	}
}

// TestSlowStart: for each strategy a recovering backend gets its share of the
// picks, in whichever way it was out.
func TestSlowStart(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		for _, tc := range []struct {
			name    string
			recover func(p *Pool[*conn], shared *board.Board)
		}{
			{"checks", func(_ *Pool[*conn], shared *board.Board) {
				shared.SetHealth(2, board.Down, board.ReasonConnect, 0, int64(start)-1)
				shared.SetHealth(2, board.Up, board.ReasonOK, 200, int64(start))
			}},
			{"ejection", func(p *Pool[*conn], _ *board.Board) {
				fail(p, 2, 3, start.Add(-10*time.Second))
			}},
			{"added", func(_ *Pool[*conn], shared *board.Board) { shared.Added(2, int64(start)) }},
			{"enabled", func(_ *Pool[*conn], shared *board.Board) {
				shared.SetAdmin(2, board.Disabled, int64(start)-1)
				shared.SetAdmin(2, board.Enabled, int64(start))
			}},
		} {
			set := buildOf(strategy, 1, 1, 1, 1)
			set.SlowStart = 30 * time.Second
			p, shared := set.pool()
			tc.recover(p, shared)
			may(p, start)
			for _, at := range []time.Duration{0, 15 * time.Second, 30 * time.Second} {
				share := 0.1 + 0.9*at.Seconds()/30
				counts := count(t, p, 20_000, start.Add(at))
				got, want := float64(counts[2])/20_000, share/(3+share)
				if math.Abs(got-want) > 0.15*want+0.005 {
					t.Errorf("%s, %v later: %.4f of the picks, want %.4f (%v)", tc.name, at, got, want, counts)
				}
			}
		}
	})
}

// TestSlowStartUnderLoad: a recovered backend, which has nothing active, does not
// get everything.
func TestSlowStartUnderLoad(t *testing.T) {
	for _, strategy := range []string{config.LeastConn, config.P2C, config.LeastTime} {
		set := buildOf(strategy, 1, 1, 1, 1)
		set.SlowStart = time.Hour
		p, shared := set.pool()
		shared.Added(2, int64(start))
		got, _ := serve([]*Pool[*conn]{p}, shared, 100, 20_000)
		if share := got[2] / 20_000; share > 0.06 {
			t.Errorf("%s: %.3f of the picks in the first moments of slow start, want about 0.1/3.1", strategy, share)
		}
	}
}

// TestSlowStartOfAll: when all backends have just recovered, all of them serve.
func TestSlowStartOfAll(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		set := buildOf(strategy, equal(10, 1)...)
		set.SlowStart = 30 * time.Second
		p, shared := set.pool()
		for i := range 10 {
			shared.Added(i, int64(start))
		}
		for i, n := range count(t, p, 10_000, start) {
			if n < 700 || n > 1300 {
				t.Errorf("backend %d got %d of 10,000, want about 1000", i, n)
			}
		}
	})
}
