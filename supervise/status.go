package supervise

import (
	"fmt"
	"os"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/internal/tlsfault"
	"lb/loop/tick"
	"lb/supervise/crew"
	"lb/supervise/health"
	"lb/supervise/notice"
	"lb/supervise/plan"
	"lb/upstream/usable"
)

// published is what status needs of the desk. It does not change once it is made.
type published struct {
	now          *plan.Snapshot
	listeners    api.Listeners
	adminAddress string
	state        string
	watching     bool
	outcome      outcome
	loops        []crew.Loop
}

// statusPatience is how long status waits for the desk. If the desk is busy, status shows
// what was published last, because an operator wants to know now what is going on.
const statusPatience = 250 * time.Millisecond

// publish makes public what the desk knows.
func (d *desk) publish() {
	p := &published{
		now:       d.now,
		listeners: d.listeners(),
		state:     api.Serving,
		watching:  d.file.Watching(),
		outcome:   d.outcome,
	}
	if at := d.operator.address(); at != nil {
		p.adminAddress = at.String()
	}
	switch {
	case d.isDraining():
		p.state = api.Draining
	case d.moving != nil:
		p.state = api.Upgrading
	}
	if d.crew != nil {
		p.loops = d.crew.Loops()
	} else if last := d.public.Load(); last != nil {
		for _, l := range last.loops {
			l.State = crew.Retiring
			p.loops = append(p.loops, l)
		}
	}
	d.public.Store(p)
}

// processes returns the processes of lb in mp. Any goroutine may call it.
func (d *desk) processes() []Process {
	d.queue.AskWithin(statusPatience, "listing processes", d.publish)
	list := []Process{{"supervisor", os.Getpid()}}
	for _, l := range d.public.Load().loops {
		if l.PID != 0 {
			name := fmt.Sprintf("worker %d", l.Place) // as in the log and in ps
			if l.State == crew.Retiring {
				name = fmt.Sprintf("retiring worker, loop %d", l.Slot)
			}
			list = append(list, Process{name, l.PID})
		}
	}
	return list
}

// Status returns what lb is doing, whatever the desk is busy with.
func (c commands) Status() api.Status {
	d := c.d
	d.queue.AskWithin(statusPatience, "telling status", d.publish)
	p := d.public.Load()
	d.looking.RLock()
	defer d.looking.RUnlock()
	if d.unmapped {
		return api.Status{Version: d.o.Version, PID: os.Getpid(), State: api.Draining, Mode: string(p.now.Config.Mode),
			Listeners: api.Listeners{}, Loops: []api.Loop{}, Pools: []api.Pool{}} // the very end
	}
	mono, wall := d.clock(), time.Now()
	st := api.Status{
		Version:      d.o.Version,
		PID:          os.Getpid(),
		State:        p.state,
		Mode:         string(p.now.Config.Mode),
		Address:      p.listeners[0].Address,
		Listeners:    p.listeners,
		AdminAddress: p.adminAddress,
		Started:      time.Unix(0, int64(d.board.Control().StartedAt.Load())),
		Config: api.ConfigStatus{
			File:     p.now.Config.Source,
			Number:   p.now.Number,
			Loaded:   p.outcome.loaded,
			Watching: p.watching,
			Fault:    p.outcome.reload.text,
			FaultAt:  p.outcome.reload.at,
			Store:    d.file.State(),
		},
		UpgradeFault:   p.outcome.upgrade.text,
		UpgradeFaultAt: p.outcome.upgrade.at,
		Troubles:       d.troubles(),
		Totals:         d.totals(),
		Loops:          d.loopStatus(p.loops),
		Certificates:   d.certs.List(),
		Discovery:      d.hub.States(),
	}
	for i, pool := range p.now.Config.Pools {
		out := api.Pool{Name: pool.Name, Strategy: pool.Strategy, Backends: []api.Backend{},
			FailOpen: usable.Of(d.board, &pool, p.now.IDs[i]).Open}
		for j := range pool.Backends {
			out.Backends = append(out.Backends, d.backendStatus(p.now, i, j, mono, wall))
		}
		st.Pools = append(st.Pools, out)
	}
	return st
}

// troubles returns what fails beside requests.
func (d *desk) troubles() (list []string) {
	if d.accessLog == nil || d.traces == nil {
		return nil
	}
	for _, text := range []string{d.accessLog.Trouble(), d.traces.Trouble()} {
		if text != "" {
			list = append(list, text)
		}
	}
	return list
}

func (d *desk) totals() api.Totals {
	t, c := d.board.Totals(), d.board.Control()
	h2 := api.HTTP2{ClientConns: t.HTTP2Conns, BackendConns: t.HTTP2BackendConns, Requests: t.HTTP2Requests}
	for _, n := range t.HTTP2Floods {
		h2.Floods += n
	}
	return api.Totals{
		HTTP2:          h2,
		ClientConns:    t.ClientConns,
		BackendConns:   t.BackendConns,
		Exchanges:      t.Exchanges,
		Tunnels:        t.Tunnels,
		Requests:       t.Requests,
		Replies:        t.Replies,
		Retries:        t.Retries,
		Panics:         t.Panics,
		WorkerRestarts: c.WorkerRestarts.Load(),
		Reloads:        c.Reloads.Load(),
		ReloadFaults:   c.ReloadFaults.Load(),
		Upgrades:       c.Upgrades.Load(),
	}
}

func (d *desk) loopStatus(loops []crew.Loop) []api.Loop {
	out := []api.Loop{}
	for _, one := range loops {
		l := d.board.Loop(one.Slot)
		out = append(out, api.Loop{
			Slot:      one.Slot,
			PID:       one.PID,
			State:     string(one.State),
			Since:     one.Since,
			Restarts:  one.Restarts,
			Conns:     l.ClientConns.Load(),
			Exchanges: l.Exchanges.Load(),
			Requests:  l.Requests.Load(),
		})
	}
	return out
}

// backendStatus returns the status of a backend of now, by index, at a moment of
// the board's clock and the wall's. Any goroutine may call it.
func (d *desk) backendStatus(now *plan.Snapshot, i, j int, mono tick.Instant, wall time.Time) api.Backend {
	cfg, id := now.Config.Pools[i].Backends[j], now.IDs[i][j]
	state, totals := d.board.State(id), d.board.BackendTotals(id)
	onWall := func(w *board.Word) time.Time {
		if at := w.Load(); at != 0 {
			return board.Wall(at, int64(mono), wall)
		}
		return time.Time{}
	}
	admin, weight := board.Admin(state.Admin.Load()), int(state.WeightOverride.Load())
	b := api.Backend{
		Pool:             now.Config.Pools[i].Name,
		Address:          cfg.String(),
		Name:             cfg.Name,
		Weight:           cfg.Weight,
		ConfiguredWeight: cfg.Weight,
		Backup:           cfg.Backup,
		MaxConnections:   cfg.MaxConnections,
		Admin:            admin.String(),
		Runtime:          admin != board.Enabled || weight != 0,
		Health:           board.Health(state.Health.Load()).String(),
		HealthReason:     reasonText(&state.HealthReason, &state.HealthDetail),
		Since:            onWall(&state.HealthSince),
		InFlight:         totals.InFlight,
		Attempts:         totals.Attempts,
		Requests:         totals.Requests(),
		Faults:           totals.ConnectFaults + totals.ResetFaults + totals.TimeoutFaults + totals.BadAnswers + state.StatusFaults.Load() + state.FaultsInTLS(),
	}
	if f, any := state.LastFault(); any {
		b.LastFault = notice.Words(f)
		b.LastFaultAt = board.Wall(uint64(f.At), int64(mono), wall)
	}
	if weight != 0 {
		b.Weight = weight
	}
	if cfg.Drain && admin == board.Enabled {
		b.Admin = api.Drained
	}
	if until := state.EjectedUntil.Load(); until > uint64(mono) {
		b.Ejected = true
		b.EjectedUntil = onWall(&state.EjectedUntil)
		b.EjectedReason = reasonText(&state.EjectedReason, &state.EjectedDetail)
	}
	if state.LeavingUntil.Load() > uint64(mono) {
		b.LeavingUntil, b.LeavingReason = onWall(&state.LeavingUntil), board.Reason(state.LeavingReason.Load()).Words()
	}
	return b
}

// reasonText returns a text such as "no answer in time" or "status 503", or "" if there is none.
func reasonText(reason, detail *board.Word) string {
	why := board.Reason(reason.Load())
	if why == board.ReasonNone {
		return ""
	}
	n := detail.Load()
	switch {
	case n != 0 && why.InTLS():
		return tlsfault.Kind(n).String()
	case why == board.ReasonGRPC:
		return "grpc " + health.GRPCWords(n)
	}
	return why.WordsWith(n)
}
