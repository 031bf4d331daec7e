package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/supervise/accesslog"
	"lb/supervise/ratestore"
	"lb/supervise/tracing"
)

// startAccessLog opens the access log of cfg, if there is one, and has what loops write,
// spans included, read from now on.
func (d *desk) startAccessLog(cfg *config.Config) error {
	d.accessLog = accesslog.OfBoard(d.log, d.board, d.slots)
	c, err := d.accessLog.Prepare(cfg.AccessLog.Path)
	if err != nil {
		return err
	}
	d.accessLog.Use(c)
	d.accessLog.Start()
	d.rates = ratestore.New(ratestore.Options{Board: d.board, Now: func() int64 { return int64(d.clock()) }, Log: d.log})
	d.traces = tracing.OfBoard(d.log, d.board, d.slots.Ours, d.o.Version, cfg.Tracing.Endpoint)
	return nil
}

// reopenLog opens the access log again.
func (d *desk) reopenLog() {
	if path := d.now.Config.AccessLog.Path; path != "" {
		d.log.Info("access log is opened again", "path", path)
		d.accessLog.Reopen()
	}
}

// levels are the levels of the log.
var levels = []string{"debug", "info", "warn", "error"}

// LogLevel returns the level of the log.
func (c commands) LogLevel() string { return c.d.o.LogSettings.Level() }

// SetLogLevel has the desk change the level of the log of all processes.
func (c commands) SetLogLevel(level string) error {
	if !slices.Contains(levels, level) {
		return api.AskError(fmt.Sprintf("there is no log level %q; there are %s", level, listed(levels)))
	}
	return c.d.queue.Ask("changing the log level", func() { c.d.setLogLevel(level) })
}

func (d *desk) setLogLevel(level string) {
	was := d.o.LogSettings.Level()
	d.o.LogSettings.SetLevel(level)
	d.setNow(d.now.WithLogLevel(level))
	if d.crew != nil { // else lb drains
		d.crew.SetLogLevel(level)
	}
	d.sayLevel("log level is changed at run time", was, level)
}

// sayLevel says that the level has changed, whatever it is now.
func (d *desk) sayLevel(what, from, to string) {
	r := slog.NewRecord(time.Now(), slog.LevelInfo, what, 0)
	r.Add("from", from, "to", to)
	d.log.Handler().Handle(context.Background(), r)
}
