package faultview

import (
	"cmp"
	"fmt"

	"lb/cli/words"
)

// causes has the words for each record.Cause. A cause of "slow" depends on the phase.
var causes = map[string]string{
	"gone":         "the client went away",
	"short_body":   "the client ended its request before the body was whole",
	"bad_request":  "the request is not valid",
	"too_large":    "the body is larger than limits.body_bytes",
	"slow":         "too slow",
	"no_connect":   "cannot be reached",
	"reset":        "closed the connection",
	"bad_answer":   "sent something that is no valid answer",
	"no_backend":   "no backend of the pool can be tried",
	"exhausted":    "no descriptors, ports or memory left",
	"panic":        "a bug in lb: please report it, with the stack in the log",
	"cut":          "lb was stopping",
	"crowded":      "every backend was full, and so was the queue, or the wait in it was too long",
	"denied":       "the route does not let this client in (allow, deny)",
	"no_route":     "no route takes this host and path",
	"ambiguous":    "servers read this path in different ways, and routes differ by it",
	"status":       "answered with a status that is retried",
	"tls":          "TLS failed",
	"deadline":     "the deadline of the call passed",
	"rate_limited": "a rate limit is used up",
	"out":          "was ejected or found down, and the request went elsewhere",
	"no_tunnel":    "answered as if no tunnel had been asked for",
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
	if cause == "no_backend" || cause == "crowded" || cause == "no_route" || cause == "denied" || cause == "ambiguous" || cause == "bad_request" || cause == "bad_answer" || cause == "no_connect" || cause == "rate_limited" {
		where = "" // there is one phase in which that happens
	}
	if where != "" {
		what += " " + where
	}
	if detail != "" && detail != cause && !says[cause] && !(cause == "slow" && where == "") {
		what += ": " + detail
	}
	return what
}

// says has the causes with words that say all: what a fault has in detail for them is the
// same in other words.
var says = map[string]bool{"short_body": true, "too_large": true, "no_backend": true, "exhausted": true, "crowded": true, "no_route": true, "denied": true, "ambiguous": true, "deadline": true}

// Headline returns whose fault it was, in one line: the side, the backend if it was that
// one's, the reason, and the names by which metrics count it. Of an error that a backend has
// answered with itself it names the backend, and of a slow exchange the part that took longest.
func (e *Entry) Headline() string {
	if e.End == "ok" {
		if e.failed() && e.Backend != "" {
			return fmt.Sprintf("backend %s of pool %s: answered %d", e.Backend, e.Pool, e.Status)
		}
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

// failed reports whether e is here because of what went wrong, and not for its time or its
// client.
func (e *Entry) failed() bool { return e.End != "ok" || e.Kind == "fault" }

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
	share := " of " + words.Span(e.TotalUS)
	switch {
	case most.us == 0:
		return "slow: " + words.Span(e.TotalUS) + e.by()
	case most.name == "queue":
		return "slow, most of it by the queue for pool " + e.Pool + ": " + words.Span(most.us) + share
	case most.whose == "backend" && e.Backend != "":
		most.whose += " " + e.Backend + " of pool " + e.Pool
	}
	return "slow, most of it by the " + most.whose + ": " + words.Span(most.us) + share + " (" + most.name + ")"
}

func (e *Entry) by() string {
	if e.Backend == "" {
		return " by lb"
	}
	return " by " + e.Backend + " of pool " + e.Pool
}
