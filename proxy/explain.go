package proxy

import (
	"slices"

	"lb/admin/api"
	"lb/proxy/explain"
	"lb/proxy/grpc"
	"lb/upstream"
)

// Explain returns what would be done with a request now, by the code that does it, and
// changes nothing that counts or decides. It is called on the loop; the facts can be put into
// words elsewhere.
func (p *Proxy) Explain(ask api.ExplainAsk) (*explain.Facts, error) {
	s := p.now
	f, err := explain.Begin(ask, explain.Facts{Config: s.cfg, Number: s.number, Slot: p.slot, Now: p.loop.Now(), Router: s.router}, &s.limits)
	if err != nil || f.Reply.Code != 0 {
		return f, err
	}
	x := &exchange{p: p, snap: s, peer: &f.Peer, in: f.Inbox(), req: &f.Request, hops: -1, call: grpc.None}
	own := x.decide()
	f.Rates, own = p.own.Look(own, s.rates, x.request(), f.Now)
	f.Decided(own, x.request(), x.call, slices.IndexFunc(s.routes, func(r route) bool { return x.route != nil && r.Config == x.route.Config }))
	if q := x.pool; f.Reply.Code == 0 {
		came := x.request()
		x.prepareChoice(came)
		x.composeRequest(came)
		waits, most := q.room.Newcomers()
		f.Picked(slices.Index(s.pools, q), x.stickyLen > 0, q.Peek(upstream.Ask{Key: x.key, Sticky: x.sticky[:x.stickyLen]}, f.Now),
			waits, most, q.Yields(f.Now, s.cfg.Timeouts.Queue))
		f.Head = slices.Clone(x.up.Head()) // which has a Host: it came by HTTP/1.1
		x.up.Release(p.arena)
	}
	return f, nil
}
