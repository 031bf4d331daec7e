package supervise

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/supervise/queue"
)

// commands are what an operator can have the desk do; see api.Control.
type commands struct{ d *desk }

// Reload has the desk reload, or with plan compare configurations.
func (c commands) Reload(plan bool) (out api.Reloaded, err error) {
	what := "reloading"
	if plan {
		what = "comparing configurations"
	}
	if busy := c.d.queue.Ask(what, func() { out, err = c.d.reload(byCommand, plan) }); busy != nil {
		return api.Reloaded{}, busy
	}
	return out, err
}

// Drain has the desk begin to drain.
func (c commands) Drain() (err error) {
	busy := c.d.queue.Ask("beginning to drain", func() {
		if c.d.isDraining() {
			err = errors.New("lb is draining already")
			return
		}
		c.d.drain(false)
	})
	return errors.Join(busy, err)
}

// SetBackend has the desk change a backend.
func (c commands) SetBackend(pool, address string, action api.Action, weight int) (out api.Backend, err error) {
	busy := c.d.queue.Ask("changing a backend", func() { out, err = c.d.setBackend(pool, address, action, weight) })
	return out, errors.Join(busy, err)
}

// Upgrade has the desk begin an upgrade, and waits for its outcome.
func (c commands) Upgrade(binary string) (api.Upgraded, error) {
	type outcome struct {
		api.Upgraded
		err error
	}
	result := make(chan outcome, 1)
	busy := c.d.queue.Ask("beginning an upgrade", func() {
		c.d.beginUpgrade(binary, func(u api.Upgraded, err error) { result <- outcome{u, err} })
	})
	if busy != nil {
		return api.Upgraded{}, busy
	}
	select {
	case r := <-result:
		return r.Upgraded, r.err
	case <-c.d.queue.Closed:
		select {
		case r := <-result: // it came at the same time as the end
			return r.Upgraded, r.err
		default:
			return api.Upgraded{}, queue.ErrEnding
		}
	}
}

// setBackend changes the board, where all loops see it and where it outlives crashes
// and upgrades.
func (d *desk) setBackend(pool, address string, action api.Action, weight int) (api.Backend, error) {
	i, list, err := d.find(pool, address)
	if err != nil {
		return api.Backend{}, err
	}
	out := api.Backend{}
	for _, j := range list {
		if out, err = d.setMember(i, j, action, weight); err != nil {
			return api.Backend{}, err
		}
	}
	if len(list) > 1 {
		out.Address = net.JoinHostPort(out.Name, strconv.Itoa(d.now.Config.Pools[i].Backends[list[0]].Port))
	}
	return out, nil
}

// setMember is setBackend for one address.
func (d *desk) setMember(i, j int, action api.Action, weight int) (api.Backend, error) {
	cfg, id := d.now.Config.Pools[i].Backends[j], d.now.IDs[i][j]
	var changed bool
	switch at := int64(d.clock()); action {
	case api.Drain:
		changed = d.board.SetAdmin(id, board.Draining, at)
	case api.Disable:
		changed = d.board.SetAdmin(id, board.Disabled, at)
	case api.Enable:
		changed = d.board.SetAdmin(id, board.Enabled, at)
		if !changed && cfg.Drain {
			return api.Backend{}, fmt.Errorf("backend %s of pool %s has drain = true in the file; take it out there", cfg, d.now.Config.Pools[i].Name)
		}
	case api.Weight:
		if weight < 0 || weight > config.WeightMax {
			return api.Backend{}, api.AskError(fmt.Sprintf("weight %d is out of range; use 1 to %d, or 0 for what the file says", weight, config.WeightMax))
		}
		if weight == cfg.Weight { // the same as in the file, so a reload has nothing to overwrite
			weight = 0
		}
		changed = d.board.SetWeight(id, weight)
	default:
		return api.Backend{}, api.AskError(fmt.Sprintf("unknown action %q; there are %s, %s, %s and %s", action, api.Drain, api.Enable, api.Disable, api.Weight))
	}
	out := d.backendStatus(d.now, i, j, d.clock(), time.Now())
	if changed {
		d.log.Info("backend changed at run time", "pool", out.Pool, "backend", out.Address,
			"admin", out.Admin, "weight", out.Weight)
	}
	return out, nil
}

// find returns the index of a pool, and those of the backends there that address stands for:
// one, or all addresses of a name. Its error lists what there is instead.
func (d *desk) find(pool, address string) (i int, list []int, err error) {
	pools := d.now.Config.Pools
	i = slices.IndexFunc(pools, func(p config.Pool) bool { return p.Name == pool })
	if i < 0 {
		names := make([]string, len(pools))
		for k, p := range pools {
			names[k] = p.Name
		}
		return 0, nil, api.NotFoundError(fmt.Sprintf("there is no pool %q; there is %s", pool, listed(names)))
	}
	if b, parseErr := config.ParseBackend(address); parseErr == nil {
		if list = d.now.Find(i, b); len(list) > 0 {
			return i, list, nil
		}
	}
	addrs := make([]string, len(pools[i].Backends))
	for k, b := range pools[i].Backends {
		addrs[k] = b.String()
	}
	return 0, nil, api.NotFoundError(fmt.Sprintf("pool %s has no backend %q; it has %s", pool, address, listed(addrs)))
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
