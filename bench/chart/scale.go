package chart

import "math"

// Scale maps values to the width of the bars.
type Scale struct {
	Min, Max float64 // Min is above 0 if Log
	Log      bool
	Ticks    []Tick
}

// Tick is a line of the grid with its label.
type Tick struct {
	At    float64
	Label string
	Mark  bool // the line stands out
}

// share returns where v is: 0 for Min and below, 1 for Max and above.
func (s *Scale) share(v float64) float64 {
	lowest, highest := s.Min, s.Max
	if s.Log {
		lowest, highest, v = math.Log(lowest), math.Log(highest), math.Log(max(v, s.Min))
	}
	if !(highest > lowest) {
		return 0
	}
	return min(max((v-lowest)/(highest-lowest), 0), 1)
}
