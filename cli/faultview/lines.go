// Package faultview puts an exchange of the flight recorder, or of `lb trace`, into words:
// whose fault it was, in which phase, at which backend. It knows nothing of terminals, and
// not where exchanges come from.
package faultview

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"lb/admin/api"
	"lb/cli/words"
)

// Entry is one exchange.
type Entry api.Exchange

// Parse reads one exchange. Fields that it does not know, of another version of lb, are
// left out.
func Parse(raw []byte) (e Entry, err error) {
	err = json.Unmarshal(raw, &e)
	return e, err
}

// Tint says how a line is to be seen.
type Tint uint8

// The tints.
const (
	Plain Tint = iota
	Bad        // a fault
	Slow
)

// Line is a line for a person: words that stand after a head.
type Line struct {
	Head, Words string
	Tint        Tint
}

const indent = "   "

// Lines puts e into words: whose it was first, then what was asked for, each attempt, where
// the time went, and the backends as they were. With heads, what was asked for and answered
// follows line by line. Nothing in the lines is obeyed by a terminal.
func (e *Entry) Lines(heads bool) []Line {
	first := Line{Head: fmt.Sprintf("%s  %s  ", e.Time.Format("2006-01-02 15:04:05.000Z07:00"), statusText(e.Status)), Words: e.Headline()}
	switch {
	case e.failed():
		first.Tint = Bad
	case e.Kind == "slow":
		first.Tint = Slow
	}
	lines := []Line{first, {Head: indent + "request   ", Words: e.request()}}
	add := func(head, text string) {
		if text != "" {
			lines = append(lines, Line{Head: indent + head, Words: text})
		}
	}
	add("answer    ", e.place())
	for i, a := range e.Attempts {
		add(fmt.Sprintf("attempt %d ", i+1), e.attempt(a))
	}
	add("time      ", e.times())
	add("backends  ", e.states())
	add("trace     ", e.TraceID)
	if heads {
		lines = append(lines, headLines("> ", e.Head)...)
		lines = append(lines, headLines("< ", e.Answer)...)
	}
	for i := range lines {
		lines[i].Head, lines[i].Words = words.Clean(lines[i].Head), words.Clean(lines[i].Words)
	}
	return lines
}

func statusText(status int) string {
	if status == 0 {
		return "---"
	}
	return strconv.Itoa(status)
}

// request returns what was asked for, and who did.
func (e *Entry) request() string {
	s := cmp.Or(e.Method, "(no head)") + " " + e.Host
	if strings.HasPrefix(e.Target, "/") || e.Host == "" {
		s += e.Target
	} else {
		s += " " + e.Target
	}
	if e.Protocol != "" {
		s += ", " + e.Protocol
	}
	s += ", client " + cmp.Or(e.Client, "unknown")
	if e.Peer != "" && e.Peer != e.Client {
		s += " by " + e.Peer
	}
	if e.RequestID != "" {
		s += ", id " + e.RequestID
	}
	return s
}

// place returns where the request went, and how much went both ways.
func (e *Entry) place() string {
	var list []string
	if e.Route != "" {
		list = append(list, "route "+e.Route)
	}
	if e.Pool != "" {
		list = append(list, "pool "+e.Pool)
	}
	list = append(list, fmt.Sprintf("%d bytes of body sent, %d received", e.Bytes, e.BytesIn))
	return strings.Join(list, ", ")
}

// attempt returns what came of one attempt.
func (e *Entry) attempt(a api.Attempt) string {
	s := a.Backend + " "
	switch {
	case a.Cause != "":
		side := "backend"
		if a.Cause == e.EndWhy && e.End != "ok" {
			side = e.End
		}
		s += Reason(side, a.Cause, a.Phase, a.Detail)
		if a.Status != 0 {
			s += fmt.Sprintf(" (%d)", a.Status)
		}
	case a.Status != 0:
		s += fmt.Sprintf("answered %d", a.Status)
	default:
		s += "did not end"
	}
	return s + ", after " + words.Span(a.US)
}

// times returns where the time went. Parts that took none are left out.
func (e *Entry) times() string {
	s := words.Span(e.TotalUS)
	sep := ": "
	for _, p := range e.parts() {
		if p.us > 0 {
			s += sep + p.name + " " + words.Span(p.us)
			sep = ", "
		}
	}
	if e.Reused {
		s += ", on an idle connection"
	}
	return s
}

// states returns the backends as they were.
func (e *Entry) states() string {
	list := make([]string, len(e.Backends))
	for i, b := range e.Backends {
		list[i] = fmt.Sprintf("%s %s (%d active)", b.Backend, words.Health(b.State), b.InFlight)
	}
	return strings.Join(list, ", ")
}

// headLines returns each line of a message's head after mark.
func headLines(mark, head string) (out []Line) {
	for line := range strings.Lines(head) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			out = append(out, Line{Head: indent + mark, Words: line})
		}
	}
	return out
}
