// Package sources puts the sources and names of backends into words. It does not print.
package sources

import (
	"fmt"
	"time"

	"lb/admin/api"
	"lb/cli/words"
)

// shownMax is how many sources and names are shown that are well.
const shownMax = 20

// Titles are those of the columns of a Row.
var Titles = []string{"SOURCE", "BACKENDS", "LAST ANSWER", "NEXT", "STATE"}

// Row is a source or a name in a table.
type Row struct {
	Cells []string
	Tint  words.Tint // of the last cell
}

// Rows returns those that fail, and as many others as an operator looks through; more says
// how many there are besides.
func Rows(list []api.Discovery, now time.Time) (rows []Row, more int) {
	rest := shownMax
	for _, d := range list {
		if d.Up && rest == 0 {
			more++
			continue
		} else if d.Up {
			rest--
		}
		last, next := "-", "-"
		if !d.LastAnswer.IsZero() {
			last = words.Age(d.LastAnswer, now) + " ago"
		}
		if d.Next.After(now) {
			next = "in " + words.Age(now, d.Next)
		}
		state, tint := stateOf(d)
		rows = append(rows, Row{[]string{Name(d), fmt.Sprint(d.Backends), last, next, state}, tint})
	}
	return rows, more
}

func stateOf(d api.Discovery) (string, words.Tint) {
	switch {
	case d.Up:
		return "up", words.Green
	case d.Fault == "":
		return "not answered yet", words.Yellow
	case d.Backends > 0:
		return "fails, last kept", words.Yellow
	}
	return "fails", words.Red
}

// Name returns the name or the address of d, for which pool it is, and which name server is
// asked.
func Name(d api.Discovery) string {
	name := d.Source
	if d.Pool != "" {
		name += " (pool " + d.Pool + ")"
	}
	if d.Resolver != "" {
		name += " (at " + d.Resolver + ")"
	}
	return name
}

// Fault returns why d fails, and since when, or "" if it does not.
func Fault(d api.Discovery, now time.Time) string {
	if d.Fault == "" {
		return ""
	}
	return fmt.Sprintf("%s ago: %s", words.Age(d.FaultAt, now), d.Fault)
}

// Problems returns which sources and names fail, a line each.
func Problems(list []api.Discovery, now time.Time) (lines []string) {
	for _, d := range list {
		if why := Fault(d, now); why != "" {
			lines = append(lines, fmt.Sprintf("source of backends %s: %s", Name(d), why))
		}
	}
	return lines
}
