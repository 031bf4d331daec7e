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
	f.Reply, f.Fault = x.decide()
	f.Decided(x.request(), x.call, slices.IndexFunc(s.routes, func(r route) bool { return x.route != nil && r.Config == x.route.Config }))
	if f.Reply.Code == 0 {
		x.explainPick(f)
	}
	return f, nil
}

// explainPick notes the head for the backend, and what pick would choose.
func (x *exchange) explainPick(f *explain.Facts) {
	q, now := x.pool, x.p.loop.Now()
	came := x.request()
	x.prepareChoice(came)
	x.composeRequest(came)
	for _, t := range q.targets {
		f.States = append(f.States, t.State)
	}
	f.Pool, f.Cookie = slices.Index(x.snap.pools, q), x.stickyLen > 0
	f.Picked(q.Peek(upstream.Ask{Key: x.key, Sticky: x.sticky[:x.stickyLen]}, now),
		q.waits.Len(), q.waits.Max, q.Yields(now, x.snap.cfg.Timeouts.Queue))
	if x.hostAt > 0 && f.Sent() {
		x.up.Splice(x.p.arena, x.hostAt, 0, q.cfg.Backends[f.Peek.Index].HostField())
	}
	f.Head = slices.Clone(x.up.Head())
	x.up.Release(x.p.arena)
}
