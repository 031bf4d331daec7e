package report

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// plots returns the plots of a report by name.
func (r *Report) plots() map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{"summary": r.plotSummary, "cost": r.plotCost, "latency": r.plotLatency}
}

func TestPlots(t *testing.T) {
	for name, plot := range kept(t).plots() {
		var b bytes.Buffer
		if err := plot(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, "report-"+name+".svg", b.Bytes())
	}
}

// A report without measurements is written like any other.
func TestEmptyReport(t *testing.T) {
	r := &Report{Cases: []Case{{Name: "small"}}}
	if err := errors.Join(r.writeCSV(io.Discard), r.writeMarkdown(io.Discard, "r")); err != nil {
		t.Error(err)
	}
	for name, plot := range r.plots() {
		if err := plot(io.Discard); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimeScale(t *testing.T) {
	for _, tc := range []struct {
		lowest, highest float64
		want            string
	}{
		{120, 28_000, "100 µs, 300 µs, 1 ms, 3 ms, 10 ms"},
		{300, 1000, "300 µs, 1 ms"},
		{5, 5, "3 µs"},
	} {
		s := timeScale(tc.lowest, tc.highest)
		var labels []string
		for _, tick := range s.Ticks {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, ", "); got != tc.want || s.Min != s.Ticks[0].At || s.Min > tc.lowest {
			t.Errorf("%v to %v: from %v, %s; want %s", tc.lowest, tc.highest, s.Min, got, tc.want)
		}
	}
}
