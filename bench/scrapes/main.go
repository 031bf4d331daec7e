// Command scrapes measures what scrapes of /metrics cost those who wait for answers:
// `go run ./bench/scrapes --lb ./lb`.
//
// lb has many backends (one process that listens at all addresses of 127.0.0.0/8) and
// serves requests at a fixed rate, from clients that do not wait for each other. Windows
// with scrapes and windows without take turns, AB BA AB..., because a shared machine changes
// from minute to minute. Windows are short and many, and the median over them is compared:
// what something else on the machine does for a while spoils few of them. The scraper asks as
// Prometheus does, but every second and not every fifteen, and reads the answer without
// looking at it: what Prometheus does with it is not lb's.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lb/backends"
	"lb/bench"
)

// options are the flags.
type options struct {
	lb         string
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
	var o options
	modes := flag.String("modes", "mp,mt", "modes of lb, one after the other")
	flag.StringVar(&o.lb, "lb", "./lb", "the binary")
	flag.IntVar(&o.backends, "backends", 1000, "how many backends lb has, in pools of 100")
	flag.Float64Var(&o.rate, "rate", 4000, "requests a second")
	flag.IntVar(&o.conns, "conns", 64, "connections of clients")
	flag.IntVar(&o.rounds, "rounds", 30, "pairs of windows")
	flag.DurationVar(&o.window, "window", 3*time.Second, "length of a window")
	flag.DurationVar(&o.every, "every", time.Second, "from one scrape to the next")
	flag.BoolVar(&o.perBackend, "per-backend", false, "metrics.per_backend = true")
	flag.BoolVar(&o.native, "native", false, "ask for protocol buffers, as a Prometheus with native histograms does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for mode := range strings.SplitSeq(*modes, ",") {
		if err := o.measure(ctx, mode); err != nil {
			fmt.Fprintln(os.Stderr, "scrapes:", err)
			os.Exit(1)
		}
	}
}

// measure runs all windows with lb in mode, and prints the result.
func (o *options) measure(ctx context.Context, mode string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	servers, err := backends.Start(backends.Options{Listener: ln, Name: "backend"})
	if err != nil {
		return err
	}
	defer servers.Close()
	dir, err := os.MkdirTemp("", "lb-scrapes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &rig{options: o, pools: (o.backends + 99) / 100}
	if r.addr, err = freeAddr(); err != nil {
		return err
	}
	if r.admin, err = freeAddr(); err != nil {
		return err
	}
	file := filepath.Join(dir, "lb.toml")
	if err := os.WriteFile(file, []byte(r.config(mode, ln.Addr().(*net.TCPAddr).Port)), 0o600); err != nil {
		return err
	}
	lb := exec.CommandContext(ctx, o.lb, "serve", "--config", file)
	lb.Cancel = func() error { return lb.Process.Signal(syscall.SIGTERM) }
	lb.Stderr = os.Stderr
	if err := lb.Start(); err != nil {
		return err
	}
	defer lb.Wait()
	defer cancel()
	if err := r.await(ctx); err != nil {
		return err
	}
	return r.run(ctx, mode)
}

// freeAddr returns an address of this machine at which nothing listens now.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// rig is lb as it is measured.
type rig struct {
	*options
	addr, admin string
	pools       int

	scrapes int
	bytes   int64
	took    time.Duration
}

// config returns lb.toml. The requests go to the first pool.
func (r *rig) config(mode string, port int) string {
	var b strings.Builder
	host, ownPort, _ := net.SplitHostPort(r.addr)
	fmt.Fprintf(&b, "mode = %q\nhost = %q\nport = %s\nlog_level = \"error\"\n\n[admin]\naddress = %q\n", mode, host, ownPort, r.admin)
	if r.perBackend {
		b.WriteString("\n[metrics]\nper_backend = true\n")
	}
	for p := range r.pools {
		fmt.Fprintf(&b, "\n[[pools]]\nname = \"p%d\"\nbackends = [\n", p)
		for i := p * 100; i < min(p*100+100, r.backends); i++ {
			fmt.Fprintf(&b, "  { host = \"127.1.%d.%d\", port = %d },\n", i/250, 1+i%250, port)
		}
		b.WriteString("]\n")
	}
	b.WriteString("\n[[routes]]\npath = \"/\"\npool = \"p0\"\n")
	return b.String()
}

// await waits until lb serves.
func (r *rig) await(ctx context.Context) error {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + r.admin + "/healthz")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		if time.Since(begun) > 10*time.Second || ctx.Err() != nil {
			return fmt.Errorf("lb does not serve: %w", err)
		}
	}
}

// quantiles are what is compared.
var quantiles = [...]float64{50, 99, 99.9}

// run runs the windows in turn and prints, for each quantile, the median over the windows of
// both kinds, and the share by which scrapes change it. In parentheses is the same of even
// windows without scrapes beside odd ones: what the machine does by itself.
func (r *rig) run(ctx context.Context, mode string) error {
	if _, err := r.load(ctx, 3*time.Second); err != nil { // warms both up
		return err
	}
	var without, with [len(quantiles)][]float64 // microseconds, by pair
	for round := range r.rounds {
		for turn := range 2 {
			scraped := turn != round%2
			into := &without
			if scraped {
				into = &with
			}
			result, err := r.measured(ctx, scraped)
			if err != nil {
				return err
			}
			for i, q := range quantiles {
				into[i] = append(into[i], float64(result.Latency.ValueAtQuantile(q))/1e3)
			}
		}
	}
	fmt.Printf("%s: %d backends, %.0f requests/s, %d pairs of %v; %d scrapes of %d kB, %v each\n", mode, r.backends, r.rate,
		r.rounds, r.window, r.scrapes, r.bytes/int64(max(r.scrapes, 1))/1000, (r.took / time.Duration(max(r.scrapes, 1))).Round(10*time.Microsecond))
	for i, q := range quantiles {
		var even, odd []float64
		for k, v := range without[i] {
			if k%2 == 0 {
				even = append(even, v)
			} else {
				odd = append(odd, v)
			}
		}
		a, b := median(without[i]), median(with[i])
		fmt.Printf("  p%-5v %8.0f us without, %8.0f us with: %+.1f %% (%+.1f %%)\n", q, a, b, 100*(b/a-1), 100*(median(odd)/median(even)-1))
	}
	return nil
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// measured runs one window, beside scrapes or not.
func (r *rig) measured(ctx context.Context, scraped bool) (*bench.Result, error) {
	if !scraped {
		return r.load(ctx, r.window)
	}
	stopped := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { stopped <- r.scrape(ctx) }()
	result, err := r.load(ctx, r.window)
	cancel()
	return result, cmp.Or(err, <-stopped)
}

// load sends requests for a while.
func (r *rig) load(ctx context.Context, length time.Duration) (*bench.Result, error) {
	result, err := bench.Run(ctx, bench.Options{URL: "http://" + r.addr + "/", Conns: r.conns, Rate: r.rate, Duration: length, Loops: 1})
	if err != nil {
		return nil, err
	}
	if n := result.Errors.Total(); n > 0 || result.Cut {
		return nil, fmt.Errorf("%d of %d requests failed", n, result.Requests)
	}
	return result, nil
}

// scrape scrapes until ctx ends.
func (r *rig) scrape(ctx context.Context) error {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		begun := time.Now()
		n, err := r.scrapeOnce(ctx)
		if errors.Is(err, context.Canceled) {
			return nil
		} else if err != nil {
			return err
		}
		r.scrapes, r.bytes, r.took = r.scrapes+1, r.bytes+n, r.took+time.Since(begun)
	}
}

// scrapeOnce reads one answer, and returns its length in bytes.
func (r *rig) scrapeOnce(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	if r.native {
		req.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return 0, errors.New("/metrics: " + resp.Status)
	}
	return io.Copy(io.Discard, resp.Body)
}
