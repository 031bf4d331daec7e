package upstream

import (
	"strings"
	"testing"

	"lb/config"
)

var stickyKey = []byte("a key of some length")

// TestStickyValue: equal for equal names and keys, and for no others.
func TestStickyValue(t *testing.T) {
	want := StickyValue(stickyKey, "web", "10.0.0.1:80")
	if len(want) != stickyLen || strings.ContainsAny(want, " ;,\"\\=+/") {
		t.Errorf("%q, want %d characters that may stand in a cookie", want, stickyLen)
	}
	seen := map[string]bool{want: true}
	for _, other := range []string{
		StickyValue([]byte("another key"), "web", "10.0.0.1:80"),
		StickyValue(stickyKey, "web", "10.0.0.2:80"),
		StickyValue(stickyKey, "api", "10.0.0.1:80"),
		StickyValue(stickyKey, "web1", "0.0.0.1:80"),
		StickyValue(stickyKey, "", "web10.0.0.1:80"),
	} {
		if seen[other] {
			t.Errorf("%q is there twice", other)
		}
		seen[other] = true
	}
	if again := StickyValue(stickyKey, "web", "10.0.0.1:80"); again != want {
		t.Errorf("%q, then %q", want, again)
	}
}

func TestStickyFind(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100, 1000} {
		p, _ := buildOf(config.Random, equal(n, 1)...).pool()
		p.UseSticky(stickyKey)
		for i := range p.Backends {
			if at, ok := p.roster.sticky.find([]byte(p.Sticky(i))); !ok || at != i {
				t.Fatalf("%d backends: %q leads to %d, %v, want %d", n, p.Sticky(i), at, ok, i)
			}
		}
		valid := StickyValue(stickyKey, "web", "10.0.0.0:80")
		for _, v := range []string{
			"", "0", valid[1:], valid + "=", strings.ToUpper(valid), "AAAAAAAAAAAAAAAAAAAAAA",
			StickyValue([]byte("forged"), "web", "10.0.0.0:80"), StickyValue(stickyKey, "web", "10.9.9.9:80"),
		} {
			if i, ok := p.roster.sticky.find([]byte(v)); ok {
				t.Errorf("%d backends: %q leads to %d", n, v, i)
			}
		}
	}
}

// TestStickySurvivesReload: in another order, with others removed and added, the
// cookie leads to the same backend.
func TestStickySurvivesReload(t *testing.T) {
	before := buildOf(config.RoundRobin, 1, 1, 1)
	p, _ := before.pool()
	p.UseSticky(stickyKey)
	after := buildOf(config.P2C, 1, 1, 1, 1)
	after.Backends = []config.Backend{after.Backends[3], after.Backends[1], after.Backends[2]}
	q, _ := after.pool()
	q.UseSticky(stickyKey)
	for i := range p.Backends {
		cookie := []byte(p.Sticky(i))
		b, _ := q.Pick(Ask{Sticky: cookie}, start)
		if i > 0 && q.Backends[b].Name != p.Backends[i].Name {
			t.Errorf("a client of %s went to %s", p.Backends[i].Name, q.Backends[b].Name)
		}
	}
}

// TestStickyPick: the cookie's backend while it may be used, else another.
func TestStickyPick(t *testing.T) {
	for _, tc := range []struct {
		states string // the cookie is for the first backend
		stays  bool
	}{
		{"..", true},
		{"u.", true},
		{"w.", true}, // draining concerns only what is new
		{"c.", true},
		{"wd", true},
		{"d.", false},
		{"e.", false},
		{"ee", true},
		{"x.", false},
		{"B.", false}, // no longer needed as a backup
		{"Bd", true},
	} {
		eachStrategy(t, func(t *testing.T, strategy string) {
			p, _ := buildOf(strategy, 1, 1).state(tc.states)
			p.UseSticky(stickyKey)
			stays := true
			for range 50 {
				b, why := p.Pick(Ask{Sticky: []byte(p.Sticky(0))}, start)
				if why != Picked {
					t.Fatalf("%s: %d", tc.states, why)
				}
				stays = stays && b == 0
				p.Release(b)
			}
			if stays != tc.stays {
				t.Errorf("%s: stays is %v", tc.states, stays)
			}
		})
	}
}

// TestStickyGivesWay: to another backend if the cookie's was tried, was ejected
// while draining, or is full.
func TestStickyGivesWay(t *testing.T) {
	set := buildOf(config.RoundRobin, 1, 1)
	set.Backends[0].MaxConnections = 1
	set.Backends[0].Drain = true
	p, shared := set.pool()
	p.UseSticky(stickyKey)
	cookie := []byte(p.Sticky(0))
	var tried Tried
	tried.Add(0)
	if b, _ := p.Pick(Ask{Sticky: cookie, Tried: &tried}, start); b != 1 {
		t.Error("tried, and picked again for its cookie")
	}
	first, _ := p.Pick(Ask{Sticky: cookie}, start)
	if second, _ := p.Pick(Ask{Sticky: cookie}, start); first != 0 || second != 1 {
		t.Errorf("%d, then %d: want the cookie's, then, as that is full, the other", first, second)
	}
	p.Release(first)
	if _, ejected := fail(p, 0, 3, start); !ejected {
		t.Fatal("not ejected")
	}
	if b, _ := p.Pick(Ask{Sticky: cookie}, start); b != 1 {
		t.Error("ejected, and picked for its cookie")
	}
	if shared.InFlight(0) != 0 {
		t.Error("an attempt was counted that is none")
	}
}

func BenchmarkSticky(b *testing.B) {
	p, _ := buildOf(config.RoundRobin, equal(1000, 1)...).pool()
	p.UseSticky(stickyKey)
	cookie := []byte(p.Sticky(500))
	b.ReportAllocs()
	for b.Loop() {
		t, _ := p.Pick(Ask{Sticky: cookie}, start)
		p.Release(t)
	}
}
