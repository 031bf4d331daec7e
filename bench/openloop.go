package bench

import (
	"lb/loop/tick"
)

// startOpen connects all conns. The schedule begins after that, so that no request
// waits for a connect.
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

// settle makes a conn available whose attempt to connect has ended.
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

// giveUp is the worker as the owner of the timer that ends its backlog.
type giveUp worker

// Expired drops the requests that have not been started.
func (g *giveUp) Expired() {
	w := (*worker)(g)
	w.schedule.giveUp()
	w.pump(w.kernel.Now())
}

// put adds a conn with room for a request to the free list.
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

// get removes the least recently used conn from the free list. It returns nil if
// the list is empty.
func (w *worker) get() *conn {
	c := w.first
	if c != nil {
		w.first, c.next, c.listed = c.next, nil, false
	}
	return c
}

// caughtUp is called after anything that may have freed a conn or ended a request.
func (w *worker) caughtUp() {
	if w.schedule.behind || w.schedule.next == w.schedule.end {
		w.pump(w.kernel.Now())
	}
}

// pump starts every request that is due, as far as conns are free. Then it arms the
// pacer for the next request, or stops the loop if there is none.
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

// startNext starts the next request of the schedule on c.
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
