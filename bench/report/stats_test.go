package report

import "testing"

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		in   []float64
		want spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1}, spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 3, 2, 100}, spread{3.5, 2, 100}},
	} {
		if got := spreadOf(tc.in); got != tc.want {
			t.Errorf("%v: %+v, want %+v", tc.in, got, tc.want)
		}
	}
}

// Ratios are taken within each round, so a slow round does not show.
func TestRatioIsTakenRoundByRound(t *testing.T) {
	a := []Round{{User: 1, System: 9}, {User: 20, System: 20}, {User: 10, System: 2}}
	b := []Round{{System: 10}, {System: 50}, {User: 10}}
	if got, want := ratio(a, b, cpuOf), (spread{1, .8, 1.2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b[1] = Round{}
	if got, want := ratio(a, b, cpuOf), (spread{1.1, 1, 1.2}); got != want {
		t.Errorf("without the second round %+v, want %+v", got, want)
	}
	if got := ratio(a, nil, cpuOf); got != (spread{}) {
		t.Errorf("to nothing: %+v", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, tc := range []struct {
		x    float64
		want string
	}{{0, "0.00"}, {1.234, "1.23"}, {9.994, "9.99"}, {9.996, "10.0"}, {12.34, "12.3"}, {99.96, "100"}, {1234.5, "1234"}} {
		if got := number(tc.x); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.x, got, tc.want)
		}
	}
	if got := latency(999) + ", " + latency(1500); got != "999 us, 1.50 ms" {
		t.Error(got)
	}
}
