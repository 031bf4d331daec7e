package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"lb/config"
)

// boardRoom is room for n backends, all of which may be given to others.
func boardRoom(n int) Room {
	return Room{Backends: n, Series: n, Reusable: func(int, uint64) bool { return true }, Free: func(uint64) bool { return true }}
}

// beginning returns the first snapshot of pools and its registry.
func beginning(t *testing.T, room Room, each bool, pools ...config.Pool) (*Registry, *Snapshot) {
	t.Helper()
	cfg := &config.Config{Pools: pools}
	cfg.Metrics.PerBackend = each
	a, err := NewRegistry().Assign(pools, 1, room.Backends, room.Reusable)
	if err != nil {
		t.Fatal(err)
	}
	a.AssignSeries(Numbers{}, cfg, 1, room.Series, room.Free)
	return a.Registry, a.Snapshot(cfg, cfg, 1)
}

// with returns s.Config with other members of its first pools.
func with(s *Snapshot, pools ...config.Pool) *config.Config {
	cfg := *s.Config
	cfg.Pools = append(pools, cfg.Pools[len(pools):]...)
	return &cfg
}

// TestChange: a delta has what has changed and nothing else, IDs stay, and what a worker
// makes of it is what the supervisor has.
func TestChange(t *testing.T) {
	r, s := beginning(t, boardRoom(99), false, poolOfHosts("p", "a", "b", "c"), poolOfHosts("q", "a"))
	for i, tc := range []struct {
		hosts []string
		delta string
		ids   []int
		gone  []int
	}{
		{[]string{"a", "b", "c"}, "", []int{0, 1, 2}, nil},
		{[]string{"a", "c", "d"}, "[{0 [1] [{2 d 4}]}]", []int{0, 2, 4}, []int{1}},
		{[]string{"b", "a", "c", "d"}, "[{0 [] [{0 b 1}]}]", []int{1, 0, 2, 4}, nil}, // b is back
		{[]string{"d", "b"}, "[{0 [1 2 3] [{0 d 4}]}]", []int{4, 1}, []int{0, 2}},
		{nil, "[{0 [0 1] []}]", []int{}, []int{4, 1}},
		{[]string{"a", "a"}, "[{0 [] [{0 a 0}]}]", []int{0}, nil},
	} {
		before, _ := json.Marshal(s)
		c := r.Change(s, with(s, poolOfHosts("p", tc.hosts...)), boardRoom(99))
		if c == nil {
			if tc.delta != "" {
				t.Errorf("step %d: no change", i)
			}
			continue
		}
		if got := deltaText(c.Delta); got != tc.delta || !reflect.DeepEqual(c.Next.IDs[0], tc.ids) || !reflect.DeepEqual(c.Gone, tc.gone) {
			t.Errorf("step %d: %s, IDs %v, gone %v; want %s, %v, %v", i, got, c.Next.IDs[0], c.Gone, tc.delta, tc.ids, tc.gone)
		}
		if after, _ := json.Marshal(s); string(after) != string(before) {
			t.Errorf("step %d: the old snapshot has changed", i)
		}
		wantSame(t, s, c)
		s = c.Next
	}
	if s.Next(&Delta{From: 1, Number: 2}) != nil {
		t.Error("a delta of another snapshot is taken")
	}
}

// deltaText is the pools of d, with backends as their host and ID.
func deltaText(d *Delta) string {
	text := "["
	for i, p := range d.Pools {
		added := "["
		for k, a := range p.Added {
			added += fmt.Sprintf("%s{%d %s %d}", []string{"", " "}[min(k, 1)], a.At, a.Backend.Host, a.ID)
		}
		text += fmt.Sprintf("%s{%d %v %s]}", []string{"", " "}[min(i, 1)], p.Pool, p.Removed, added)
	}
	return text + "]"
}

// wantSame reads the delta of c as a worker does.
func wantSame(t *testing.T, s *Snapshot, c *Change) {
	t.Helper()
	text, err := json.Marshal(c.Delta)
	var d Delta
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	got := s.Next(&d)
	if err != nil || got == nil || !reflect.DeepEqual(got.Config, c.Next.Config) || !reflect.DeepEqual(got.IDs, c.Next.IDs) ||
		!reflect.DeepEqual(got.BackendSeries, c.Next.BackendSeries) || got.Number != c.Next.Number {
		t.Fatalf("%s gives %+v, %v; want %+v", text, got, err, c.Next)
	}
}

// TestChangeAtRandom: whatever lists follow each other, a worker has what the supervisor
// has, no two backends have the same place, and what stays keeps its own.
func TestChangeAtRandom(t *testing.T) {
	room := boardRoom(60)
	r, s := beginning(t, room, true, poolOfHosts("p", "a"), poolOfHosts("q"))
	for range 3000 {
		pools := []config.Pool{poolOfHosts("p"), poolOfHosts("q")}
		for i := range pools {
			for _, k := range rand.Perm(12)[:rand.IntN(12)] {
				pools[i].Backends = append(pools[i].Backends, config.Backend{Host: fmt.Sprint("h", k), Port: 80, Weight: 1 + rand.IntN(2)})
			}
		}
		c := r.Change(s, with(s, pools...), room)
		if c == nil {
			continue
		}
		wantSame(t, s, c)
		seen := map[int]bool{}
		for i, ids := range c.Next.IDs {
			for j, id := range ids {
				b := c.Next.Config.Pools[i].Backends[j]
				if seen[id] || r.InUse[Key(pools[i].Name, b)].ID != id || b != pools[i].Backends[j] {
					t.Fatalf("pool %d: %v at %d, IDs %v; registry %+v", i, b, j, c.Next.IDs, r)
				}
				seen[id] = true
			}
		}
		if c.Left > 0 || len(r.InUse) != len(seen) || r.Next > 60 {
			t.Fatalf("%d are left out, %d in use, want %d", c.Left, len(r.InUse), len(seen))
		}
		s = c.Next
	}
}

// TestChangeOfAFullBoard: what does not fit is left out, what it would have replaced stays,
// and later it is taken up.
func TestChangeOfAFullBoard(t *testing.T) {
	room, free := boardRoom(3), false
	room.Reusable = func(_ int, by uint64) bool { return by == 0 || free }
	r, s := beginning(t, room, false, poolOfHosts("p", "a", "b"), poolOfHosts("q", "a"))
	want := with(s, poolOfHosts("p", "c", "b"))
	if c := r.Change(s, want, room); c == nil || c.Left != 1 || len(c.Gone) != 0 {
		t.Fatalf("%+v, want c left out and a to stay", c)
	} else if deltaText(c.Delta) != "[{0 [0] [{1 a 0}]}]" && deltaText(c.Delta) != "[{0 [1] [{0 b 1}]}]" {
		t.Errorf("delta %s", deltaText(c.Delta))
	} else {
		s = c.Next
	}
	less := with(s, poolOfHosts("p", "c", "b"), poolOfHosts("q"))
	c := r.Change(s, less, room) // the ID of q's is not free yet
	if c == nil || c.Left != 1 || !reflect.DeepEqual(c.Gone, []int{2}) {
		t.Fatalf("%+v, want q's to go", c)
	}
	s, free = c.Next, true
	if c = r.Change(s, less, room); c == nil || c.Left != 0 || !reflect.DeepEqual(c.Fresh, []int{2}) || !reflect.DeepEqual(c.Gone, []int{0}) {
		t.Fatalf("%+v, want c in the place of q's", c)
	}
	if c = r.Change(c.Next, less, room); c != nil {
		t.Errorf("%+v, want no change", c)
	}
}

// TestFind: an address, and all addresses of a name.
func TestFind(t *testing.T) {
	s := &Snapshot{Config: &config.Config{Pools: []config.Pool{{Backends: []config.Backend{
		{Host: "10.0.0.1", Name: "App.test", Port: 80}, {Host: "10.0.0.1", Name: "app.test", Port: 81},
		{Host: "2001:db8::1", Name: "app.test", Port: 80}, {Socket: "/s"},
	}}}}}
	for text, want := range map[string][]int{"app.TEST:80": {0, 2}, "10.0.0.1:81": {1}, "[2001:db8:0::1]:80": {2}, "unix:/s": {3}, "b:80": nil} {
		b, err := config.ParseBackend(text)
		if got := s.Find(0, b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
}

// FuzzDelta: a delta that was read is applied, or refused.
func FuzzDelta(f *testing.F) {
	f.Add([]byte(`{"From":1,"Number":2,"Pools":[{"Pool":0,"Removed":[1],"Added":[{"At":0,"ID":7}]}]}`))
	f.Add([]byte(`{"From":1,"Number":2,"Pools":[{"Pool":1,"Removed":[-1,9],"Added":[{"At":9},{"At":-1}]}]}`))
	cfg := &config.Config{Pools: []config.Pool{poolOfHosts("p", "a", "b", "c"), poolOfHosts("q")}}
	s := &Snapshot{Config: cfg, Number: 1, IDs: [][]int{{0, 1, 2}, {}}}
	f.Fuzz(func(t *testing.T, text []byte) {
		var d Delta
		if json.Unmarshal(text, &d) != nil {
			return
		}
		next := s.Next(&d)
		if next == nil {
			return
		}
		for i := range next.IDs {
			if len(next.IDs[i]) != len(next.Config.Pools[i].Backends) {
				t.Errorf("pool %d has %d IDs for %d backends", i, len(next.IDs[i]), len(next.Config.Pools[i].Backends))
			}
		}
	})
}
