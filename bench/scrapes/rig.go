package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lb/bench"
)

// server is one lb that runs.
type server struct {
	addr, admin string
	command     *exec.Cmd
}

// subject is a binary that is measured.
type subject struct {
	binary     string
	busy, twin *server

	latency [kinds][len(quantiles)][]float64 // microseconds, by round
	scrapes [kinds]int
	bytes   [kinds]int64
	took    [kinds]time.Duration
}

// kind is the kind of a window.
type kind int

const (
	without kind = iota
	scraped
	twin
	kinds
)

var kindNames = [kinds]string{"without", "with", "twin"}

// quantiles are what is compared.
var quantiles = [...]float64{50, 90, 99, 99.9}

// rig is everything that runs while one mode is measured.
type rig struct {
	*options
	mode     string
	dir      string
	port     int // of the backends
	helpers  []*helper
	scraper  *helper // one of them
	subjects []*subject
}

// measure runs all windows with lb in mode, and prints the result.
func (o *options) measure(ctx context.Context, mode string) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &rig{options: o, mode: mode}
	defer r.close()
	defer cancel()
	if err := r.start(ctx); err != nil {
		return err
	}
	for _, s := range r.subjects { // warms all up
		if _, err := r.load(ctx, s.busy, 3*time.Second); err != nil {
			return err
		}
	}
	for round := range r.rounds {
		if err := r.round(ctx, round); err != nil {
			return err
		}
	}
	for _, s := range r.subjects {
		r.print(s)
	}
	return nil
}

// start starts the helpers, and for each binary lb and its twin.
func (r *rig) start(ctx context.Context) error {
	servers, err := startHelper(backendsCommand)
	if err != nil {
		return err
	}
	r.helpers = append(r.helpers, servers)
	if err := servers.ask("", &r.port); err != nil {
		return err
	}
	if r.scraper, err = startHelper(scraperCommand); err != nil {
		return err
	}
	r.helpers = append(r.helpers, r.scraper)
	if r.dir, err = os.MkdirTemp("", "lb-scrapes-"); err != nil {
		return err
	}
	for _, binary := range r.lbs {
		s := &subject{binary: binary}
		r.subjects = append(r.subjects, s)
		for _, at := range []**server{&s.busy, &s.twin} {
			if *at, err = r.serve(ctx, binary); err != nil {
				return err
			}
		}
	}
	return nil
}

// close ends what start has started.
func (r *rig) close() {
	for _, s := range r.subjects {
		for _, lb := range []*server{s.busy, s.twin} {
			if lb != nil {
				lb.command.Wait()
			}
		}
	}
	for _, h := range r.helpers {
		h.close()
	}
	os.RemoveAll(r.dir)
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

// serve starts an lb, and returns when it serves. It ends with ctx.
func (r *rig) serve(ctx context.Context, binary string) (*server, error) {
	s := &server{}
	var err error
	if s.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if s.admin, err = freeAddr(); err != nil {
		return nil, err
	}
	file := filepath.Join(r.dir, strings.ReplaceAll(s.addr, ":", "-")+".toml")
	if err := os.WriteFile(file, []byte(r.config(s)), 0o600); err != nil {
		return nil, err
	}
	s.command = exec.CommandContext(ctx, binary, "serve", "--config", file)
	s.command.Cancel = func() error { return s.command.Process.Signal(syscall.SIGTERM) }
	s.command.Stderr = os.Stderr
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := s.await(ctx); err != nil {
		s.command.Cancel()
		s.command.Wait()
		return nil, err
	}
	return s, nil
}

// config returns lb.toml. The requests go to the first pool.
func (r *rig) config(s *server) string {
	var b strings.Builder
	host, port, _ := net.SplitHostPort(s.addr)
	fmt.Fprintf(&b, "mode = %q\nhost = %q\nport = %s\nlog_level = \"error\"\n\n[admin]\naddress = %q\nsocket = %q\n",
		r.mode, host, port, s.admin, filepath.Join(r.dir, port+".sock"))
	if r.perBackend {
		b.WriteString("\n[metrics]\nper_backend = true\n")
	}
	for p := range (r.backends + 99) / 100 {
		fmt.Fprintf(&b, "\n[[pools]]\nname = \"p%d\"\nbackends = [\n", p)
		for i := p * 100; i < min(p*100+100, r.backends); i++ {
			fmt.Fprintf(&b, "  { host = \"127.1.%d.%d\", port = %d },\n", i/250, 1+i%250, r.port)
		}
		b.WriteString("]\n")
	}
	b.WriteString("\n[[routes]]\npath = \"/\"\npool = \"p0\"\n")
	return b.String()
}

// await waits until lb serves.
func (s *server) await(ctx context.Context) error {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + s.admin + "/healthz")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		if time.Since(begun) > 10*time.Second || ctx.Err() != nil {
			return fmt.Errorf("lb does not serve: %w", err)
		}
	}
}

// round runs one window of each kind with each binary, forwards or backwards.
func (r *rig) round(ctx context.Context, round int) error {
	n := len(r.subjects) * int(kinds)
	for i := range n {
		at := (i + round/2) % n
		if round%2 == 1 {
			at = n - 1 - at
		}
		s, k := r.subjects[at/int(kinds)], kind(at%int(kinds))
		result, err := r.measured(ctx, s, k)
		if err != nil {
			return err
		}
		for i, q := range quantiles {
			s.latency[k][i] = append(s.latency[k][i], float64(result.Latency.ValueAtQuantile(q))/1e3)
		}
	}
	return nil
}

// measured runs one window of s.
func (r *rig) measured(ctx context.Context, s *subject, k kind) (*bench.Result, error) {
	if k == without {
		return r.load(ctx, s.busy, r.window)
	}
	admin := s.busy.admin
	if k == twin {
		admin = s.twin.admin
	}
	over, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- r.scrape(over, s, k, admin) }()
	result, err := r.load(ctx, s.busy, r.window)
	close(over)
	return result, cmp.Or(err, <-stopped)
}

// load sends requests for a while.
func (r *rig) load(ctx context.Context, s *server, length time.Duration) (*bench.Result, error) {
	result, err := bench.Run(ctx, bench.Options{URL: "http://" + s.addr + "/", Conns: r.conns, Rate: r.rate, Duration: length, Loops: 1})
	if err != nil {
		return nil, err
	}
	if n := result.Errors.Total(); n > 0 || result.Cut {
		return nil, fmt.Errorf("%d of %d requests failed", n, result.Requests)
	}
	return result, nil
}

// scrape scrapes until over is closed, from the middle of an interval on, so that a window
// has as many scrapes as intervals.
func (r *rig) scrape(over <-chan struct{}, s *subject, k kind, admin string) error {
	accept := ""
	if r.native {
		accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	}
	line := "http://" + admin + "/metrics\t" + accept
	for wait := r.every / 2; ; wait = r.every {
		select {
		case <-over:
			return nil
		case <-time.After(wait):
		}
		var n, took int64
		if err := r.scraper.ask(line, &n, &took); err != nil {
			return err
		}
		s.scrapes[k], s.bytes[k], s.took[k] = s.scrapes[k]+1, s.bytes[k]+n, s.took[k]+time.Duration(took)
	}
}

// print prints, for each quantile, the median over the windows of each kind, and the share
// by which scrapes change it. Last is the same of odd windows without scrapes beside even
// ones: what the machine does by itself.
func (r *rig) print(s *subject) {
	n := max(s.scrapes[scraped], 1)
	fmt.Printf("%s: %s: %d backends, %.0f requests/s, %d rounds of %v; %d scrapes of %d kB, %v each, %v of the twin\n",
		s.binary, r.mode, r.backends, r.rate, r.rounds, r.window, n, s.bytes[scraped]/int64(n)/1000,
		(s.took[scraped] / time.Duration(n)).Round(10*time.Microsecond),
		(s.took[twin] / time.Duration(max(s.scrapes[twin], 1))).Round(10*time.Microsecond))
	for i, q := range quantiles {
		var halves [2][]float64 // even windows, odd windows
		for k, v := range s.latency[without][i] {
			halves[k%2] = append(halves[k%2], v)
		}
		base := median(s.latency[without][i])
		fmt.Printf("  p%-5v", q)
		for k := range kinds {
			v := median(s.latency[k][i])
			fmt.Printf("%8.0f us %s (%+.1f %%)", v, kindNames[k], 100*(v/base-1))
		}
		fmt.Printf("; machine %+.1f %%\n", 100*(median(halves[1])/median(halves[0])-1))
	}
}

// median returns NaN if list is empty.
func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}
