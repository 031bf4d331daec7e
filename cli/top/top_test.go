package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"lb/admin/api"
)

var update = flag.Bool("update", false, "write the golden files")

// start is when the first status comes.
var start = time.Date(2026, 11, 27, 4, 30, 0, 0, time.UTC)

// fake is an lb that answers what a test has put into it.
type fake struct {
	status  api.Status
	history api.History
	err     error
	changed []string
}

func (f *fake) Status() (api.Status, error) { return f.status, f.err }

func (f *fake) History(points int) (api.History, error) { return f.history.Last(points), f.err }

func (f *fake) SetBackend(pool, address string, action api.Action, weight int) (api.Backend, error) {
	f.changed = append(f.changed, fmt.Sprintf("%s %s %s %d", action, pool, address, weight))
	return api.Backend{Pool: pool, Address: address, Admin: api.Drained}, f.err
}

// running returns the status of an lb with two pools after so many seconds.
func running(seconds int) api.Status {
	n := uint64(seconds)
	backend := func(address string, rate, faults uint64) api.Backend {
		return api.Backend{Address: address, Weight: 1, ConfiguredWeight: 1, Admin: api.Enabled, Health: "up", Since: start.Add(-time.Hour),
			InFlight: rate / 10, Attempts: 1000 + rate*n, Requests: 1000 + rate*n, Faults: faults * n}
	}
	web := api.Pool{Name: "web", Strategy: "round_robin", Backends: []api.Backend{
		backend("10.0.0.1:8080", 1200, 0), backend("10.0.0.2:8080", 40, 2), backend("10.0.0.10:8080", 5, 0)}}
	web.Backends[1].MaxConnections = 100
	down := &web.Backends[2]
	down.Health, down.HealthReason, down.Weight = "down", "no answer in time", 5
	apis := api.Pool{Name: "api", Strategy: "hash", Backends: []api.Backend{backend("unix:/run/a.sock", 300, 0), backend("[2001:db8::1]:80", 0, 0)}}
	apis.Backends[1].Admin, apis.Backends[1].Runtime = api.Drained, true
	return api.Status{State: api.Serving, Mode: "mp", Address: "0.0.0.0:8080", Started: start.Add(-50 * time.Hour),
		Totals: api.Totals{Requests: 1545 * n, Replies: [6]uint64{5: 2 * n}, Exchanges: 154, ClientConns: 2000, BackendConns: 80, Retries: 7},
		Loops: []api.Loop{{Slot: 0, PID: 100, State: api.LoopServing, Since: start.Add(-time.Hour), Requests: 1000 * n, Conns: 1100, Exchanges: 100},
			{Slot: 1, PID: 101, State: api.LoopServing, Since: start.Add(-time.Minute), Requests: 545 * n, Conns: 900, Exchanges: 54, Restarts: 1}},
		Pools: []api.Pool{web, apis}}
}

// measured returns a history with quantiles of the pools and one backend.
func measured() api.History {
	course := func(p50, p99 float32) api.Course {
		return api.Course{P50: []float32{1, p50}, P99: []float32{1, p99}}
	}
	return api.History{Total: course(1.2, 90), Pools: []api.PoolHistory{
		{Name: "web", Course: course(0.9, 12.3), Backends: []api.BackendHistory{{Address: "10.0.0.2:8080", Course: course(0.08, 1200)}, {Address: "10.0.0.1:8080", Course: api.Course{FirstByte: []float32{1, 4.56}}}}},
		{Name: "api", Course: course(250, 90_000)}, {Name: "gone", Course: course(1, 1)}}}
}

// view returns a model that has seen two statuses on a screen of this size.
func view(t *testing.T, width, height int) (*model, *fake) {
	t.Helper()
	f := &fake{}
	m := &model{o: Options{Source: f, Every: time.Second}}
	give(t, m, tea.WindowSizeMsg{Width: width, Height: height}, sampleMsg{status: running(1), at: start}, sampleMsg{status: running(2), history: measured(), at: start.Add(time.Second)})
	return m, f
}

// give has m take messages, and returns the last command.
func give(t *testing.T, m *model, msgs ...tea.Msg) (last tea.Cmd) {
	t.Helper()
	for _, msg := range msgs {
		_, last = m.Update(msg)
		check(t, m)
	}
	return last
}

// keys returns what pressing keys sends: names such as "esc", else each letter.
func keys(names ...string) (out []tea.Msg) {
	special := map[string]rune{"esc": tea.KeyEscape, "enter": tea.KeyEnter, "up": tea.KeyUp, "down": tea.KeyDown, "end": tea.KeyEnd,
		"home": tea.KeyHome, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "backspace": tea.KeyBackspace}
	for _, name := range names {
		if code, ok := special[name]; ok {
			out = append(out, tea.KeyPressMsg{Code: code})
			continue
		}
		for _, r := range name {
			out = append(out, tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
	return out
}

// check has every screen fit into the terminal.
func check(t *testing.T, m *model) {
	t.Helper()
	lines := m.screen()
	if len(lines) > m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if n := lipgloss.Width(line); n > m.width {
			t.Errorf("%d columns on a screen of %d: %q", n, m.width, line)
		}
	}
}

// screenOf returns the screen without colours.
func screenOf(m *model) string {
	var b strings.Builder
	for _, line := range m.screen() {
		b.WriteString(strings.TrimRight(colours.ReplaceAllString(line, ""), " ") + "\n")
	}
	return b.String()
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test -update rewrites it):\n%s\nwant\n%s", name, got, want)
	}
}

// TestScreens: what is shown at several widths, and with the loops one by one.
func TestScreens(t *testing.T) {
	for _, width := range []int{40, 80, 120, 200} {
		m, _ := view(t, width, 16)
		golden(t, fmt.Sprintf("%d.txt", width), screenOf(m))
	}
	m, _ := view(t, 100, 16)
	give(t, m, keys("l", "S", "r")...)
	golden(t, "loops.txt", screenOf(m))
	give(t, m, keys("?")...)
	golden(t, "help.txt", screenOf(m))
}

// TestEverySize: no size breaks a screen, with whatever is shown on it.
func TestEverySize(t *testing.T) {
	for width := 0; width <= 300; width += 1 + width/60*3 {
		m, _ := view(t, width, width%40)
		give(t, m, keys("/", "10", "enter", "d", "n", "l", "?", "x", "esc", "end")...)
	}
}

// order returns the addresses in the order in which they are shown, pools as "name:".
func orderOf(m *model) string {
	var out []string
	for _, r := range m.list {
		if r.backend == nil {
			out = append(out, r.pool+":")
		} else {
			out = append(out, r.address)
		}
	}
	return strings.Join(out, " ")
}

// TestOrders: each order, and its reverse. Backends stay below their pool.
func TestOrders(t *testing.T) {
	m, _ := view(t, 100, 20)
	for _, tc := range []struct{ key, want string }{
		{"", "web: 10.0.0.1:8080 10.0.0.2:8080 10.0.0.10:8080 api: unix:/run/a.sock [2001:db8::1]:80"},
		{"s", "web: 10.0.0.1:8080 10.0.0.2:8080 10.0.0.10:8080 api: unix:/run/a.sock [2001:db8::1]:80"},
		{"r", "api: [2001:db8::1]:80 unix:/run/a.sock web: 10.0.0.10:8080 10.0.0.2:8080 10.0.0.1:8080"},
		{"rs", "web: 10.0.0.2:8080 10.0.0.1:8080 10.0.0.10:8080 api: unix:/run/a.sock [2001:db8::1]:80"},
		{"sss", "web: 10.0.0.10:8080 10.0.0.1:8080 10.0.0.2:8080 api: [2001:db8::1]:80 unix:/run/a.sock"},
		{"s", "api: [2001:db8::1]:80 unix:/run/a.sock web: 10.0.0.10:8080 10.0.0.1:8080 10.0.0.2:8080"},
		{"sr", "api: [2001:db8::1]:80 unix:/run/a.sock web: 10.0.0.10:8080 10.0.0.2:8080 10.0.0.1:8080"},
	} {
		give(t, m, keys(tc.key)...)
		if got := orderOf(m); got != tc.want {
			t.Errorf("after %q, by %s:\n%s, want\n%s", tc.key, orderNames[m.order], got, tc.want)
		}
	}
}

// TestFilter: it looks at pool, address and state, in any case of letters; esc brings
// back what was there.
func TestFilter(t *testing.T) {
	m, _ := view(t, 100, 20)
	const all = "web: 10.0.0.1:8080 10.0.0.2:8080 10.0.0.10:8080 api: unix:/run/a.sock [2001:db8::1]:80"
	for _, tc := range []struct {
		keys []string
		want string
	}{
		{[]string{"/", "0.1:"}, "web: 10.0.0.1:8080"},
		{[]string{"backspace"}, "web: 10.0.0.1:8080 10.0.0.10:8080"},
		{[]string{"esc"}, all},
		{[]string{"/", "API", "enter"}, "api: unix:/run/a.sock [2001:db8::1]:80"},
		{[]string{"/", "q", "esc"}, "api: unix:/run/a.sock [2001:db8::1]:80"},
		{[]string{"esc"}, all},
		{[]string{"/", "no answer", "enter"}, "web: 10.0.0.10:8080"},
		{[]string{"/", "x"}, ""},
		{[]string{"enter", "esc", "!"}, "web: 10.0.0.2:8080 10.0.0.10:8080 api: [2001:db8::1]:80"},
	} {
		give(t, m, keys(tc.keys...)...)
		if got := orderOf(m); got != tc.want {
			t.Errorf("after %q: %s, want %s", tc.keys, got, tc.want)
		}
	}
}

// TestCursor: it stays at its backend while the order and the rows change.
func TestCursor(t *testing.T) {
	m, _ := view(t, 100, 9) // a table of four rows
	give(t, m, keys("down", "down")...)
	want := key{"web", "10.0.0.2:8080"}
	for _, keys := range [][]tea.Msg{keys("r"), keys("s"), keys("s"), keys("end", "home", "down")} {
		give(t, m, keys...)
		if m.order == byErrors {
			break
		}
		if m.at != want {
			t.Errorf("the cursor is at %v", m.at)
		}
	}
	give(t, m, keys("end")...)
	if last := m.list[len(m.list)-1].key; m.at != last || !strings.Contains(screenOf(m), last.address) {
		t.Errorf("the cursor is at %v, want %v, on\n%s", m.at, last, screenOf(m))
	}
	less := running(3)
	less.Pools = less.Pools[:1]
	less.Pools[0].Backends = less.Pools[0].Backends[:1]
	give(t, m, sampleMsg{status: less, at: start.Add(2 * time.Second)})
	if m.place(m.at) < 0 {
		t.Errorf("the cursor is at %v, which has gone", m.at)
	}
}

// TestChange: d and e ask first; y alone makes the change, of the backend that was asked
// about although the rows have changed since.
func TestChange(t *testing.T) {
	m, f := view(t, 100, 20)
	give(t, m, keys("d")...)
	if m.mode != looking || !strings.Contains(screenOf(m), "that is a pool") {
		t.Errorf("d at a pool:\n%s", screenOf(m))
	}
	give(t, m, keys("down", "d")...)
	if !strings.Contains(screenOf(m), "drain 10.0.0.1:8080 of pool web? y") {
		t.Errorf("no question:\n%s", screenOf(m))
	}
	if cmd := give(t, m, keys("q")...); cmd != nil || len(f.changed) != 0 || !strings.Contains(screenOf(m), "nothing was changed") {
		t.Errorf("q to the question: %v\n%s", f.changed, screenOf(m))
	}
	give(t, m, keys("e")...)
	less := running(3)
	less.Pools = less.Pools[1:]
	give(t, m, sampleMsg{status: less, at: start.Add(2 * time.Second)})
	cmd := give(t, m, keys("y")...)
	give(t, m, cmd())
	if got := strings.Join(f.changed, "; "); got != "enable web 10.0.0.1:8080 0" {
		t.Errorf("%s", got)
	}
	if !strings.Contains(screenOf(m), "10.0.0.1:8080 of pool web: draining") {
		t.Errorf("no word of the change:\n%s", screenOf(m))
	}
	f.err = errors.New("pool web has no backend 10.0.0.1:8080")
	give(t, m, keys("down", "d")...)
	give(t, m, give(t, m, keys("y")...)())
	if !strings.Contains(screenOf(m), f.err.Error()) {
		t.Errorf("no word of the refusal:\n%s", screenOf(m))
	}
}

// TestNoAnswer: what was last known stays, and the screen says since when there is no
// answer.
func TestNoAnswer(t *testing.T) {
	m, _ := view(t, 100, 20)
	gone := errors.New("no lb answers at /run/lb.sock")
	give(t, m, sampleMsg{err: gone, at: start.Add(2 * time.Second)}, sampleMsg{err: gone, at: start.Add(3 * time.Second)})
	if s := screenOf(m); !strings.Contains(s, "NO ANSWER since 04:30:02: no lb answers") || !strings.Contains(s, "10.0.0.1:8080") {
		t.Errorf("%s", s)
	}
	give(t, m, sampleMsg{status: running(4), at: start.Add(4 * time.Second)})
	if s := screenOf(m); strings.Contains(s, "NO ANSWER") {
		t.Errorf("%s", s)
	}
	give(t, &model{width: 80, height: 10}, sampleMsg{err: gone, at: start})
}

// TestPause: nothing changes until it ends, and no status is asked for.
func TestPause(t *testing.T) {
	m, f := view(t, 100, 20)
	f.status = running(9)
	give(t, m, keys("p")...)
	before := screenOf(m)
	give(t, m, sampleMsg{status: running(3), at: start.Add(2 * time.Second)})
	if after := screenOf(m); after != before || !strings.Contains(after, "PAUSED") {
		t.Errorf("paused:\n%s\nthen\n%s", before, after)
	}
	give(t, m, keys("p")...)
	if _, ok := give(t, m, tickMsg{})().(sampleMsg); !ok {
		t.Error("no question after the pause")
	}
}

// TestRates: they are counted from one status to the next, and only if that is possible.
func TestRates(t *testing.T) {
	m, _ := view(t, 100, 20)
	f := m.flows[key{"web", "10.0.0.2:8080"}]
	if !f.known || f.rate != 40 || f.errors != 2 {
		t.Errorf("%+v", f)
	}
	if w := m.samples.whole; w.rate != 1545 || w.errors != 2 {
		t.Errorf("%+v", w)
	}
	give(t, m, sampleMsg{status: running(1), at: start.Add(2 * time.Second)}) // another lb, whose counters are lower
	if f := m.flows[key{"web", "10.0.0.2:8080"}]; f.known {
		t.Errorf("%+v", f)
	}
	give(t, m, sampleMsg{status: running(5), at: start.Add(4 * time.Second)})
	if f := m.flows[key{"web", "10.0.0.2:8080"}]; !f.known || f.rate != 80 {
		t.Errorf("%+v", f)
	}
	for range 3 * trendLen {
		give(t, m, sampleMsg{status: running(5), at: m.samples.at.Add(time.Second)})
	}
	if n := len(f.trend); n > trendLen {
		t.Errorf("%d rates are kept", n)
	}
}

// TestQuit: q and ctrl+c end it.
func TestQuit(t *testing.T) {
	m, _ := view(t, 100, 20)
	for _, k := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		cmd := give(t, m, k)
		if cmd == nil {
			t.Fatalf("%v does nothing", k)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%v does not end it", k)
		}
	}
}

// many returns a status with so many backends.
func many(n, seconds int) api.Status {
	st := running(seconds)
	pool := &st.Pools[0]
	for i := range n {
		b := pool.Backends[0]
		b.Address = fmt.Sprintf("10.1.%d.%d:8080", i/250, i%250)
		pool.Backends = append(pool.Backends, b)
	}
	return st
}

// BenchmarkScreen is one screen of an lb with 1,000 backends.
func BenchmarkScreen(b *testing.B) {
	m := &model{width: 120, height: 40}
	m.sample(sampleMsg{status: many(1000, 1), at: start})
	m.sample(sampleMsg{status: many(1000, 2), at: start.Add(time.Second)})
	for b.Loop() {
		m.screen()
	}
}

// TestManyBackends: with 1,000 backends a screen costs what its visible rows cost.
func TestManyBackends(t *testing.T) {
	cost := func(n int) float64 {
		m := &model{width: 120, height: 40}
		m.sample(sampleMsg{status: many(n, 1), at: start})
		m.sample(sampleMsg{status: many(n, 2), at: start.Add(time.Second)})
		return testing.AllocsPerRun(3, func() { m.screen() })
	}
	few, lots := cost(50), cost(1000)
	if lots > 2*few {
		t.Errorf("%.0f allocations for a screen of 1,000 backends, %.0f of 50", lots, few)
	}
}

// TestOnce: the plain page has everything, and no colours.
func TestOnce(t *testing.T) {
	var b strings.Builder
	if err := Once(Options{Source: &fake{status: many(100, 1)}}, &b); err != nil {
		t.Fatal(err)
	}
	if out := b.String(); strings.Contains(out, "\x1b") || strings.Count(out, "\n") < 108 || !strings.Contains(out, "10.1.0.99:8080") {
		t.Errorf("%q", out)
	}
	gone := errors.New("no lb answers")
	if err := Once(Options{Source: &fake{err: gone}}, &b); err != gone {
		t.Errorf("%v, want %v", err, gone)
	}
}
