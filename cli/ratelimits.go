package cli

import (
	"fmt"
	"time"

	"lb/admin/api"
	"lb/cli/words"
)

// printLimits writes a table of rate limits, and below it which stores are away.
func printLimits(p page, list []api.RateLimit, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	rows := [][]cell{cells(words.LimitHeads...)}
	for _, l := range list {
		row := cells(words.LimitRow(l)...)
		if l.StoreState == api.StoreAway {
			row[words.LimitStore].tint = red
		}
		rows = append(rows, row)
	}
	p.table(rows, 0, 1)
	for _, text := range words.LimitProblems(list, now) {
		p.lineIn("! ", text, red)
	}
}
