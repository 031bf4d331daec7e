package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"

	"lb/proxy/faulttext"
	"lb/proxy/record"
	"lb/proxyproto"
)

// none stands for a value that there is not.
const none = "-"

// clientLeft is the status of an exchange whose client left before there was one, and
// noStatus that of any other without one, as nginx has them.
const (
	clientLeft = "499"
	noStatus   = "000"
)

// The most bytes of values that the combined format and templates have.
const (
	requestMax = 2000
	refererMax = 900
	agentMax   = 900
)

// appendCombined appends the line that nginx writes for
//
//	$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"
//
// The name of a user is never in it.
func appendCombined(dst []byte, s *Subject) []byte {
	if len(s.Client) == 0 {
		dst = append(dst, "unix:"...) // as nginx has it
	} else {
		dst = appendHexed(dst, s.Client, addressMax)
	}
	dst = append(dst, " - - ["...)
	dst = append(s.Clock.appendLocal(dst, s.Wall), `] "`...)
	if s.hasHead() {
		w := newWriter(dst, requestMax)
		w.hex(s.Request.MethodName.Of(s.Head))
		w.put(" ")
		w.hexURL(s.Request.Target.Of(s.Head))
		dst = append(append(w.end(), ' '), s.protocol()...)
		if s.Peer.HTTP2 {
			dst = append(dst, ".0"...)
		}
	} else {
		dst = append(dst, none...)
	}
	dst = append(appendStatus(append(dst, `" `...), s), ' ')
	dst = append(strconv.AppendInt(dst, s.Bytes, 10), ` "`...)
	dst = append(appendURL(dst, s.field("Referer"), refererMax), `" "`...)
	return append(appendHexed(dst, s.field("User-Agent"), agentMax), '"')
}

func appendStatus(dst []byte, s *Subject) []byte {
	switch {
	case s.Status > 0:
		return strconv.AppendInt(dst, int64(s.Status), 10)
	case s.Fault.Side == record.ClientSide:
		return append(dst, clientLeft...)
	}
	return append(dst, noStatus...)
}

// appendHexed appends a value as nginx writes it, or none if it is empty.
func appendHexed(dst, value []byte, max int) []byte {
	if len(value) == 0 {
		return append(dst, none...)
	}
	w := newWriter(dst, max)
	w.hex(value)
	return w.end()
}

// appendURL is appendHexed for a URL, without its credentials.
func appendURL(dst, u []byte, max int) []byte {
	if len(u) == 0 {
		return append(dst, none...)
	}
	w := newWriter(dst, max)
	w.hexURL(u)
	return w.end()
}

// appendText is appendHexed for a string.
func appendText(dst []byte, value string, max int) []byte {
	var text [hostMax]byte
	return appendHexed(dst, text[:copy(text[:], value)], max)
}

// appendTemplate appends the line that parts describe. Values are written as in the combined
// format. A line that would be too long ends early, with cut.
func appendTemplate(dst []byte, parts []part, s *Subject) []byte {
	start, spent := len(dst), s.Parts()
	for i := range parts {
		dst = append(dst, parts[i].text...)
		if parts[i].last || len(dst)-start >= LineMax {
			break
		}
		dst = appendValue(dst, parts[i].field, s, &spent)
	}
	most := start + LineMax - len("\n") - 1
	if len(dst) <= most {
		return dst
	}
	for most -= len(cut); !utf8.RuneStart(dst[most]); { // the text may have other characters than ASCII
		most--
	}
	return append(dst[:most], cut...)
}

// appendValue appends the value of a field.
func appendValue(dst []byte, f field, s *Subject, p *record.Parts) []byte {
	switch f {
	case fieldTime:
		return s.Clock.appendTime(dst, s.Wall)
	case fieldRequestID:
		return appendHexed(dst, s.ID, idMax)
	case fieldClient:
		return appendHexed(dst, s.Client, addressMax)
	case fieldProxyAddress:
		return appendSender(dst, s)
	case fieldPeer:
		return appendHexed(dst, s.Peer.Address(), addressMax)
	case fieldTLSVersion:
		return appendText(dst, s.Peer.TLS.Name(), nameMax)
	case fieldTLSALPN:
		return appendText(dst, s.Peer.TLS.Protocol, nameMax)
	case fieldTLSResumed:
		return strconv.AppendBool(dst, s.Peer.TLS.Resumed)
	case fieldProtocol:
		return appendText(dst, s.protocol(), nameMax)
	case fieldMethod, fieldHost, fieldTarget, fieldUserAgent, fieldReferer:
		return appendAsked(dst, f, s)
	case fieldStatus:
		return appendStatus(dst, s)
	case fieldBytes:
		return strconv.AppendInt(dst, s.Bytes, 10)
	case fieldBytesIn:
		return strconv.AppendInt(dst, s.BytesIn, 10)
	case fieldPool:
		return appendText(dst, s.Pool, nameMax)
	case fieldBackend:
		return appendText(dst, s.Backend, nameMax)
	case fieldRoute:
		if s.Route == nil {
			return append(dst, none...)
		}
		if s.Route.Host != "" {
			dst = appendText(dst, s.Route.Host, hostMax)
		}
		return appendText(dst, s.Route.Path, nameMax)
	case fieldAttempts:
		return strconv.AppendInt(dst, int64(s.Attempts), 10)
	case fieldTotalMilliseconds:
		return appendMilliseconds(dst, p.Total)
	case fieldReused:
		return strconv.AppendBool(dst, s.Reused)
	}
	if f >= fieldFacts {
		return appendFact(dst, s, int(f-fieldFacts))
	}
	if d, ok := spentIn(f, p); ok {
		return strconv.AppendInt(dst, us(d), 10)
	}
	return appendEnding(dst, f, s)
}

// appendSender appends the address of the proxy whose header the conn began with.
func appendSender(dst []byte, s *Subject) []byte {
	if s.Peer.Proxy == nil || !s.Peer.Proxy.Sender.IsValid() {
		return append(dst, none...)
	}
	return s.Peer.Proxy.Sender.WithZone("").AppendTo(dst)
}

// appendFact appends what that header says beside addresses.
func appendFact(dst []byte, s *Subject, fact int) []byte {
	if s.Peer.Proxy == nil {
		return append(dst, none...)
	}
	return appendText(dst, proxyproto.Fact(s.Peer.Proxy.Facts, fact), hostMax)
}

// appendAsked appends a field that the head of the request has.
func appendAsked(dst []byte, f field, s *Subject) []byte {
	if !s.hasHead() {
		return append(dst, none...)
	}
	switch f {
	case fieldMethod:
		return appendHexed(dst, s.Request.MethodName.Of(s.Head), methodMax)
	case fieldHost:
		return appendHexed(dst, s.Request.Authority.Of(s.Head), hostMax)
	case fieldTarget:
		return appendURL(dst, s.Request.Target.Of(s.Head), requestMax)
	case fieldReferer:
		return appendURL(dst, s.field("Referer"), refererMax)
	}
	return appendHexed(dst, s.field("User-Agent"), agentMax)
}

// spentIn returns how long the phase of that name took, and reports whether there is one.
func spentIn(f field, p *record.Parts) (d time.Duration, ok bool) {
	switch f {
	case fieldPhaseHead:
		return p.Head, true
	case fieldPhaseQueue:
		return p.Queue, true
	case fieldPhaseConnect:
		return p.Connect, true
	case fieldPhaseTLS:
		return p.TLS, true
	case fieldPhaseSend:
		return p.Send, true
	case fieldPhaseFirstByte:
		return p.FirstByte, true
	case fieldPhaseBody:
		return p.Body, true
	case fieldPhaseClientStall:
		return p.Stall, true
	case fieldTotalMicroseconds:
		return p.Total, true
	}
	return 0, false
}

// appendEnding appends a field about the end, or the id of the trace.
func appendEnding(dst []byte, f field, s *Subject) []byte {
	var text [detailMax]byte
	switch {
	case f == fieldEnd:
		return append(dst, s.ended()...)
	case f == fieldTraceID:
		if id, some := s.trace(); some {
			return appendHex(dst, id[:])
		}
		return append(dst, none...)
	case s.Fault.Cause == record.NoCause:
		return append(dst, none...)
	case f == fieldEndPhase:
		return append(dst, s.Fault.Phase.String()...)
	case f == fieldEndWhy:
		return append(dst, s.Fault.Cause.String()...)
	case s.Words != "":
		return appendHexed(dst, append(text[:0], s.Words...), detailMax)
	}
	return appendHexed(dst, faulttext.Append(text[:0], s.Fault), detailMax)
}

// appendMilliseconds appends d in milliseconds with three decimals.
func appendMilliseconds(dst []byte, d time.Duration) []byte {
	n := us(d)
	dst = append(strconv.AppendInt(dst, n/1000, 10), '.')
	return append(dst, digit(n, 100), digit(n, 10), digit(n, 1))
}
