// Command lb is an HTTP/1.1 load balancer. This package is its command line: it
// reads flags and wires the packages that do the work.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"lb/admin"
	"lb/admin/api"
	"lb/config"
	"lb/supervise"
)

// Exit codes beside those of supervise.Serve.
const (
	exitFault  = 1 // it could not begin: a taken port, a missing file
	exitConfig = 2 // a flag or the configuration is not accepted
)

// commandLine is what kong reads; docs/configuration.md has its table of flags.
type commandLine struct {
	Serve    serveCmd    `cmd:"" help:"Balance HTTP/1.1 traffic over backends."`
	Check    checkCmd    `cmd:"" help:"Say whether a configuration is accepted."`
	Status   statusCmd   `cmd:"" help:"Show what a running lb does: loops, pools, backends."`
	Reload   reloadCmd   `cmd:"" help:"Have a running lb read its configuration again, and print what changed."`
	Upgrade  upgradeCmd  `cmd:"" help:"Put another binary in the place of a running lb; no connection is refused or reset."`
	Drain    drainCmd    `cmd:"" help:"Have a running lb finish what it has, and leave."`
	Backend  backendCmd  `cmd:"" help:"List the backends of a running lb, or change one until the file says otherwise."`
	Backends backendsCmd `cmd:"" help:"Run the demo backends alone."`
	Bench    benchCmd    `cmd:"" help:"Measure what answers a URL."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	if supervise.IsWorker() {
		os.Exit(supervise.Worker())
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) (exitCode int) {
	var c commandLine
	parser := kong.Must(&c,
		kong.Name("lb"),
		kong.Description("An HTTP/1.1 load balancer."),
		kong.Writers(stdout, stderr))
	ctx, err := parser.Parse(args)
	if err != nil {
		supervise.ReportFault(err) // in an upgrade: this binary may not know a flag of the last
		fmt.Fprintf(stderr, "lb: %v; see lb --help\n", err)
		return exitConfig
	}
	if err := ctx.Run(&exitCode, &streams{stdout, stderr}); err != nil {
		return report(stderr, err)
	}
	return exitCode
}

// report writes err and returns the exit code for it.
func report(stderr io.Writer, err error) (exitCode int) {
	if explain(stderr, err) {
		return exitConfig
	}
	return exitFault
}

// explain writes err, a line for each mistake in a configuration, and says
// whether it is about one.
func explain(stderr io.Writer, err error) (ofConfig bool) {
	var refused config.Errors
	if !errors.As(err, &refused) {
		fmt.Fprintf(stderr, "lb: %v\n", err)
		return false
	}
	for _, e := range refused {
		if e.File == "" {
			fmt.Fprint(stderr, "lb: ") // what has a file begins with it, for editors to find
		}
		fmt.Fprintln(stderr, e)
	}
	return true
}

// streams are where a command writes to.
type streams struct{ out, err io.Writer }

// serveCmd is `lb serve`. A nil flag was not given.
type serveCmd struct {
	Mode     *string  `short:"m" placeholder:"mp|mt" help:"Worker processes (mp) or threads of one process (mt). Default: mp."`
	Workers  *int     `short:"w" placeholder:"N" help:"Event loops; 0 is one per CPU that this process may use. Default: 0."`
	Port     *int     `short:"p" placeholder:"N" help:"Port to listen on; 0 is any free one. Default: 8080."`
	Host     *string  `short:"H" placeholder:"HOST" help:"Name or address to listen on; :: is IPv6 and IPv4. Default: 0.0.0.0."`
	Backend  []string `short:"b" sep:"none" placeholder:"HOST:PORT" xor:"backends" help:"host:port, [v6]:port or unix:/path; may be repeated, and replaces the backends of the file."`
	Strategy *string  `short:"s" placeholder:"NAME" help:"How to choose a backend: round_robin, random, least_conn, p2c, least_time or hash. Default: round_robin."`
	Config   string   `short:"c" placeholder:"FILE" help:"Configuration file. Default: ./lb.toml where there is one."`
	LogLevel *string  `short:"l" placeholder:"LEVEL" help:"debug, info, warn or error. Default: info."`
	PIDFile  *string  `name:"pid-file" placeholder:"FILE" help:"Where to write the process number."`
	Demo     bool     `xor:"backends" help:"Start two demo backends inside and forward to them."`
}

// Run serves until a signal or a command.
func (s *serveCmd) Run(exitCode *int, std *streams) error {
	var servers demoServers
	if s.Demo {
		var err error
		if servers, err = startDemo(); err != nil {
			supervise.ReportFault(err)
			return err
		}
		defer servers.close()
	}
	cfg, load, err := s.load(servers)
	if err != nil {
		supervise.ReportFault(err)
		return err
	}
	*exitCode, err = supervise.Serve(cfg, s.options(std, cfg, load, servers))
	return err
}

// load returns the configuration, the flags included, and what reads it again,
// for one goroutine at a time. From then on its path does not depend on where lb
// was started, and a file that was there is not replaced by defaults.
func (s *serveCmd) load(servers demoServers) (*config.Config, func() (*config.Config, error), error) {
	flags := config.Flags{
		Mode: s.Mode, Host: s.Host, Strategy: s.Strategy, LogLevel: s.LogLevel, PIDFile: s.PIDFile,
		Workers: s.Workers, Port: s.Port, Backends: s.Backend,
	}
	if s.Demo {
		flags.Backends = servers.addrs()
	}
	path := s.Config
	read := func() (*config.Config, error) {
		file, err := config.Find(path)
		if err != nil {
			return nil, err
		}
		cfg, err := file.With(flags)
		if err != nil || file.Source == "" {
			return cfg, err
		}
		if path, err = filepath.Abs(file.Source); err == nil {
			cfg.Source = path
		}
		return cfg, err
	}
	cfg, err := read()
	return cfg, read, err
}

// options wires the packages.
func (s *serveCmd) options(std *streams, cfg *config.Config, load func() (*config.Config, error), servers demoServers) supervise.Options {
	log, level := supervise.NewLevelLog(std.err, cfg.LogLevel)
	o := supervise.Options{Log: log, Level: level, Version: version(), Load: load}
	o.Admin = func(cfg *config.Config, r supervise.Running) supervise.Admin {
		return admin.New(adminOptions(cfg, r, log))
	}
	o.Runtime = func(c api.Control) supervise.Runtime { return admin.NewRuntime(c, log) }
	if s.Demo {
		o.Ready = func(addr string, adminAddr net.Addr) { printDemo(std.out, servers, addr, adminAddr) }
	}
	return o
}

// adminOptions shows the operator's server what runs.
func adminOptions(cfg *config.Config, r supervise.Running, log *slog.Logger) admin.Options {
	o := admin.Options{
		Address: cfg.Admin.Address,
		Board:   r.Board,
		View:    func() admin.View { return admin.View(r.View()) },
		Now:     r.Now,
		Version: version(),
		Log:     log,
	}
	if r.Workers != nil {
		o.Workers = func() int {
			running, _ := r.Workers()
			return running
		}
	}
	return o
}

// checkCmd is `lb check`.
type checkCmd struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file. Default: ./lb.toml where there is one."`
}

// Run prints that the configuration is accepted, and what it amounts to.
func (c *checkCmd) Run(std *streams) error {
	cfg, err := config.Find(c.Config)
	if err != nil {
		return err
	}
	name := cfg.Source
	if name == "" {
		name = "no " + config.FileName + " here, so the defaults"
	}
	fmt.Fprintf(std.out, "%s: ok, %s, listening on %s, mode %s, strategy %s\n", name, amount(cfg),
		net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)), cfg.Mode, cfg.Pools[0].Strategy)
	return nil
}

// amount tells how much there is to balance.
func amount(cfg *config.Config) string {
	backends := 0
	for _, p := range cfg.Pools {
		backends += len(p.Backends)
	}
	text := plural(backends, "backend")
	if len(cfg.Pools) > 1 {
		text += " in " + plural(len(cfg.Pools), "pool")
	}
	if len(cfg.Routes) > 0 {
		text += ", " + plural(len(cfg.Routes), "route")
	}
	return text
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// versionCmd is `lb version`.
type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(std *streams) error {
	fmt.Fprintln(std.out, "lb", version())
	return nil
}

// backendsCmd is `lb backends`.
type backendsCmd struct {
	Port []int  `short:"p" placeholder:"N,..." default:"9001,9002" help:"Ports, one for each backend; 0 is any free one. Default: 9001,9002."`
	Host string `short:"H" placeholder:"HOST" default:"127.0.0.1" help:"Name or address to listen on. Default: 127.0.0.1."`
}

// Run answers until a signal.
func (b *backendsCmd) Run(std *streams) error {
	for _, port := range b.Port {
		if port < 0 || port > math.MaxUint16 {
			return config.Errors{{Key: "--port", What: fmt.Sprintf("%d is out of range", port), Hint: "use 0 to 65535"}}
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	servers, err := startBackends(b.Host, b.Port)
	if err != nil {
		return err
	}
	defer servers.close()
	for _, addr := range servers.addrs() {
		fmt.Fprintf(std.out, "backend on http://%s/\n", addr)
	}
	<-signals
	return nil
}
