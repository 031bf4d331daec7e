package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/internal/host"
	"lb/supervise/accesslog"
	"lb/supervise/acme"
	"lb/supervise/certs"
	"lb/supervise/conffile"
	"lb/supervise/listen"
	"lb/supervise/notice"
	"lb/supervise/plan"
)

// A reload has two halves. The first, prepare, holds everything that can fail; it
// changes nothing, and what it opens is closed again if a later step fails. The
// second, commit, does not fail: a loop that does not answer gets the configuration
// when it does.

// change is a configuration that is about to be used.
type change struct {
	cfg      *config.Config
	members  *config.Config // cfg with the members that are known: the effective configuration
	number   uint64
	assigned *plan.Assignment
	files    *certs.Loaded // certificates
	acme     *acme.Change
	loops    int
	what     []string // lines for the operator
	notes    []string
	undo     []func() // closes what prepare has opened

	sockets []*listen.Set // by listener; those in use if the address stays
	pid     bool          // another PID file is written
	admin   *opened[Admin, net.Listener]
	runtime *opened[string, *net.UnixListener]
	log     *accesslog.Change
}

// refusal returns why there can be no reload now, or nil if there can.
func (d *desk) refusal() error {
	switch {
	case d.isDraining():
		return errors.New("lb is draining and takes no new configuration")
	case d.moving != nil:
		return errors.New("an upgrade is under way; the new process reads the configuration by itself")
	case d.o.Load == nil:
		return errors.New("this lb cannot read its configuration again")
	}
	return nil
}

// reloadFor is a reload without a caller that waits.
func (d *desk) reloadFor(by trigger) {
	if err := d.refusal(); err != nil {
		d.log.Warn("reload refused", "by", by, "cause", err, "mend", "try again when that is over")
		return
	}
	d.reload(by, false)
}

// reload reads the configuration again and uses it, or with planOnly returns what
// would change. See api.Control.
func (d *desk) reload(by trigger, planOnly bool) (api.Reloaded, error) {
	if err := d.refusal(); err != nil {
		return api.Reloaded{}, err
	}
	if planOnly {
		cfg, _, err := d.load()
		if err != nil {
			return api.Reloaded{}, err
		}
		c, err := d.compare(cfg)
		if err != nil {
			return api.Reloaded{}, err
		}
		return api.Reloaded{Plan: true, Number: d.now.Number, Changes: c.what, Notes: c.notes}, nil
	}
	d.notifier.Reloading(time.Duration(d.clock()))
	defer func() { d.notifier.Ready(d.headline()) }()
	c, err := d.prepare(by)
	if err != nil {
		d.refuse(by, err)
		return api.Reloaded{}, err
	}
	left := conffile.LeftOf(d.now.Base, c.cfg)
	err = d.commit(c)
	d.log.Info("configuration reloaded", "number", c.number, "changes", len(c.what), "by", by)
	if left != "" {
		d.log.Warn("configuration has lost most of its backends or routes", "number", c.number, "left", left, "by", by, "file", c.cfg.Source,
			"mend", "put the missing ones back into the file, if they are not meant to go")
	}
	if err != nil {
		d.board.Control().ReloadFaults.Add(1)
		d.outcome.reloadFailed(err)
		d.log.Error("not every loop has taken up the configuration", "number", c.number, "cause", err, "mend", "lb status shows the loops; one that is busy takes it up later, and lb reload tries again")
	}
	d.publish()
	return api.Reloaded{Number: c.number, Changes: c.what, Notes: c.notes}, err
}

// headline is the text that systemd shows.
func (d *desk) headline() string {
	text := fmt.Sprintf("serving on %v, configuration %d", d.listeners(), d.now.Number)
	if d.outcome.reload.text != "" {
		text += ", a newer one was refused"
	}
	return text
}

// refuse notes why a configuration was not taken up.
func (d *desk) refuse(by trigger, err error) {
	d.board.Control().ReloadFaults.Add(1)
	d.outcome.reloadFailed(err)
	var list config.Errors
	switch {
	case errors.As(err, &list):
	case errors.Is(err, conffile.ErrDoubted):
		d.log.Warn("configuration not taken up, the old one goes on", "by", by, "file", d.now.Config.Source, "cause", err, "mend", "if it is whole, lb reload takes it")
	default:
		d.log.Error("configuration refused, the old one goes on", "by", by, "file", d.now.Config.Source, "cause", err, "mend", "lb reload shows the same; the cause says what to change")
	}
	shown, more := list.Shown()
	for _, e := range shown {
		cause := e.What
		if e.Hint != "" {
			cause += "; " + e.Hint
		}
		d.log.Error("configuration refused, the old one goes on", "by", by,
			"file", e.File, "line", e.Line, "key", e.Key, "cause", cause, "mend", cmp.Or(e.Hint, "correct the file; lb check shows all mistakes"))
	}
	if more > 0 {
		d.log.Error("configuration refused, the old one goes on", "by", by, "cause", fmt.Sprintf("and %d more mistakes", more), "mend", "lb check shows all")
	}
	d.publish()
}

// compare works out what cfg changes, and reads its certificates. It changes nothing, and
// does not even look names up.
func (d *desk) compare(cfg *config.Config) (_ *change, err error) {
	old := d.now.Base
	if cfg.Mode != old.Mode {
		return nil, fmt.Errorf("mode: %s -> %s is more than a reload can change; use `lb upgrade`, or restart", old.Mode, cfg.Mode)
	}
	c := &change{cfg: cfg, number: d.now.Number + 1, loops: host.LoopsFor(cfg.Workers, cfg.Limits.Connections)}
	if room := d.board.LoopsRoom(); c.loops > room {
		return nil, fmt.Errorf("workers: %d are more than the %d there is room for until the next restart", c.loops, room)
	}
	if c.assigned, c.members, err = d.assigned(cfg, c.number); err != nil {
		return nil, err
	}
	if c.files, err = d.certs.Prepare(cfg); err != nil {
		return nil, err
	}
	for _, line := range config.Diff(old, cfg) {
		c.what = append(c.what, line.String())
	}
	for _, o := range d.overruled(c.members) {
		c.notes = append(c.notes, o.note)
	}
	if level := d.now.LogLevel; level != "" && level != cfg.LogLevel {
		c.notes = append(c.notes, fmt.Sprintf("log_level, changed at run time: %s is overwritten by the configuration's %s", level, cfg.LogLevel))
	}
	return c, nil
}

// prepare makes ready everything that can fail. After an error nothing has changed.
func (d *desk) prepare(by trigger) (c *change, err error) {
	cfg, hash, err := d.load()
	d.file.Tried(hash)
	if err != nil {
		return nil, err
	}
	if c, err = d.compare(cfg); err != nil {
		return nil, err
	}
	if by == byWriting || by == byStore {
		if err := d.file.Doubt(d.now.Base, cfg); err != nil {
			return nil, err
		}
	}
	d.findMembers(c.cfg, reloadAwaits)
	for _, name := range d.hub.Without(c.cfg) {
		c.notes = append(c.notes, fmt.Sprintf("%s has no address yet; it is looked up again and again", name))
	}
	if c.assigned, c.members, err = d.assigned(c.cfg, c.number); err == nil {
		err = d.openFor(c)
	}
	if err != nil {
		for _, undo := range c.undo {
			undo()
		}
		d.hub.Follow(d.now.Base)
		return nil, err
	}
	return c, nil
}

// openFor opens what c needs. Sockets for traffic come last: the system puts
// connections into their queues at once, and no loop accepts those before commit.
func (d *desk) openFor(c *change) (err error) {
	if path := c.cfg.PIDFile; path != d.pidFile {
		if err := host.CheckPID(path); err != nil {
			return err
		}
		c.pid = true
	}
	if c.admin, err = d.operator.prepareAdmin(c.cfg, d.now.Config, &c.undo); err != nil {
		return withAdminMend(err, c.cfg)
	}
	if c.runtime, err = d.operator.prepareRuntime(c.cfg, &c.undo); err != nil {
		return err
	}
	if c.acme, err = d.acme.Prepare(c.cfg); err != nil {
		return err
	}
	c.undo = append(c.undo, func() { d.acme.Drop(c.acme) })
	if c.log, err = d.accessLog.Prepare(c.cfg.AccessLog.Path); err != nil {
		return err
	}
	c.undo = append(c.undo, c.log.Drop)
	c.sockets, err = d.ports.Prepare(c.cfg, c.loops)
	return err
}

// commit uses c. The error names the loops that have not taken it up yet.
func (d *desk) commit(c *change) error {
	overruled := d.overruled(c.members)
	d.assign(c.assigned, true)
	old, before, level := d.now.Config, d.listeners(), d.now.LogLevel
	d.acme.Commit(c.acme)
	now := c.assigned.Snapshot(c.members, c.cfg, c.number)
	now.Secrets = d.certs.Use(c.files)
	d.setNow(now)
	d.ports.Swap(c.sockets)
	d.accessLog.Begin(c.log)
	d.traces.Configure(c.cfg.Tracing.Endpoint) // before loops write for it
	err := d.crew.Apply(d.now, c.sockets, c.loops)
	d.accessLog.Use(c.log)
	d.logListeners(before)
	d.obeyFile(overruled)
	d.prober.Update(d.probes(d.now))
	d.operator.swap(c.admin, c.runtime)
	if c.pid {
		host.RemovePID(d.pidFile)
		if err := d.writePID(c.cfg.PIDFile); err != nil {
			d.log.Error("pid file is lost", "file", c.cfg.PIDFile, "cause", err, "mend", "let the user of lb write there, then reload")
		}
	}
	d.o.LogSettings.Set(c.cfg.LogFormat, c.cfg.LogLevel)
	if level != "" && level != c.cfg.LogLevel {
		d.sayLevel("log level is that of the configuration again", level, c.cfg.LogLevel)
	}
	if c.cfg.Limits.Connections != old.Limits.Connections || c.loops != host.LoopsFor(old.Workers, old.Limits.Connections) {
		d.warnDescriptors(c.cfg, c.loops)
	}
	notice.Insecure(d.now, d.log)
	d.watchFile(c.cfg)
	d.taken()
	d.board.Control().Reloads.Add(1)
	return err
}

// overrule is a change made at run time that the file takes back, because it has
// another value for that backend than it had.
type overrule struct {
	id            int
	weight, admin bool
	note          string
}

// overruled returns the changes made at run time that cfg takes back if it comes after
// the configuration in use.
func (d *desk) overruled(cfg *config.Config) (list []overrule) {
	for _, p := range cfg.Pools {
		for _, b := range p.Backends {
			key := plan.Key(p.Name, b)
			had, ok := d.registry.InUse[key]
			if !ok {
				continue
			}
			o := overrule{id: had.ID}
			var notes []string
			state := d.board.State(had.ID)
			if w := state.WeightOverride.Load(); w != 0 && had.Weight != b.Weight {
				o.weight = true
				notes = append(notes, fmt.Sprintf("weight %d is overwritten by the file's %d", w, b.Weight))
			}
			if a := board.Admin(state.Admin.Load()); a != board.Enabled && had.Drain != b.Drain {
				o.admin = true
				notes = append(notes, fmt.Sprintf("%v is overwritten by the file's drain = %v", a, b.Drain))
			}
			if len(notes) > 0 {
				o.note = fmt.Sprintf("pool %s: backend %s, changed at run time: %s", p.Name, b, strings.Join(notes, "; "))
				list = append(list, o)
			}
		}
	}
	return list
}

// obeyFile takes run-time changes back.
func (d *desk) obeyFile(list []overrule) {
	for _, o := range list {
		if o.weight {
			d.board.SetWeight(o.id, 0)
		}
		if o.admin {
			d.board.SetAdmin(o.id, board.Enabled, int64(d.clock()))
		}
		d.log.Info("run-time change is overwritten by the file", "note", o.note)
	}
}
