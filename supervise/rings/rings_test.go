package rings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/internal/testkit"
)

// rig is a Reader of a board with two loops.
type rig struct {
	*Reader
	board *board.Board
	gone  bool
	mu    sync.Mutex // guards gone
}

func newRig() *rig {
	r := &rig{board: board.New(2, 1)}
	r.Reader = &Reader{Now: func() int64 { return int64(time.Hour) }, Look: func(f func(*board.Board)) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.gone {
			f(r.board)
		}
		return !r.gone
	}}
	return r
}

// at returns an entry of an exchange that began at second s and took so many.
func at(s, took int, name string) []byte {
	began := time.Date(2026, 11, 27, 4, 0, s, 0, time.UTC)
	return fmt.Appendf(nil, `{"time":%q,"name":%q,"total_us":%d}`, began.Format("2006-01-02T15:04:05.000000Z"), name, took*1e6)
}

// names returns the names of entries.
func names(list []json.RawMessage) string {
	var out []string
	for _, text := range list {
		var e struct {
			Name, Kind string
			Lost       int
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return err.Error()
		}
		if e.Kind == "lost" {
			e.Name = fmt.Sprint("lost ", e.Lost)
		}
		out = append(out, e.Name)
	}
	return strings.Join(out, " ")
}

// The faults of all loops come in the order in which they ended, and the newest are taken.
func TestFaults(t *testing.T) {
	r := newRig()
	if list := r.Faults(10); list == nil || len(list) != 0 {
		t.Errorf("of nothing: %v", list)
	}
	r.board.FaultRing(0).Put(at(10, 0, "b"))
	r.board.FaultRing(1).Put(at(5, 0, "a"))
	r.board.FaultRing(1).Put(at(0, 30, "d")) // began first, and ended last
	r.board.FaultRing(0).Put(at(11, 1, "c"))
	r.board.FaultRing(0).Put([]byte(`{"time":"2026`)) // was cut
	r.board.TapRing(0).Put(at(1, 1, "tap"))
	for most, want := range map[int]string{-1: "", 0: "", 1: "d", 2: "c d", 4: "a b c d", 256: "a b c d"} {
		if got := names(r.Faults(most)); got != want {
			t.Errorf("%d: %s, want %s", most, got, want)
		}
	}
	r.gone = true
	if list := r.Faults(10); len(list) != 0 {
		t.Errorf("without a board: %v", list)
	}
}

// As many are kept as one ring has, of each loop.
func TestFaultsKept(t *testing.T) {
	r := newRig()
	b, file, err := board.Create(board.Size{Loops: 1, Backends: 1, Series: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer b.Close()
	b.ClaimLoop(0)
	r.board = b
	for i := range board.FaultsKept + 9 {
		b.FaultRing(0).Put(at(0, i, fmt.Sprint(i)))
	}
	list := r.Faults(board.FaultsKept)
	if got := names(list); len(list) != board.FaultsKept || !strings.HasPrefix(got, "9 10 ") || !strings.HasSuffix(got, fmt.Sprint(" ", board.FaultsKept+8)) {
		t.Errorf("%d entries: %s", len(list), got)
	}
}

// stream collects what is passed on.
type stream struct {
	mu   sync.Mutex
	list []json.RawMessage
	done chan error
}

// begin runs a stream on a goroutine and returns after it has begun.
func begin(t *testing.T, run func(each func(json.RawMessage)) error) *stream {
	t.Helper()
	s := &stream{done: make(chan error, 1)}
	begun := make(chan struct{})
	go func() {
		s.done <- run(func(text json.RawMessage) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if text == nil {
				close(begun)
				return
			}
			s.list = append(s.list, text)
		})
	}()
	testkit.Wait(t, begun, "the stream to begin")
	return s
}

func (s *stream) names() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return names(s.list)
}

// A stream begins with the newest entries and goes on without a gap.
func TestFollowFaults(t *testing.T) {
	for most, past := range map[int]string{0: "", 1: "b ", 5: "a b "} {
		r := newRig()
		r.board.FaultRing(0).Put(at(1, 0, "a"))
		r.board.FaultRing(1).Put(at(2, 0, "b"))
		ctx, cancel := context.WithCancel(t.Context())
		s := begin(t, func(each func(json.RawMessage)) error { return r.FollowFaults(ctx, most, each) })
		r.board.FaultRing(1).Put(at(3, 0, "c"))
		testkit.Until(t, "c", func() bool { return s.names() == past+"c" })
		r.board.FaultRing(0).Put(at(4, 0, "d"))
		r.board.FaultRing(1).Put([]byte("{")) // was cut
		testkit.Until(t, "d", func() bool {
			return strings.Contains(s.names(), "c lost 1 d") || strings.HasSuffix(s.names(), "d lost 1")
		})
		r.board.FaultRing(0).Put(at(5, 0, "e"))
		cancel()
		if err := testkit.Wait(t, s.done, "the end"); err != nil || !strings.HasSuffix(s.names(), " e") {
			t.Errorf("the end: %v, %s", err, s.names())
		}
	}
}

// What a slow reader has missed is counted.
func TestFollowSlowly(t *testing.T) {
	r := newRig()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, hold, held := make(chan struct{}), make(chan struct{}), make(chan struct{})
	first := true
	var list []json.RawMessage
	done := make(chan error, 1)
	go func() {
		done <- r.FollowFaults(ctx, 0, func(text json.RawMessage) {
			if text == nil {
				close(begun)
				return
			}
			if list = append(list, text); first {
				first = false
				close(held)
				<-hold
			}
		})
	}()
	testkit.Wait(t, begun, "the stream to begin")
	r.board.FaultRing(0).Put(at(0, 0, "x"))
	testkit.Wait(t, held, "the first entry")
	for range 2 * board.FaultsKept {
		r.board.FaultRing(0).Put(at(1, 0, "y"))
	}
	close(hold)
	cancel()
	if err := testkit.Wait(t, done, "the end"); err != nil {
		t.Error(err)
	}
	if got, want := count(t, list), 1+2*board.FaultsKept; got != want {
		t.Errorf("%d entries were passed on or counted, want %d", got, want)
	}
	if !strings.Contains(names(list), "lost ") {
		t.Error("nothing was lost")
	}
}

// count returns how many entries list has or speaks of.
func count(t *testing.T, list []json.RawMessage) (n int) {
	for _, text := range list {
		var l api.Lost
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		if n++; l.Kind == "lost" {
			n += int(l.Lost) - 1
		}
	}
	return n
}

// A trace sets the tap for its time, passes on what the loops put there, and clears it.
func TestTrace(t *testing.T) {
	r := newRig()
	r.board.TapRing(0).Put(at(1, 0, "of another trace"))
	ctx, cancel := context.WithCancel(t.Context())
	s := begin(t, func(each func(json.RawMessage)) error {
		return r.Trace(ctx, api.TraceAsk{Client: "192.0.2.77/24", ID: "abc", For: time.Minute}, each)
	})
	tap := r.board.Tap()
	f, ok := tap.Filter()
	if want := (board.TapFilter{Client: netip.MustParsePrefix("192.0.2.0/24"), ID: "abc"}); !ok || !reflect.DeepEqual(f, want) {
		t.Errorf("the filter is %v, %v, want %v", f, ok, want)
	}
	if until := tap.Until.Load(); until != uint64(time.Hour+time.Minute) {
		t.Errorf("until %v", time.Duration(until))
	}
	if err := r.Trace(t.Context(), api.TraceAsk{ID: "x"}, nil); err == nil || errors.As(err, new(api.AskError)) || !strings.Contains(err.Error(), "another trace") {
		t.Errorf("a second trace: %v", err)
	}
	r.board.TapRing(1).Put(at(2, 0, "a"))
	testkit.Until(t, "an entry", func() bool { return s.names() == "a" })
	cancel()
	if err := testkit.Wait(t, s.done, "the end"); err != nil || tap.Until.Load() != 0 {
		t.Errorf("%v, the tap is on until %d", err, tap.Until.Load())
	}
	s = begin(t, func(each func(json.RawMessage)) error {
		return r.Trace(t.Context(), api.TraceAsk{Client: "::1", For: time.Millisecond}, each)
	})
	if err := testkit.Wait(t, s.done, "the end of its time"); err != nil || tap.Until.Load() != 0 {
		t.Errorf("%v, the tap is on until %d", err, tap.Until.Load())
	}
}

// A trace leaves the tap to the process that has taken over.
func TestTraceOfAnother(t *testing.T) {
	r := newRig()
	ctx, cancel := context.WithCancel(t.Context())
	s := begin(t, func(each func(json.RawMessage)) error { return r.Trace(ctx, api.TraceAsk{ID: "a"}, each) })
	r.board.Tap().Set(board.TapFilter{ID: "b"}, 7)
	cancel()
	testkit.Wait(t, s.done, "the end")
	if f, ok := r.board.Tap().Filter(); !ok || f.ID != "b" || r.board.Tap().Until.Load() != 7 {
		t.Errorf("the tap of another: %v, until %d", f, r.board.Tap().Until.Load())
	}
}

// What makes no sense is refused, before anything is set.
func TestTraceRefused(t *testing.T) {
	r := newRig()
	for _, ask := range []api.TraceAsk{
		{}, {For: time.Second}, {Client: "a.example"}, {Client: "1.2.3"}, {Client: "1.2.3.4/33"}, {Client: "fe80::1%eth0"}, {Client: "fe80::%eth0/64"},
		{Client: "1.2.3.4:80"}, {ID: "a", For: api.TraceMax + 1}, {ID: "a", For: -1}, {ID: strings.Repeat("a", idMax+1)},
	} {
		err := r.Trace(t.Context(), ask, nil)
		if !errors.As(err, new(api.AskError)) || strings.Contains(err.Error(), "\n") || r.board.Tap().Until.Load() != 0 {
			t.Errorf("%+v: %v", ask, err)
		}
	}
	for client, want := range map[string]string{
		"1.2.3.4": "1.2.3.4/32", "::ffff:1.2.3.4": "1.2.3.4/32", "10.1.2.3/8": "10.0.0.0/8", "2001:db8::1": "2001:db8::1/128",
		"2001:db8::1/32": "2001:db8::/32", "::/0": "::/0", "0.0.0.0/0": "0.0.0.0/0",
	} {
		f, err := filterOf(api.TraceAsk{Client: client})
		if err != nil || f.Client.String() != want {
			t.Errorf("%s: %v, %v, want %s", client, f.Client, err, want)
		}
	}
}

// Streams end when the board is gone.
func TestBoardGone(t *testing.T) {
	r := newRig()
	s := begin(t, func(each func(json.RawMessage)) error { return r.FollowFaults(t.Context(), 0, each) })
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
	testkit.Wait(t, s.done, "the end")
	if err := r.FollowFaults(t.Context(), 0, func(json.RawMessage) { t.Error("it has begun") }); err != nil {
		t.Error(err)
	}
}
