package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"lb/backends"
	"lb/bench"
)

// options are the flags.
type options struct {
	lb, mode, strategy  string
	pools, each, rounds int
	changes             float64 // a second, over all pools
	rate                float64 // requests a second
	conns, workers      int
	length              time.Duration // of a round
	control             bool          // files change that lb does not watch
}

func main() {
	var o options
	flag.StringVar(&o.lb, "lb", "", "path of the lb to measure")
	flag.StringVar(&o.mode, "mode", "mp", "mt or mp")
	flag.StringVar(&o.strategy, "strategy", "round_robin", "of all pools")
	flag.IntVar(&o.pools, "pools", 100, "pools")
	flag.IntVar(&o.each, "each", 100, "backends of each pool")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds without churn, and as many with it")
	flag.Float64Var(&o.changes, "changes", 100, "changes a second, over all pools")
	flag.Float64Var(&o.rate, "rate", 4000, "requests a second, on one pool")
	flag.IntVar(&o.conns, "conns", 64, "conns of the load")
	flag.IntVar(&o.workers, "workers", 2, "loops of lb")
	flag.DurationVar(&o.length, "length", 10*time.Second, "of each round")
	flag.BoolVar(&o.control, "control", false, "have files change that lb does not watch: what the writing itself costs the load")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(1)
	}
}

// run measures in a folder of its own.
func (o *options) run() error {
	dir, err := os.MkdirTemp("", "lb-churn")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := backends.Start(backends.Options{Addr: "0.0.0.0:0", Name: "churn"})
	if err != nil {
		return err
	}
	defer server.Close()
	m, err := newMembers(dir, o, server.Addr())
	if err != nil {
		return err
	}
	p, err := o.start(dir)
	if err != nil {
		return err
	}
	defer p.end()
	if err := p.await(m, 60*time.Second); err != nil {
		return err
	}
	fmt.Printf("%d backends over %d pools, %s, %s, %d loops, %.0f requests/s on one pool over %d conns\n",
		o.pools*o.each, o.pools, o.strategy, o.mode, o.workers, o.rate, o.conns)
	calm, churned := newSum(), newSum()
	for range o.rounds {
		if err := p.round(o, nil, calm); err != nil {
			return err
		}
		if err := p.round(o, m, churned); err != nil {
			return err
		}
	}
	fmt.Println(calm.text("calm"))
	fmt.Println(churned.text(fmt.Sprintf("%.0f changes/s", float64(m.changes)/churned.elapsed.Seconds())))
	begun := time.Now()
	if err := p.await(m, 10*time.Second); err != nil {
		return err
	}
	fmt.Printf("all %d members are as in the files, %d ms after the last change\n", o.pools*o.each, time.Since(begun).Milliseconds())
	if calm.lost+churned.lost > 0 {
		return fmt.Errorf("%d requests lost without churn, %d with it", calm.lost, churned.lost)
	}
	return nil
}

// start starts lb with a configuration in dir.
func (o *options) start(dir string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("mode = %q\nhost = \"127.0.0.1\"\nport = %d\nworkers = %d\nlog_level = \"warn\"\n[admin]\naddress = \"\"\nsocket = %q\n",
		o.mode, port, o.workers, filepath.Join(dir, "lb.sock"))
	for i := range o.pools {
		text += fmt.Sprintf("[[pools]]\nname = \"p%d\"\nstrategy = %q\ndiscover = \"file://%s\"\n", i, o.strategy, fileOf(dir, i))
	}
	for i := range o.pools {
		text += fmt.Sprintf("[[routes]]\npath = \"/p%d/\"\npool = \"p%d\"\nstrip_prefix = true\n", i, i)
	}
	config := filepath.Join(dir, "lb.toml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &process{lb: o.lb, config: config, url: fmt.Sprintf("http://127.0.0.1:%d/p0/bytes/512", port)}
	p.cmd = exec.Command(o.lb, "serve", "-c", config)
	p.cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+dir)
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, os.Stderr
	return p, p.cmd.Start()
}

// round puts load on lb, with churn unless m is nil, and adds what it finds to s.
func (p *process) round(o *options, m *members, s *sum) error {
	before, err := p.cpu()
	if err != nil {
		return err
	}
	begun, stop := time.Now(), func() error { return nil }
	if m != nil {
		stop = m.churn(o.changes)
	}
	r, err := bench.Run(context.Background(), bench.Options{URL: p.url, Conns: o.conns, Rate: o.rate, Duration: o.length, Loops: 1, Warmup: time.Second})
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	after, err := p.cpu()
	if err != nil {
		return err
	}
	took := time.Since(begun)
	s.elapsed += took
	s.add(r)
	for name, used := range after {
		s.cpu[name] += used - before[name]
	}
	return nil
}

// sum is what rounds of one kind have found.
type sum struct {
	requests, lost int64
	latency        bench.Latency
	elapsed        time.Duration
	cpu            map[string]time.Duration // by process
}

func newSum() *sum { return &sum{latency: bench.NewLatency(), cpu: map[string]time.Duration{}} }

func (s *sum) add(r *bench.Result) {
	s.requests += r.Requests
	s.lost += r.Requests - r.Status.S2xx
	s.latency.Merge(r.Latency.Histogram)
}

// text returns a line.
func (s *sum) text(what string) string {
	line := fmt.Sprintf("%-16s %d requests, %d lost, p50 %v, p99 %v, p99.9 %v, max %v; CPU", what, s.requests, s.lost,
		s.latency.At(.5).Round(time.Microsecond), s.latency.At(.99).Round(time.Microsecond), s.latency.At(.999).Round(time.Microsecond), s.latency.At(1).Round(time.Microsecond))
	names := make([]string, 0, len(s.cpu))
	for name := range s.cpu {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		line += fmt.Sprintf(" %s %.1f %%", name, 100*s.cpu[name].Seconds()/s.elapsed.Seconds())
	}
	return line
}
