//go:build !linux

package tlsconn

// bell wakes the thread of a Shaker.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

// ring ends the current or the next wait.
func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// wait returns after a ring.
func (b bell) wait() { <-b }
