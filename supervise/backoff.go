package supervise

import "time"

const (
	// deathWindow is how long a death of a worker counts.
	deathWindow = 10 * time.Second
	// The first death within the window is made good at once, the second after
	// backOffMin, each further one after twice the time, backOffMax at most.
	backOffMin = 100 * time.Millisecond
	backOffMax = 5 * time.Second
)

// deaths are when the workers of one seat died, of late.
type deaths struct{ at []time.Time }

// note adds a death at now and returns how many there were in the window that
// ends with it.
func (d *deaths) note(now time.Time) (n int) {
	d.at = append(d.at, now)
	for now.Sub(d.at[0]) >= deathWindow {
		d.at = d.at[1:]
	}
	return len(d.at)
}

// backOff returns how long to wait after the last of n deaths within the window.
func backOff(n int) time.Duration {
	if n < 2 {
		return 0
	}
	delay := backOffMin
	for range n - 2 {
		if delay *= 2; delay >= backOffMax {
			return backOffMax
		}
	}
	return delay
}
