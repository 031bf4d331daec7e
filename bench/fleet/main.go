package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	backends := flag.Int("backends", 100, "backends, all of which every machine knows")
	machines := flag.String("machines", "10,100,1000", "sizes of the fleet")
	flag.Parse()
	sizes, err := parseSizes(*machines)
	if err != nil || *backends < 3 {
		fmt.Fprintln(os.Stderr, "fleet: --machines wants numbers such as 10,100, and --backends 3 at least")
		os.Exit(2)
	}
	report(os.Stdout, sizes, *backends)
}

func parseSizes(s string) (sizes []int, err error) {
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no size of a fleet", part)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// report writes the tables.
func report(w io.Writer, sizes []int, backends int) {
	table(w, sizes, "consistent hashing", [][]string{
		column("keys that move when 1 of %s backends goes down", sizes, func(int) string { return percent(movedByDown(backends)) }, backends),
		column("... and when it leaves the list", sizes, func(int) string { return percent(movedByLeaving(backends)) }),
		column("keys on which two machines with the same list differ", sizes, func(int) string { return percent(disagreement(backends)) }),
		column("clients that reach another machine when one goes, ECMP by modulo", sizes, func(n int) string { return percent(movedByModulo(n)) }),
		column("... ECMP with resilient groups", sizes, func(n int) string { return percent(1 / float64(n)) }),
	})
	c := checks{interval: 5 * time.Second, fall: 3, faults: 3}
	table(w, sizes, "failures and checks", [][]string{
		column("checks a second at each backend, one every 5 s", sizes, func(n int) string { return fmt.Sprintf("%.1f", c.rate(n)) }),
		column("seconds until all machines have seen a backend go down", sizes, func(n int) string { return fmt.Sprintf("%.1f", c.lastToSee(n).Seconds()) }),
		column("attempts that a dead backend costs the fleet, all retried", sizes, func(n int) string { return strconv.Itoa(c.attempts(n)) }),
	})
	l := limitModel{rate: 100, burst: 200, sync: 100 * time.Millisecond, offered: 10}
	table(w, sizes, "a limit of 100/s, burst 200, one client that asks 1,000 times a second", [][]string{
		column("let through in the first second, no store", sizes, func(n int) string { return l.without(n).text(1) }),
		column("... with a store", sizes, func(n int) string { return l.with(n).text(1) }),
		column("let through per second over 60 s, no store", sizes, func(n int) string { return l.without(n).text(60) }),
		column("... with a store", sizes, func(n int) string { return l.with(n).text(60) }),
		column("entries a second that the store takes, 1,000 requests/s per machine", sizes, func(n int) string { return strconv.Itoa(storeLoad(n, 1000)) }),
	})
	table(w, sizes, fmt.Sprintf("p2c over %d backends of 8 workers, load 0.8; time in service times", backends), [][]string{
		column("mean", sizes, func(n int) string { return fmt.Sprintf("%.2f", queueing(n, backends, 8, 0.8).mean) }),
		column("p99", sizes, func(n int) string { return fmt.Sprintf("%.2f", queueing(n, backends, 8, 0.8).p99) }),
		column("p99 if one machine saw everything", sizes, func(int) string { return fmt.Sprintf("%.2f", queueing(1, backends, 8, 0.8).p99) }),
	})
}

// column is a row of a table: what, and its value for each size. args fill in what.
func column(what string, sizes []int, value func(n int) string, args ...int) []string {
	for _, a := range args {
		what = strings.Replace(what, "%s", strconv.Itoa(a), 1)
	}
	row := []string{what}
	for _, n := range sizes {
		row = append(row, value(n))
	}
	return row
}

// table writes a table of Markdown.
func table(w io.Writer, sizes []int, title string, rows [][]string) {
	fmt.Fprintf(w, "| %s |", title)
	for _, n := range sizes {
		fmt.Fprintf(w, " %d machines |", n)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("--:|", len(sizes)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", share*100) }
