package supervise

import (
	"fmt"
	"os"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/loop/tick"
	"lb/supervise/crew"
	"lb/supervise/plan"
)

// published is what status needs of the desk. Nobody changes it.
type published struct {
	now                   *plan.Snapshot
	address, adminAddress string
	state                 string
	loaded                time.Time
	watching              bool
	fault, upFault        fault
	seats                 []crew.Loop
}

// statusPatience is how long status waits for the desk. If that is busy it tells
// what was so a moment before: somebody wants to know what is going on.
const statusPatience = 250 * time.Millisecond

// publish makes public what the desk knows.
func (s *server) publish() {
	p := &published{
		now:      s.now,
		address:  s.listeners.Addr,
		state:    api.Serving,
		loaded:   s.loaded,
		watching: s.watch != nil,
		fault:    s.fault,
		upFault:  s.upFault,
	}
	if s.admin != nil {
		p.adminAddress = s.adminListener.Addr().String()
	}
	switch {
	case s.ending != nil:
		p.state = api.Draining
	case s.moving != nil:
		p.state = api.Upgrading
	}
	if s.crew != nil {
		p.seats = s.crew.Loops()
	} else if last := s.public.Load(); last != nil {
		for _, seat := range last.seats {
			seat.State = crew.Retiring
			p.seats = append(p.seats, seat)
		}
	}
	s.public.Store(p)
}

// Status works whatever the desk is doing.
func (c control) Status() api.Status {
	s := c.s
	s.desk.askWithin(statusPatience, "telling status", s.publish)
	p := s.public.Load()
	s.looking.RLock()
	defer s.looking.RUnlock()
	if s.unmapped {
		return api.Status{Version: s.o.Version, PID: os.Getpid(), State: api.Draining} // the very end of it
	}
	mono, wall := s.clock(), time.Now()
	st := api.Status{
		Version:      s.o.Version,
		PID:          os.Getpid(),
		State:        p.state,
		Mode:         string(p.now.Config.Mode),
		Address:      p.address,
		AdminAddress: p.adminAddress,
		Started:      time.Unix(0, int64(s.board.Control().StartedAt.Load())),
		Config: api.ConfigStatus{
			File:     p.now.Config.Source,
			Number:   p.now.Number,
			Loaded:   p.loaded,
			Watching: p.watching,
			Fault:    p.fault.text,
			FaultAt:  p.fault.at,
		},
		UpgradeFault:   p.upFault.text,
		UpgradeFaultAt: p.upFault.at,
		Totals:         s.totals(),
		Loops:          s.loopStatus(p.seats),
	}
	for i, pool := range p.now.Config.Pools {
		out := api.Pool{Name: pool.Name, Strategy: pool.Strategy, Backends: []api.Backend{}}
		for j := range pool.Backends {
			out.Backends = append(out.Backends, s.backendStatus(p.now, i, j, mono, wall))
		}
		st.Pools = append(st.Pools, out)
	}
	return st
}

func (s *server) totals() api.Totals {
	t, c := s.board.Totals(), s.board.Control()
	return api.Totals{
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

func (s *server) loopStatus(seats []crew.Loop) []api.Loop {
	loops := []api.Loop{}
	for _, seat := range seats {
		l := s.board.Loop(seat.Slot)
		loops = append(loops, api.Loop{
			Slot:      seat.Slot,
			PID:       seat.PID,
			State:     string(seat.State),
			Since:     seat.Since,
			Restarts:  seat.Restarts,
			Conns:     l.ClientConns.Load(),
			Exchanges: l.Exchanges.Load(),
			Requests:  l.Requests.Load(),
		})
	}
	return loops
}

// backendStatus is a backend of now, by index, at a moment of the board's clock
// and the wall's. Any goroutine may call it.
func (s *server) backendStatus(now *plan.Snapshot, i, j int, mono tick.Instant, wall time.Time) api.Backend {
	cfg, id := now.Config.Pools[i].Backends[j], now.IDs[i][j]
	state, totals := s.board.State(id), s.board.BackendTotals(id)
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
		Faults:           totals.ConnectFaults + totals.ResetFaults + totals.TimeoutFaults + totals.BadAnswers,
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
	return b
}

// reasonText returns such as "timeout" or "status 503", "" for none.
func reasonText(reason, detail *board.Word) string {
	why := board.Reason(reason.Load())
	if why == board.ReasonNone {
		return ""
	}
	if d := detail.Load(); d != 0 {
		if why == board.ReasonOK {
			why = board.ReasonStatus
		}
		return fmt.Sprintf("%v %d", why, d)
	}
	return why.String()
}
