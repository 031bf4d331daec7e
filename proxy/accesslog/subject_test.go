package accesslog

import (
	"net/netip"
	"testing"
	"time"

	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/record"
	"lb/proxyproto"
)

// begun is when the exchanges of tests begin, on the clock of the loop, and wall the same moment as a time
// of day.
const begun = tick.Instant(5 * time.Second)

var wall = time.Date(2026, 11, 27, 4, 30, 0, 123456789, time.UTC).UnixNano()

// at returns the moment us microseconds after an exchange has begun.
func at(us int64) tick.Instant { return begun.Add(time.Duration(us) * time.Microsecond) }

// asked returns an exchange of the client 192.0.2.1 with that head, for which nothing has been done. An
// empty head stands for one that was refused.
func asked(t testing.TB, head string) *Subject {
	t.Helper()
	var p httpparse.RequestParser
	p.Reset(&httpparse.Limits{HeadBytes: 64 << 10, Fields: 100, TargetBytes: 32 << 10})
	if st := p.Feed([]byte(head)); head != "" && st != httpparse.Done {
		t.Fatalf("%q: %v, %v", head, st, p.Reason)
	}
	peer, r := new(front.Peer), new(record.Record)
	peer.Set(netip.MustParseAddrPort("192.0.2.1:9"), front.Plain)
	r.Begin(true, begun, at(1), peer, &p.Request)
	r.NoteHead([]byte(head))
	return &Subject{Record: r, Client: peer.Address(), Wall: wall, Clock: new(Clock)}
}

// pick begins an attempt at a moment.
func (s *Subject) pick(backend string, us int64) {
	s.Route = &config.Route{Host: "a.example", Path: "/"}
	s.Pick(&record.Place{Pool: "web", Backend: backend, Series: 1, BackendSeries: -1}, [8]byte{byte(us)}, at(us))
}

// send has the request be sent, on a new conn or on an idle one.
func (s *Subject) send(fresh bool, us int64) {
	if fresh {
		s.Enter(record.Dial, at(us))
		s.Make(record.Made{Connected: at(us + 3)})
		us += 3
	} else {
		s.Make(record.Made{Connected: begun - 1})
	}
	s.Enter(record.Send, at(us))
	s.Enter(record.Wait, at(us+3))
}

// answer ends the exchange with an answer of the backend.
func (s *Subject) answer(status int, us int64) *Subject {
	s.Answer(status)
	s.Status, s.Bytes = status, 123
	s.Enter(record.Relay, at(us))
	s.Ended = at(us + 10)
	s.EndAttempt(s.Ended)
	return s
}

// fail ends the attempt.
func (s *Subject) fail(side record.Side, cause record.Cause, ph record.Phase, detail uint16, us int64) record.Fault {
	f := record.Fault{Side: side, Cause: cause, Phase: ph, Detail: detail}
	s.Fail(f)
	s.EndAttempt(at(us))
	return f
}

// reply ends the exchange with a reply of lb's own.
func (s *Subject) reply(f record.Fault, status int, us int64) *Subject {
	s.Fault, s.Status, s.Own, s.Bytes = f, status, true, 32
	s.Enter(record.Relay, at(us))
	s.Ended = at(us + 10)
	return s
}

// drop ends the exchange without an answer.
func (s *Subject) drop(f record.Fault, us int64) *Subject {
	s.Fault, s.Ended = f, at(us)
	return s
}

const get = "GET /x?y HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8.5.0\r\nReferer: https://b.example/?q=1\r\n\r\n"

// kinds are exchanges of each kind.
func kinds(t testing.TB) map[string]*Subject {
	all := map[string]*Subject{}
	add := func(name, head string) *Subject {
		all[name] = asked(t, head)
		return all[name]
	}
	good := func(name, head string, fresh bool) *Subject {
		s := add(name, head)
		s.pick("10.0.0.1:80", 1)
		s.send(fresh, 1)
		return s.answer(200, 131)
	}
	good("good", get, true)
	good("through a proxy", get, true).Client = []byte("2001:db8::7")
	s := good("tunnel", get, true)
	s.Status, s.Tunnel, s.BytesIn, s.Tries[0].Status = 101, true, 77, 101
	s = good("unix socket", "GET / HTTP/1.0\r\n\r\n", true)
	s.Peer.Set(netip.AddrPort{}, front.Plain)
	s.Client, s.Route = nil, nil
	s = good("http2 over TLS", get, false)
	s.Peer.HTTP2, s.Peer.Way = true, front.TLS
	s.Peer.TLS = front.Session{Version: 0x304, Protocol: "h2", Resumed: true}
	s.ID = []byte("0193a5e2-7c3b-7def-8a12-0123456789ab")
	s.Trace = record.Trace{ID: [16]byte{0xab, 15: 1}, Span: [8]byte{1}, Parent: [8]byte{2}, Given: true, Flags: 1, Sampled: true}

	s = good("PROXY header", get, true)
	s.Peer.Proxy = &front.Proxied{Sender: netip.MustParseAddr("10.0.0.9"), Facts: string(proxyproto.AppendFacts(nil,
		proxyproto.AppendTLV(proxyproto.AppendTLV(nil, proxyproto.Authority, []byte("a.example")), proxyproto.UniqueID, []byte{0, 255})))}

	s = add("retried", get)
	s.pick("10.0.0.1:80", 1)
	s.send(true, 1)
	s.fail(record.BackendSide, record.CauseReset, record.Wait, 0, 25)
	s.pick("10.0.0.2:80", 31)
	s.send(false, 31)
	s.answer(200, 131)
	s = add("502", get)
	s.pick("10.0.0.1:80", 1)
	s.Enter(record.Dial, at(1))
	s.reply(s.fail(record.BackendSide, record.CauseNoConnect, record.Dial, 111, 130), 502, 131)
	s = add("504", get)
	s.pick("10.0.0.1:80", 1)
	s.send(true, 1)
	s.reply(s.fail(record.BackendSide, record.CauseSlow, record.Wait, 0, 131), 504, 131)
	s = add("client gone", get)
	s.pick("10.0.0.1:80", 1)
	s.send(true, 1)
	s.drop(s.fail(record.ClientSide, record.CauseGone, record.Wait, 0, 141), 141)

	s = add("documented", "GET /items?page=2&token=x HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	s.Peer.HTTP2, s.Peer.Way, s.Client = true, front.TLS, []byte("198.51.100.7")
	s.Peer.TLS = front.Session{Version: 0x304, Protocol: "h2", Resumed: true}
	s.ID, s.Trace.ID = []byte("0193a5e2-7c3b-7def-8a12-0123456789ab"), [16]byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36}
	s.pick("10.0.0.1:80", 1)
	s.send(false, 1)
	s.fail(record.BackendSide, record.CauseReset, record.Wait, 0, 902)
	s.pick("10.0.0.2:80", 902)
	s.send(true, 902)
	s.answer(200, 2310)
	s.Route = &config.Route{Host: "shop.example", Path: "/items"}

	add("bad head", "").reply(record.Fault{Side: record.ClientSide, Cause: record.CauseBadRequest, Detail: uint16(httpparse.BareCR)}, 400, 1)
	add("no route", "GET /a?api_key=k HTTP/1.1\r\nHost: b\r\n\r\n").reply(record.ByClient(record.CauseNoRoute), 404, 1)
	s = add("redirect", get).reply(record.Fault{}, 308, 1)
	s.Route = &config.Route{Host: "a.example", Path: "/"}
	s = add("lb stops", get)
	s.Pool = "web"
	s.drop(record.Fault{Side: record.LBSide, Cause: record.CauseCut, Phase: record.Pick}, 141)
	return all
}
