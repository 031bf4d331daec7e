package words

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"lb/admin/api"
)

// LimitHeads are the heads of the columns of LimitRow; LimitStore is the last one.
var LimitHeads = []string{"LIMIT", "KEY", "RATE", "BURST", "PASSED", "REFUSED", "STORE"}

const LimitStore = 6

// LimitRow returns a rate limit as a row of a table. What dry_run has spared is in brackets.
func LimitRow(l api.RateLimit) []string {
	refused := Grouped(l.Limited)
	if l.DryRun {
		refused = fmt.Sprintf("(%s)", Grouped(l.Spared))
	}
	return []string{l.Name, l.Key, l.Rate, strconv.Itoa(l.Burst), Grouped(l.Passed), refused, cmp.Or(l.StoreState, "-")}
}

// LimitProblems returns what is not well with the stores of rate limits, a line each.
func LimitProblems(list []api.RateLimit, now time.Time) (lines []string) {
	for _, l := range list {
		if l.StoreState == api.StoreAway {
			lines = append(lines, fmt.Sprintf("rate limit %s: %s does not answer for %s, so this machine counts alone: %s",
				l.Name, l.Store, Age(l.StoreSince, now), l.StoreFault))
		}
	}
	return lines
}
