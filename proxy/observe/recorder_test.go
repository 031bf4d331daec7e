package observe

import (
	"testing"
	"time"

	"lb/config"
	"lb/proxy/accesslog"
	"lb/proxy/record"
)

// TestRecorded: which ends of exchanges are in the flight recorder, and as what.
func TestRecorded(t *testing.T) {
	const slow = time.Second
	for _, tc := range []struct {
		name   string
		fault  record.Fault
		status int
		own    bool
		took   time.Duration
		want   accesslog.Kind
	}{
		{"good", record.Fault{}, 200, false, 0, ""},
		{"slow", record.Fault{}, 200, false, slow, accesslog.Slow},
		{"502 of lb", refused, 502, true, 0, accesslog.Fault},
		{"503 of a backend", record.Fault{}, 503, false, 0, accesslog.Fault},
		{"503 of lb, without a backend", record.Fault{Side: record.LBSide, Cause: record.CauseNoBackend}, 503, true, 0, accesslog.Fault},
		{"504 by the deadline of a call", record.Fault{Cause: record.CauseDeadline}, 504, true, 0, accesslog.Fault},
		{"a cut answer", record.Fault{Side: record.BackendSide, Cause: record.CauseReset, Phase: record.Relay}, 200, false, 0, accesslog.Fault},
		{"the client has left", record.Fault{Side: record.ClientSide, Cause: record.CauseGone, Phase: record.Wait}, 0, false, 0, ""},
		{"the client has left after a long wait", record.Fault{Side: record.ClientSide, Cause: record.CauseGone, Phase: record.Wait}, 0, false, slow, accesslog.Slow},
		{"the request was not whole", record.Fault{Side: record.ClientSide, Cause: record.CauseShortBody}, 400, true, 0, ""},
		{"a bad request", record.Fault{Side: record.ClientSide, Cause: record.CauseBadRequest, Detail: 1}, 400, true, 0, accesslog.Fault},
		{"CONNECT", record.Fault{}, 501, true, 0, ""},
		{"lb stops", record.Fault{Side: record.LBSide, Cause: record.CauseCut}, 0, false, 0, accesslog.Fault},
	} {
		r := newRig(t, func(c *config.Config) { c.AccessLog.Path = "" })
		rec := r.exchange(get)
		r.try(rec, "a:1", false, tc.took)
		rec.Fault, rec.Status, rec.Own = tc.fault, tc.status, tc.own
		rec.EndAttempt(r.now)
		r.end(rec)
		from := uint64(0)
		list := r.entries(r.board.FaultRing(0), &from)
		switch {
		case tc.want == "":
			if len(list) != 0 {
				t.Errorf("%s: %v", tc.name, list)
			}
		case len(list) != 1 || list[0]["kind"] != string(tc.want):
			t.Errorf("%s: %v, want %s", tc.name, list, tc.want)
		}
	}
}

// TestSlow: the time in which lb waits for the client does not make an exchange slow, nor does the life of
// a tunnel; that before its answer does.
func TestSlow(t *testing.T) {
	r := newRig(t, nil)
	from := uint64(0)
	end := func(change func(rec *record.Record)) int {
		rec := r.exchange(get)
		r.try(rec, "a:1", false, 0)
		rec.Answer(200)
		rec.Status = 200
		rec.Enter(record.Relay, r.now)
		r.pass(time.Minute)
		rec.EndAttempt(r.now)
		change(rec)
		r.end(rec)
		return len(r.entries(r.board.FaultRing(0), &from))
	}
	if n := end(func(rec *record.Record) {}); n != 1 {
		t.Errorf("a slow body: %d entries", n)
	}
	if n := end(func(rec *record.Record) { rec.Stalled = time.Minute - time.Millisecond }); n != 0 {
		t.Errorf("a slow client: %d entries", n)
	}
	if n := end(func(rec *record.Record) { rec.Status, rec.Tunnel = 101, true }); n != 0 {
		t.Errorf("a tunnel: %d entries", n)
	}
	if n := end(func(rec *record.Record) { rec.Begun = rec.Begun.Add(-time.Minute); rec.Stalled = time.Minute }); n != 0 {
		t.Errorf("a head that came slowly: %d entries", n)
	}
	rec := r.exchange(get)
	r.try(rec, "a:1", false, time.Second)
	rec.Tunnel = true
	if r.answer(rec, 101); len(r.entries(r.board.FaultRing(0), &from)) != 1 {
		t.Error("a tunnel that took long to begin is not slow")
	}
}

// TestCrowds: what comes in masses does not push out the faults of backends; these are all there,
// unless they come in masses, too.
func TestCrowds(t *testing.T) {
	c := new(recorder)
	c.init()
	rec := new(record.Record)
	count := func(n int, every time.Duration, f record.Fault, slow bool) (recorded int) {
		for range n {
			rec.Ended, rec.Fault = rec.Ended.Add(every), f
			if _, ok := c.judge(rec, slow); ok {
				recorded++
			}
		}
		return recorded
	}
	if n := count(1000, time.Microsecond, refused, false); n != 1000 {
		t.Errorf("%d of 1000 faults of a backend", n)
	}
	if n := count(1000, time.Microsecond, record.Fault{Cause: record.CauseDeadline}, false); n != 1000 {
		t.Errorf("%d of 1000 calls whose deadline passed", n)
	}
	if n := count(1000, time.Microsecond, record.ByLB(record.CauseNoBackend), false); n != 1000 {
		t.Errorf("%d of 1000 requests without a backend", n)
	}
	// A flood costs no more than an entry in each millisecond, and the newest are there.
	if n := count(100_000, 10*time.Microsecond, refused, false); n > 4096+1000 || n < 1000 {
		t.Errorf("%d of 100,000 faults in a second", n)
	}
	scan := record.ByClient(record.CauseNoRoute)
	if n := count(10_001, time.Millisecond, scan, false); n != 33 { // the burst, and one after 10 s
		t.Errorf("%d of a scanner's in ten seconds", n)
	}
	if n := count(600, 100*time.Millisecond, scan, false); n != 6 {
		t.Errorf("%d of a scanner's in a minute", n)
	}
	if n := count(10_000, time.Millisecond, record.Fault{}, true); n != 128+9 {
		t.Errorf("%d slow ones in ten seconds", n)
	}
	if n := count(1, 400*time.Second, scan, false) + count(40, time.Microsecond, scan, false); n != 32 {
		t.Errorf("%d of a scanner's after a pause", n)
	}
}
