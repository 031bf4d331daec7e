package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// said is a message as a page reads it.
type said struct {
	Full   bool
	At     int64
	Head   struct{ Rate, Errors float64 }
	Loops  []api.Loop
	Pools  []api.Pool
	Faults []struct{ Target string }
	Lost   int
	// Arrays, see message.
	Changed      [][3]json.RawMessage
	InFlight     [][3]uint64 `json:"in_flight"`
	History      *api.History
	Points       *api.History
	Certificates []api.Certificate
}

// rig is a handler whose ticks the test makes.
type rig struct {
	*Events
	f    *fake
	tick chan struct{}
	url  string
}

func newRig(t *testing.T, f *fake) *rig {
	r := &rig{Events: NewEvents(f), f: f, tick: make(chan struct{})}
	r.Events.tick = func(ctx context.Context, look func()) {
		for {
			select {
			case <-r.tick:
				look()
			case <-ctx.Done():
				return
			}
		}
	}
	r.url = serveEvents(t, r.Events)
	return r
}

// listen opens a stream and returns what it says, one by one.
func listen(t *testing.T, url string) (next func() said, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, resp.Header)
	}
	t.Cleanup(func() { resp.Body.Close() })
	out := make(chan said)
	go func() {
		defer close(out)
		in := bufio.NewScanner(resp.Body)
		in.Buffer(nil, 64<<20)
		for in.Scan() {
			text, ok := strings.CutPrefix(in.Text(), "data: ")
			if !ok {
				continue
			}
			var m said
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Errorf("%v in %s", err, text)
			}
			select {
			case out <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() said { t.Helper(); return testkit.Wait(t, out, "an event") }, cancel
}

// step makes one tick and returns what is said then.
func (r *rig) step(next func() said) said {
	r.tick <- struct{}{}
	return next()
}

// The first event says everything; later ones what has changed, and nothing else.
func TestEvents(t *testing.T) {
	r := newRig(t, newFake(poolOf("web", "p2c", 1, 3), poolOf("api", "p2c", 2, 2)))
	next, _ := listen(t, r.url)
	m := next()
	if !m.Full || len(m.Pools) != 2 || len(m.Pools[0].Backends) != 3 || len(m.Loops) != 4 || m.History == nil || len(m.History.Total.Rate) != 120 {
		t.Fatalf("first: %+v", m)
	}
	if m.History.Total.Errors != nil || m.Head.Rate != float64(r.f.history.Total.Rate[119]) {
		t.Errorf("zeros %v are said, or the rate is %v", m.History.Total.Errors, m.Head.Rate)
	}
	m = r.step(next)
	if m.Full || m.Pools != nil || m.Changed != nil || m.InFlight != nil || m.Loops != nil || m.Certificates != nil || m.Points != nil || m.Faults != nil {
		t.Errorf("nothing has changed: %+v", m)
	}
	r.f.change(func(s *api.Status) {
		b := &s.Pools[1].Backends[1]
		b.Health, b.HealthReason = "down", "cannot be reached"
		b.Since = b.Since.Add(300 * time.Microsecond)
		s.Pools[0].Backends[2].InFlight = 77
		s.Pools[0].Backends[1].Since = s.Pools[0].Backends[1].Since.Add(400 * time.Microsecond) // only computed again
		s.Pools[0].Backends[1].Requests += 5                                                    // which the page does not show
		s.Loops[3].Restarts++
	})
	r.f.followed(t)
	r.f.fail(`{"target":"/x"}`)
	m = r.step(next)
	if len(m.Changed) != 1 || !strings.Contains(string(m.Changed[0][2]), `"health":"down"`) || string(m.Changed[0][0])+string(m.Changed[0][1]) != "11" {
		t.Errorf("changed: %s", m.Changed)
	}
	if fmt.Sprint(m.InFlight) != "[[0 2 77]]" || len(m.Loops) != 4 || m.Pools != nil || len(m.Faults) != 1 || m.Faults[0].Target != "/x" {
		t.Errorf("%+v", m)
	}
	r.f.mu.Lock()
	r.f.fill(120)
	r.f.mu.Unlock()
	if m = r.step(next); m.Points == nil || len(m.Points.Total.Rate) != 1 || len(m.Points.Pools[1].Backends[1].Rate) != 1 || m.History != nil {
		t.Errorf("a point: %+v", m)
	}
	r.f.change(func(s *api.Status) { s.Pools = s.Pools[:1] })
	if m = r.step(next); len(m.Pools) != 1 || m.Changed != nil {
		t.Errorf("a pool less: %+v", m)
	}
	r.f.change(func(s *api.Status) { s.Pools = nil })
	if m = r.step(next); m.Pools == nil || len(m.Pools) != 0 {
		t.Errorf("no pool: %+v", m.Pools)
	}
}

// A second stream gets everything, and the first one goes on with changes.
func TestEventsOfTwo(t *testing.T) {
	r := newRig(t, newFake(poolOf("web", "p2c", 1, 3)))
	first, _ := listen(t, r.url)
	first()
	second, leave := listen(t, r.url)
	if m := second(); !m.Full {
		t.Errorf("second: %+v", m)
	}
	if m := first(); m.Full {
		t.Errorf("the first has everything again")
	}
	leave()
	testkit.Until(t, "one is gone", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.streams) == 1
	})
	if m := r.step(first); m.Full {
		t.Errorf("the first has everything again")
	}
}

// A stream that has missed an event gets everything with the next, faults too.
func TestEventsMissed(t *testing.T) {
	f := newFake(poolOf("web", "p2c", 1, 3))
	e := NewEvents(f)
	e.tick = func(ctx context.Context, _ func()) { <-ctx.Done() }
	s := e.add()
	defer e.Close()
	testkit.Until(t, "first event", func() bool { return len(s.next) == 1 })
	f.fail(`{"target":"/missed"}`)
	e.look() // the stream has not taken the first
	var m said
	for i, full := range []bool{true, true, false} {
		text := <-s.next
		if err := json.Unmarshal(text[len("data: "):], &m); err != nil || m.Full != full {
			t.Errorf("event %d: %v, full %v", i, err, m.Full)
		}
		if i == 1 && (len(m.Faults) != 1 || m.Faults[0].Target != "/missed") {
			t.Errorf("the fault is missing: %+v", m.Faults)
		}
		m = said{}
		e.look()
	}
}

// A storm of faults is cut short and counted.
func TestEventsFaultStorm(t *testing.T) {
	r := newRig(t, newFake(poolOf("web", "p2c", 1, 1)))
	next, _ := listen(t, r.url)
	next()
	r.f.followed(t)
	for i := range 1000 {
		r.f.fail(fmt.Sprintf(`{"target":"/%d"}`, i))
	}
	r.note(json.RawMessage(`{"kind":"lost","lost":7}`))
	m := r.step(next)
	if len(m.Faults) != faultsMax || m.Lost != 1000-faultsMax+7 || m.Faults[faultsMax-1].Target != "/999" {
		t.Errorf("%d faults, %d lost", len(m.Faults), m.Lost)
	}
}

// There are few streams at once; without streams nobody looks; Close ends them.
func TestEventsEnd(t *testing.T) {
	r := newRig(t, newFake(poolOf("web", "p2c", 1, 1)))
	var leave []func()
	for range streamsMax {
		next, end := listen(t, r.url)
		next()
		leave = append(leave, end)
	}
	if code := codeOf(t, r.url); code != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", code)
	}
	for _, end := range leave {
		end()
	}
	testkit.Until(t, "nobody looks", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.streams) == 0 && r.stop == nil
	})
	testkit.Until(t, "nobody follows", func() bool {
		r.f.mu.Lock()
		defer r.f.mu.Unlock()
		return len(r.f.follow) == 0
	})
	next, _ := listen(t, r.url)
	if m := next(); !m.Full {
		t.Error("not everything after a pause")
	}
	r.Close()
	if code := codeOf(t, r.url); code != http.StatusServiceUnavailable {
		t.Errorf("after Close: %d", code)
	}
}

func codeOf(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A rate is what has changed since the look before, whatever the history says.
func TestRates(t *testing.T) {
	at := time.Now()
	saw := func(after time.Duration, requests, bad uint64) *look {
		l := &look{at: at.Add(after)}
		l.status.Totals.Requests, l.status.Totals.Replies[5] = requests, bad
		return l
	}
	h := api.History{Total: api.Course{Rate: []float32{1, 7}, Errors: []float32{1, 2}}}
	for _, tc := range []struct {
		what         string
		before, l    *look
		rate, errors float64
	}{
		{"the first", nil, saw(0, 100, 10), 7, 2},
		{"two seconds", saw(0, 100, 10), saw(2*time.Second, 300, 13), 100, 1.5},
		{"begun again", saw(0, 100, 10), saw(time.Second, 5, 0), 0, 0},
	} {
		if tc.l.rates(tc.before, h); tc.l.rate != tc.rate || tc.l.errors != tc.errors {
			t.Errorf("%s: %v and %v, want %v and %v", tc.what, tc.l.rate, tc.l.errors, tc.rate, tc.errors)
		}
	}
}
