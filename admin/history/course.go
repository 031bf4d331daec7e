package history

import (
	"math"
	"time"

	"lb/admin/api"
	"lb/board"
)

// values are one point. Times are in milliseconds, rates by the second.
type values struct {
	rate, errors float64
	inFlight     uint64
	p50, p99     float64
	firstByte    float64
	errors5xx    float64 // of a backend: what its pool's errors are made of
}

// course keeps the newest values, each list as a ring. Lists that have had only zeros are
// not there.
type course struct {
	n     int // how many were added
	lists [lists]*[points]float32
}

// The lists of a course.
const (
	listRate = iota
	listErrors
	listInFlight
	listP50
	listP99
	listFirstByte
	lists
)

func (c *course) add(v values) {
	at := c.n % points
	c.n++
	for i, value := range [lists]float64{v.rate, v.errors, float64(v.inFlight), v.p50, v.p99, v.firstByte} {
		if c.lists[i] == nil {
			if value == 0 {
				continue
			}
			c.lists[i] = new([points]float32)
		}
		c.lists[i][at] = round(value)
	}
}

// round keeps three digits, which is all that a chart shows and makes short JSON.
func round(v float64) float32 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	if unit >= 1 {
		return float32(math.Round(v/unit) * unit)
	}
	return float32(math.Round(v/unit) / math.Round(1/unit))
}

// kind says which lists are shown.
type kind bool

const (
	ofTotal   kind = false // and of pools
	ofBackend kind = true
)

// out returns the lists with the oldest value first.
func (c *course) out(k kind) api.Course {
	a := api.Course{Rate: c.list(listRate), Errors: c.list(listErrors), InFlight: c.list(listInFlight)}
	if k == ofBackend {
		a.FirstByte = c.list(listFirstByte)
	} else {
		a.P50, a.P99 = c.list(listP50), c.list(listP99)
	}
	return a
}

func (c *course) list(i int) []float32 {
	n := min(c.n, points)
	out := make([]float32, 0, n)
	if c.lists[i] == nil {
		return out[:n]
	}
	from := c.n - n
	for k := range n {
		out = append(out, c.lists[i][(from+k)%points])
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

func add(to, other *board.HistogramSum) {
	for i, n := range other.Counts {
		to.Counts[i] += n
	}
	to.Nanos += other.Nanos
}
