package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lb/bench/report"
)

// Exit codes.
const (
	exitFault       = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	asked, err := helper(ctx, os.Args[1:])
	if !asked {
		err = command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	switch {
	case err == nil:
		return
	case errors.Is(err, flag.ErrHelp):
		os.Exit(exitUsage)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "\ncompare: interrupted")
		os.Exit(exitInterrupted)
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "compare: %v\n", err)
		os.Exit(exitUsage)
	}
	fmt.Fprintf(os.Stderr, "\ncompare: %v\n", err)
	os.Exit(exitFault)
}

// usageError is an error in the command line.
type usageError struct{ error }

// options are the flags.
type options struct {
	scenario, proxies string
	rounds            int
	seconds           float64
	out               string
	lb, before        string
	render            string
	readme, docs      string
}

// command runs the command, except for the parts of children.
func command(ctx context.Context, argv []string, stdout, stderr io.Writer) error {
	var o options
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.scenario, "scenario", "", "comma-separated, of "+strings.Join(groups(scenarios()), ", ")+" (default: all)")
	f.StringVar(&o.proxies, "proxies", "", "comma-separated, of "+strings.Join(everybody, ", ")+" (default: all there are)")
	f.IntVar(&o.rounds, "rounds", 3, "measurements of each, interleaved")
	f.Float64Var(&o.seconds, "seconds", 1, "length of each measurement")
	f.StringVar(&o.out, "out", "", "prefix of the files with results: PREFIX.md, .json, .csv, -cost.svg ... (default: bench/results/DATE-COMMIT)")
	f.StringVar(&o.lb, "lb", "", "the lb to measure (default: built from this module)")
	f.StringVar(&o.before, "before", "", "another lb to measure, as before-mp and before-mt")
	f.StringVar(&o.render, "render", "", "measure nothing; write tables and plots again from this report's JSON")
	f.StringVar(&o.readme, "readme", "", "measure nothing; write the figures in this README again; an argument names another report's JSON than the README does")
	f.StringVar(&o.docs, "docs", "", "measure nothing; write the whole report to this Markdown file, from the report's JSON that is the argument")
	if err := f.Parse(argv); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	switch {
	case o.docs != "" && f.NArg() != 1:
		return usageError{errors.New("--docs needs the file of a report as argument")}
	case (o.readme != "" || o.docs != "") && f.NArg() <= 1:
		return report.Publish(o.readme, o.docs, f.Arg(0))
	case f.NArg() > 0:
		return usageError{fmt.Errorf("nothing is known of %q", f.Arg(0))}
	case o.render != "":
		r, err := report.Read(o.render)
		if err != nil {
			return err
		}
		return save(r, strings.TrimSuffix(o.render, ".json"), stderr)
	}
	return compare(ctx, o, argv, stdout, stderr)
}

// everybody is all targets that can be measured, in the order of the tables.
var everybody = []string{"direct", "relay", "lb-mp", "lb-mt", "before-mp", "before-mt", "nginx", "haproxy", "nginx-big", "haproxy-big"}

// compare measures as o says and saves the report.
func compare(ctx context.Context, o options, argv []string, stdout, stderr io.Writer) error {
	cases, err := choose(o.scenario)
	if err != nil {
		return usageError{err}
	}
	asked, err := chooseProxies(o.proxies)
	if err != nil {
		return usageError{err}
	}
	if o.rounds < 1 || !(o.seconds >= .1 && o.seconds <= 3600) {
		return usageError{errors.New("want at least 1 round, and 0.1 to 3600 seconds")}
	}
	cpus, err := cpusAllowed()
	if err != nil {
		return err
	}
	raiseFiles()
	ctx, stop := whileParent(ctx)
	defer stop()
	h, err := newLauncher()
	if err != nil {
		return err
	}
	defer h.close()
	p, err := prepare(ctx, o, h.dir, stderr)
	if err != nil {
		return err
	}
	names, missing := p.present(asked)
	if len(names) == 0 {
		return usageError{errors.New("nobody is left to be measured")}
	}
	if len(missing) > 0 {
		fmt.Fprintf(stderr, "compare: goes on without %s; on Debian: apt-get install -y --no-install-recommends nginx-light haproxy\n", strings.Join(missing, ", "))
	}
	if p.h2load == "" && slices.ContainsFunc(cases, func(s scenario) bool { return s.load.Streams > 0 }) {
		fmt.Fprintln(stderr, "compare: goes on without HTTP/2; on Debian: apt-get install -y --no-install-recommends nghttp2-client")
		cases = slices.DeleteFunc(cases, func(s scenario) bool { return s.load.Streams > 0 })
	}
	begun := time.Now().UTC()
	r := &report.Report{
		Command: strings.Join(append([]string{"go run ./bench/compare"}, argv...), " "),
		Date:    begun.Format(time.RFC3339), Commit: commitOf(ctx, p.module),
		Machine: machineHere(len(cpus)), Versions: versionsOf(ctx, p.programs), Cores: split(cpus, 1).note(),
		Rounds: o.rounds, Seconds: o.seconds, Missing: missing,
	}
	fmt.Fprintf(stdout, "%s\n", r.Preface())
	run := runner{launcher: h, programs: p.programs, cpus: cpus, names: names, rounds: o.rounds,
		time: time.Duration(o.seconds * float64(time.Second))}
	if isTerminal(stderr) {
		run.progress = stderr
	}
	err = run.run(ctx, cases, func(c *report.Case) {
		r.Cases = append(r.Cases, *c)
		c.WriteMarkdown(stdout, r.Cores)
	})
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join(p.module, "bench", "results", begun.Format(time.DateOnly)+"-"+strings.TrimSuffix(r.Commit, "+"))
	}
	return save(r, o.out, stderr)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// prepared is what a run needs besides its flags.
type prepared struct {
	programs
	module string // its directory
}

// prepare finds the module and the programs, and builds lb into dir if needed.
func prepare(ctx context.Context, o options, dir string, stderr io.Writer) (p prepared, err error) {
	mod := firstLine(ctx, "go", "env", "GOMOD")
	if filepath.Base(mod) != "go.mod" {
		return p, errors.New("run it inside the module lb")
	}
	p.module = filepath.Dir(mod)
	if p.self, err = os.Executable(); err != nil {
		return p, err
	}
	p.nginx, p.haproxy, p.h2load = lookUp("nginx"), lookUp("haproxy"), lookUp("h2load")
	if p.before, err = filepath.Abs(o.before); err != nil || o.before == "" {
		p.before = ""
	}
	if o.lb != "" {
		p.lb, err = filepath.Abs(o.lb)
		return p, err
	}
	p.lb = filepath.Join(dir, "lb")
	build := exec.CommandContext(ctx, "go", "build", "-o", p.lb, ".")
	build.Dir, build.Stdout, build.Stderr = p.module, stderr, stderr
	return p, build.Run()
}

// lookUp returns the file of a program, or "" if it is not installed. On Debian
// the PATH of a user does not contain sbin.
func lookUp(name string) string {
	for _, n := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if file, err := exec.LookPath(n); err == nil {
			return file
		}
	}
	return ""
}

// chooseProxies returns the names in list in the order of everybody. "" is all.
func chooseProxies(list string) (names []string, err error) {
	if list == "" {
		return everybody, nil
	}
	asked := strings.Split(list, ",")
	for _, name := range asked {
		if !slices.Contains(everybody, name) {
			return nil, fmt.Errorf("no proxy %q; there are %s", name, strings.Join(everybody, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(everybody), func(name string) bool { return !slices.Contains(asked, name) }), nil
}

// present divides names into targets that can be measured and programs that are not
// installed.
func (p *prepared) present(names []string) (there, missing []string) {
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "nginx") && p.nginx == "", strings.HasPrefix(name, "haproxy") && p.haproxy == "":
			missing = append(missing, report.Title(name))
		case strings.HasPrefix(name, "before-") && p.before == "":
		default:
			there = append(there, name)
		}
	}
	return there, missing
}

// raiseFiles raises the limit of descriptors to its maximum, for children, too.
func raiseFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// whileParent returns a ctx that ends when the parent process does, if that is `go
// run`: a SIGTERM to `go run` ends only itself.
func whileParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	self, err := os.Executable()
	if err != nil || !strings.Contains(self, "go-build") {
		return ctx, stop
	}
	parent := os.Getppid()
	go func() {
		for tick := time.Tick(200 * time.Millisecond); os.Getppid() == parent; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
		}
		stop()
	}()
	return ctx, stop
}

// save writes the report to files that begin with prefix, and says so.
func save(r *report.Report, prefix string, stderr io.Writer) error {
	if err := r.Save(prefix); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "compare: results are in %s.md, .json, .csv and plots\n", prefix)
	return nil
}
