package supervise

import (
	"context"
	"log/slog"
	"time"

	"lb/config"
	"lb/supervise/accesslog"
)

// startAccessLog opens the access log of cfg, if there is one, and has what loops write
// read from now on.
func (d *desk) startAccessLog(cfg *config.Config) error {
	d.slots.Read()
	d.accessLog = accesslog.New(accesslog.Options{
		Log:     d.log,
		Rings:   d.logRings,
		Await:   d.board.AwaitLog,
		Dropped: d.linesDropped,
		Lost:    func(lines uint64) { d.board.Control().LogWriteLost.Add(lines) },
	})
	c, err := d.accessLog.Prepare(cfg.AccessLog.Path)
	if err != nil {
		return err
	}
	d.accessLog.Use(c)
	d.accessLog.Start()
	return nil
}

// logRings returns the lines of all loops of this process, and of those of nobody.
func (d *desk) logRings() []accesslog.Ring {
	slots := d.slots.Unread()
	rings := make([]accesslog.Ring, len(slots))
	for i, slot := range slots {
		rings[i] = d.board.LogRing(slot)
	}
	return rings
}

// linesDropped returns how many lines loops had no room for.
func (d *desk) linesDropped() (n uint64) {
	for i := range d.board.Loops() {
		n += d.board.Loop(i).LogLost.Load()
	}
	return n
}

// reopenLog opens the access log again.
func (d *desk) reopenLog() {
	if path := d.now.Config.AccessLog.Path; path != "" {
		d.log.Info("access log is opened again", "path", path)
		d.accessLog.Reopen()
	}
}

// LogLevel returns the level of the log.
func (c commands) LogLevel() string { return c.d.o.LogSettings.Level() }

// SetLogLevel has the desk change the level of the log of all processes.
func (c commands) SetLogLevel(level string) error {
	if err := config.CheckLogLevel(level); err != nil {
		return err
	}
	return c.d.queue.ask("changing the log level", func() { c.d.setLogLevel(level) })
}

func (d *desk) setLogLevel(level string) {
	was := d.o.LogSettings.Level()
	d.o.LogSettings.SetLevel(level)
	d.setNow(d.now.WithLogLevel(level))
	if d.crew != nil { // else lb drains
		d.crew.SetLogLevel(level)
	}
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "log level is changed at run time", 0)
	r.Add("from", was, "to", level)
	d.log.Handler().Handle(context.Background(), r) // whatever the level is
}
