package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lb/admin/api"
)

// What the commands print for a person to read. Programs use `lb status --json`.

// printStatus writes the whole status.
func printStatus(w io.Writer, st api.Status, now time.Time) {
	fmt.Fprintf(w, "lb %s on %s for %s: process %d, mode %s, version %s\n",
		st.State, st.Address, age(st.Started, now), st.PID, st.Mode, st.Version)
	printConfig(w, st, now)
	t := st.Totals
	fmt.Fprintf(w, "now       %s at work, %s; connections: %s of clients, %s to backends\n",
		amountOf(t.Exchanges, "request"), amountOf(t.Tunnels, "tunnel"), grouped(t.ClientConns), grouped(t.BackendConns))
	fmt.Fprintf(w, "so far    %s, %s retried; answers:", amountOf(t.Requests, "request"), grouped(t.Retries))
	for class := 2; class < len(t.Replies); class++ {
		fmt.Fprintf(w, " %dxx %s", class, grouped(t.Replies[class]))
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "          %s (%s refused), %s, %s, %s\n", amountOf(t.Reloads, "reload"), grouped(t.ReloadFaults),
		amountOf(t.Upgrades, "upgrade"), amountOf(t.WorkerRestarts, "worker restart"), amountOf(t.Panics, "panic"))
	fmt.Fprintln(w)
	printLoops(w, st.Loops, now)
	fmt.Fprintln(w)
	printBackends(w, st.Pools, now)
}

// printConfig writes which configuration is in use, and why a later reload or upgrade
// failed.
func printConfig(w io.Writer, st api.Status, now time.Time) {
	c := st.Config
	file := "no file"
	if c.File != "" {
		file = c.File
	}
	watched := "not watched"
	if c.Watching {
		watched = "watched"
	}
	fmt.Fprintf(w, "config    number %d, %s (%s), loaded %s ago\n", c.Number, file, watched, age(c.Loaded, now))
	if c.Fault != "" {
		fmt.Fprintf(w, "          LAST RELOAD REFUSED %s ago:\n", age(c.FaultAt, now))
		for line := range strings.Lines(c.Fault) {
			fmt.Fprintf(w, "          %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if st.UpgradeFault != "" {
		fmt.Fprintf(w, "upgrade   LAST ONE FAILED %s ago: %s\n", age(st.UpgradeFaultAt, now), st.UpgradeFault)
	}
}

// columns returns a writer that aligns columns, two blanks apart.
func columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func printLoops(w io.Writer, loops []api.Loop, now time.Time) {
	t := columns(w)
	defer t.Flush()
	fmt.Fprintln(t, "LOOP\tPROCESS\tSTATE\tFOR\tRESTARTS\tCONNS\tAT WORK\tREQUESTS")
	for _, l := range loops {
		process := "-"
		if l.PID != 0 {
			process = strconv.Itoa(l.PID)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.Slot, process, l.State, age(l.Since, now),
			l.Restarts, grouped(l.Conns), grouped(l.Exchanges), grouped(l.Requests))
	}
}

func printBackends(w io.Writer, pools []api.Pool, now time.Time) {
	t := columns(w)
	fmt.Fprintln(t, "POOL\tBACKEND\tWEIGHT\tAT WORK\tREQUESTS\tFAULTS\tSTATE")
	changed := false
	for _, p := range pools {
		if len(p.Backends) == 0 {
			fmt.Fprintf(t, "%s\t(none)\n", p.Name)
		}
		for _, b := range p.Backends {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, b.Address, weightOf(b),
				inFlightOf(b), grouped(b.Attempts), grouped(b.Faults), stateOf(b, now))
			changed = changed || b.Runtime
		}
	}
	t.Flush()
	if changed {
		fmt.Fprintln(w, "* changed at run time, and not what the configuration says")
	}
}

// printChanged writes the state of a backend after a command.
func printChanged(w io.Writer, b api.Backend, action api.Action) {
	fmt.Fprintf(w, "%s %s: %s, weight %s, %s at work\n", b.Pool, b.Address, b.Admin, weightOf(b), grouped(b.InFlight))
	if action == api.Enable && b.Admin != api.Enabled {
		fmt.Fprintln(w, "note: the configuration says drain = true")
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

// stateOf returns the state of a backend, beginning with what keeps it from being used.
func stateOf(b api.Backend, now time.Time) string {
	var words []string
	if b.Admin != api.Enabled {
		word := b.Admin
		if b.Runtime {
			word += "*"
		}
		words = append(words, word)
	}
	if b.Ejected {
		words = append(words, strings.TrimSuffix("ejected for "+age(now, b.EjectedUntil)+" more: "+b.EjectedReason, ": "))
	}
	health := b.Health
	if health == "unknown" {
		health = "not checked"
	} else if !b.Since.IsZero() {
		health += " for " + age(b.Since, now)
	}
	if b.Health == "down" && b.HealthReason != "" {
		health += ": " + b.HealthReason
	}
	words = append(words, health)
	if b.Backup {
		words = append(words, "backup")
	}
	return strings.Join(words, ", ")
}

// age returns the time from one moment to another in its two largest units.
func age(from, to time.Time) string {
	if from.IsZero() {
		return "-"
	}
	d := max(to.Sub(from), 0)
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// grouped writes n with a comma before every third digit from the end.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func amountOf(n uint64, noun string) string { return grouped(n) + " " + plural(n, noun) }
