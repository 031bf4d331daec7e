// Command scrapes measures what scrapes of /metrics cost those who wait for answers:
// `go run ./bench/scrapes --lb ./lb`, or `--lb ./old,./new` to compare two.
//
// lb has many backends (one process that listens at all addresses of 127.0.0.0/8) and
// serves requests at a fixed rate, from clients that do not wait for each other. Windows of
// three kinds take turns, because a shared machine changes from minute to minute: without
// scrapes, with scrapes, and with the same scrapes of a twin, an lb with the same
// configuration that serves nothing. The twin is the control: its scrapes take the same
// processor time from the same cores, and share nothing else with those who wait. Windows
// are short and many, and the median over them is compared: what something else on the
// machine does for a while spoils few of them.
//
// The scraper asks as Prometheus does, but every second and not every fifteen, and reads the
// answer without looking at it: what Prometheus does with it is not lb's. Scraper and
// backends are processes of their own: in the process of the clients they would wait for
// each other's turn in Go's scheduler, and the latency of lb would contain that.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	lbs        []string
	backends   int
	rate       float64
	conns      int
	rounds     int
	window     time.Duration
	every      time.Duration
	perBackend bool
	native     bool
}

func main() {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case backendsCommand:
			exit(serveBackends())
		case scraperCommand:
			exit(serveScrapes())
		}
	}
	var o options
	modes := flag.String("modes", "mp,mt", "modes of lb, one after the other")
	lbs := flag.String("lb", "./lb", "the binary, or several, with commas between")
	flag.IntVar(&o.backends, "backends", 1000, "how many backends lb has, in pools of 100")
	flag.Float64Var(&o.rate, "rate", 4000, "requests a second")
	flag.IntVar(&o.conns, "conns", 64, "connections of clients")
	flag.IntVar(&o.rounds, "rounds", 30, "rounds of windows, one of each kind")
	flag.DurationVar(&o.window, "window", 3*time.Second, "length of a window")
	flag.DurationVar(&o.every, "every", time.Second, "from one scrape to the next")
	flag.BoolVar(&o.perBackend, "per-backend", false, "metrics.per_backend = true")
	flag.BoolVar(&o.native, "native", false, "ask for protocol buffers, as a Prometheus with native histograms does")
	flag.Parse()
	o.lbs = strings.Split(*lbs, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for mode := range strings.SplitSeq(*modes, ",") {
		if err := o.measure(ctx, mode); err != nil {
			exit(err)
		}
	}
}

// exit ends the process.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "scrapes:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
