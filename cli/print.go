package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lb/admin/api"
	"lb/cli/words"
	"lb/config"
)

// What the commands print for a person to read. Programs use `lb status --json`.

// The words that other rooms of the command line use, too.
var (
	age, grouped, short = words.Age, words.Grouped, words.Short
	stateOf, tintOf     = words.State, words.TintOf
)

// printStatus writes the whole status.
func printStatus(p page, st api.Status, now time.Time) {
	p.line("lb ", fmt.Sprintf("%s on %s for %s: process %d, mode %s, version %s",
		st.State, cmp.Or(st.Listeners.String(), st.Address), age(st.Started, now), st.PID, st.Mode, st.Version))
	printConfig(p, st, now)
	t := st.Totals
	p.line("now       ", fmt.Sprintf("%s active, %s; connections: %s of clients, %s to backends",
		amountOf(t.Exchanges, "request"), amountOf(t.Tunnels, "tunnel"), grouped(t.ClientConns), grouped(t.BackendConns)))
	if h := t.HTTP2; h.ClientConns|h.BackendConns|h.Requests > 0 {
		p.line("by HTTP/2 ", fmt.Sprintf("%s so far; connections: %s of clients, %s to backends; cut off for floods: %s",
			amountOf(h.Requests, "request"), grouped(h.ClientConns), grouped(h.BackendConns), grouped(h.Floods)))
	}
	answers := ""
	for class := 2; class < len(t.Replies); class++ {
		answers += fmt.Sprintf(" %dxx %s", class, grouped(t.Replies[class]))
	}
	p.line("so far    ", fmt.Sprintf("%s, %s retried; answers:%s", amountOf(t.Requests, "request"), grouped(t.Retries), answers))
	p.line("          ", fmt.Sprintf("%s (%s refused), %s, %s, %s", amountOf(t.Reloads, "reload"), grouped(t.ReloadFaults),
		amountOf(t.Upgrades, "upgrade"), amountOf(t.WorkerRestarts, "worker restart"), amountOf(t.Panics, "panic")))
	fmt.Fprintln(p.w)
	printLoops(p, st.Loops, now)
	printCertificates(p, st.Certificates, now)
	printLimits(p, st.RateLimits, now)
	printDiscovery(p, st.Discovery, now)
	fmt.Fprintln(p.w)
	printBackends(p, st.Pools, now)
}

// printConfig writes which configuration is in use, and why a later reload or upgrade
// failed.
func printConfig(p page, st api.Status, now time.Time) {
	c := st.Config
	watched := map[bool]string{false: "not watched", true: "watched"}[c.Watching]
	p.line("config    ", fmt.Sprintf("number %d, %s (%s), loaded %s ago", c.Number, cmp.Or(c.File, "no file"), watched, age(c.Loaded, now)))
	if c.Store != nil {
		p.line("store     ", words.Store(c.Store, now))
		if c.Store.Fault != "" {
			p.lineIn("          ", "STORE "+words.StoreFault(c.Store, now), red)
		}
	}
	if c.Fault != "" {
		p.lineIn("          ", fmt.Sprintf("LAST RELOAD REFUSED %s ago:", age(c.FaultAt, now)), red)
		for line := range strings.Lines(c.Fault) {
			p.lineIn("          ", strings.TrimRight(line, "\n"), red)
		}
	}
	if st.UpgradeFault != "" {
		p.lineIn("upgrade   ", fmt.Sprintf("LAST ONE FAILED %s ago: %s", age(st.UpgradeFaultAt, now), st.UpgradeFault), red)
	}
	for _, text := range st.Troubles {
		p.lineIn("trouble   ", text, red)
	}
}

func printLoops(p page, loops []api.Loop, now time.Time) {
	rows := [][]cell{cells("LOOP", "PROCESS", "STATE", "FOR", "RESTARTS", "CONNS", "ACTIVE", "REQUESTS")}
	for _, l := range loops {
		process := "-"
		if l.PID != 0 {
			process = strconv.Itoa(l.PID)
		}
		row := cells(strconv.Itoa(l.Slot), process, l.State, age(l.Since, now), strconv.Itoa(l.Restarts),
			grouped(l.Conns), grouped(l.Exchanges), grouped(l.Requests))
		if l.State == api.LoopWaiting {
			row[2].tint = red
		}
		rows = append(rows, row)
	}
	p.table(rows)
}

// The columns of a table of backends that may be cut.
const (
	poolColumn    = 0
	backendColumn = 1
)

// printBackends writes a table, with the whole state of each backend where there is room;
// else what is not well follows below. Every backend that has failed has its last fault.
func printBackends(p page, pools []api.Pool, now time.Time) {
	table := func(state func(api.Backend, time.Time) string) [][]cell {
		rows := [][]cell{cells("POOL", "BACKEND", "WEIGHT", "ACTIVE", "REQUESTS", "FAULTS", "STATE")}
		for _, pool := range pools {
			if len(pool.Backends) == 0 && (pool.Name != config.DefaultPool || len(pools) == 1) {
				rows = append(rows, cells(pool.Name, "(none)"))
			}
			for _, b := range pool.Backends {
				row := cells(pool.Name, named(b), weightOf(b), inFlightOf(b), grouped(b.Requests), grouped(b.Faults), state(b, now))
				row[len(row)-1].tint = tintOf(b)
				rows = append(rows, row)
			}
		}
		return rows
	}
	rows := table(stateOf)
	whole := p.fits(rows)
	if !whole {
		rows = table(func(b api.Backend, _ time.Time) string { return words.StateWord(b) })
	}
	p.table(rows, backendColumn, poolColumn)
	printBelow(p, pools, whole, now)
}

// named returns the address of a backend, and the name under which it was found.
func named(b api.Backend) string {
	if b.Name == "" || strings.HasPrefix(b.Address, b.Name) {
		return b.Address
	}
	return fmt.Sprintf("%s (%s)", b.Address, b.Name)
}

// printBelow writes what a table of backends has no room for; whole says that their states
// stand in it.
func printBelow(p page, pools []api.Pool, whole bool, now time.Time) {
	changed := false
	for _, pool := range pools {
		for _, b := range pool.Backends {
			changed = changed || b.Runtime
			if !whole && tintOf(b) == red {
				p.lineIn(fmt.Sprintf("! %s %s: ", pool.Name, named(b)), stateOf(b, now), red)
			}
		}
	}
	for _, pool := range pools {
		for _, b := range pool.Backends {
			if b.LastFault != "" {
				p.line(fmt.Sprintf("last fault of %s %s: ", pool.Name, named(b)), fmt.Sprintf("%s, %s ago", b.LastFault, age(b.LastFaultAt, now)))
			}
		}
	}
	if changed {
		p.line("* ", "changed at run time, and not what the configuration says")
	}
}

// printChanged writes the state of a backend after a command.
func printChanged(p page, b api.Backend, action api.Action) {
	fmt.Fprintf(p.w, "%s %s: %s, weight %s, %s active\n", b.Pool, b.Address, b.Admin, weightOf(b), grouped(b.InFlight))
	if action == api.Enable && b.Admin != api.Enabled {
		fmt.Fprintln(p.w, "note: the configuration says drain = true")
	}
}

// weightOf returns the weight in use, with that of the file if the two differ.
func weightOf(b api.Backend) string {
	if b.Weight == b.ConfiguredWeight {
		return strconv.Itoa(b.Weight)
	}
	return fmt.Sprintf("%d* (%d)", b.Weight, b.ConfiguredWeight)
}

func inFlightOf(b api.Backend) string {
	if b.MaxConnections == 0 {
		return grouped(b.InFlight)
	}
	return fmt.Sprintf("%s of %s", grouped(b.InFlight), grouped(uint64(b.MaxConnections)))
}

func amountOf(n uint64, noun string) string { return grouped(n) + " " + plural(n, noun) }
