package accesslog

import (
	"bytes"
	"strconv"
	"time"

	"lb/proxy/faulttext"
	"lb/proxy/record"
	"lb/proxyproto"
)

// The most that values take in a line, in bytes, after they are escaped. TestLongest holds
// restMax and tryMax to the code.
const (
	idMax      = 128
	addressMax = 64
	methodMax  = 64
	hostMax    = 255
	nameMax    = 128 // of routes, pools and backends: a path of a unix socket fits
	detailMax  = 160
	targetMin  = 64 // of a target, however long the rest is

	restMax = 1200 // everything after the target, without attempts
	tryMax  = 220  // one attempt
)

// appendFields appends the fields of s, without braces, in at most max bytes if that is more
// than the rest of them takes without the target.
func appendFields(dst []byte, s *Subject, max int) []byte {
	start := len(dst)
	dst = append(dst, `"time":"`...)
	dst = s.Clock.appendTime(dst, s.Wall)
	dst = append(dst, '"')
	if len(s.ID) > 0 {
		dst = appendJSON(dst, `,"request_id":"`, s.ID, idMax)
	}
	dst = appendJSON(dst, `,"client":"`, s.Client, addressMax)
	if peer := s.Peer.Address(); len(peer) > 0 && !bytes.Equal(peer, s.Client) {
		dst = appendJSON(dst, `,"peer":"`, peer, addressMax)
	}
	dst = appendTLS(dst, s)
	if s.hasHead() {
		r := s.Request
		dst = appendJSON(dst, `,"method":"`, r.MethodName.Of(s.Head), methodMax)
		if host := r.Authority.Of(s.Head); len(host) > 0 {
			dst = appendJSON(dst, `,"host":"`, host, hostMax)
		}
		room := max - (len(dst) - start) - restMax - tryMax*len(s.Done())
		w := newWriter(append(dst, `,"target":"`...), room)
		if room < targetMin {
			w.room = targetMin
		}
		w.jsonURL(r.Target.Of(s.Head))
		dst = append(w.end(), '"')
	}
	if v := s.protocol(); v != "" {
		dst = append(append(append(dst, `,"protocol":"`...), v...), '"')
	}
	dst = appendInt(dst, `,"status":`, int64(s.Status))
	dst = appendInt(dst, `,"bytes":`, s.Bytes)
	dst = appendInt(dst, `,"bytes_in":`, s.BytesIn)
	dst = appendPlace(dst, s)
	dst = appendAttempts(dst, s, start+max-restMax)
	dst = appendPhases(dst, s)
	return appendProxy(appendEnd(dst, s), s, start+max)
}

// appendJSON appends a key, with all that stands before the value, and a value with its end.
func appendJSON(dst []byte, key string, value []byte, max int) []byte {
	dst = append(dst, key...)
	if len(value) <= max-len(cut) && clean(value) == len(value) {
		dst = append(dst, value...)
		return append(dst, '"')
	}
	w := newWriter(dst, max)
	w.json(value)
	return append(w.end(), '"')
}

// appendName is appendJSON for a string.
func appendName(dst []byte, key, value string, max int) []byte {
	dst = append(dst, key...)
	start := len(dst)
	dst = append(dst, value[:min(len(value), max)]...)
	if raw := dst[start:]; len(value) > max-len(cut) || clean(raw) < len(raw) {
		var plain [2 * nameMax]byte // value is a name of the configuration, so this is enough for all that is shown
		w := newWriter(dst[:start], max)
		w.json(plain[:copy(plain[:], value)])
		dst = w.end()
	}
	return append(dst, '"')
}

func appendInt(dst []byte, key string, n int64) []byte {
	dst = append(dst, key...)
	switch { // most numbers in a line are small, and there are many
	case n < 0:
	case n < 10:
		return append(dst, byte('0'+n))
	case n < 100:
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	case n < 1000:
		return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendTLS(dst []byte, s *Subject) []byte {
	t := &s.Peer.TLS
	if t.Version == 0 {
		return dst
	}
	dst = append(append(append(dst, `,"tls":{"version":"`...), t.Name()...), '"')
	if t.Protocol != "" {
		dst = appendName(dst, `,"alpn":"`, t.Protocol, nameMax)
	}
	dst = append(dst, `,"resumed":`...)
	return append(strconv.AppendBool(dst, t.Resumed), '}')
}

// appendPlace appends where the request went: route, pool and backend.
func appendPlace(dst []byte, s *Subject) []byte {
	if s.Route != nil {
		dst = appendName(dst, `,"route":"`, s.Route.Host, hostMax)
		dst = appendName(dst[:len(dst)-1], "", s.Route.Path, nameMax)
	}
	if s.Pool != "" {
		dst = appendName(dst, `,"pool":"`, s.Pool, nameMax)
	}
	if s.Backend != "" {
		dst = appendName(dst, `,"backend":"`, s.Backend, nameMax)
	}
	return dst
}

// appendAttempts appends the attempts. What they were in words is left out where the line
// might become longer than end, with all that has to follow.
func appendAttempts(dst []byte, s *Subject, end int) []byte {
	dst = append(dst, `,"attempts":[`...)
	tries := s.Done()
	for i := range tries {
		a := &tries[i]
		key := `,{"backend":"`
		if i == 0 {
			key = key[1:]
		}
		dst = appendName(dst, key, a.Backend, nameMax)
		if a.Fault.Cause != record.NoCause {
			dst = append(append(append(dst, `,"cause":"`...), a.Fault.Cause.String()...), `","phase":"`...)
			dst = append(append(dst, a.Fault.Phase.String()...), '"')
			if len(dst)+detailMax+tryMax*(len(tries)-i) < end {
				dst = appendWords(dst, `,"detail":"`, a.Fault)
			}
		}
		if a.Status > 0 {
			dst = appendInt(dst, `,"status":`, int64(a.Status))
		}
		dst = append(appendInt(dst, `,"us":`, us(a.Took)), '}')
	}
	return append(dst, ']')
}

// appendWords appends what a fault was in words, with its key, or nothing if there are none.
func appendWords(dst []byte, key string, f record.Fault) []byte {
	var text [detailMax]byte
	if words := faulttext.Append(text[:0], f); len(words) > 0 {
		return appendJSON(dst, key, words, detailMax)
	}
	return dst
}

// us returns d in microseconds.
func us(d time.Duration) int64 { return int64(d / time.Microsecond) }

func appendPhases(dst []byte, s *Subject) []byte {
	p := s.Parts()
	dst = appendInt(dst, `,"phases":{"head":`, us(p.Head))
	dst = appendInt(dst, `,"queue":`, us(p.Queue))
	dst = appendInt(dst, `,"connect":`, us(p.Connect))
	dst = appendInt(dst, `,"tls":`, us(p.TLS))
	dst = appendInt(dst, `,"send":`, us(p.Send))
	dst = appendInt(dst, `,"first_byte":`, us(p.FirstByte))
	dst = appendInt(dst, `,"body":`, us(p.Body))
	dst = appendInt(dst, `,"client_stall":`, us(p.Stall))
	return appendInt(dst, `},"total_us":`, us(p.Total))
}

// appendEnd appends how the exchange ended, and what it is called elsewhere.
func appendEnd(dst []byte, s *Subject) []byte {
	if s.Reused {
		dst = append(dst, `,"reused":true`...)
	} else {
		dst = append(dst, `,"reused":false`...)
	}
	dst = append(append(append(dst, `,"end":"`...), s.ended()...), '"')
	if s.Fault.Cause != record.NoCause {
		dst = append(append(dst, `,"end_phase":"`...), s.Fault.Phase.String()...)
		dst = append(append(append(dst, `","end_why":"`...), s.Fault.Cause.String()...), '"')
		if s.Words != "" {
			var text [detailMax]byte
			dst = appendJSON(dst, `,"end_detail":"`, append(text[:0], s.Words...), detailMax)
		} else {
			dst = appendWords(dst, `,"end_detail":"`, s.Fault)
		}
	}
	if id, some := s.trace(); some {
		dst = append(appendHex(append(dst, `,"trace_id":"`...), id[:]), '"')
	}
	return dst
}

// factKeys are the keys of facts, with what stands before them and after.
var factKeys = func() (keys [proxyproto.Facts]string) {
	for fact, name := range proxyproto.FactNames {
		keys[fact] = `,"` + name + `":"`
	}
	return keys
}()

// appendProxy appends what the PROXY header of the conn says, if there is one, as far as it fits
// before end.
func appendProxy(dst []byte, s *Subject, end int) []byte {
	const before = `,"proxy":{"address":"`
	p := s.Peer.Proxy
	if p == nil || len(dst)+len(before)+addressMax > end {
		return dst
	}
	dst = append(dst, before...)
	if p.Sender.IsValid() {
		dst = p.Sender.WithZone("").AppendTo(dst)
	}
	dst = append(dst, '"')
	for fact, key := range factKeys {
		value := proxyproto.Fact(p.Facts, fact)
		if value != "" && len(dst)+len(key)+hostMax+len(`"}`) <= end {
			dst = appendName(dst, key, value, hostMax)
		}
	}
	return append(dst, '}')
}

// appendHex appends b in hexadecimal digits.
func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
	}
	return dst
}
