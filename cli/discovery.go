package cli

import (
	"fmt"
	"slices"
	"time"

	"lb/admin/api"
)

// discoveryShown is how many sources and names are shown that are well.
const discoveryShown = 20

// printDiscovery writes a table of sources and names: those that fail, and as many others
// as an operator looks through; below it why some fail.
func printDiscovery(p page, list []api.Discovery, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	rows := [][]cell{cells("SOURCE", "BACKENDS", "LAST ANSWER", "NEXT", "STATE")}
	rest := discoveryShown
	for _, d := range list {
		if d.Up && rest == 0 {
			continue
		} else if d.Up {
			rest--
		}
		last, next := "-", "-"
		if !d.LastAnswer.IsZero() {
			last = age(d.LastAnswer, now) + " ago"
		}
		if d.Next.After(now) {
			next = "in " + age(now, d.Next)
		}
		row := cells(discoveryName(d), fmt.Sprint(d.Backends), last, next, discoveryState(d))
		switch {
		case d.Up:
			row[4].tint = green
		case d.Backends > 0:
			row[4].tint = yellow
		default:
			row[4].tint = red
		}
		rows = append(rows, row)
	}
	p.table(rows, 4, 0, 1)
	if more := len(list) + 1 - len(rows); more > 0 {
		p.line("  ", fmt.Sprintf("and %d more, all well", more))
	}
	for _, d := range list {
		if d.Fault != "" {
			p.lineIn(fmt.Sprintf("! %s: ", discoveryName(d)), discoveryFault(d, now), red)
		}
	}
}

func discoveryName(d api.Discovery) string {
	name := d.Source
	if d.Pool != "" {
		name += " (pool " + d.Pool + ")"
	}
	if d.Resolver != "" {
		name += " (at " + d.Resolver + ")"
	}
	return name
}

func discoveryState(d api.Discovery) string {
	switch {
	case d.Up:
		return "up"
	case d.Backends > 0:
		return "fails, last kept"
	case d.Fault != "":
		return "fails"
	}
	return "not answered yet"
}

func discoveryFault(d api.Discovery, now time.Time) string {
	return fmt.Sprintf("%s ago: %s", age(d.FaultAt, now), d.Fault)
}

// discoveryProblems returns which sources and names fail, a line each.
func discoveryProblems(list []api.Discovery, now time.Time) (lines []string) {
	for _, d := range slices.DeleteFunc(slices.Clone(list), func(d api.Discovery) bool { return d.Fault == "" }) {
		lines = append(lines, fmt.Sprintf("source of backends %s: %s", discoveryName(d), discoveryFault(d, now)))
	}
	return lines
}
