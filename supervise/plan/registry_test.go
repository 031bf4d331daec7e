package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"lb/config"
)

// poolOfHosts has a backend for each host, on port 80.
func poolOfHosts(name string, hosts ...string) config.Pool {
	p := config.NewPool(name)
	for _, h := range hosts {
		p.Backends = append(p.Backends, config.Backend{Host: h, Port: 80, Weight: 1})
	}
	return p
}

// book drives a registry by hand.
type book struct {
	*Registry
	number uint64
	oldest uint64       // configuration that a loop may pick from
	busy   map[int]bool // IDs with attempts that are running
}

func newBook() *book { return &book{Registry: NewRegistry(), oldest: 1 << 60, busy: map[int]bool{}} }

func (b *book) assign(t *testing.T, room int, pools ...config.Pool) *Assignment {
	t.Helper()
	b.number++
	a, err := b.Registry.Assign(pools, b.number, room, func(id int, by uint64) bool {
		return b.oldest >= by && !b.busy[id]
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Registry = a.Registry
	return a
}

func TestRegistryKeepsIDs(t *testing.T) {
	b := newBook()
	a := b.assign(t, 100, poolOfHosts("p", "a", "b"), poolOfHosts("q", "a"))
	if want := [][]int{{0, 1}, {2}}; !reflect.DeepEqual(a.IDs, want) || len(a.Fresh) != 3 {
		t.Fatalf("first: %v, fresh %v", a.IDs, a.Fresh)
	}
	for _, tc := range []struct {
		what        string
		pools       []config.Pool
		ids         [][]int
		back, fresh []int
	}{
		{"another order", []config.Pool{poolOfHosts("q", "a"), poolOfHosts("p", "b", "a")}, [][]int{{2}, {1, 0}}, nil, nil},
		{"another spelling", []config.Pool{poolOfHosts("p", "A", "B"), poolOfHosts("q", "A")}, [][]int{{0, 1}, {2}}, nil, nil},
		{"one removed, one new", []config.Pool{poolOfHosts("p", "c", "b"), poolOfHosts("q", "a")}, [][]int{{3, 1}, {2}}, nil, []int{3}},
		{"it comes back", []config.Pool{poolOfHosts("p", "a", "b", "c"), poolOfHosts("q", "a")}, [][]int{{0, 1, 3}, {2}}, []int{0}, nil},
		{"a pool less", []config.Pool{poolOfHosts("q", "a", "c")}, [][]int{{2, 4}}, nil, []int{4}},
		{"all back", []config.Pool{poolOfHosts("p", "a", "b", "c"), poolOfHosts("q", "a")}, [][]int{{0, 1, 3}, {2}}, []int{0, 1, 3}, nil},
	} {
		a := b.assign(t, 100, tc.pools...)
		if !reflect.DeepEqual(a.IDs, tc.ids) || !reflect.DeepEqual(a.Back, tc.back) || !reflect.DeepEqual(a.Fresh, tc.fresh) {
			t.Errorf("%s: %v, back %v, fresh %v; want %v, %v, %v", tc.what, a.IDs, a.Back, a.Fresh, tc.ids, tc.back, tc.fresh)
		}
	}
}

// An assignment that is not taken up changes nothing.
func TestRegistryUnchangedByPlan(t *testing.T) {
	b := newBook()
	b.assign(t, 3, poolOfHosts("p", "a", "b", "c"))
	b.assign(t, 3, poolOfHosts("p", "a", "b"))
	before, _ := json.Marshal(b.Registry)
	free := func(int, uint64) bool { return true }
	b.Registry.Assign([]config.Pool{poolOfHosts("p", "d", "e", "c")}, 9, 3, free)
	if _, err := b.Registry.Assign([]config.Pool{poolOfHosts("p", "d", "e", "f", "g")}, 9, 3, free); err == nil {
		t.Error("four backends in a room for three")
	}
	if after, _ := json.Marshal(b.Registry); string(after) != string(before) {
		t.Errorf("registry %s, was %s", after, before)
	}
}

// An ID goes to another backend only when no loop can pick the old one and no attempt
// at it is running. If all are in use the refusal says so.
func TestRegistryReuse(t *testing.T) {
	b := newBook()
	b.assign(t, 2, poolOfHosts("p", "a", "b"))
	b.assign(t, 2, poolOfHosts("p", "a")) // number 2 retires b
	refused := func(what string) {
		t.Helper()
		_, err := b.Registry.Assign([]config.Pool{poolOfHosts("p", "a", "c")}, 3, 2, func(id int, by uint64) bool {
			return b.oldest >= by && !b.busy[id]
		})
		if err == nil || !strings.Contains(err.Error(), "room for 2 backends") {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
	b.oldest = 1
	refused("an exchange that began on configuration 1 may still pick b")
	b.oldest, b.busy[1] = 2, true
	refused("an attempt is running at b")
	b.busy[1] = false
	if a := b.assign(t, 2, poolOfHosts("p", "a", "c")); !reflect.DeepEqual(a.IDs, [][]int{{0, 1}}) || !reflect.DeepEqual(a.Fresh, []int{1}) {
		t.Errorf("ids %v, fresh %v; want c in the place of b", a.IDs, a.Fresh)
	}
	if a := b.assign(t, 3, poolOfHosts("p", "a", "c", "b")); a.IDs[0][2] != 2 || a.Back != nil {
		t.Errorf("ids %v, back %v; b has lost its ID", a.IDs, a.Back)
	}
}

// An ID that was never given, but at which an attempt is running, is passed over.
func TestRegistryLeftovers(t *testing.T) {
	b := newBook()
	b.busy[1] = true
	if a := b.assign(t, 9, poolOfHosts("p", "a", "b", "c")); !reflect.DeepEqual(a.IDs, [][]int{{0, 2, 3}}) {
		t.Errorf("ids %v", a.IDs)
	}
}

// Backends that come and go for ever do not use up the board, and one that
// comes back soon has its ID.
func TestRegistryChurn(t *testing.T) {
	b := newBook()
	highest := 0
	for i := range 5000 {
		b.oldest = b.number // the loops lag by one reload
		a := b.assign(t, 1<<16, poolOfHosts("p", "stays", fmt.Sprint("pod-", i), fmt.Sprint("pod-", i+1), fmt.Sprint("pod-", i+2)))
		if a.IDs[0][0] != 0 {
			t.Fatalf("the one that stays has ID %d", a.IDs[0][0])
		}
		seen := map[int]bool{}
		for _, id := range a.IDs[0] {
			highest = max(highest, id)
			if seen[id] {
				t.Fatalf("ID %d is given twice: %v", id, a.IDs)
			}
			seen[id] = true
		}
	}
	if limit := retiredKept + 16; highest > limit {
		t.Errorf("IDs up to %d, want at most %d", highest, limit)
	}
}

func TestRegistryJSON(t *testing.T) {
	b := newBook()
	b.assign(t, 9, poolOfHosts("p", "a", "b"), poolOfHosts("q", "::1"))
	b.assign(t, 9, poolOfHosts("p", "a"), poolOfHosts("q", "::1"))
	text, err := json.Marshal(b.Registry)
	if err != nil {
		t.Fatal(err)
	}
	read := NewRegistry()
	if err := json.Unmarshal(text, read); err != nil || !reflect.DeepEqual(read, b.Registry) {
		t.Errorf("%s is read as %+v, %v; want %+v", text, read, err, b.Registry)
	}
}
