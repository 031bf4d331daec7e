package faultview

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// causes has the words for each record.Cause. A cause of "slow" depends on the phase.
var causes = map[string]string{
	"gone":        "the client went away",
	"short_body":  "the client ended its request before the body was whole",
	"bad_request": "the request is not valid",
	"too_large":   "the body is larger than limits.body_bytes",
	"slow":        "too slow",
	"no_connect":  "cannot be reached",
	"reset":       "closed the connection",
	"bad_answer":  "sent something that is no valid answer",
	"no_backend":  "no backend of the pool can be tried",
	"exhausted":   "no descriptors, ports or memory left",
	"panic":       "a bug in lb: please report it, with the stack in the log",
	"cut":         "lb was stopping",
	"crowded":     "every backend was full, and so was the queue, or the wait in it was too long",
	"no_route":    "no route takes this host and path",
	"ambiguous":   "servers read this path in different ways, and routes differ by it",
	"status":      "answered with a status that is retried",
	"tls":         "TLS failed",
	"deadline":    "the deadline of the call passed",
	"out":         "was ejected or found down, and the request went elsewhere",
	"no_tunnel":   "answered as if no tunnel had been asked for",
}

// phases has the words for each record.Phase.
var phases = map[string]string{
	"head":  "while the request's head was read",
	"admit": "before a backend was looked for",
	"pick":  "while a backend was chosen",
	"dial":  "while lb connected",
	"send":  "while the request was sent",
	"wait":  "while lb waited for the answer",
	"relay": "while the answer was passed on",
}

// slowBackend and slowClient say what a side has not done in time, by phase.
var (
	slowBackend = map[string]string{
		"dial":  "did not accept the connection in time (timeouts.connect)",
		"send":  "did not take the request in time (timeouts.backend_write)",
		"wait":  "did not begin its answer in time (timeouts.response)",
		"relay": "did not go on with its answer in time (timeouts.backend_body)",
	}
	slowClient = map[string]string{
		"head":  "did not send its head in time (timeouts.client_header)",
		"send":  "did not send its body in time (timeouts.client_body)",
		"wait":  "did not take bytes in time (timeouts.client_write)",
		"relay": "did not take the answer, or send its body, in time (timeouts.client_write, timeouts.client_body)",
	}
)

// Reason returns what went wrong in words: the cause, what is known of it in detail, and
// the phase. A cause or a phase of a newer lb stands as it is.
func Reason(side, cause, phase, detail string) string {
	what := cmp.Or(causes[cause], cause)
	where := cmp.Or(phases[phase], phase)
	if cause == "slow" {
		late := ""
		switch side {
		case "backend":
			late = slowBackend[phase]
		case "client":
			late = slowClient[phase]
		}
		if late != "" {
			what, where = late, ""
		}
	}
	if cause == "no_backend" || cause == "crowded" || cause == "no_route" || cause == "ambiguous" || cause == "bad_request" || cause == "bad_answer" || cause == "no_connect" {
		where = "" // there is one phase in which that happens
	}
	if where != "" {
		what += " " + where
	}
	if detail != "" && detail != cause {
		what += ": " + detail
	}
	return what
}

// Headline returns whose fault it was, in one line: the side, the backend if it was that
// one's, the reason, and the names by which metrics count it. Of a slow exchange it names the part that took longest.
func (e *Entry) Headline() string {
	if e.End == "ok" {
		return e.slowest()
	}
	who := e.End
	switch {
	case e.End == "backend" && e.Backend != "":
		who = "backend " + e.Backend
	case e.End == "":
		who = "unknown"
	}
	if e.Pool != "" && e.End != "client" {
		who += " of pool " + e.Pool
	}
	if e.EndWhy == "" {
		return who
	}
	return fmt.Sprintf("%s: %s [%s/%s/%s]", who, Reason(e.End, e.EndWhy, e.EndPhase, e.EndDetail), e.End, e.EndPhase, e.EndWhy)
}

// part is one part of the time that an exchange took.
type part struct {
	name  string
	us    int64
	whose string // whose doing it is if it is long
}

// parts returns where the time went, in order.
func (e *Entry) parts() []part {
	p := &e.Phases
	return []part{
		{"head", p.Head, "client"}, {"queue", p.Queue, "lb"}, {"connect", p.Connect, "backend"}, {"tls", p.TLS, "backend"},
		{"send", p.Send, "backend"}, {"first byte", p.FirstByte, "backend"}, {"body", p.Body, "backend"},
		{"client stall", p.ClientStall, "client"},
	}
}

// slowest puts the longest part of an exchange that went well into words. The time for
// which the client stalled is a part of send and body, and is taken off them.
func (e *Entry) slowest() string {
	if e.Kind == "trace" {
		return "answered" + e.by()
	}
	most := part{}
	for _, p := range e.parts() {
		if p.name == "body" || p.name == "send" {
			p.us -= e.Phases.ClientStall
		}
		if p.us > most.us {
			most = p
		}
	}
	share := " of " + Span(e.TotalUS)
	switch {
	case most.us == 0:
		return "slow: " + Span(e.TotalUS) + e.by()
	case most.name == "queue":
		return "slow, most of it by the queue for pool " + e.Pool + ": " + Span(most.us) + share
	case most.whose == "backend" && e.Backend != "":
		most.whose += " " + e.Backend + " of pool " + e.Pool
	}
	return "slow, most of it by the " + most.whose + ": " + Span(most.us) + share + " (" + most.name + ")"
}

func (e *Entry) by() string {
	if e.Backend == "" {
		return " by lb"
	}
	return " by " + e.Backend + " of pool " + e.Pool
}

// Span writes a time of so many microseconds with three digits at most.
func Span(us int64) string {
	switch {
	case us < 1000:
		return strconv.FormatInt(us, 10) + " us"
	case us < 9950:
		return strconv.FormatFloat(float64(us)/1e3, 'f', 1, 64) + " ms"
	case us < 999_500:
		return strconv.FormatInt((us+500)/1000, 10) + " ms"
	case us < 99_950_000:
		return strconv.FormatFloat(float64(us)/1e6, 'f', 1, 64) + " s"
	}
	return (time.Duration(us/1e6) * time.Second).String()
}

// Clean returns s without anything that a terminal obeys, or that turns the direction of
// text: what clients send stands in entries. Such characters are written as \u{...}.
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
