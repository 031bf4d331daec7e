package supervise

import (
	"context"
	"net"
	"os"
	"time"

	"lb/config"
	"lb/supervise/discover"
	"lb/supervise/discover/setup"
	"lb/supervise/health"
	"lb/supervise/plan"
)

// How long a start and a reload wait for names and sources. What is not found by then comes
// as a change of members.
const (
	startAwaits  = time.Second
	reloadAwaits = 500 * time.Millisecond
)

// newHub returns the hub of names and sources. cfg is the configuration of the start.
func (d *desk) newHub(cfg *config.Config) *discover.Hub {
	return setup.Hub(setup.Options{Log: d.log, Changed: d.membersChanged, Config: cfg, Getenv: os.Getenv, Root: os.Geteuid() == 0,
		Resolver: d.o.Resolver, Every: d.o.ResolveEvery, Sources: d.o.Sources})
}

// listenResolver returns what finds the addresses that listeners have by name.
func listenResolver(o *Options) discover.Resolver {
	if o.Resolver != nil {
		return o.Resolver
	}
	return net.DefaultResolver
}

// findMembers follows the names and sources of cfg, and waits for their first answers.
func (d *desk) findMembers(cfg *config.Config, atMost time.Duration) {
	d.hub.Follow(cfg)
	ctx, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	d.hub.Await(ctx)
}

// assigned returns the effective configuration of cfg with this number, and its places on
// the board. What has been found and does not fit is left out, and not what the file says.
func (d *desk) assigned(cfg *config.Config, number uint64) (a *plan.Assignment, effective *config.Config, err error) {
	effective = d.hub.Effective(cfg)
	room := d.room()
	a, err = d.registry.Assign(effective.Pools, number, room.Backends, room.Reusable)
	if err != nil && effective != cfg {
		effective = d.registry.Fitting(effective, cfg)
		if a, err = d.registry.Assign(effective.Pools, number, room.Backends, room.Reusable); err == nil {
			a.Left = true
		}
	}
	if err != nil {
		return nil, nil, err
	}
	a.Unseen = a.AssignSeries(d.registry.Series, effective, number, room.Series, room.Free)
	return a, effective, nil
}

// membersChanged brings to the desk that names or sources say something else.
func (d *desk) membersChanged(cancelled <-chan struct{}) {
	d.queue.Tell("taking up members of pools", cancelled, d.takeMembers)
}

// takeMembers has the loops go by the members that there are now. During an upgrade they
// wait: two processes would give the same places on the board to different backends.
func (d *desk) takeMembers() {
	if d.ending != nil || d.moving != nil {
		return
	}
	c := d.registry.Change(d.now, d.hub.Effective(d.now.Base), d.room())
	if d.noteCrowd(c != nil && c.Left > 0); c == nil || len(c.Delta.Pools) == 0 {
		return
	}
	d.claim(&c.Claims, true)
	d.setNow(c.Next)
	d.crew.Change(c.Next, c.Delta)
	d.prober.Change(d.probes(c.Next), c.Delta.Changed(), c.Gone)
}

// noteCrowd notes whether backends were found for which the board has no room. It is looked
// for again until there is some.
func (d *desk) noteCrowd(crowd bool) {
	if crowd && !d.crowded {
		d.log.Error("no room for more backends until the next restart; some that were found are left out", "room", d.board.BackendsRoom(),
			"mend", "restart lb, which makes room for four times as many as there are then")
	} else if !crowd && d.crowded {
		d.log.Info("there is room for all backends again")
	}
	d.crowded = crowd
}

// probes returns what the prober is to check.
func (d *desk) probes(now *plan.Snapshot) health.Options {
	return health.Options{Config: now.Config, Secrets: now.Secrets, Board: d.board, IDs: now.IDs, Log: d.log, Now: d.clock,
		Failed: func(name string) { d.hub.Ask(name) }}
}

// importMembers takes over what the process before this one knew of names and sources.
func (d *desk) importMembers() {
	if err := d.hub.Import(d.from.Members); err != nil {
		d.log.Warn("members of pools are not taken over from the process before", "cause", err, "mend", "none: they are asked for again")
	}
}
