// Package admission has the answers of lb's own that a request with a good head gets before a
// backend is looked for. It knows no exchange: the same answers are given and explained.
package admission

import (
	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/clients"
	"lb/proxy/lane"
	"lb/proxy/ratelimit"
	"lb/proxy/record"
	"lb/proxy/rewrite"
	"lb/proxy/shake"
)

// locationMax is the length of the longest Location, in bytes.
const locationMax = lane.HeadRoom / 2

// Own is an answer of lb's own, and the fault that it is for, if it is for one. Its methods
// fill it, and return it, because most requests get none.
type Own struct {
	clients.Answer
	Fault record.Fault
	Words string // see record.Record
}

// Early returns the answer that r gets whatever route would take it, or nil if r is to be
// routed: then hops becomes the Max-Forwards to pass on, or -1.
func (o *Own) Early(c *clients.Clients, cfg *config.Config, r *rewrite.Request, hops *int64) *Own {
	m := r.Message
	*hops = -1
	if c.Answers(r.Peer) {
		if a, ok := c.Answer(r.Peer, m, r.Text); ok {
			*o = Own{Answer: a.Within(locationMax)}
			return o
		}
	}
	if m.Method == httpparse.CONNECT {
		*o = Own{Answer: clients.Answer{Code: 501, Text: "lb forwards to its own backends and opens no tunnels", Close: true}}
		return o
	}
	if limit := cfg.Limits.BodyBytes; limit > 0 && m.Length > limit {
		f := record.ByClient(record.CauseTooLarge)
		*o = Own{clients.Answer{Code: f.Status(), Text: f.Text(), Close: true}, f, ""}
		return o
	}
	if !m.Seen.Has(httpparse.MaxForwards) {
		return nil
	}
	n, here := rewrite.Hops(m, r.Text)
	if *hops = n; here == nil {
		return nil
	}
	*o = Own{Answer: clients.Answer{Code: here.Code, Text: here.Text, Lines: here.Lines, Close: here.Bad}}
	return o
}

// Unrouted returns the answer to r, which no route takes for the cause c.
func (o *Own) Unrouted(c record.Cause, r *rewrite.Request) *Own {
	f := record.ByClient(c)
	*o = Own{clients.Answer{Code: f.Status(), Text: f.TextFor(r.Message.Authority.Of(r.Text))}, f, ""}
	return o
}

// counts reports whether rate limits count r, of which own was said: what was refused before,
// or is answered wherever it goes, they do not.
func counts(own *Own, r *rewrite.Request) bool {
	return own == nil || r.Route != nil && own.Fault.Cause == record.NoCause
}

// Limit returns the answer to r if one of rates refuses it, or own, which was said of r before.
func (o *Own) Limit(own *Own, rates *ratelimit.Set, r *rewrite.Request, now tick.Instant) *Own {
	if counts(own, r) {
		if over := rates.Admit(r, now); over != nil {
			return o.limited(over)
		}
	}
	return own
}

// Look returns what Limit would, and what each limit says; it takes nothing from them. rates
// may be nil.
func (o *Own) Look(own *Own, rates *ratelimit.Set, r *rewrite.Request, now tick.Instant) ([]ratelimit.State, *Own) {
	if !counts(own, r) {
		return nil, own
	}
	all, over := rates.Look(r, now)
	if over != nil {
		own = o.limited(over)
	}
	return all, own
}

func (o *Own) limited(over *ratelimit.Over) *Own {
	f := record.ByClient(record.CauseRateLimited)
	f.Detail = uint16(over.Number) // so that the operator hears of each limit
	*o = Own{clients.Answer{Code: f.Status(), Text: over.Text, Lines: over.Lines}, f, over.Text}
	return o
}

// Redirect returns the answer to r, which to redirects.
func (o *Own) Redirect(to *rewrite.Route, r *rewrite.Request) *Own {
	lines, where := to.AppendRedirect(nil, r.Text, r.Message, r.Secure())
	a := clients.Answer{Code: to.Config.Redirect.Code, Lines: lines[:where]}.Within(locationMax)
	if a.Lines != nil {
		a.Lines = lines
	}
	*o = Own{Answer: a}
	return o
}

// LargeBytes returns the size of large slabs under cfg: see lane.LargeBytes.
func LargeBytes(cfg *config.Config) int {
	added := rewrite.RoutesBytes(cfg.Routes) + rewrite.TagBytes(cfg)
	if cfg.TLS.ClientAuth != config.ClientAuthNone {
		added += shake.CertBytes
	}
	return lane.LargeBytes(cfg.Limits.HeaderBytes, added)
}
