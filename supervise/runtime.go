package supervise

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
)

// control is the server as the commands of an operator see it; see api.Control.
type control struct{ s *server }

// Reload asks the desk.
func (c control) Reload(plan bool) (out api.Reloaded, err error) {
	what := "reloading"
	if plan {
		what = "comparing configurations"
	}
	if busy := c.s.desk.ask(what, func() { out, err = c.s.reload("command", plan) }); busy != nil {
		return api.Reloaded{}, busy
	}
	return out, err
}

// Drain asks the desk.
func (c control) Drain() (err error) {
	busy := c.s.desk.ask("beginning to drain", func() {
		if c.s.ending != nil {
			err = errors.New("lb is draining already")
			return
		}
		c.s.drain(false)
	})
	return errors.Join(busy, err)
}

// SetBackend asks the desk.
func (c control) SetBackend(pool, address string, action api.Action, weight int) (out api.Backend, err error) {
	busy := c.s.desk.ask("changing a backend", func() { out, err = c.s.setBackend(pool, address, action, weight) })
	return out, errors.Join(busy, err)
}

// Upgrade asks the desk and waits for what comes of it.
func (c control) Upgrade(binary string) (api.Upgraded, error) {
	type outcome struct {
		api.Upgraded
		err error
	}
	result := make(chan outcome, 1)
	busy := c.s.desk.ask("beginning an upgrade", func() {
		c.s.beginUpgrade(binary, func(u api.Upgraded, err error) { result <- outcome{u, err} })
	})
	if busy != nil {
		return api.Upgraded{}, busy
	}
	select {
	case r := <-result:
		return r.Upgraded, r.err
	case <-c.s.desk.closed:
		select {
		case r := <-result: // it came with the end
			return r.Upgraded, r.err
		default:
			return api.Upgraded{}, errEnding
		}
	}
}

// setBackend changes what is on the board, where all loops see it and where it
// outlives crashes and upgrades.
func (s *server) setBackend(pool, address string, action api.Action, weight int) (api.Backend, error) {
	i, j, err := s.find(pool, address)
	if err != nil {
		return api.Backend{}, err
	}
	cfg, id := s.now.Config.Pools[i].Backends[j], s.now.IDs[i][j]
	var changed bool
	switch at := int64(s.clock()); action {
	case api.Drain:
		changed = s.board.SetAdmin(id, board.Draining, at)
	case api.Disable:
		changed = s.board.SetAdmin(id, board.Disabled, at)
	case api.Enable:
		changed = s.board.SetAdmin(id, board.Enabled, at)
		if !changed && cfg.Drain {
			return api.Backend{}, fmt.Errorf("backend %s of pool %s has drain = true in the file; take it out there", cfg, s.now.Config.Pools[i].Name)
		}
	case api.Weight:
		if weight < 0 || weight > weightMax {
			return api.Backend{}, fmt.Errorf("weight %d is out of range; use 1 to %d, or 0 for what the file says", weight, weightMax)
		}
		if weight == cfg.Weight { // no difference that a reload would have to mind
			weight = 0
		}
		changed = s.board.SetWeight(id, weight)
	default:
		return api.Backend{}, fmt.Errorf("unknown action %q; there are %s, %s, %s and %s", action, api.Drain, api.Enable, api.Disable, api.Weight)
	}
	out := s.backendStatus(s.now, i, j, s.clock(), time.Now())
	if changed {
		s.log.Info("backend changed at run time", "pool", out.Pool, "backend", out.Address,
			"admin", out.Admin, "weight", out.Weight)
	}
	return out, nil
}

// weightMax is the largest weight, as in package config.
const weightMax = config.WeightMax

// find returns where a backend is in the configuration at work. Its error tells
// what there is instead.
func (s *server) find(pool, address string) (i, j int, err error) {
	pools := s.now.Config.Pools
	i = slices.IndexFunc(pools, func(p config.Pool) bool { return p.Name == pool })
	if i < 0 {
		names := make([]string, len(pools))
		for k, p := range pools {
			names[k] = p.Name
		}
		return 0, 0, api.NotFoundError(fmt.Sprintf("there is no pool %q; there is %s", pool, listed(names)))
	}
	if b, parseErr := config.ParseBackend(address); parseErr == nil {
		want := config.Identity(b)
		j = slices.IndexFunc(pools[i].Backends, func(b config.Backend) bool { return config.Identity(b) == want })
		if j >= 0 {
			return i, j, nil
		}
	}
	addrs := make([]string, len(pools[i].Backends))
	for k, b := range pools[i].Backends {
		addrs[k] = b.String()
	}
	return 0, 0, api.NotFoundError(fmt.Sprintf("pool %s has no backend %q; it has %s", pool, address, listed(addrs)))
}

// listedMax is how many names an error lists.
const listedMax = 20

func listed(names []string) string {
	switch more := len(names) - listedMax; {
	case len(names) == 0:
		return "none"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:listedMax], ", "), more)
	}
	return strings.Join(names, ", ")
}
