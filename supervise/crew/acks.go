package crew

import (
	"errors"
	"fmt"
	"time"
)

// acks are the answers that are expected from loops.
type acks []ack

type ack struct {
	name  string
	taken chan error      // gets one
	ended <-chan struct{} // closed: there is none to come, nor is it missed
}

// expect returns what is to be called when the answer comes, which never waits.
func (a *acks) expect(name string, ended <-chan struct{}) func(error) {
	taken := make(chan error, 1)
	*a = append(*a, ack{name, taken, ended})
	return func(err error) { taken <- err }
}

// wait returns when all answers are there, or an error that joins their errors
// and says of those that are missing after timeout what they have not done.
func (a acks) wait(timeout time.Duration, what string) (err error) {
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
			select {
			case <-one.taken: // both at once
			default:
				err = errors.Join(err, fmt.Errorf("%s %s after %v", one.name, what, timeout))
			}
		}
		late.Stop()
	}
	return err
}
