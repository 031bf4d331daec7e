// Package words has what commands print about time, numbers and backends. It knows no
// command.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lb/admin/api"
)

// Age returns the time from one moment to another in its two largest units, and "-" if
// from is the zero time.
func Age(from, to time.Time) string {
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

// Grouped writes n with a comma before every third digit from the end.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Span writes a time of so many microseconds with three digits at most.
func Span(us int64) string {
	switch {
	case us < 1000:
		return strconv.FormatInt(us, 10) + " us"
	case us < 99_950:
		return strconv.FormatFloat(float64(us)/1e3, 'f', 1, 64) + " ms"
	case us < 999_500:
		return strconv.FormatInt((us+500)/1000, 10) + " ms"
	case us < 99_950_000:
		return strconv.FormatFloat(float64(us)/1e6, 'f', 1, 64) + " s"
	}
	return (time.Duration(us/1e6) * time.Second).String()
}

// Short returns s in at most n columns, at least 3: the middle is left out, because
// addresses and names differ at their ends.
func Short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	tail := (n - 1) / 2
	return string(r[:n-1-tail]) + "…" + string(r[len(r)-tail:])
}

// State returns the state of a backend at now, beginning with what keeps it from being
// used.
func State(b api.Backend, now time.Time) string {
	var words []string
	if b.Admin != api.Enabled {
		words = append(words, admin(b))
	}
	if b.Ejected {
		words = append(words, strings.TrimSuffix("ejected for "+Age(now, b.EjectedUntil)+" more: "+b.EjectedReason, ": "))
	}
	if !b.LeavingUntil.IsZero() {
		words = append(words, "leaving for "+Age(now, b.LeavingUntil)+" more: "+b.LeavingReason)
	}
	health := Health(b.Health)
	if b.Health != unchecked && !b.Since.IsZero() {
		health += " for " + Age(b.Since, now)
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

// Lack says what is wrong with a pool of which so many backends are usable, or "".
func Lack(p api.Pool, usable int) string {
	switch {
	case p.FailOpen:
		return "so many of its backends are down that all are used (health.panic)"
	case len(p.Backends) > 0 && usable == 0:
		return "none of its backends is in use"
	}
	return ""
}

// unchecked is the health of backends without checks.
const unchecked = "unknown"

// Health returns a state of a backend that loops or checks have given it, as it is shown.
func Health(state string) string {
	if state == unchecked {
		return "not checked"
	}
	return state
}

// StateWord returns the first of State, in a word.
func StateWord(b api.Backend) string {
	switch {
	case b.Admin != api.Enabled:
		return admin(b)
	case b.Ejected:
		return "ejected"
	case !b.LeavingUntil.IsZero():
		return "leaving"
	case b.Health == unchecked:
		return "-"
	}
	return b.Health
}

func admin(b api.Backend) string {
	if b.Runtime {
		return b.Admin + "*"
	}
	return b.Admin
}

// Tint is a colour of ANSI terminals, as in "\x1b[31m"; "" is none.
type Tint string

// The tints.
const (
	Plain  Tint = ""
	Red    Tint = "31"
	Green  Tint = "32"
	Yellow Tint = "33"
)

// TintOf returns Red for a backend that is not used because of its faults, Yellow for one
// that is not used because somebody wants so, the backend
// itself included.
func TintOf(b api.Backend) Tint {
	switch {
	case b.Health == "down", b.Ejected:
		return Red
	case b.Admin != api.Enabled, !b.LeavingUntil.IsZero():
		return Yellow
	case b.Health == "up":
		return Green
	}
	return Plain
}

// Clean returns s without anything that a terminal obeys, or that turns the direction of
// text: what clients send is shown, too. Such characters are written as \u{...}.
func Clean(s string) string {
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafe(r) {
			fmt.Fprintf(&b, "\\u{%x}", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
