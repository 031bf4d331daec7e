package cli

import (
	"fmt"
	"time"

	"lb/admin/api"
	"lb/cli/sources"
)

// printDiscovery writes a table of sources and names, and below it why some fail.
func printDiscovery(p page, list []api.Discovery, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	table := [][]cell{cells(sources.Titles...)}
	rows, more := sources.Rows(list, now)
	for _, r := range rows {
		table = append(table, cells(r.Cells...))
		table[len(table)-1][4].tint = r.Tint
	}
	p.table(table, 4, 0, 1)
	if more > 0 {
		p.line("  ", fmt.Sprintf("and %d more, all well", more))
	}
	for _, d := range list {
		if why := sources.Fault(d, now); why != "" {
			p.lineIn("! "+sources.Name(d)+": ", why, red)
		}
	}
}
