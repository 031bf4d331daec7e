package health

import (
	"testing"
	"time"

	"lb/board"
	"lb/loop/tick"
)

// Probes are g (good) and b (bad); after each: ? unknown, U up, D down. Only the probe that
// makes a change reports it.
func TestStreak(t *testing.T) {
	for _, tc := range []struct {
		name       string
		rise, fall int
		begin      board.Health
		probes     string
		want       string
	}{
		{"the first good probe", 2, 3, board.Unknown, "ggg", "UUU"},
		{"bad from the first", 2, 3, board.Unknown, "bbbb", "??DD"},
		{"bad, then good, from the first", 2, 3, board.Unknown, "bbgbb", "??UUU"},
		{"fall", 2, 3, board.Up, "bbbb", "UUDD"},
		{"a good one begins anew", 2, 3, board.Up, "bbgbbgbbb", "UUUUUUUUD"},
		{"rise", 2, 3, board.Down, "gg", "DU"},
		{"a bad one begins anew", 3, 1, board.Down, "ggbggg", "DDDDDU"},
		{"one is enough", 1, 1, board.Up, "bgbg", "DUDU"},
		{"down and up again", 2, 2, board.Up, "bbbgbggg", "UDDDDDUU"},
		{"flapping changes nothing", 2, 2, board.Up, "bgbgbgbg", "UUUUUUUU"},
	} {
		s := streak{rise: tc.rise, fall: tc.fall, health: tc.begin}
		for i, c := range tc.probes {
			before := s.health
			changed := s.report(c == 'g', tick.Instant(i+1))
			if got := "?UD"[s.health]; got != tc.want[i] || changed != (s.health != before) {
				t.Errorf("%s, probe %d of %s: %c, changed %v; want %c", tc.name, i, tc.probes, got, changed, tc.want[i])
			}
		}
	}
}

func TestStreakSince(t *testing.T) {
	s := streak{rise: 2, fall: 3, health: board.Up}
	for now, good := range []bool{false, true, false, false, false} { // at 1, 2, ...
		s.report(good, tick.Instant(now+1))
	}
	if s.health != board.Down || s.since != 3 {
		t.Errorf("%v since %d, want down since 3, the first of three bad probes in a row", s.health, s.since)
	}
}

func TestPace(t *testing.T) {
	p := pace{up: 5 * time.Second, down: time.Second}
	const begun = tick.Instant(7e9)
	for _, tc := range []struct {
		health board.Health
		chance float64
		want   time.Duration
	}{
		{board.Up, 0, 4500 * time.Millisecond},
		{board.Up, 0.5, 5 * time.Second},
		{board.Up, 1, 5500 * time.Millisecond},
		{board.Down, 0, 900 * time.Millisecond},
		{board.Down, 1, 1100 * time.Millisecond},
		{board.Unknown, 0.5, time.Second},
	} {
		got := p.next(tc.health, begun, tc.chance).Sub(begun)
		if d := got - tc.want; d < -time.Microsecond || d > time.Microsecond {
			t.Errorf("%v, chance %v: %v after the last, want %v", tc.health, tc.chance, got, tc.want)
		}
	}
}

// The first probes follow each other closely, and all are made soon.
func TestFirst(t *testing.T) {
	for _, tc := range []struct {
		i, n int
		want time.Duration
	}{
		{0, 1, 0}, {0, 1000, 0}, {1, 2, 10 * time.Millisecond}, {99, 100, 990 * time.Millisecond}, {999, 1000, 999 * time.Millisecond},
	} {
		if got := first(tc.i, tc.n); got != tc.want {
			t.Errorf("backend %d of %d: %v, want %v", tc.i, tc.n, got, tc.want)
		}
	}
}
