package observe

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/config/logging"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/record"
)

// rig is an observer with a clock that a test moves.
type rig struct {
	t     testing.TB
	board *board.Board
	cfg   *config.Config
	ob    *Observer
	now   tick.Instant
	wall  time.Time
}

// newRig returns an observer of loop 0, whose pool "web" has backends a:1 to d:1 and series 1, under a
// configuration that change has changed.
func newRig(t testing.TB, change func(*config.Config)) *rig {
	t.Helper()
	r := &rig{t: t, board: board.New(2, 8), now: tick.Instant(time.Hour), wall: time.Date(2026, 11, 27, 4, 30, 0, 0, time.UTC)}
	r.ob = New(Options{Board: r.board, Now: func() tick.Instant { return r.now }, Wall: func() time.Time { return r.wall }}, r.facts(change))
	return r
}

func (r *rig) facts(change func(*config.Config)) Facts {
	r.cfg = config.Default()
	r.cfg.AccessLog.Path = "-"
	pool := config.Pool{Name: "web"}
	for _, host := range []string{"a", "b", "c", "d"} {
		pool.Backends = append(pool.Backends, config.Backend{Host: host, Port: 1})
	}
	r.cfg.Pools = []config.Pool{{Name: "other"}, pool}
	if change != nil {
		change(r.cfg)
	}
	return Facts{Config: r.cfg, IDs: [][]int{nil, {4, 5, 6, 7}}}
}

// pass lets d pass on both clocks.
func (r *rig) pass(d time.Duration) { r.now, r.wall = r.now.Add(d), r.wall.Add(d) }

// exchange is one that begins now, with that head; "" for one that was refused.
func (r *rig) exchange(head string) *record.Record {
	r.t.Helper()
	var p httpparse.RequestParser
	p.Reset(&httpparse.Limits{HeadBytes: 64 << 10, Fields: 100, TargetBytes: 32 << 10})
	if st := p.Feed([]byte(head)); head != "" && st != httpparse.Done {
		r.t.Fatalf("%q: %v, %v", head, st, p.Reason)
	}
	peer, rec := new(front.Peer), new(record.Record)
	peer.Set(netip.MustParseAddrPort("192.0.2.1:9"), front.Plain)
	rec.Begin(true, r.now, r.now, peer, &p.Request)
	rec.NoteHead([]byte(head))
	return rec
}

// try has a backend be tried, by a conn that is made if fresh says so, and lets it take that long.
func (r *rig) try(rec *record.Record, backend string, fresh bool, took time.Duration) {
	rec.Pick(&record.Place{Pool: "web", Backend: backend, Series: 1, BackendSeries: -1}, [8]byte{1}, r.now)
	if fresh {
		rec.Enter(record.Dial, r.now)
		r.pass(2 * time.Millisecond)
		rec.Make(record.Made{Connected: r.now})
	} else {
		rec.Make(record.Made{Connected: 1})
	}
	rec.Enter(record.Send, r.now)
	rec.Enter(record.Wait, r.now)
	r.pass(took)
}

// answer ends the exchange with an answer of the backend.
func (r *rig) answer(rec *record.Record, status int) {
	rec.Answer(status)
	rec.Status = status
	rec.Enter(record.Relay, r.now)
	rec.EndAttempt(r.now)
	r.end(rec)
}

// fail ends the exchange by f, with a reply if status is not 0.
func (r *rig) fail(rec *record.Record, f record.Fault, status int) {
	if rec.Attempts > 0 {
		rec.Fail(f)
		rec.EndAttempt(r.now)
	}
	if rec.Fault = f; status > 0 {
		rec.Status, rec.Own = status, true
		rec.Enter(record.Relay, r.now)
	}
	r.end(rec)
}

func (r *rig) end(rec *record.Record) {
	rec.Ended = r.now
	r.ob.Record(rec)
}

const get = "GET /x?token=t HTTP/1.1\r\nHost: a.example\r\nCookie: c=t\r\n\r\n"

// good is a whole exchange that took that long.
func (r *rig) good(took time.Duration) {
	rec := r.exchange(get)
	r.try(rec, "a:1", false, took)
	r.answer(rec, 200)
}

// lines returns the lines that are on their way to the writer, and takes them.
func (r *rig) lines() (all []string) {
	ring := r.board.LogRing(0)
	first, rest := ring.Pending()
	text := string(first) + string(rest)
	ring.Consume(len(text))
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// entries returns what has come into a ring since the last call with the same from.
func (r *rig) entries(ring *board.Ring, from *uint64) (all []map[string]any) {
	r.t.Helper()
	*from, _ = ring.Read(*from, func(_ uint64, entry []byte) {
		var m map[string]any
		if err := json.Unmarshal(entry, &m); err != nil {
			r.t.Errorf("%v: %s", err, entry)
		}
		all = append(all, m)
	})
	return all
}

// logged sets the format, the share and the slow time of the access log.
func logged(format string, sample float64, slow time.Duration) func(*config.Config) {
	return func(c *config.Config) {
		c.AccessLog = logging.AccessLog{Path: "-", Format: format, Sample: sample, Slow: slow}
	}
}
