package upstream

import (
	"testing"
	"time"

	"lb/config"
)

// TestAverage: the mean follows the samples, halves while there are none, and is
// unknown for a backend that never answered.
func TestAverage(t *testing.T) {
	p, _ := buildOf(config.LeastTime, 1, 1).pool()
	s := p.Backends[0].State
	if got := average(s, start); got != 0 {
		t.Errorf("%v before the first answer", got)
	}
	p.Succeeded(0, 80*time.Millisecond, start)
	if got := time.Duration(average(s, start)); got != 80*time.Millisecond {
		t.Errorf("%v behind one answer after 80ms", got)
	}
	p.Succeeded(0, 160*time.Millisecond, start)
	if got := time.Duration(average(s, start)); got != 90*time.Millisecond {
		t.Errorf("%v, want an eighth of the way to 160ms", got)
	}
	for range 100 {
		p.Succeeded(0, 10*time.Millisecond, start)
	}
	if got := time.Duration(average(s, start)); got < 10*time.Millisecond || got > 11*time.Millisecond {
		t.Errorf("%v behind many of 10ms", got)
	}
	mean := average(s, start)
	for halves, want := range []float64{mean, mean / 2, mean / 4} {
		if got := average(s, start.Add(time.Duration(halves)*halfLife+halfLife/2)); got < want*0.99 || got > want*1.01 {
			t.Errorf("%d half-lives later: %v, want %v", halves, got, want)
		}
	}
	if got := average(s, start.Add(1000*time.Hour)); got != 1 {
		t.Errorf("%v after a long time, want next to nothing, but known", got)
	}
	p.Succeeded(1, 1, start)
	if got := average(p.Backends[1].State, start); got != 1 {
		t.Errorf("%v for an answer at once", got)
	}
	other, _ := buildOf(config.P2C, 1).pool()
	other.Succeeded(0, time.Second, start)
	if got := other.Backends[0].State.TTFB.Load(); got != 0 {
		t.Errorf("%d noted for a strategy that does not look at it", got)
	}
}

// TestLeastTimePrefersFast: a slow backend gets little, more when the fast ones are
// busy, and its share again once its slowness is long ago.
func TestLeastTimePrefersFast(t *testing.T) {
	p, shared := buildOf(config.LeastTime, 1, 1, 1).pool()
	answer := func(times ...time.Duration) {
		for i, d := range times {
			p.Succeeded(i, d, start)
		}
	}
	answer(time.Millisecond, time.Millisecond, 10*time.Millisecond)
	if counts := count(t, p, 9000, start); counts[2] > 200 || counts[0] < 4000 || counts[1] < 4000 {
		t.Errorf("times 1:1:10 idle: %v", counts)
	}
	for i := range 2 {
		shared.Backend(0, i).InFlight.Add(20)
	}
	if counts := count(t, p, 9000, start); counts[2] < 4000 {
		t.Errorf("times 1:1:10 with 20:20:0 at work: %v, want the slow one preferred", counts)
	}
	for i := range 2 {
		shared.Backend(0, i).InFlight.Sub(20)
	}
	if counts := count(t, p, 9000, start.Add(10*time.Minute)); counts[2] < 2500 {
		t.Errorf("ten minutes later: %v, want it tried again", counts)
	}
}

// TestLeastTimeUnknown: a backend that has not answered yet is not flooded.
func TestLeastTimeUnknown(t *testing.T) {
	p, _ := buildOf(config.LeastTime, 1, 1).pool()
	p.Succeeded(0, 50*time.Millisecond, start)
	if counts := count(t, p, 10_000, start); counts[1] < 4500 || counts[1] > 5500 {
		t.Errorf("%v, want both alike", counts)
	}
}
