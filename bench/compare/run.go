package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"lb/bench"
	"lb/bench/report"
)

// warmTime is the time of load on a target before each measurement of it. Answers
// are verified then, not during the measurement.
const warmTime = 300 * time.Millisecond

// warmMax is the same for a target that had no answer in less.
const warmMax = 8 * warmTime

// saturateTime is the time of load that finds the rate of the open loop.
const saturateTime = 700 * time.Millisecond

// curveShares are the points of a latency curve.
var curveShares = []float64{0, .25, .5, .75, .9, .95, .99, .995, .999, .9995, .9999}

// runner measures cases.
type runner struct {
	launcher *launcher
	programs programs
	cpus     []int
	names    []string // of targets, in the order of the tables
	rounds   int
	time     time.Duration // of each measurement
	progress io.Writer     // a terminal, or nil
}

// tell replaces the line that shows the progress.
func (r *runner) tell(format string, args ...any) {
	if r.progress != nil {
		fmt.Fprintf(r.progress, "\r\x1b[K"+format, args...)
	}
}

// run measures cases and calls done after each.
func (r *runner) run(ctx context.Context, cases []scenario, done func(*report.Case)) error {
	var rg *rig
	defer func() {
		if rg != nil {
			rg.stop()
		}
	}()
	for _, s := range cases {
		if rg == nil || rg.setting != s.setting {
			if rg != nil {
				rg.stop()
				rg = nil
			}
			var err error
			if rg, err = newRig(ctx, r.launcher, r.programs, r.cpus, s.setting, r.names); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		c, err := r.measure(ctx, rg, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		done(c)
	}
	return nil
}

// measure runs one case on the rig.
func (r *runner) measure(ctx context.Context, rg *rig, s scenario) (*report.Case, error) {
	targets := slices.DeleteFunc(slices.Clone(rg.targets), func(t target) bool { return slices.Contains(s.without, t.name) })
	c := &report.Case{Name: s.name, About: s.about, Cores: rg.cores.note()}
	for _, t := range targets {
		c.Proxies = append(c.Proxies, report.Proxy{Name: t.name})
	}
	if s.kind == heldConns {
		return c, r.memory(ctx, targets, c, holds[s.hold])
	}
	if s.beside > 0 {
		stop, err := beside(ctx, targets, s.beside, holds["readers"])
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	l := s.load
	if l.Requests == 0 {
		l.Duration = r.time
	}
	if s.kind == halfRate {
		rate, err := r.saturation(ctx, rg, targets, l)
		if err != nil {
			return nil, err
		}
		l.Rate = rate / 2
		c.Rate = l.Rate
	}
	curves := make([]bench.Latency, len(targets))
	for i := range curves {
		curves[i] = bench.NewLatency()
	}
	for round := range r.rounds {
		for i := range targets {
			i = (i + round) % len(targets)
			r.tell("%s, round %d of %d: %s", s.name, round+1, r.rounds, targets[i].name)
			d, result, err := measureOnce(ctx, rg, targets[i], l, s.flood)
			if err != nil {
				return nil, err
			}
			c.Proxies[i].Rounds = append(c.Proxies[i].Rounds, d)
			curves[i].Merge(result.Latency.Histogram)
		}
	}
	r.tell("")
	for i := range curves {
		c.Proxies[i].Curve = curveOf(curves[i])
	}
	return c, nil
}

// measureOnce warms t up and measures it once, beside a flood of handshakes from so many
// clients.
func measureOnce(ctx context.Context, rg *rig, t target, l load, flood int) (d report.Round, result *bench.Result, err error) {
	warm := l
	warm.Requests, warm.Duration, warm.Rate, warm.Verify = 0, warmTime, 0, true
	warmed, err := rg.run(ctx, t, warm)
	for errors.Is(err, errNoAnswers) && warm.Duration < warmMax { // others have the machine
		warm.Duration *= 2
		warmed, err = rg.run(ctx, t, warm)
	}
	if err != nil {
		return d, nil, err
	}
	if flood > 0 {
		c, err := rg.flood(ctx, t, flood)
		if err != nil {
			return d, nil, err
		}
		defer rg.launcher.stop([]*child{c})
	}
	before, err := usedBy(t)
	if err != nil {
		return d, nil, err
	}
	if result, err = rg.run(ctx, t, l); err != nil {
		return d, nil, err
	}
	after, err := usedBy(t)
	if err != nil {
		return d, nil, err
	}
	d = roundOf(result)
	d.Errors += warmed.Errors.Total()
	if t.pid != 0 {
		d.User, d.System = after.per(before, result.Answers)
		d.Memory, err = pss(t.pid)
	}
	return d, result, err
}

// usedBy returns the CPU time of a proxy so far. That of direct is 0.
func usedBy(t target) (usage, error) {
	if t.pid == 0 {
		return usage{}, nil
	}
	return used(t.pid)
}

func roundOf(r *bench.Result) report.Round {
	micros := func(q float64) float64 { return float64(r.Latency.At(q)) / 1e3 }
	return report.Round{
		Requests: r.Answers, Errors: r.Errors.Total() + r.Backlog.Unsent, Throughput: r.Throughput,
		P50: micros(.5), P99: micros(.99), P999: micros(.999),
	}
}

func curveOf(l bench.Latency) []report.Point {
	points := make([]report.Point, len(curveShares))
	for i, q := range curveShares {
		points[i] = report.Point{Share: q, Micros: float64(l.At(q)) / 1e3}
	}
	return points
}

// saturation returns the throughput of the slowest proxy in requests/s, so that all
// can be measured at one rate.
func (r *runner) saturation(ctx context.Context, rg *rig, targets []target, l load) (rate float64, err error) {
	l.Duration = saturateTime
	for _, t := range targets {
		if t.name == "direct" && len(targets) > 1 {
			continue
		}
		result, err := rg.run(ctx, t, l)
		if err != nil {
			return 0, err
		}
		if rate == 0 || result.Throughput < rate {
			rate = result.Throughput
		}
	}
	return rate, nil
}
