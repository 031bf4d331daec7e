package observe

import (
	"time"

	"lb/loop/tick"
	"lb/proxy/accesslog"
	"lb/proxy/record"
)

// recorder decides which exchanges are in the flight recorder, which keeps the last ones of
// each loop. Its purpose is to say whose fault a 502, 503 or 504 was, so all of those are in
// it. What comes in masses and says nothing about a backend would push them out:
//
//   - a client that goes away, or ends its request too early, is not in it at all, unless it
//     had to wait longer than access_log.slow: then that is the news;
//   - other faults of clients, such as what a scanner asks for, and ends of idle tunnels, have
//     a rate;
//   - so have slow exchanges, because long polls and streams are slow by design.
//
// Those of backends and of lb have a rate as well, which is far above what anyone reads: an
// entry costs some microseconds, and a flood of failures comes when there are none to spare.
type recorder struct {
	faults  rate
	clients rate
	slow    rate
}

func (c *recorder) init() {
	c.faults = rate{every: time.Millisecond, burst: 4096}
	c.clients = rate{every: 10 * time.Second, burst: 32}
	c.slow = rate{every: time.Second, burst: 128}
}

// judge returns which kind of entry r is, and whether it is to be one.
func (c *recorder) judge(r *record.Record, slow bool) (k accesslog.Kind, recorded bool) {
	f := &r.Fault
	switch {
	case f.Cause == record.NoCause:
		if r.Status >= 500 && !r.Own {
			return accesslog.Fault, c.faults.allows(r.Ended)
		}
	case f.Side == record.BackendSide, f.Side == record.LBSide, f.Cause == record.CauseDeadline:
		return accesslog.Fault, c.faults.allows(r.Ended)
	case f.Cause != record.CauseGone && f.Cause != record.CauseShortBody:
		return accesslog.Fault, c.clients.allows(r.Ended)
	}
	return accesslog.Slow, slow && c.slow.allows(r.Ended)
}

// rate allows burst events at once, and one more after each of every.
type rate struct {
	every time.Duration
	burst int
	full  tick.Instant // when the burst is whole again
}

// allows reports whether an event at now is within the rate, and counts it if it is.
func (c *rate) allows(now tick.Instant) bool {
	full := max(c.full, now)
	if full.Sub(now) > time.Duration(c.burst-1)*c.every {
		return false
	}
	c.full = full.Add(c.every)
	return true
}
