package record

import (
	"testing"
	"time"

	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
)

// at is a moment some milliseconds after the beginning of a record.
func at(ms int) tick.Instant {
	return tick.Instant(time.Second).Add(time.Duration(ms) * time.Millisecond)
}

// ms is a length of time.
func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// begun returns a record whose first byte came at 0 and whose head was whole at 1.
func begun() *Record {
	r := new(Record)
	r.Begin(true, at(0), at(1), new(front.Peer), new(httpparse.Request))
	return r
}

var (
	placeA = Place{Pool: "p", Backend: "a", Series: 1, BackendSeries: 2}
	placeB = Place{Pool: "p", Backend: "b", Series: 1, BackendSeries: -1}
)

// answered ends r with an answer of 200, whose head comes at from and whose end at to.
func (r *Record) answered(from, to int) {
	r.Answer(200)
	r.Status = 200
	r.Enter(Relay, at(from))
	r.EndAttempt(at(to))
	r.Ended = at(to)
}

// own ends r with an answer of lb's own.
func (r *Record) own(from, to int) {
	r.Status, r.Own = 503, true
	r.Enter(Relay, at(from))
	r.Ended = at(to)
}

// partsTests are exchanges and the lengths of their parts.
var partsTests = []struct {
	name string
	run  func(r *Record)
	want Parts
}{
	{"a new conn with TLS", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(3))
		r.Enter(Dial, at(3))
		r.Make(Made{Connected: at(7), Secured: at(15), TLS: true})
		r.Enter(Send, at(16)) // HTTP/2: SETTINGS
		r.Enter(Wait, at(32))
		r.answered(64, 128)
	}, Parts{Head: ms(1), Queue: ms(2), Connect: ms(5), TLS: ms(8), Send: ms(16), FirstByte: ms(32), Body: ms(64), Total: ms(128)}},
	{"a plain conn", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(1))
		r.Enter(Dial, at(1))
		r.Make(Made{Connected: at(3)})
		r.Enter(Send, at(3))
		r.Enter(Wait, at(3))
		r.answered(4, 5)
	}, Parts{Head: ms(1), Connect: ms(2), FirstByte: ms(1), Body: ms(1), Total: ms(5)}},
	{"an idle conn, answered early", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(1))
		r.Make(Made{Connected: at(-5), Used: true})
		r.Enter(Send, at(1))
		r.Waits(true, at(2))
		r.answered(8, 9)
		r.Waits(false, at(7))
	}, Parts{Head: ms(1), Send: ms(7), Body: ms(1), Total: ms(9), Stall: ms(5)}},
	{"retried", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(2))
		r.Enter(Dial, at(2))
		r.Fail(ByBackend(CauseNoConnect))
		r.EndAttempt(at(5))
		r.Enter(Pick, at(5))
		r.Pick(&placeB, [8]byte{}, at(9))
		r.Make(Made{Connected: at(-5), Used: true})
		r.Enter(Send, at(9))
		r.Enter(Wait, at(10))
		r.answered(20, 21)
	}, Parts{Head: ms(1), Queue: ms(1 + 4), Earlier: ms(3), Send: ms(1), FirstByte: ms(10), Body: ms(1), Total: ms(21)}},
	{"a handshake that fails, and a queue after it", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(2))
		r.Enter(Dial, at(2))
		r.Make(Made{Connected: at(4), TLS: true})
		r.Fail(LateHandshake())
		r.EndAttempt(at(9))
		r.own(12, 13)
	}, Parts{Head: ms(1), Queue: ms(1 + 3), Connect: ms(2), TLS: ms(5), Body: ms(1), Total: ms(13)}},
	{"a conn that never comes about", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(1))
		r.Enter(Dial, at(1))
		r.Make(Made{})
		r.Fail(ByBackend(CauseSlow))
		r.EndAttempt(at(9))
		r.own(9, 9)
	}, Parts{Head: ms(1), Connect: ms(8), Total: ms(9)}},
	{"no answer in time", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(1))
		r.Make(Made{Used: true})
		r.Enter(Send, at(1))
		r.Enter(Wait, at(2))
		r.Fail(ByBackend(CauseSlow))
		r.EndAttempt(at(9))
		r.own(9, 10)
	}, Parts{Head: ms(1), Send: ms(1), FirstByte: ms(7), Body: ms(1), Total: ms(10)}},
	{"a client that leaves while it waits", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(1))
		r.Make(Made{Used: true})
		r.Enter(Send, at(1))
		r.Enter(Wait, at(2))
		r.EndAttempt(at(9))
		r.Ended = at(9)
	}, Parts{Head: ms(1), Send: ms(1), FirstByte: ms(7), Total: ms(9)}},
	{"no room", func(r *Record) { r.own(6, 7) }, Parts{Head: ms(1), Queue: ms(5), Body: ms(1), Total: ms(7)}},
	{"left the queue", func(r *Record) { r.Ended = at(6) }, Parts{Head: ms(1), Queue: ms(5), Total: ms(6)}},
	{"a slow reader", func(r *Record) {
		r.Pick(&placeA, [8]byte{}, at(1))
		r.Make(Made{Used: true})
		r.Enter(Send, at(1))
		r.Enter(Wait, at(1))
		r.Waits(false, at(1))
		r.Waits(true, at(3))
		r.Waits(true, at(4))
		r.Waits(false, at(5))
		r.Waits(true, at(7))
		r.Waits(false, at(9))
		r.answered(2, 9)
	}, Parts{Head: ms(1), FirstByte: ms(1), Body: ms(7), Total: ms(9), Stall: ms(4)}},
}

// TestParts: how long each part took, and that they are the total in all.
func TestParts(t *testing.T) {
	for _, tc := range partsTests {
		r := begun()
		tc.run(r)
		p := r.Parts()
		if p != tc.want {
			t.Errorf("%s:\n%+v, want\n%+v", tc.name, p, tc.want)
		}
		if sum := p.Head + p.Queue + p.Earlier + p.Connect + p.TLS + p.Send + p.FirstByte + p.Body; sum != p.Total {
			t.Errorf("%s: %v in all, want %v", tc.name, sum, p.Total)
		}
	}
}

// TestDone: of more attempts than there is room for, the first and the last are kept, and
// the next exchange has none of them.
func TestDone(t *testing.T) {
	r := begun()
	const n = TriesMax + 3
	for i := range n {
		r.Pick(&placeA, [8]byte{byte(i)}, at(2*i))
		r.Fail(Fault{Side: BackendSide, Cause: CauseReset, Detail: uint16(i)})
		r.EndAttempt(at(2*i + 1))
	}
	all := r.Done()
	if len(all) != TriesMax || r.Attempts != n {
		t.Fatalf("%d attempts of %d", len(all), r.Attempts)
	}
	for i, a := range all {
		want := i
		if i == TriesMax-1 {
			want = n - 1
		}
		if int(a.Span[0]) != want || int(a.Fault.Detail) != want || a.At != at(2*want) || a.Took != ms(1) || a.Backend != "a" {
			t.Errorf("attempt %d is %+v", i, a)
		}
	}
	r.own(2*n, 2*n)
	if p := r.Parts(); p.Earlier != ms(n-1) || p.Total != ms(2*n) {
		t.Errorf("%+v", p)
	}
	r.Begin(true, at(0), at(1), r.Peer, r.Request)
	if len(r.Done()) != 0 || r.Attempts != 0 {
		t.Errorf("%+v in the next exchange", r.Done())
	}
}

// TestMade: a conn that others had begun counts from where the attempt came to it.
func TestMade(t *testing.T) {
	for _, tc := range []struct {
		name               string
		dialled            bool
		made               Made
		connected, secured tick.Instant
		reused             bool
	}{
		{"idle", false, Made{Connected: at(1), Used: true}, 0, 0, true},
		{"with streams of others", false, Made{Connected: at(1), Secured: at(2), TLS: true}, 0, 0, true},
		{"idle, after a wait for another", true, Made{Connected: at(1), Used: true}, 0, 0, true},
		{"its own", true, Made{Connected: at(12), Secured: at(13), TLS: true}, at(12), at(13), false},
		{"in its handshake", true, Made{Connected: at(5), Secured: at(13), TLS: true}, at(10), at(13), false},
		{"at SETTINGS", true, Made{Connected: at(5), Secured: at(7), TLS: true}, at(10), at(10), false},
		{"not connected", true, Made{}, 0, 0, false},
	} {
		r := begun()
		if r.Pick(&placeA, [8]byte{}, at(10)); tc.dialled {
			r.Enter(Dial, at(10))
		}
		r.Make(tc.made)
		if r.Connected != tc.connected || r.Secured != tc.secured || r.Reused != tc.reused {
			t.Errorf("%s: connected %d, secured %d, reused %t", tc.name, r.Connected, r.Secured, r.Reused)
		}
	}
}

// TestUnwanted: without a listener only what the proxy itself needs is kept.
func TestUnwanted(t *testing.T) {
	r := new(Record)
	r.Begin(false, at(0), at(1), nil, nil)
	r.Pick(&placeA, [8]byte{}, at(2))
	r.Make(Made{Connected: at(3)})
	r.Waits(true, at(3))
	r.Answer(200)
	r.Fail(ByBackend(CauseReset))
	r.EndAttempt(at(4))
	r.NoteHead([]byte("GET"))
	r.Enter(Dial, at(5))
	if r.Attempts != 1 || r.Begun != 0 || r.Backend != "" || r.Dialled != 0 || len(r.Head) != 0 || r.Tries[0] != (Attempt{}) || r.stall != 0 {
		t.Errorf("%+v", r)
	}
}

// TestPlaceOf: a backend without a series has -1.
func TestPlaceOf(t *testing.T) {
	series, backends := []int{5, -1}, [][]int{{6, 7}, nil}
	for _, tc := range []struct {
		i, j, series, backend int
	}{{0, 1, 5, 7}, {0, 2, 5, -1}, {1, 0, -1, -1}, {2, 0, -1, -1}} {
		want := Place{Pool: "p", Backend: "b", Series: tc.series, BackendSeries: tc.backend}
		if got := PlaceOf("p", "b", series, backends, tc.i, tc.j); got != want {
			t.Errorf("%d %d: %+v, want %+v", tc.i, tc.j, got, want)
		}
	}
	if got := PlaceOf("p", "b", nil, nil, 0, 0); got.Series != -1 || got.BackendSeries != -1 {
		t.Errorf("%+v without lists", got)
	}
}
