package supervise

import "time"

// outcome is what came of the last reload and of the last upgrade, for status. It
// belongs to the desk.
type outcome struct {
	loaded  time.Time // when the configuration in use was taken up
	reload  failure
	upgrade failure
}

// failure is why something was refused, and when.
type failure struct {
	text string // "" if nothing was refused
	at   time.Time
}

// taken notes that a configuration was taken up.
func (o *outcome) taken() { o.loaded, o.reload = time.Now(), failure{} }

// reloadFailed notes why a configuration was not taken up, or not by all loops.
func (o *outcome) reloadFailed(err error) { o.reload = failure{err.Error(), time.Now()} }

// upgradeFailed notes why no new process has taken over.
func (o *outcome) upgradeFailed(err error) { o.upgrade = failure{err.Error(), time.Now()} }
