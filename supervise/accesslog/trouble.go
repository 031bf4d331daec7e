package accesslog

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// calmMin is how long all must be well before a trouble is over.
	calmMin = time.Second
	// calmMax is that time where troubles follow each other closely.
	calmMax = time.Minute
)

// trouble says in the log when the access log cannot be written, when lines begin to be
// lost, and when that is over: once each.
type trouble struct {
	log     *slog.Logger
	failing bool      // it was said that a write, or opening the path, has failed
	losing  bool      // it was said that lines are lost
	lost    uint64    // lines lost since the trouble began
	begun   time.Time // when it began
	bad     time.Time // when it was seen last
	ended   time.Time // when the last one was over
	calm    time.Duration
	dropped uint64 // what the loops had dropped at the last look, or at the start
	opening error  // why the path cannot be opened again

	shown atomic.Pointer[string] // what is wrong now, in one line; nil if all is well
}

// show makes what is wrong known, with its mend.
func (t *trouble) show(what, path, cause, mend string) {
	text := fmt.Sprintf("%s: %s: %s; %s", what, path, cause, mend)
	t.shown.Store(&text)
}

// state is what a turn of the writer has found.
type state struct {
	path    string
	to      target // nil: off
	dropped uint64 // lines that loops have dropped so far
	more    bool   // the target has not taken everything
	gaveUp  bool   // lines that the target refuses were given up
	err     error  // of the target
}

// look says what has changed.
func (t *trouble) look(now time.Time, s state) {
	t.lost += s.dropped - t.dropped
	newly := s.dropped != t.dropped || s.gaveUp
	t.dropped = s.dropped
	if s.err == nil {
		s.err = t.opening
	}
	if s.err != nil || newly || s.more && (t.failing || t.losing) {
		t.worse(now, s, newly)
		return
	}
	if (t.failing || t.losing) && now.Sub(t.bad) >= t.calm {
		t.end(now, s.path)
	}
}

// worse says that something is wrong, unless that was said.
func (t *trouble) worse(now time.Time, s state, losing bool) {
	if !t.failing && !t.losing {
		t.begun = now
		if t.calm = min(2*t.calm, calmMax); t.calm == 0 || now.Sub(t.ended) > calmMax {
			t.calm = calmMin
		}
	}
	t.bad = now
	if s.err != nil && !t.failing {
		t.failing = true
		what := "access log cannot be written, its lines wait"
		if s.err == t.opening {
			what = "access log cannot be opened again, its lines go where they went"
		}
		t.log.Warn(what, "path", s.path, "cause", s.err, "mend", mend(s.path, s.err))
		t.show(what, s.path, s.err.Error(), mend(s.path, s.err))
	}
	if losing && !t.losing {
		t.losing = true
		cause, mend := t.whySlow(s)
		const what = "lines of the access log are lost"
		t.log.Warn(what, "path", s.path, "cause", cause, "mend", mend)
		t.show(what, s.path, cause, mend)
	}
}

// whySlow says why lines are lost, and what to do about that.
func (t *trouble) whySlow(s state) (cause, what string) {
	switch {
	case s.err != nil:
		return s.err.Error(), mend(s.path, s.err)
	case s.more:
		return s.to.slow()
	}
	return "the writer does not keep up", "give lb more CPU time, or lower access_log.sample"
}

// end says that the trouble is over.
func (t *trouble) end(now time.Time, path string) {
	t.log.Warn("access log is written again", "path", path, "lost", t.lost, "since", t.begun.Format(time.RFC3339))
	t.failing, t.losing, t.lost, t.ended = false, false, 0, now
	t.shown.Store(nil)
}

// last says at the end of lb what was lost, if something was.
func (t *trouble) last(path string) {
	if t.lost > 0 {
		t.log.Warn("lines of the access log were lost", "path", path, "lost", t.lost,
			"mend", "see what was logged before; timeouts.drain does not wait for the log")
	}
}
