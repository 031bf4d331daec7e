package explain

import (
	"errors"
	"net/netip"
	"slices"

	"lb/admin/api"
	"lb/arena"
	"lb/httpparse"
	"lb/proxy/admission"
	"lb/proxy/clients"
	"lb/proxy/front"
	"lb/proxy/grpc"
	"lb/proxy/lane"
	"lb/proxy/record"
	"lb/proxy/rewrite"
	"lb/upstream"
)

// Begin returns f, which has the proxy's part, for the request that ask describes: its head
// is parsed within limits. If it is refused, it has its Reply. An error is a line for the
// operator.
func Begin(ask api.ExplainAsk, f Facts, limits *httpparse.Limits) (*Facts, error) {
	a, err := Parse(ask, f.Config.Listening())
	if err != nil {
		return nil, err
	}
	f.Asked, f.Route, f.Pool = a, -1, -1
	f.Peer.Set(netip.AddrPortFrom(a.Peer, 0), a.Way)
	f.Peer.Trusted = rewrite.Trusts(f.Config.TrustedProxies, &f.Peer)
	var parser httpparse.RequestParser
	parser.Secure = f.Peer.Secure()
	parser.Reset(limits)
	switch parser.Feed(a.Head) {
	case httpparse.More:
		return nil, errors.New("this is not the head of one request")
	case httpparse.Bad:
		f.refused(parser.Reason)
	}
	f.Request = parser.Request
	return &f, nil
}

// refused notes the answer to a head that the parser has refused; see BadHead of the proxy.
func (f *Facts) refused(r httpparse.Reason) {
	f.Refused = r
	f.Call.Is = grpc.InHead(f.Asked.Head)
	if f.Peer.Way == front.NotTLS {
		f.Reply = clients.Answer{Code: 400, Text: clients.NotTLS, Close: true}
		return
	}
	f.Fault = record.Fault{Side: record.ClientSide, Cause: record.CauseBadRequest, Detail: uint16(r)}
	f.Reply = clients.Answer{Code: f.Fault.Status(), Text: f.Fault.Text(), Close: true}
}

// Inbox returns the head as what was read from the client.
func (f *Facts) Inbox() *lane.Inbox {
	return &lane.Inbox{Slab: &arena.Slab{B: f.Asked.Head, W: len(f.Asked.Head)}}
}

// Decided notes the request as the proxy sees it, lb's own answer or nil, and the index of its
// route.
func (f *Facts) Decided(own *admission.Own, came *rewrite.Request, call grpc.Call, route int) {
	if own != nil {
		f.Reply, f.Fault = own.Answer, own.Fault
	}
	f.Came, f.Call, f.Route = *came, call, route
	if route >= 0 {
		f.Pool = f.Config.Routes[route].Pool
	} else if f.Fault.Cause == record.CauseRateLimited {
		f.Pool = 0 // "default", to which it would go
	}
	seen := f.Request // composing a head hides fields that routes look at
	seen.Fields = slices.Clone(seen.Fields)
	f.Came.Message = &seen
}

// Picked notes what the next pick would do in the pool with this index. ahead requests of at
// most most wait for room there, and first says that those of another loop go first. cookie
// says that the request has the pool's cookie.
func (f *Facts) Picked(pool int, cookie bool, p upstream.Peeked, ahead, most int, first bool) {
	f.Pool, f.Cookie, f.Peek, f.Ahead = pool, cookie, p, ahead
	f.Queued = ahead > 0 || first || p.Why == upstream.Full
	switch {
	case f.Queued && ahead >= most:
		f.Fault = record.ByLB(record.CauseCrowded)
	case !f.Queued && p.Why != upstream.Picked:
		f.Fault = record.ByLB(record.CauseNoBackend)
	default:
		return
	}
	f.Queued = false
	f.Reply = clients.Answer{Code: f.Fault.Status(), Text: f.Fault.Text(), Lines: f.Fault.Lines()}
}
