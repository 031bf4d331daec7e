package faultwatch

import (
	"slices"
	"testing"

	"lb/board"
	"lb/config"
	"lb/proxy/record"
	"lb/supervise/plan"
)

// Names are asked for when a loop has failed to connect to one of their addresses, and only
// then; addresses of the file have none.
func TestLook(t *testing.T) {
	b := board.New(2, 4)
	view := &plan.Snapshot{IDs: [][]int{{0, 1}, {2, 3}}, Config: &config.Config{Pools: []config.Pool{
		{Backends: []config.Backend{{Host: "10.0.0.1", Name: "a.test"}, {Host: "10.0.0.2", Name: "a.test"}}},
		{Backends: []config.Backend{{Host: "10.0.0.3", Name: "b.test"}, {Host: "10.0.0.4"}}},
	}}}
	b.Backend(0, 0).ConnectFaults.Add(5) // before
	b.Loop(0).Retries.Add(1)
	var asked []string
	w := New(Options{Board: b, View: func() *plan.Snapshot { return view }, Ask: func(names ...string) { asked = append(asked, names...) }})
	look := func(what string, want ...string) {
		t.Helper()
		asked = nil
		if w.Look(); !slices.Equal(asked, want) {
			t.Errorf("%s: asked for %v, want %v", what, asked, want)
		}
	}
	look("nothing new")
	b.Backend(1, 1).ConnectFaults.Add(1)
	b.Loop(1).Retries.Add(1)
	look("refused, and tried again", "a.test")
	look("known")
	b.Backend(0, 2).TimeoutFaults.Add(1)
	b.Loop(0).Faults[board.FaultKind(2, uint8(record.Dial), 3)].Add(1)
	look("no answer, and given up", "b.test")
	b.Backend(0, 3).ConnectFaults.Add(1)
	b.Loop(0).Retries.Add(1)
	look("without a name")
	b.Loop(0).Retries.Add(1)
	look("a retry for another reason")
	Start(w.o).Close()
	(*Watch)(nil).Close()
}
