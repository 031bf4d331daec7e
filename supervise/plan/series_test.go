package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"lb/config"
)

// TestSeries: a pool keeps its series over reloads and as JSON, and a full board gives those
// that nothing uses any longer to others.
func TestSeries(t *testing.T) {
	var n Numbers
	free := uint64(0) // no loop goes by a configuration before it
	assign := func(number uint64, room int, keys ...string) (list []int, fresh []int) {
		t.Helper()
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		var over Numbers
		if err := json.Unmarshal(text, &over); err != nil {
			t.Fatal(err)
		}
		n, fresh = over.assign(keys, number, room, func(by uint64) bool { return by <= free })
		for _, key := range keys {
			list = append(list, n.InUse[key])
		}
		return list, fresh
	}
	for i, tc := range []struct {
		keys        []string
		free        uint64
		list, fresh []int
	}{
		{[]string{"a", "b"}, 0, []int{0, 1}, []int{0, 1}},
		{[]string{"b", "a"}, 0, []int{1, 0}, nil},
		{[]string{"b"}, 0, []int{1}, nil},
		{[]string{"b", "c"}, 0, []int{1, 2}, []int{2}},
		{[]string{"a", "c"}, 0, []int{0, 2}, nil}, // a is back
		{[]string{"a", "c", "d"}, 4, []int{0, 2, -1}, nil},
		{[]string{"a", "c", "d"}, 5, []int{0, 2, -1}, nil}, // as long as it is there
		{[]string{"a", "c"}, 5, []int{0, 2}, nil},
		{[]string{"a", "c", "d"}, 5, []int{0, 2, 1}, []int{1}}, // in the place of b
		{[]string{"b"}, 5, []int{-1}, nil},
		{[]string{"e"}, 99, []int{0}, []int{0}},
	} {
		free = tc.free
		list, fresh := assign(uint64(i+1), 3, tc.keys...)
		if !reflect.DeepEqual(list, tc.list) || !reflect.DeepEqual(fresh, tc.fresh) {
			t.Errorf("step %d: %v, fresh %v, want %v and %v", i, list, fresh, tc.list, tc.fresh)
		}
	}
}

// TestAssignSeries: pools have series, and backends where that is wanted.
func TestAssignSeries(t *testing.T) {
	cfg := &config.Config{Pools: []config.Pool{poolOfHosts("p", "a", "b"), poolOfHosts("q", "a")}}
	for _, each := range []bool{false, true} {
		cfg.Metrics.PerBackend = each
		a := &Assignment{Registry: NewRegistry()}
		_, wanted := Wanted(&config.Config{Pools: make([]config.Pool, 2)}, cfg)
		if lost := a.AssignSeries(Numbers{}, cfg, 1, 9, nil); lost != 0 {
			t.Errorf("%d have none", lost)
		}
		want := "[0 1] []"
		if each {
			want = "[0 3] [[1 2] [4]]"
		}
		if got := fmt.Sprint(a.Series, a.BackendSeries); got != want || len(a.FreshSeries) != wanted {
			t.Errorf("per backend %v: %s, want %s", each, got, want)
		}
	}
}
