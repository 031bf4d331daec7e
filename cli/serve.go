package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"lb/admin"
	"lb/admin/api"
	"lb/cli/load"
	"lb/config"
	"lb/supervise"
	"lb/supervise/certs"
	"lb/supervise/remote"
)

// configFlag is the flag for the file of a command that reads it.
type configFlag struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file, or etcd://HOST:PORT/KEY or consul://HOST:PORT/KEY. Default: ./lb.toml where there is one."`
}

// flushTimeout is how long the end of lb waits for a stream that is not read.
const flushTimeout = time.Second

// serveCmd is `lb serve`. A nil flag was not given.
type serveCmd struct {
	Mode     *string  `short:"m" placeholder:"mp|mt" help:"Run worker processes (mp), or threads of one process (mt). Default: mp."`
	Workers  *int     `short:"w" placeholder:"N" help:"Number of event loops; 0 means one for each CPU that lb may use. Default: 0."`
	Port     *int     `short:"p" placeholder:"N" help:"Port to listen on; 0 means any free one. Default: 8080."`
	Host     *string  `short:"H" placeholder:"HOST" help:"Name or address to listen on; :: means IPv6 and IPv4. Default: 0.0.0.0."`
	Backend  []string `short:"b" sep:"none" placeholder:"HOST:PORT" xor:"backends" help:"Backend to forward to: host:port, [v6]:port, unix:/path or https://host[:port]. May be repeated; replaces the backends of the file."`
	Strategy *string  `short:"s" placeholder:"NAME" help:"How to choose a backend: round_robin, random, least_conn, p2c, least_time or hash. Default: round_robin."`
	configFlag
	TLSCert   *string  `name:"tls-cert" placeholder:"FILE" help:"Speak TLS with this certificate: its chain in PEM."`
	TLSKey    *string  `name:"tls-key" placeholder:"FILE" help:"The key of --tls-cert. Default: in the same file."`
	HTTPS     []string `name:"https" sep:"none" placeholder:"NAME,..." help:"Serve these names on port 443 with certificates that lb gets by itself, and redirect port 80; with -p on that port alone. For localhost, see lb trust."`
	LogLevel  *string  `short:"l" placeholder:"LEVEL" help:"Log messages of this level and above: debug, info, warn or error. Default: info."`
	LogFormat *string  `name:"log-format" placeholder:"FORMAT" help:"Format of the log: auto, text or json; auto is text on a terminal, else json. Default: auto."`
	Admin     *string  `placeholder:"HOST:PORT" help:"Where the dashboard, the API, /healthz and /metrics are; an empty text is nowhere. Default: 127.0.0.1:9900."`
	PIDFile   *string  `name:"pid-file" placeholder:"FILE" help:"Write the process number to this file."`
	Demo      bool     `xor:"backends" help:"Start two demo backends in this process and forward to them."`
}

// Run serves until a signal or a command ends it.
func (s *serveCmd) Run(std *streams) error {
	std.queue()
	o, cfg, servers, err := s.prepare(std)
	defer servers.close()
	if err != nil {
		supervise.ReportFault(err)
		return err
	}
	code, err := supervise.Serve(cfg, o)
	if err != nil || code == 0 {
		return err
	}
	return exitStatus(code)
}

// queue has everything that follows written by goroutines, which wait for a reader in the
// place of lb.
func (std *streams) queue() {
	std.stream, _ = std.err.(*os.File)
	for _, w := range []*io.Writer{&std.out, &std.err} {
		q := supervise.NewLogQueue(*w)
		*w = q
		std.flush = append(std.flush, func() { q.Flush(flushTimeout) })
	}
}

// prepare starts the demo backends, if they are wanted, loads the configuration and
// wires the packages. The servers are to be closed even after an error.
func (s *serveCmd) prepare(std *streams) (o supervise.Options, cfg *config.Config, servers demoServers, err error) {
	if s.Demo {
		if servers, err = startDemo(); err != nil {
			return o, nil, nil, err
		}
	}
	read, store, err := load.Loader(s.Config, s.flags(servers))
	if err != nil {
		return o, nil, servers, err
	}
	if cfg, err = read(); err != nil {
		return o, nil, servers, err
	}
	log := supervise.OpenLog(std.err, std.stream, cfg.LogFormat, cfg.LogLevel)
	o = supervise.Options{Log: log.Logger, LogSettings: log, Version: version(), Load: read, Store: store}
	if store != nil {
		store.SetLog(log.Logger)
	}
	o.Admin = func(cfg *config.Config, r supervise.Running) supervise.Admin {
		return admin.New(adminOptions(cfg, r, log.Logger))
	}
	o.Runtime = func(c api.Control) supervise.Runtime { return admin.NewRuntime(c, log.Logger) }
	if s.Demo {
		o.Ready = func(listeners api.Listeners, adminAddr net.Addr) {
			printDemo(std.out, servers, cfg, listeners, adminAddr)
		}
	}
	return o, cfg, servers, nil
}

// flags returns the flags for the configuration.
func (s *serveCmd) flags(servers demoServers) config.Flags {
	flags := config.Flags{
		Mode: s.Mode, Host: s.Host, Strategy: s.Strategy, LogLevel: s.LogLevel, LogFormat: s.LogFormat, PIDFile: s.PIDFile, Admin: s.Admin,
		Workers: s.Workers, Port: s.Port, Backends: s.Backend, TLSCert: s.TLSCert, TLSKey: s.TLSKey, HTTPS: s.HTTPS,
	}
	if s.Demo {
		flags.Backends = servers.addrs()
	}
	return flags
}

// adminOptions lets the operator's HTTP server show what runs.
func adminOptions(cfg *config.Config, r supervise.Running, log *slog.Logger) admin.Options {
	o := admin.Options{
		Address: cfg.Admin.Address,
		Board:   r.Board,
		View: func() admin.View {
			now := r.View()
			return admin.View{Config: now.Config, IDs: now.IDs, Awaits: now.Awaits, Number: now.Number, Series: now.Series, BackendSeries: now.BackendSeries}
		},
		Now:     r.Now,
		Version: version(),
		Log:     log,
	}
	o.LastReload, o.Certificates, o.Discovery, o.Control, o.ConfigStore = r.LastReload, r.Certs, r.Discovery, r.Control, r.ConfigStore
	o.RateLimits = r.RateLimits
	if r.Processes != nil {
		o.Processes = func() (list []admin.Process) {
			for _, p := range r.Processes() {
				list = append(list, admin.Process(p))
			}
			return list
		}
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
	File string `arg:"" optional:"" help:"The file; as -c."`
	configFlag
}

// Run prints that the configuration is accepted, and a summary of it. The files of
// certificates and keys that it names are read, too, as at the start.
func (c *checkCmd) Run(std *streams) error {
	if c.File != "" && c.Config != "" {
		return config.Errors{{Key: "--config", What: fmt.Sprintf("two files, %q and %q", remote.Shown(c.File), remote.Shown(c.Config)), Hint: "check one at a time"}}
	}
	cfg, err := load.Find(cmp.Or(c.File, c.Config), config.Flags{})
	if err != nil {
		return err
	}
	if cfg.Source == "" {
		return fmt.Errorf("there is no %s here, so nothing was checked; write lb check -c FILE", config.FileName)
	}
	doubts, err := certs.Check(cfg)
	if err != nil {
		return err
	}
	for _, d := range doubts {
		fmt.Fprintln(std.err, "lb: warning:", d)
	}
	fmt.Fprintf(std.out, "%s: ok, %s, listening on %s, mode %s, strategy %s\n", cfg.Source, summary(cfg),
		listening(cfg), cfg.Mode, cfg.Pools[0].Strategy)
	return nil
}

// listening returns where and how cfg listens.
func listening(cfg *config.Config) string {
	var words []string
	for _, l := range cfg.Listening() {
		text := l.Address
		switch {
		case l.TLS:
			text += " (tls)"
		case l.RedirectHTTPS:
			text += " (redirects to https)"
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

// summary returns how many backends, sources of backends, pools and routes cfg has.
func summary(cfg *config.Config) string {
	backends, sources := 0, 0
	for _, p := range cfg.Pools {
		backends += len(p.Backends)
		if p.Discover != "" {
			sources++
		}
	}
	count := func(n int, noun string) string { return fmt.Sprintf("%d %s", n, plural(n, noun)) }
	text := count(backends, "backend")
	if sources > 0 {
		text += " and " + count(sources, "source")
	}
	if len(cfg.Pools) > 1 {
		text += " in " + count(len(cfg.Pools), "pool")
	}
	if len(cfg.Routes) > 0 {
		text += ", " + count(len(cfg.Routes), "route")
	}
	return text
}
