package crew

import "time"

const (
	// deathWindow is how long a worker that has served nothing has to live for its death
	// to count as the first one again.
	deathWindow = 10 * time.Second
	// The first worker that dies without having served is replaced at once, the second in
	// a row after backOffMin, each further one after twice the time, backOffMax at most.
	backOffMin = 100 * time.Millisecond
	backOffMax = 5 * time.Second
)

// deaths counts the workers of one seat that died in a row, each of them young and
// without having served a request.
type deaths int

// note adds the death of a worker that has lived for a time, and returns how many
// there are in the row with it. The time between two workers does not count: a row
// does not end because its own back-off has become long.
func (d *deaths) note(lived time.Duration, served bool) (n int) {
	if served {
		*d = 0
		return 0
	}
	if lived >= deathWindow {
		*d = 0
	}
	*d++
	return int(*d)
}

// backOff returns how long to wait after the last of n deaths in a row.
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
