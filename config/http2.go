package config

import (
	"fmt"

	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// HTTP2 are the settings of HTTP/2 from clients.
type HTTP2 struct {
	Enabled bool // ALPN h2 over TLS, and prior knowledge on listeners without
	Streams int  // of a conn at once, 1 to streamsMax
}

// streamsMax is the most streams that one client conn may be allowed. An exchange costs
// memory, and more of them than this belong on more conns, which several loops share.
const streamsMax = 1000

var http2Keys = []schema.Key[HTTP2]{
	schema.Flag("enabled", func(h *HTTP2) *bool { return &h.Enabled }),
	schema.Number("streams", 1, streamsMax, func(h *HTTP2) *int { return &h.Streams }),
}

// What lb speaks to the backends of a pool.
const (
	ProtocolHTTP1 = "http1" // HTTP/1.1
	ProtocolH2    = "h2"    // HTTP/2 over TLS, and nothing else: ALPN offers h2 alone
	ProtocolH2C   = "h2c"   // HTTP/2 without TLS, by prior knowledge (RFC 9113 3.3)
	ProtocolAuto  = "auto"  // over TLS: HTTP/2 if the backend chooses it by ALPN, else HTTP/1.1
)

func checkProtocol(s string) *value.Flaw {
	return value.OneOf(s, "protocol", ProtocolHTTP1, ProtocolH2, ProtocolH2C, ProtocolAuto)
}

// finishProtocols checks the protocol of each pool beside its other keys.
func (r *reader) finishProtocols() {
	for i := range r.draft.Pools {
		p, at := &r.draft.Pools[i], ""
		if i > 0 {
			at = tomlfile.Element("pools", i-1)
		}
		for j, b := range p.Backends {
			backend := tomlfile.Element(tomlfile.Under(at, "backends"), j)
			if f := p.protocolFlaw(b); f != nil && r.File.Has(tomlfile.Under(backend, "tls")) {
				r.RefuseValue(tomlfile.Under(backend, "tls"), f)
			} else {
				r.RefuseValue(backend, f)
			}
		}
		r.checkProtocol(p, at)
	}
}

// protocolFlaw returns what is wrong with b as a backend of p, or nil.
func (p *Pool) protocolFlaw(b Backend) *value.Flaw {
	switch {
	case p.Protocol == ProtocolH2C && b.TLS:
		return value.Wrong(fmt.Sprintf("%s speaks TLS, and protocol = %q is without", b, p.Protocol), `write protocol = "h2", or tls = false for this backend`)
	case p.Protocol == ProtocolH2 && !b.TLS:
		return value.Wrong(fmt.Sprintf("%s is without TLS, and protocol = %q needs it", b, p.Protocol), `write protocol = "h2c", or tls = true for this backend`)
	case p.Protocol == ProtocolAuto && !b.TLS:
		return value.Wrong(fmt.Sprintf("%s is without TLS, and protocol = %q needs it for ALPN", b, p.Protocol),
			`write protocol = "h2c" or "http1", or tls = true for this backend`)
	}
	return nil
}

// checkProtocol refuses what cannot be had with the protocol of p, whose keys are below path.
func (r *reader) checkProtocol(p *Pool, path string) {
	shared := p.Protocol == ProtocolH2 || p.Protocol == ProtocolH2C
	reuse := tomlfile.Under(path, "reuse")
	switch {
	case shared:
		r.RefuseHere(reuse, value.Wrong(fmt.Sprintf("is not used with protocol = %q, whose connections carry many requests at once", p.Protocol), "remove it"))
	case p.Protocol == ProtocolAuto && p.Reuse == ReuseNever:
		r.RefuseValue(reuse, value.Wrong(fmt.Sprintf("%q cannot be kept with protocol = %q, which may be HTTP/2", p.Reuse, p.Protocol), `remove it, or write protocol = "http1"`))
	}
	if p.Health.Type == CheckGRPC && p.Protocol == ProtocolHTTP1 {
		r.RefuseValue(tomlfile.Under(tomlfile.Under(path, "health"), "type"), value.Wrong(
			fmt.Sprintf("%q needs HTTP/2, and protocol = %q is without", p.Health.Type, p.Protocol), `write protocol = "h2c", or "h2" for backends with TLS`))
	}
}
