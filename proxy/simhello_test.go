package proxy

import (
	"net/netip"

	"lb/config"
	"lb/loop/looptest"
	"lb/proxyproto"
)

// simBalancer is the address that conns come from which begin with a PROXY header.
var simBalancer = netip.MustParseAddrPort("10.9.9.9:1")

// drawHello draws the version of the header that a pool sends.
func (s *sim) drawHello() string {
	return []string{config.SendProxyV1, config.SendProxyV2, config.SendProxyOff, config.SendProxyOff}[s.hellos.IntN(4)]
}

// proxied makes the listener of cfg one with proxy_protocol.
func (s *sim) proxied(cfg *config.Config) {
	cfg.TrustedProxies = []netip.Prefix{netip.PrefixFrom(simBalancer.Addr(), 32)}
	cfg.Listeners = []config.Listener{{Address: cfg.Listening()[0].Address, ProxyProtocol: true}}
}

// dial returns a client at from, which a balancer may have named.
func (s *sim) dial(from netip.AddrPort) *looptest.Peer {
	if !s.balanced {
		return s.r.connect(from)
	}
	p := s.r.connect(simBalancer)
	p.Send([]proxyproto.Version{proxyproto.V1, proxyproto.V2}[s.hellos.IntN(2)].Append(nil, from, looptest.Local, nil))
	return p
}

// simHello reads the header of a conn to a backend.
type simHello struct {
	version proxyproto.Version
	came    []byte
	said    proxyproto.Header
}

func (s *sim) newHello(place int) *simHello {
	return &simHello{version: proxyproto.ParseVersion(s.pools[s.poolOf[place]].SendProxy)}
}

// take takes bytes that have come, and returns those that follow the header.
func (h *simHello) take(s *sim, b []byte) []byte {
	if h.version == proxyproto.Off || h.said.Len > 0 {
		return b
	}
	h.came = append(h.came, b...)
	said, st := proxyproto.Parse(h.came)
	switch {
	case st == proxyproto.Bad, st == proxyproto.Done && said.Kind == proxyproto.IP && said.Destination != looptest.Local:
		s.errorf("to a backend: the header %q", h.came)
	case st == proxyproto.Done:
		h.said = said
		return h.came[said.Len:]
	}
	return nil
}

// check checks that a request is of the client in the header.
func (h *simHello) check(s *sim, m *simMessage) {
	if from := m.field("x-forwarded-for"); h.version != proxyproto.Off && from != h.said.Source.Addr().String() {
		s.errorf("a request of %s came over the conn of %s", from, h.said.Source)
	}
}
