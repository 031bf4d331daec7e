package cli

import (
	"cmp"
	"fmt"
	"time"

	"lb/admin/api"
)

// printCertificates writes a table of certificates, and below it what is wrong with them.
func printCertificates(p page, list []api.Certificate, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.w)
	rows := [][]cell{cells("CERTIFICATE", "ISSUER", "SOURCE", "STATE")}
	for _, c := range list {
		row := cells(certificateName(c), cmp.Or(c.Issuer, "-"), cmp.Or(c.File, c.Source, "-"), expiryOf(c, now))
		row[3].tint = expiryTint(c, now)
		rows = append(rows, row)
	}
	p.table(rows, 2, 0, 1)
	for _, c := range list {
		if c.Fault != "" {
			p.lineIn(fmt.Sprintf("! %s: ", certificateName(c)), certificateFault(c, now), red)
		}
	}
}

// certificateName returns the first name of c, how many it has, and whom it is for, unless
// that is clients.
func certificateName(c api.Certificate) string {
	name := c.Name
	if more := len(c.Names) - 1; more > 0 {
		name += fmt.Sprintf(" +%d", more)
	}
	if c.Pool != "" {
		name += " (pool " + c.Pool + ")"
	}
	return name
}

// expiryOf says when c expires.
func expiryOf(c api.Certificate, now time.Time) string {
	left := c.Expires.Sub(now)
	switch {
	case c.Expires.IsZero() && c.File != "": // authorities, which are here for their fault alone
		return "the old ones go on"
	case c.Expires.IsZero():
		return "none yet"
	case left <= 0:
		return "expired " + age(c.Expires, now) + " ago"
	case left < 48*time.Hour:
		return "expires in " + age(now, c.Expires)
	}
	return fmt.Sprintf("expires in %d days", left/(24*time.Hour))
}

func expiryTint(c api.Certificate, now time.Time) tint {
	switch {
	case !c.Expires.After(now):
		return red
	case c.Soon:
		return yellow
	}
	return green
}

// certificateFault returns the fault of c, and since when.
func certificateFault(c api.Certificate, now time.Time) string {
	if c.FaultAt.IsZero() {
		return c.Fault
	}
	return fmt.Sprintf("%s ago: %s", age(c.FaultAt, now), c.Fault)
}

// certificateProblems returns what is not well with certificates, a line each.
func certificateProblems(list []api.Certificate, now time.Time) (lines []string) {
	for _, c := range list {
		name := "certificate " + certificateName(c) + ": "
		if expiryTint(c, now) != green {
			lines = append(lines, name+expiryOf(c, now))
		}
		if c.Fault != "" {
			lines = append(lines, name+certificateFault(c, now))
		}
	}
	return lines
}
