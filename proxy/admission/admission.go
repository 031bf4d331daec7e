// Package admission has the answers of lb's own that a request with a good head gets before a
// backend is looked for. It knows no exchange: the same answers are given and explained.
package admission

import (
	"lb/config"
	"lb/httpparse"
	"lb/proxy/clients"
	"lb/proxy/lane"
	"lb/proxy/record"
	"lb/proxy/rewrite"
)

// locationMax is the length of the longest Location, in bytes.
const locationMax = lane.HeadRoom / 2

// Early returns the answer that r gets whatever route would take it, and the fault that it is
// for, if it is for one. An answer without a code means that r is to be routed, and hops is the
// Max-Forwards to pass on then, or -1.
func Early(c *clients.Clients, cfg *config.Config, r *rewrite.Request) (a clients.Answer, f record.Fault, hops int64) {
	m := r.Message
	if c.Answers(r.Peer) {
		if a, ok := c.Answer(r.Peer, m, r.Text); ok {
			return a.Within(locationMax), f, -1
		}
	}
	if m.Method == httpparse.CONNECT {
		return clients.Answer{Code: 501, Text: "lb forwards to its own backends and opens no tunnels", Close: true}, f, -1
	}
	if limit := cfg.Limits.BodyBytes; limit > 0 && m.Length > limit {
		f = record.ByClient(record.CauseTooLarge)
		return clients.Answer{Code: f.Status(), Text: f.Text(), Close: true}, f, -1
	}
	if !m.Seen.Has(httpparse.MaxForwards) {
		return a, f, -1
	}
	hops, here := rewrite.Hops(m, r.Text)
	if here != nil {
		a = clients.Answer{Code: here.Code, Text: here.Text, Lines: here.Lines, Close: here.Bad}
	}
	return a, f, hops
}

// Unrouted returns the answer to r, which no route takes for the cause c, and its fault.
func Unrouted(c record.Cause, r *rewrite.Request) (clients.Answer, record.Fault) {
	f := record.ByClient(c)
	return clients.Answer{Code: f.Status(), Text: f.TextFor(r.Message.Authority.Of(r.Text))}, f
}

// Redirect returns the answer to r, which to redirects.
func Redirect(to *rewrite.Route, r *rewrite.Request) clients.Answer {
	lines, where := to.AppendRedirect(nil, r.Text, r.Message, r.Secure())
	a := clients.Answer{Code: to.Config.Redirect.Code, Lines: lines[:where]}.Within(locationMax)
	if a.Lines != nil {
		a.Lines = lines
	}
	return a
}
