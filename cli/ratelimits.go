package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"lb/admin/api"
)

// printLimits writes a table of rate limits, and below it which stores are away.
func printLimits(p page, list []api.RateLimit, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	rows := [][]cell{cells("LIMIT", "KEY", "RATE", "BURST", "PASSED", "REFUSED", "STORE")}
	for _, l := range list {
		refused := grouped(l.Limited)
		if l.DryRun {
			refused = fmt.Sprintf("(%s)", grouped(l.Spared)) // not really
		}
		row := cells(l.Name, l.Key, l.Rate, strconv.Itoa(l.Burst), grouped(l.Passed), refused, cmp.Or(l.StoreState, "-"))
		if l.StoreState == api.StoreAway {
			row[6].tint = red
		}
		rows = append(rows, row)
	}
	p.table(rows, 0, 1)
	for _, text := range limitProblems(list, now) {
		p.lineIn("! ", text, red)
	}
}

// limitProblems returns what is not well with the stores of rate limits, a line each.
func limitProblems(list []api.RateLimit, now time.Time) (lines []string) {
	for _, l := range list {
		if l.StoreState == api.StoreAway {
			lines = append(lines, fmt.Sprintf("rate limit %s: %s does not answer for %s, so this machine counts alone: %s",
				l.Name, l.Store, age(l.StoreSince, now), l.StoreFault))
		}
	}
	return lines
}
