package cli

import (
	"fmt"
	"time"

	"lb/admin/api"
	"lb/cli/sources"
	"lb/cli/words"
)

// recentFault is how long a fault of a backend is a problem.
const recentFault = time.Minute

// problems returns what is not well, a line each: what stands beside what the operator
// wants. A backend that was drained or disabled on purpose is well, unless its pool has no
// other.
func problems(st api.Status, now time.Time) (list []string) {
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if c := st.Config; c.Fault != "" {
		note("configuration: the last reload was refused %s ago: %s", age(c.FaultAt, now), c.Fault)
	}
	if s := st.Config.Store; s != nil && s.Fault != "" {
		note("configuration: the store %s", words.StoreFault(s, now))
	}
	if st.UpgradeFault != "" {
		note("upgrade: the last one failed %s ago: %s", age(st.UpgradeFaultAt, now), st.UpgradeFault)
	}
	list = append(list, st.Troubles...)
	for _, l := range st.Loops {
		if l.State == api.LoopWaiting {
			note("loop %d: its worker died, and will be started again; %d restarts", l.Slot, l.Restarts)
		}
	}
	list = append(list, certificateProblems(st.Certificates, now)...)
	list = append(list, sources.Problems(st.Discovery, now)...)
	for _, pool := range st.Pools {
		usable := 0
		for _, b := range pool.Backends {
			if b.Health != "down" && !b.Ejected && b.Admin == api.Enabled {
				usable++
			}
			switch {
			case b.Health == "down", b.Ejected:
				note("backend %s of pool %s: %s", named(b), pool.Name, stateOf(b, now))
			case b.LastFault != "" && now.Sub(b.LastFaultAt) < recentFault:
				note("backend %s of pool %s: failed %s ago: %s", named(b), pool.Name, age(b.LastFaultAt, now), b.LastFault)
			}
		}
		if text := words.Lack(pool, usable); text != "" {
			note("pool %s: %s", pool.Name, text)
		}
	}
	return list
}

// printProblems writes what is not well, and returns the error for the exit code.
func printProblems(p page, st api.Status, now time.Time) error {
	list := problems(st, now)
	for _, one := range list {
		p.lineIn("", one, red)
	}
	if len(list) > 0 {
		return exitStatus(exitFault)
	}
	p.line("", "no problems")
	return nil
}
