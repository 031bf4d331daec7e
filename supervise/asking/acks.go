package asking

import (
	"errors"
	"fmt"
	"time"
)

// Acks are the answers that are expected from loops.
type Acks []ack

type ack struct {
	name  string
	taken chan error      // gets one
	ended <-chan struct{} // closed when no answer will come, and none is missed
}

// Expect returns a function to call, once, when the answer comes. It never blocks.
func (a *Acks) Expect(name string, ended <-chan struct{}) func(error) {
	taken := make(chan error, 1)
	*a = append(*a, ack{name, taken, ended})
	return func(err error) { taken <- err }
}

// Wait returns when all answers are there, with their errors joined. Of an answer
// that is missing after timeout the error says what its loop has not done.
func (a Acks) Wait(timeout time.Duration, what string) (err error) {
	deadline := time.Now().Add(timeout)
	for _, one := range a {
		late := time.NewTimer(time.Until(deadline))
		select {
		case oneErr := <-one.taken:
			if oneErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", one.name, oneErr))
			}
		case <-one.ended:
		case <-late.C:
			select { // both at once
			case oneErr := <-one.taken:
				if oneErr != nil {
					err = errors.Join(err, fmt.Errorf("%s: %w", one.name, oneErr))
				}
			case <-one.ended:
			default:
				err = errors.Join(err, fmt.Errorf("%s %s after %v", one.name, what, timeout))
			}
		}
		late.Stop()
	}
	return err
}
