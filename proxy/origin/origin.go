// Package origin makes the PROXY headers that conns to backends begin with (send_proxy): those
// that name the client of a request.
package origin

import (
	"net/netip"

	"lb/config"
	"lb/proxy/front"
	"lb/proxy/rewrite"
	"lb/proxyproto"
)

// Client is where a request began. The zero value is not known yet.
type Client struct {
	addr  netip.Addr
	known bool
}

// Note notes where r, which is for the pool q, began, while its head is there.
func (o *Client) Note(q *config.Pool, r *rewrite.Request) {
	if o.known = q.SendProxy != config.SendProxyOff; o.known {
		o.note(r)
	}
}

func (o *Client) note(r *rewrite.Request) { o.addr = r.OriginAddr().WithZone("") }

// Append appends the header of v for a request from o that came by f, the conn of peer: the
// address of its client, as access logs and X-Forwarded-For have it, and the one that the client
// has connected to. The port of a client that a proxy has named in a field is 0. After a reload
// that has just brought send_proxy, the client of such a proxy is not known, and the proxy is not
// the client.
func (o *Client) Append(d []byte, v proxyproto.Version, peer *front.Peer, f front.Front) []byte {
	own := peer.Addr.WithZone("")
	addr, port := netip.Addr{}, uint16(0)
	switch {
	case o.known:
		addr = o.addr
	case !peer.Trusted:
		addr = own
	}
	if addr == own {
		port = peer.Port
	}
	var to netip.AddrPort
	if addr.IsValid() {
		if peer.Proxy != nil && peer.Proxy.Destination.IsValid() {
			to = peer.Proxy.Destination
		} else {
			to = f.LocalAddr()
		}
	}
	return v.Append(d, netip.AddrPortFrom(addr, port), to, nil)
}
