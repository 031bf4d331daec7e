package loop

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// Turn runs one turn; it waits for events only if block is true. Run repeats it;
// tests and simulations call it themselves.
func (l *Loop) Turn(block bool) {
	l.counters.Turns++
	l.gather(block)
	if len(l.batch) > 0 {
		l.guard((*Loop).runBatch)
	}
	if l.now >= l.verdict.hold {
		if l.wheel.collect(l.verdict.read); l.wheel.due != nil {
			l.guard((*Loop).runTimers)
		}
	}
	if l.mail.pending.Load() {
		l.mail.take(false)
		l.guard((*Loop).runMail)
	}
	if l.ends != nil {
		l.guard((*Loop).runEnds)
	}
	l.reapDead()
	l.regulate()
	if l.budgetAccepts() {
		l.guard((*Loop).runAccepts)
		l.reapDead()
		l.regulate()
	}
}

// gather waits, reads the clock, and fills the batch: the events, then the run
// list. All conns get their new flags before the first Ready, so that a handler
// also sees what happened to other conns.
func (l *Loop) gather(block bool) {
	asked := l.now
	n := l.wait(block)
	l.now = l.kernel.Now()
	if v := &l.verdict; n < eventsMax-1 && v.full|v.holds == 0 && l.now.Sub(v.due) < standstill {
		v.read = asked
	} else {
		l.prepare(n, asked)
	}
	l.batch, l.at = l.batch[:0], 0
	for _, ev := range l.events[:n] {
		s := l.slots.at(ev.FD)
		switch {
		case s == nil || s.gen != ev.Gen:
			l.counters.StaleEvents++
		case s.conn != nil:
			s.conn.flags |= ev.Flags &^ s.conn.over
			if s.conn.transport != nil {
				s.conn.socketEvent(ev.Flags)
			}
			l.queue(s.conn)
		case s.listener != nil:
			s.listener.ready = true
		}
	}
	for _, use := range l.again {
		if s := l.slots.at(use.FD); s.gen == use.Gen { // else closed meanwhile
			s.conn.state &^= stateAgain
			l.queue(s.conn)
		}
	}
	l.again = l.again[:0]
}

// queue puts c into the batch, at most once.
func (l *Loop) queue(c *Conn) {
	if c.state&stateBatch == 0 {
		c.state |= stateBatch
		l.batch = append(l.batch, Event{FD: c.fd, Gen: c.gen})
	}
}

// wait returns the number of events. It polls first, which costs no more than a system
// call; the thread sleeps only if that finds nothing and nothing else is to be done.
func (l *Loop) wait(block bool) int {
	l.verdict.due = l.now
	n := l.poll(0)
	if n > 0 || !block || len(l.again) > 0 || l.ends != nil || l.mail.pending.Load() || l.mail.stopped.Load() {
		return n
	}
	at := l.wheel.wakeAt()
	if at == 0 {
		l.verdict.due = 0
		return l.poll(-1)
	}
	at = max(at, l.verdict.hold)
	if timeout := at.Sub(l.kernel.Now()); timeout > 0 {
		l.verdict.due = at
		return l.poll(timeout)
	}
	return 0
}

// poll asks the kernel for events. A kernel that cannot wait ends the loop by a
// panic, because continuing would be a busy loop that does nothing.
func (l *Loop) poll(timeout time.Duration) int {
	n, err := l.kernel.Wait(l.events[:], timeout)
	if err != nil {
		panic(fmt.Errorf("loop: wait: %w", err))
	}
	return n
}

func (l *Loop) runBatch() {
	for l.at < len(l.batch) {
		ev := l.batch[l.at]
		l.at++
		s := l.slots.at(ev.FD)
		if s.gen != ev.Gen { // closed by an earlier event of this batch
			l.counters.StaleEvents++
			continue
		}
		h := s.conn.handler
		s.conn.state &^= stateBatch
		l.current = h
		if s.conn.transport != nil {
			s.conn.settle()
		}
		h.Ready()
	}
}

func (l *Loop) runTimers() {
	for t := l.wheel.pop(l.verdict.read); t != nil; t = l.wheel.pop(l.verdict.read) {
		l.current = t.owner
		t.owner.Expired()
	}
}

// runEnds calls what was asked for by AtEnd. What is asked for meanwhile belongs to this
// turn, too.
func (l *Loop) runEnds() {
	for l.ends != nil {
		e := l.ends
		o := e.owner
		l.ends, e.next, e.owner, e.asked = e.next, nil, nil, false
		l.current = o
		o.TurnEnds()
	}
}

// reapDead closes the descriptors of the conns closed in this turn. It runs after the
// batch, so that no number is reused while events of this turn may still refer to it.
func (l *Loop) reapDead() {
	if len(l.dead) == 0 {
		return
	}
	for _, d := range l.dead {
		l.kernel.Close(int(d.fd), d.reset)
	}
	l.dead = l.dead[:0]
	if l.starved {
		l.starved = false
		l.Disarm(&l.retry)
	}
}

// guard runs a stage of the turn to its end. Stages keep their place in the loop,
// so after a panic the stage is simply called again. One recover for a stage costs
// less than one for each event.
func (l *Loop) guard(stage func(*Loop)) {
	for !l.try(stage) {
	}
	l.current = nil
}

func (l *Loop) try(stage func(*Loop)) (done bool) {
	defer l.recovered()
	stage(l)
	return true
}

// recovered handles a panic: the owner learns of it, and the other conns are not
// affected.
func (l *Loop) recovered() {
	value := recover()
	if value == nil {
		return
	}
	stack := debug.Stack()
	l.counters.Panics++
	owner := l.current
	l.current = nil
	if l.orphan.FD >= 0 {
		l.reapOrphan()
	}
	if p, ok := owner.(interface{ Panicked(any, []byte) }); ok {
		l.notify(p.Panicked, value, stack)
		return
	}
	l.report(value, stack)
}

// notify calls an owner's Panicked, which may panic as well.
func (l *Loop) notify(panicked func(any, []byte), value any, stack []byte) {
	defer func() {
		if again := recover(); again != nil {
			l.counters.Panics++
			l.report(again, debug.Stack())
		}
	}()
	panicked(value, stack)
}

func (l *Loop) report(value any, stack []byte) {
	if l.options.OnPanic != nil {
		l.options.OnPanic(value, stack)
		return
	}
	fmt.Fprintf(os.Stderr, "loop: panic: %v\n%s", value, stack)
}

// reapOrphan closes a descriptor whose acceptor panicked before adopting it.
func (l *Loop) reapOrphan() {
	s := l.slots.at(l.orphan.FD)
	if s.conn == nil && s.gen == l.orphan.Gen {
		l.dead = append(l.dead, deadFD{fd: l.orphan.FD})
	}
	l.orphan.FD = -1
}
