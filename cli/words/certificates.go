package words

import (
	"fmt"
	"time"

	"lb/admin/api"
)

// CertificateName returns the first name of c, how many it has, and whom it is for, unless
// that is clients.
func CertificateName(c api.Certificate) string {
	name := c.Name
	if more := len(c.Names) - 1; more > 0 {
		name += fmt.Sprintf(" +%d", more)
	}
	if c.Pool != "" {
		name += " (pool " + c.Pool + ")"
	}
	return name
}

// ExpiryOf says when c expires.
func ExpiryOf(c api.Certificate, now time.Time) string {
	left := c.Expires.Sub(now)
	switch {
	case c.Expires.IsZero() && c.File != "": // authorities, which are here for their fault alone
		return "the old ones go on"
	case c.Expires.IsZero():
		return "none yet"
	case left <= 0:
		return "expired " + Age(c.Expires, now) + " ago"
	case left < 48*time.Hour:
		return "expires in " + Age(now, c.Expires)
	}
	return fmt.Sprintf("expires in %d days", left/(24*time.Hour))
}

func ExpiryTint(c api.Certificate, now time.Time) Tint {
	switch {
	case !c.Expires.After(now):
		return Red
	case c.Soon:
		return Yellow
	}
	return Green
}

// CertificateFault returns the fault of c, and since when.
func CertificateFault(c api.Certificate, now time.Time) string {
	if c.FaultAt.IsZero() {
		return c.Fault
	}
	return fmt.Sprintf("%s ago: %s", Age(c.FaultAt, now), c.Fault)
}

// CertificateProblems returns what is not well with certificates, a line each.
func CertificateProblems(list []api.Certificate, now time.Time) (lines []string) {
	for _, c := range list {
		name := "certificate " + CertificateName(c) + ": "
		if ExpiryTint(c, now) != Green {
			lines = append(lines, name+ExpiryOf(c, now))
		}
		if c.Fault != "" {
			lines = append(lines, name+CertificateFault(c, now))
		}
	}
	return lines
}
