package bench

import (
	"lb/loop/tick"
)

// startOpen connects everything; the schedule begins when that is done, so
// that no request waits for what clients have long had.
func (w *worker) startOpen() {
	if err := w.pacer.open(w); err != nil {
		w.fail(err)
		return
	}
	if w.options.NewConnPerRequest {
		for _, c := range w.conns {
			w.put(c)
		}
		w.beginOpen()
		return
	}
	w.unsettled = len(w.conns)
	for _, c := range w.conns {
		c.dial()
	}
}

// settle takes in a conn whose attempt to connect has ended.
func (w *worker) settle(c *conn) {
	if c.n < len(c.starts) {
		w.put(c)
	}
	if w.unsettled == 0 {
		w.caughtUp()
		return
	}
	if w.unsettled--; w.unsettled == 0 {
		w.beginOpen()
	}
}

// beginOpen starts the schedule.
func (w *worker) beginOpen() {
	now := w.kernel.Now()
	w.begin(now)
	w.schedule = newSchedule(w.options, w.index, len(w.run.workers), now)
	last := w.schedule.at(w.schedule.end)
	w.loop.Arm(&w.giveUp, (*giveUp)(w), last.Add(w.options.Timeout))
	w.pump(now)
}

// giveUp is the worker as the owner of the timer for its backlog.
type giveUp worker

// Expired leaves out what could not be started until now.
func (g *giveUp) Expired() {
	w := (*worker)(g)
	w.schedule.giveUp()
	w.pump(w.kernel.Now())
}

// put lists a conn that has room for a request.
func (w *worker) put(c *conn) {
	if c.listed {
		return
	}
	c.listed, c.next = true, nil
	if w.first == nil {
		w.first = c
	} else {
		w.tail.next = c
	}
	w.tail = c
}

// get takes the conn that was not used for the longest, nil when none is free.
func (w *worker) get() *conn {
	c := w.first
	if c != nil {
		w.first, c.next, c.listed = c.next, nil, false
	}
	return c
}

// caughtUp follows whatever may have freed a conn or ended a request.
func (w *worker) caughtUp() {
	if w.schedule.behind || w.schedule.next == w.schedule.end {
		w.pump(w.kernel.Now())
	}
}

// pump starts every request whose time has come, as far as conns are free, and
// sees to it that the next one is thought of.
func (w *worker) pump(now tick.Instant) {
	s := &w.schedule
	s.behind = false
	for due := s.due(now); s.next < due; {
		c := w.get()
		if c == nil {
			s.fallBehind(due)
			return
		}
		w.startNext(c, now)
	}
	switch {
	case s.next < s.end:
		w.pacer.arm(max(s.at(s.next).Sub(now), pumpGap))
	case w.outstanding == 0:
		w.timeUp = w.options.Duration > 0 && s.end == s.before(w.until)
		w.stop()
	}
}

// startNext has c send the next request of the schedule.
func (w *worker) startNext(c *conn, now tick.Instant) {
	s := &w.schedule
	start := tick.Instant(0)
	if s.next >= s.warm {
		start = s.at(s.next)
		w.counting = true
	}
	s.next++
	c.assign(start, now)
	if c.n < len(c.starts) {
		w.put(c)
	}
}
