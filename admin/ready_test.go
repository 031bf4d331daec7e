package admin

import (
	"slices"
	"testing"

	"lb/board"
	"lb/config"
)

// TestUnusable: a pool that requests go to needs a backend that a new client may get.
func TestUnusable(t *testing.T) {
	view := func(routes ...int) View {
		cfg := &config.Config{Pools: []config.Pool{
			{Name: "default", Backends: []config.Backend{{Weight: 1}, {Weight: 1, Backup: true}}},
			{Name: "api", Backends: []config.Backend{{Weight: 1}, {Weight: 1, Drain: true}}},
			{Name: "spare", Backends: []config.Backend{{Weight: 1}}},
		}}
		for _, pool := range routes {
			cfg.Routes = append(cfg.Routes, config.Route{Pool: pool})
		}
		return View{Config: cfg, IDs: [][]int{{0, 1}, {2, 3}, {4}}}
	}
	down := func(b *board.Board, ids ...int) {
		for _, id := range ids {
			b.SetHealth(id, board.Down, board.ReasonConnect, 0, 1)
		}
	}
	for _, tc := range []struct {
		name string
		view View
		set  func(b *board.Board)
		want []string
	}{
		{"nothing is known", view(1, 2), func(*board.Board) {}, nil},
		{"one of two down", view(), func(b *board.Board) { down(b, 0) }, nil},
		{"all down", view(), func(b *board.Board) { down(b, 0, 1) }, []string{"default"}},
		{"a pool without a route", view(1), func(b *board.Board) { down(b, 4) }, nil},
		{"a pool with a route, and a redirect", view(-1, 2, 2), func(b *board.Board) { down(b, 4) }, []string{"spare"}},
		{"the other one drains by the file", view(1), func(b *board.Board) { down(b, 2) }, []string{"api"}},
		{"drained", view(2), func(b *board.Board) { b.SetAdmin(4, board.Draining, 1) }, []string{"spare"}},
		{"disabled", view(2), func(b *board.Board) { b.SetAdmin(4, board.Disabled, 1) }, []string{"spare"}},
		{"ejected: picked when the others are out", view(2), func(b *board.Board) { b.State(4).EjectedUntil.Store(1 << 60) }, nil},
		{"several", view(1, 2), func(b *board.Board) { down(b, 0, 1, 2, 4) }, []string{"default", "api", "spare"}},
	} {
		b := board.New(1, 5)
		if tc.set(b); !slices.Equal(unusable(b, tc.view), tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, unusable(b, tc.view), tc.want)
		}
	}
	empty := view(2)
	empty.Config.Pools[0].Backends, empty.IDs[0] = nil, nil
	if got := unusable(board.New(1, 5), empty); got != nil {
		t.Errorf("an empty default pool: %v, want nothing, because its requests get 404", got)
	}
	empty.Awaits = true
	if got := unusable(board.New(1, 5), empty); !slices.Equal(got, []string{"default"}) {
		t.Errorf("a default pool whose names have no address yet: %v, want it", got)
	}
}
