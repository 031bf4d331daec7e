package proxy

import (
	"io"

	"lb/httpparse"
	"lb/proxy/record"
)

// pump moves bytes both ways until there is something to wait for, the exchange
// is over, or its share of the turn is used up. It is the one place where bytes
// move after the request head: every event that brings bytes or makes room
// ends here, as edges ask for.
func (x *exchange) pump() (ended bool) {
	if x.front.Gone() && (x.phase != Wait || x.snap.cfg.AbortOnClose) {
		return x.fail(record.ByClient(record.CauseGone))
	}
	if x.tunnel && x.lookAtTunnel() {
		return x.fail(record.ByBackend(record.CauseReset))
	}
	for range pumpTurns {
		before := x.moves
		if !x.up.Broken && !(x.up.Done() && x.phase != Send) {
			if f, bad := x.pumpUp(); bad {
				return x.fail(f)
			}
		}
		if f, bad := x.pumpDown(); bad {
			return x.fail(f)
		}
		if x.phase == Relay && x.down.Done() && x.over() {
			return x.finish()
		}
		if x.moves == before {
			x.arm()
			return false
		}
	}
	x.arm()
	x.rec.Waits(false, x.p.loop.Now()) // for its turn
	x.front.Wake()
	return false
}

// over reports whether the exchange, whose response has been written, has come to its end.
func (x *exchange) over() bool {
	if x.tunnel {
		return x.up.Done()
	}
	// A client that keeps its conn may finish its request, as long as the backend is there to
	// take it.
	return x.up.Done() || x.up.Broken || !x.keep || x.backend == nil || x.backend.Shut() || x.backend.Gone()
}

// pumpUp moves bytes from the client to the backend.
func (x *exchange) pumpUp() (f record.Fault, bad bool) {
	up := &x.up
	if up.Flushed() && !up.Whole {
		if f, bad = x.takeUp(); bad {
			return f, true
		}
	}
	if !up.Flushed() {
		n, err := x.backend.Flush(up, x.in)
		if x.sent += int64(n); n > 0 {
			x.moved(up)
		}
		if err != nil {
			return x.refusedUp()
		}
	}
	if !up.Done() {
		return f, false
	}
	x.in.Drop(x.p.arena)
	if x.opening {
		x.joinTunnel()
		x.moves++
		return f, false
	}
	if x.tunnel {
		if x.backend.ShutdownWrite() != nil {
			return record.ByBackend(record.CauseReset), true
		}
		return f, false
	}
	if x.phase == Send {
		x.enter(Wait)
		if !x.idempotent && !x.backend.Streams() {
			up.Release(x.p.arena) // it will not be sent again
		}
	}
	return f, false
}

// refusedUp is called when the backend takes no more of the request. It may
// have answered before it stopped reading; that answer still counts.
func (x *exchange) refusedUp() (f record.Fault, bad bool) {
	if x.tunnel {
		return record.ByBackend(record.CauseReset), true
	}
	x.up.Broken = true
	x.backend.AssumeReadable() // the event of its answer may still be on its way
	x.moves++
	return f, false
}

// takeUp reads more of the request's body, unless some is there, and composes output
// of it.
func (x *exchange) takeUp() (f record.Fault, bad bool) {
	up, a := &x.up, x.p.arena
	if x.in.Len() == 0 || up.Starved {
		if up.Block(up.Asks() && x.backend != nil && !x.backend.Takes()); up.Blocked {
			return f, false
		}
		n, err := x.front.Fill(up.Bulk())
		switch {
		case err == io.EOF && (up.From == httpparse.Close || up.From == httpparse.Stream):
			return x.endUp()
		case err == io.EOF:
			return record.ByClient(record.CauseShortBody), true
		case err != nil:
			return record.ByClient(record.CauseGone), true
		case n == 0:
			return f, false
		}
		x.moved(up)
		x.expecting = false
	}
	if reason, bad := up.Compose(a, x.in, &x.snap.limits); bad {
		return record.ByHead(reason), true
	}
	if up.From == httpparse.Stream {
		if section, over := x.front.Over(); over && up.Ends(section) {
			if f, bad = x.endUp(); bad {
				return f, true
			}
		}
	}
	if up.Starved && x.front.More() { // see lookAgain
		x.moves++
	}
	if limit := x.snap.cfg.Limits.BodyBytes; limit > 0 && up.Taken > limit && x.tunnel == x.opening {
		return record.ByClient(record.CauseTooLarge), true
	}
	return f, false
}

// endUp ends the request's body, which its stream or its conn has ended.
func (x *exchange) endUp() (f record.Fault, bad bool) {
	section, _ := x.front.Over()
	if reason, bad := x.up.End(x.p.arena, section, &x.snap.limits); bad {
		return record.ByHead(reason), true
	}
	return f, false
}

// pumpDown moves bytes from the backend to the client.
func (x *exchange) pumpDown() (f record.Fault, bad bool) {
	if f, bad = x.flushDown(); bad || !x.down.Flushed() {
		return f, bad
	}
	for x.phase != Relay {
		if f, bad = x.readResponse(); bad || x.phase != Relay {
			return f, bad
		}
	}
	if x.down.Whole || x.backend == nil || !x.down.Flushed() {
		return f, false
	}
	if f, bad = x.takeDown(); bad {
		return f, true
	}
	return x.flushDown()
}

// flushDown writes the pending bytes to the client.
func (x *exchange) flushDown() (f record.Fault, bad bool) {
	down := &x.down
	if down.Flushed() {
		return f, false
	}
	n, err := x.front.Flush(down, x.from)
	if n > 0 {
		x.moved(down)
		x.p.counters.BytesToClient.Add(uint64(n))
		if x.phase == Relay && !x.begun {
			x.nowBegun()
		}
	}
	if err != nil {
		return record.ByClient(record.CauseGone), true
	}
	if x.from == nil || !down.Flushed() {
		return f, false
	}
	x.from.Drop(x.p.arena)
	down.Release(x.p.arena)
	return f, false
}

// takeDown reads more of the response's body, unless some is there, and composes output
// of it.
func (x *exchange) takeDown() (f record.Fault, bad bool) {
	down := &x.down
	if x.from.Len() == 0 || down.Starved {
		if down.Block(down.Asks() && !x.front.Takes()); down.Blocked {
			return f, false // the bytes stay with the backend
		}
		n, err := x.backend.Fill(down.Bulk())
		x.received += int64(n)
		switch {
		case err == io.EOF && (down.From == httpparse.Close || down.From == httpparse.Stream):
			x.moves++
			if f, bad = x.endDown(); !bad && x.tunnel && x.front.ShutdownWrite() != nil {
				return record.ByClient(record.CauseGone), true
			}
			return f, bad
		case err != nil:
			return x.backend.Fault(err), true
		case n == 0:
			return f, false
		}
		x.moved(down)
	}
	return x.composeDown()
}

// composeDown composes output of what is in the inbox, and of the end of a stream if that
// has come.
func (x *exchange) composeDown() (f record.Fault, bad bool) {
	down := &x.down
	if _, bad := down.Compose(x.p.arena, x.from, &x.snap.limits); bad {
		return record.ByBackend(record.CauseBadAnswer), true
	}
	if down.From == httpparse.Stream {
		if f, bad = x.lookForEnd(); bad || down.Whole {
			return f, bad
		}
	}
	x.lookAgain()
	return f, false
}

// lookForEnd ends the answer's body if its stream has ended with what has been read.
func (x *exchange) lookForEnd() (f record.Fault, bad bool) {
	if section, over := x.backend.Over(); over && x.down.Ends(section) {
		return x.endDown()
	}
	return f, false
}

// endDown ends the answer's body, which its stream or its conn has ended.
func (x *exchange) endDown() (f record.Fault, bad bool) {
	section, _ := x.backend.Over()
	if _, bad := x.down.End(x.p.arena, section, &x.snap.limits); bad {
		return record.ByBackend(record.CauseBadAnswer), true
	}
	return f, false
}

// lookAgain has pump go on when the bytes left over from the backend turned out not to be
// enough and it has more: its event has been, and no other will come.
func (x *exchange) lookAgain() {
	if x.down.Starved && x.backend.More() {
		x.moves++
	}
}
