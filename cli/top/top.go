// Package top is the live view of `lb top`: pools and backends with rate, errors, latency,
// active requests and state, and the loops. It asks for the status again and again, and
// counts what has happened in between. It does not know how lb is reached.
package top

import (
	"errors"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"lb/admin/api"
)

// EveryMin is the shortest time between two questions: each costs lb some milliseconds if
// it has 1,000 backends.
const EveryMin = 200 * time.Millisecond

// Source is the lb that is looked at. Calls come from several goroutines.
type Source interface {
	Status() (api.Status, error)
	History(points int) (api.History, error) // the newest points
	SetBackend(pool, address string, action api.Action, weight int) (api.Backend, error)
}

// Options say what to show.
type Options struct {
	Source Source
	Every  time.Duration // between two questions; EveryMin at least
}

// Run shows the live view on the terminal of this process until q is pressed.
func Run(o Options, options ...tea.ProgramOption) error {
	o.Every = max(o.Every, EveryMin)
	_, err := tea.NewProgram(&model{o: o}, options...).Run()
	if errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// Once writes what the view shows, in lines of any length and without colours, after one
// interval: rates take two questions.
func Once(o Options, w io.Writer) error {
	m := &model{o: o, width: onceWidth, loopRows: true}
	for i := range 2 {
		if i > 0 {
			time.Sleep(max(o.Every, EveryMin))
		}
		got := m.ask().(sampleMsg)
		if got.err != nil {
			return got.err
		}
		m.take(got.status, got.history, got.at)
	}
	m.refresh()
	m.at = key{}
	for _, line := range m.plainLines() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
