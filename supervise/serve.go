package supervise

import (
	"context"
	"os"
	"time"

	"lb/admin/history"
	"lb/config"
	"lb/internal/filewatch"
	"lb/internal/host"
	"lb/internal/systemd"
	"lb/supervise/acme"
	"lb/supervise/certs"
	"lb/supervise/conffile"
	"lb/supervise/crew"
	"lb/supervise/faultwatch"
	"lb/supervise/handover"
	"lb/supervise/health"
	"lb/supervise/notice"
	"lb/supervise/outlier"
	"lb/supervise/plan"
	"lb/supervise/ports"
	"lb/supervise/queue"
	"lb/supervise/rings"
	"lb/supervise/signals"
)

// Serve runs the loops of cfg until a signal or a command ends them. It leaves no process,
// goroutine, descriptor or file. exitCode is for the
// process: 0 if everything that ran was answered, 3 if something was cut off, 1
// with an error of one line if lb could not begin.
func Serve(cfg *config.Config, o Options) (exitCode int, err error) {
	d := newDesk(o, cfg)
	defer d.close()
	if err := d.start(cfg); err != nil {
		d.from.ReportFault(err)
		return crew.ExitFault, err
	}
	return crew.ExitCode(d.run()), nil
}

// ReportFault tells the process that this one was to replace, if there is one,
// why that cannot be. It is for errors before Serve.
func ReportFault(err error) { handover.ReportFault(err) }

// newDesk returns a desk that has not started, but hears signals.
func newDesk(o Options, cfg *config.Config) *desk {
	d := &desk{
		o:       o,
		log:     o.Log,
		queue:   queue.New(),
		signals: signals.New(o.Signals),
		program: host.StartPath(),
	}
	if d.log == nil {
		d.o.LogSettings = OpenLog(os.Stderr, os.Stderr, cfg.LogFormat, cfg.LogLevel)
		d.log = d.o.LogSettings.Logger
	}
	if d.o.LogSettings == nil {
		d.o.LogSettings = &host.Log{}
	}
	d.notifier = systemd.NewNotifier(d.log)
	d.certs = certs.New(d.log)
	d.acme = acme.New(acme.Options{Log: d.log, Publish: d.setManaged})
	d.ports = ports.New(listenResolver(&d.o), d.log)
	d.hub = d.newHub(cfg)
	d.rings = &rings.Reader{Look: d.look, Now: func() int64 { return int64(d.clock()) }}
	d.operator.log = d.log
	if o.Admin != nil {
		d.operator.makeAdmin = func(cfg *config.Config) Admin { return o.Admin(cfg, d.running()) }
	}
	d.file = conffile.File{Log: d.log, News: d.fileChanged, Store: o.Store}
	d.file.Begin(cfg.Source)
	return d
}

// start brings everything up. What it has taken before an error is released by
// close. In an upgrade it changes nothing that the old process still needs, until
// that has let go, in takeOver.
func (d *desk) start(cfg *config.Config) (err error) {
	if d.limit, err = host.RaiseDescriptorLimit(); err != nil {
		return err
	}
	if err := d.inherit(); err != nil {
		return err
	}
	d.findMembers(cfg, startAwaits)
	loops := host.LoopsFor(cfg.Workers, cfg.Limits.Connections)
	if err := d.openBoard(cfg, loops); err != nil {
		return err
	}
	if err := d.startAccessLog(cfg); err != nil {
		return err
	}
	if d.from == nil { // else the port is ours already
		if err := d.ports.Open(cfg, loops); err != nil {
			return err
		}
		if err := host.CheckPID(cfg.PIDFile); err != nil {
			return err
		}
	}
	if err := d.firstSnapshot(cfg); err != nil {
		return err
	}
	d.warnDescriptors(cfg, loops)
	if err := d.operator.open(cfg, d.makeRuntime()); err != nil {
		return withAdminMend(err, cfg)
	}
	// In an upgrade the system puts connections into new sockets from here on, and new
	// and old loops accept at the same time, so everything that can be refused comes
	// before.
	if d.from != nil {
		if err := d.ports.Open(cfg, loops); err != nil {
			return err
		}
	}
	o := crew.Options{Log: d.log, Board: d.board, BoardFile: d.boardFile, Slots: d.slots,
		Limit: d.limit, Program: d.program}
	crew, err := crew.Start(o, d.now, d.ports.InUse(), loops)
	if err != nil {
		return err
	}
	d.crew = crew
	d.loops.Store(&crew)
	if d.from == nil { // last: a start that fails leaves the file of another lb alone
		if err := d.writePID(cfg.PIDFile); err != nil {
			return err
		}
	}
	if err := d.takeOver(cfg); err != nil {
		return err
	}
	d.begin(cfg)
	return nil
}

// inherit takes what systemd and the process before this one hand over.
func (d *desk) inherit() (err error) {
	d.registry = plan.NewRegistry()
	if d.from, err = handover.Inherit(d.registry); err != nil {
		return err
	}
	d.operator.from = d.from
	if d.from == nil {
		d.ports.Take(nil)
	} else {
		d.ports.Take(d.from.Sets)
		d.certs.Inherit(d.from.Certs)
		d.importMembers()
	}
	return nil
}

// makeRuntime returns what makes the server for commands, or nil if there is none.
func (d *desk) makeRuntime() func() Runtime {
	if d.o.Runtime == nil {
		return nil
	}
	return func() Runtime { return d.o.Runtime(commands{d}) }
}

// firstSnapshot reads certificates and gives every backend its place on the
// board.
func (d *desk) firstSnapshot(cfg *config.Config) error {
	managed, err := d.acme.Prepare(cfg)
	if err != nil {
		return err
	}
	d.acme.Commit(managed)
	files, err := d.certs.Prepare(cfg)
	if err != nil {
		return err
	}
	number := uint64(1)
	if d.from != nil {
		number = d.from.Number + 1
	}
	assigned, effective, err := d.assigned(cfg, number)
	if err != nil {
		return err
	}
	d.overrules = d.overruled(effective)
	d.assign(assigned, d.from != nil)
	now := assigned.Snapshot(effective, cfg, number)
	now.Secrets = d.certs.Use(files)
	d.setNow(now)
	return nil
}

// setNow makes now the snapshot in use.
func (d *desk) setNow(now *plan.Snapshot) {
	d.now = now
	d.view.Store(now)
}

// warnDescriptors logs a warning if limits.connections is more than there can be.
func (d *desk) warnDescriptors(cfg *config.Config, loops int) {
	here := 1 // loops that share the descriptors of one process
	if cfg.Mode == config.MT {
		here = loops
	}
	if room := loops * host.ConnsMax(d.limit, 0, 0, loops, here, len(cfg.Listening())); cfg.Limits.Connections > room {
		d.log.Warn("descriptor limit is too low for limits.connections",
			"configured", cfg.Limits.Connections, "possible", room, "descriptors", d.limit,
			"mend", "raise LimitNOFILE= of the unit or ulimit -n, or lower limits.connections")
	}
}

// takeOver has the old process, if there is one, let go of what only one of the
// two can have.
func (d *desk) takeOver(cfg *config.Config) error {
	if d.from == nil {
		return nil
	}
	if err := d.from.Ready(d.o.Version); err != nil { // returns when the old process has decided to be replaced
		return err
	}
	d.board.Control().Upgrades.Add(1)
	if err := d.writePID(cfg.PIDFile); err != nil {
		d.log.Error("upgrade goes on without a pid file", "file", cfg.PIDFile, "cause", err, "mend", "let the user of lb write there, then reload")
	}
	return nil
}

// begin makes public what start has brought up, and starts the goroutines that help the
// desk.
func (d *desk) begin(cfg *config.Config) {
	d.taken()
	d.prober = health.Start(d.probes(d.now))
	notice.Insecure(d.now, d.log)
	d.notices = notice.Start(notice.Options{Board: d.board, View: d.view.Load, Log: d.log, Now: d.clock})
	d.outliers = outlier.Start(outlier.Options{Board: d.board, View: d.view.Load, Log: d.log, Now: d.clock})
	d.faults = faultwatch.Start(faultwatch.Options{Board: d.board, View: d.view.Load, Ask: d.hub.Ask})
	d.past = history.Start(history.Options{Board: d.board, View: func() history.View {
		now := d.view.Load()
		return history.View{Config: now.Config, IDs: now.IDs, Series: now.Series, BackendSeries: now.BackendSeries}
	}})
	d.certs.Start(d.certsChanged)
	d.acme.Begin()
	d.obeyFile(d.overrules)
	d.watchFile(cfg)
	d.publish()
	adminAddr := d.operator.address()
	d.operator.serve()
	d.welcome(cfg, host.LoopsFor(cfg.Workers, cfg.Limits.Connections))
	if d.from != nil {
		d.from.Took(d.ports.Serving(d.from.Sets))
		d.ports.Own()
		d.notifier.IsMain()
	}
	d.notifier.Ready(d.headline())
	if d.o.Ready != nil {
		d.o.Ready(d.listeners(), adminAddr)
	}
}

// watchFile has the file of cfg watched, unless that is switched off or of no use.
func (d *desk) watchFile(cfg *config.Config) {
	path := cfg.Source
	if !cfg.Watch || d.o.Load == nil || !filewatch.IsFile(path) {
		path = ""
	}
	d.file.Watch(path)
}

// writePID writes the process's number to path and makes that file ours.
func (d *desk) writePID(path string) error {
	if err := host.WritePID(path); err != nil {
		return err
	}
	d.pidFile = path
	return nil
}

// close releases what start has taken, however far that came.
func (d *desk) close() {
	d.queue.Close()
	d.cancelUpgrade()
	d.signals.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	d.operator.close(ctx)
	if d.crew != nil { // start failed after it: nothing is running yet
		now := make(chan struct{})
		close(now)
		d.crew.Finish(0, now)
	}
	d.stopHelpers()
	d.acme.Close()
	d.notices.Close()
	d.outliers.Close()
	d.faults.Close()
	d.past.Close()
	d.operator.wait()
	if d.prober != nil {
		d.prober.Close()
	}
	d.ports.Close()
	if d.from != nil {
		d.from.Close()
	}
	host.RemovePID(d.pidFile)
	if d.board != nil {
		d.traces.Close()
		written := d.accessLog.Close()
		d.boardFile.Close()
		d.closeBoard(written)
	}
}

// stopHelpers ends the goroutines that bring news to the desk.
func (d *desk) stopHelpers() {
	d.acme.Stop()
	d.certs.Close()
	d.hub.Close()
	d.file.Stop()
}

// running returns what the operator's server can look at.
func (d *desk) running() Running {
	r := Running{
		Board:     d.board,
		Now:       func() int64 { return int64(d.clock()) },
		View:      d.view.Load,
		Certs:     d.certs.List,
		Discovery: d.hub.States, ConfigStore: d.file.State,
		Control: commands{d},
		LastReload: func() (ok bool, loaded time.Time) {
			p := d.public.Load() // no server serves before it is there
			return p.outcome.reload.text == "", p.outcome.loaded
		},
	}
	if d.now.Config.Mode == config.MP {
		r.Workers = func() (running int, restarts uint64) {
			if crew := d.loops.Load(); crew != nil {
				return (*crew).Running()
			}
			return 0, 0
		}
		r.Processes = d.processes
	}
	return r
}
