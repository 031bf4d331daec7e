package observe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/proxy/front"
	"lb/proxy/record"
)

var refused = record.Fault{Side: record.BackendSide, Cause: record.CauseNoConnect, Phase: record.Dial, Detail: 111}

// TestHistograms: each part of an exchange is counted where there was one, in the series of its pool
// and in that of its backend.
func TestHistograms(t *testing.T) {
	r := newRig(t, nil)
	rec := r.exchange(get)
	r.try(rec, "a:1", true, 100*time.Millisecond)
	rec.BackendSeries = 2
	r.answer(rec, 200)
	r.good(30 * time.Millisecond)
	rec = r.exchange(get)
	r.pass(10 * time.Millisecond) // waits for room
	r.try(rec, "a:1", false, 20*time.Millisecond)
	r.fail(rec, record.Fault{Side: record.BackendSide, Cause: record.CauseReset, Phase: record.Wait}, 502)
	r.fail(r.exchange(get), record.ByClient(record.CauseNoRoute), 404) // in no pool

	pool, backend := r.board.SeriesTotals(1), r.board.SeriesTotals(2)
	for _, tc := range []struct {
		name  string
		sum   *board.HistogramSum
		count uint64
		nanos time.Duration
	}{
		{"total", &pool.Total, 3, 162 * time.Millisecond},
		{"first byte", &pool.FirstByte, 2, 130 * time.Millisecond},
		{"connect", &pool.Connect, 1, 2 * time.Millisecond},
		{"queue", &pool.Queue, 1, 10 * time.Millisecond},
		{"handshake", &pool.Handshake, 0, 0},
		{"total of the backend", &backend.Total, 1, 102 * time.Millisecond},
		{"connect of the backend", &backend.Connect, 1, 2 * time.Millisecond},
		{"queue of the backend", &backend.Queue, 0, 0},
	} {
		if tc.sum.Count() != tc.count || tc.sum.Nanos != uint64(tc.nanos) {
			t.Errorf("%s: %d of %v, want %d of %v", tc.name, tc.sum.Count(), time.Duration(tc.sum.Nanos), tc.count, tc.nanos)
		}
	}
}

// TestHandshake: TLS with a backend is counted apart from the conn below.
func TestHandshake(t *testing.T) {
	r := newRig(t, nil)
	rec := r.exchange(get)
	rec.Pick(&record.Place{Pool: "web", Backend: "a:1", Series: 1, BackendSeries: -1}, [8]byte{}, r.now)
	rec.Enter(record.Dial, r.now)
	r.pass(time.Millisecond)
	connected := r.now
	r.pass(3 * time.Millisecond)
	rec.Make(record.Made{Connected: connected, Secured: r.now, TLS: true})
	rec.Enter(record.Send, r.now)
	rec.Enter(record.Wait, r.now)
	r.answer(rec, 200)
	sum := r.board.SeriesTotals(1)
	if sum.Connect.Nanos != 1e6 || sum.Handshake.Nanos != 3e6 || sum.Handshake.Count() != 1 {
		t.Errorf("connect %d ns, handshake %d ns", sum.Connect.Nanos, sum.Handshake.Nanos)
	}
}

// TestFaults: an exchange that ends by a fault is counted by side, phase and cause.
func TestFaults(t *testing.T) {
	r := newRig(t, nil)
	rec := r.exchange(get)
	r.try(rec, "a:1", false, time.Millisecond)
	r.fail(rec, refused, 502)
	r.good(time.Millisecond)
	for kind := range board.FaultKinds {
		side, phase, cause := board.FaultOf(kind)
		want := uint64(0)
		if record.Side(side) == refused.Side && record.Phase(phase) == refused.Phase && record.Cause(cause) == refused.Cause {
			want = 1
		}
		if n := r.board.Loop(0).Faults[kind].Load(); n != want {
			t.Errorf("%d faults of side %d, phase %d, cause %d, want %d", n, side, phase, cause, want)
		}
	}
}

// TestLog: there is a line for each exchange, in the format of the configuration, and it is counted. A
// reload changes the format, and ends the log.
func TestLog(t *testing.T) {
	r := newRig(t, logged("{method} {target} {status} {total_ms} {time}", 1, time.Second))
	r.good(1500 * time.Microsecond)
	r.fail(r.exchange(""), record.ByClient(record.CauseGone), 0)
	want := []string{"GET /x?token=*** 200 1.500 2026-11-27T04:30:00.000000Z", "- - 499 0.000 2026-11-27T04:30:00.001500Z"}
	if got := r.lines(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	r.ob.Use(r.facts(logged("combined", 1, time.Second)))
	r.good(0)
	if got := r.lines(); len(got) != 1 || !strings.HasSuffix(got[0], `"GET /x?token=*** HTTP/1.1" 200 0 "-" "-"`) {
		t.Errorf("%q", got)
	}
	r.ob.Use(r.facts(func(c *config.Config) { c.AccessLog.Path = "" }))
	r.good(0)
	c := r.board.Loop(0)
	if got := r.lines(); got != nil || c.LogLines.Load() != 3 || c.LogLost.Load() != 0 {
		t.Errorf("%q without a log; %d lines, %d lost", got, c.LogLines.Load(), c.LogLost.Load())
	}
}

// TestLost: a line without room is dropped and counted, and the exchange goes on.
func TestLost(t *testing.T) {
	r := newRig(t, logged("json", 1, time.Second))
	c := r.board.Loop(0)
	n := 0
	for ; c.LogLost.Load() == 0; n++ {
		r.good(0)
	}
	if c.LogLines.Load() != uint64(n-1) || len(r.lines()) != n-1 {
		t.Errorf("%d exchanges: %d lines, %d lost", n, c.LogLines.Load(), c.LogLost.Load())
	}
	if r.good(0); len(r.lines()) != 1 {
		t.Error("no line although there is room again")
	}
}

// TestSample: a share of the good exchanges has a line, and every one that failed or was slow.
func TestSample(t *testing.T) {
	for _, share := range []float64{0, 0.25, 0.999} {
		r := newRig(t, logged("{status} {end_why}", share, time.Second))
		const n = 4000
		got := 0
		for range n {
			r.good(0)
			got += len(r.lines())
		}
		if want := share * n; float64(got) < want-200 || float64(got) > want+200 {
			t.Errorf("%d of %d lines, want a share of %g", got, n, share)
		}
		r.good(time.Second)
		rec := r.exchange(get)
		r.try(rec, "a:1", false, 0)
		r.answer(rec, 503)
		r.fail(r.exchange(""), record.Fault{Side: record.ClientSide, Cause: record.CauseBadRequest, Detail: 1}, 400)
		if got := r.lines(); !slices.Equal(got, []string{"200 -", "503 -", "400 bad_request"}) {
			t.Errorf("%g: %q", share, got)
		}
	}
}

// TestTime: the time of a line follows the clock of the machine when that is set, and is when the request
// began.
func TestTime(t *testing.T) {
	r := newRig(t, logged("{time}", 1, time.Second))
	r.good(90 * time.Millisecond)
	r.wall = r.wall.Add(time.Hour)
	r.pass(200 * time.Millisecond)
	r.good(250 * time.Millisecond)
	want := []string{"2026-11-27T04:30:00.000000Z", "2026-11-27T05:30:00.290000Z"}
	if got := r.lines(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestClient: the client is the one that a trusted proxy names.
func TestClient(t *testing.T) {
	r := newRig(t, logged("{client} {peer}", 1, time.Second))
	r.cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	head := "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9, 2001:db8::1, 192.0.2.7\r\n\r\n"
	for _, trusted := range []bool{true, false} {
		rec := r.exchange(head)
		rec.Peer.Trusted = trusted
		r.fail(rec, record.ByClient(record.CauseNoRoute), 404)
	}
	if got := r.lines(); !slices.Equal(got, []string{"2001:db8::1 192.0.2.1", "192.0.2.1 192.0.2.1"}) {
		t.Errorf("%q", got)
	}
}

// TestSpans: an exchange whose trace is sampled has a span while tracing is on.
func TestSpans(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Tracing.Endpoint = "http://127.0.0.1:4318" })
	from := uint64(0)
	sampled := func() {
		rec := r.exchange(get)
		rec.Trace = record.Trace{ID: [16]byte{1}, Span: [8]byte{2}, Sampled: true}
		r.try(rec, "a:1", false, 1500*time.Nanosecond)
		r.answer(rec, 200)
	}
	sampled()
	r.good(0)
	list := r.entries(r.board.SpanRing(0), &from)
	if len(list) != 1 || list[0]["kind"] != "span" {
		t.Fatalf("%v", list)
	}
	trace := list[0]["trace"].(map[string]any)
	if trace["trace_id"] != "01000000000000000000000000000000" || trace["span_id"] != "0200000000000000" || trace["end_ns"].(float64)-trace["start_ns"].(float64) < 1000 {
		t.Errorf("%v", trace)
	}
	r.ob.Use(r.facts(nil))
	if sampled(); r.entries(r.board.SpanRing(0), &from) != nil {
		t.Error("a span without tracing")
	}
}

// TestTap: while a tap is on, the exchanges of its client or with its id are in the ring, without
// credentials.
func TestTap(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.AccessLog.Path = "" })
	from := uint64(0)
	for i, tc := range []struct {
		client, id string
		until      time.Duration
		want       bool
	}{
		{"", "", 0, false},
		{"", "", time.Minute, true},
		{"", "", -time.Minute, false},
		{"192.0.2.0/24", "", time.Minute, true},
		{"203.0.113.9/32", "", time.Minute, true}, // as it is believed
		{"203.0.113.8/32", "", time.Minute, false},
		{"", "id-1", time.Minute, true},
		{"", "id-2", time.Minute, false},
		{"192.0.2.1/32", "id-1", time.Minute, true},
		{"2001:db8::/32", "id-1", time.Minute, false},
	} {
		f := board.TapFilter{ID: tc.id}
		if tc.client != "" {
			f.Client = netip.MustParsePrefix(tc.client)
		}
		until := int64(0)
		if tc.until != 0 {
			until = int64(r.now.Add(tc.until))
		}
		r.board.Tap().Set(f, until)
		rec := r.exchange("GET /x?token=t HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nCookie: c=t\r\n\r\n")
		rec.Peer.Trusted, rec.ID = true, []byte("id-1")
		r.try(rec, "a:1", false, 0)
		r.answer(rec, 200)
		list := r.entries(r.board.TapRing(0), &from)
		if (len(list) == 1) != tc.want {
			t.Errorf("%d: %v", i, list)
			continue
		}
		if tc.want && (list[0]["kind"] != "trace" || list[0]["head"] != "GET /x?token=*** HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nCookie: ***\r\n\r\n") {
			t.Errorf("%d: %v", i, list[0])
		}
	}
}

// TestNoAlloc: nothing is allocated, whatever happens.
func TestNoAlloc(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Tracing.Endpoint = "http://127.0.0.1:4318" })
	good := r.exchange(get)
	good.Trace.Sampled = true
	r.try(good, "a:1", true, 0)
	r.answer(good, 200)
	bad := r.exchange(get)
	bad.Peer.Trusted = true
	r.try(bad, "a:1", true, 0)
	r.fail(bad, refused, 502)
	unix := r.exchange(get)
	unix.Peer.Set(netip.AddrPort{}, front.Plain)
	r.try(unix, "a:1", false, 0)
	r.answer(unix, 200)
	for _, f := range []board.TapFilter{{ID: "x"}, {Client: netip.MustParsePrefix("192.0.2.0/24")}, {Client: netip.MustParsePrefix("2001:db8::/32")}} {
		r.board.Tap().Set(f, int64(r.now.Add(time.Hour)))
		for name, rec := range map[string]*record.Record{"good": good, "bad": bad, "unix": unix} {
			if n := testing.AllocsPerRun(100, func() {
				r.pass(time.Millisecond)
				r.ob.Record(rec)
			}); n != 0 {
				t.Errorf("%s: %v allocations with the tap on %v", name, n, f)
			}
		}
	}
}

// TestStates: an entry has the backends of the pool as they are, those that were tried first, and no more
// than there is room for.
func TestStates(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Pools[1].Backends[3].Drain = true })
	now := int64(r.now)
	r.board.SetAdmin(4, board.Disabled, now)
	r.board.SetHealth(5, board.Down, board.ReasonConnect, 0, now)
	r.board.State(6).EjectedUntil.Store(uint64(r.now.Add(time.Minute)))
	r.board.Backend(1, 6).InFlight.Add(3)
	rec := r.exchange(get)
	r.try(rec, "c:1", false, 0)
	r.fail(rec, refused, 502)
	from := uint64(0)
	list := r.entries(r.board.FaultRing(0), &from)
	if len(list) != 1 {
		t.Fatalf("%v", list)
	}
	want := "[map[backend:c:1 in_flight:3 state:ejected] map[backend:a:1 in_flight:0 state:disabled] map[backend:b:1 in_flight:0 state:down] map[backend:d:1 in_flight:0 state:draining]]"
	if got := fmt.Sprint(list[0]["backends"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
