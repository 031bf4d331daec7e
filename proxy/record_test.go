package proxy

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/record"
)

// Parts of scripts.
const (
	recordGet     = "client> GET /a?b HTTP/1.1\nclient> Host: a.example\nclient>\n"
	recordPost    = "client> POST /a HTTP/1.1\nclient> Host: a.example\nclient> Content-Length: 10\nclient>\nclient> 12345\\\n"
	recordCall    = "client> POST /s/M HTTP/1.1\nclient> Host: a.example\nclient> Content-Type: application/grpc\nclient> Grpc-Timeout: 1S\nclient> Content-Length: 0\nclient>\n"
	recordUpgrade = "client> GET /a HTTP/1.1\nclient> Host: a.example\nclient> Connection: Upgrade\nclient> Upgrade: websocket\nclient>\n" +
		"backend> HTTP/1.1 101 Switching Protocols\nbackend> Connection: Upgrade\nbackend> Upgrade: websocket\nbackend>\n"
	recordTwo   = "| backends = [{ host = \"a\", port = 80 }, { host = \"b\", port = 80 }]\n"
	recordRoute = "| [[pools]]\n| name = \"blue\"\n| backends = [{ host = \"a\", port = 80 }]\n| [[routes]]\n| path = \"/a\"\n| pool = \"blue\"\n"
	recordMoved = "| backends = [{ host = \"a\", port = 80 }]\n| [[routes]]\n| path = \"/a\"\n| redirect = { to = \"/here\" }\n"
)

// recordTests are exchanges that each end in a different way, as scripts of transcripts
// (see player.play), with the last record of each.
var recordTests = []struct{ name, script, want string }{
	{"whole", recordGet + "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 5\nbackend>\nbackend> hello\\\n",
		"GET /a?b a.example; default 10.0.0.1:80 attempts 1; 200 in 0 out 5; begun admitted picked dialled sending sent answered ended"},
	{"whole, on a conn that idled", recordGet + "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 0\nbackend>\n" + recordPost + "client> 67890\\\n" + "backend> HTTP/1.1 204 No Content\nbackend>\n",
		"POST /a a.example; default 10.0.0.1:80 attempts 1; 204 in 10 out 0; begun admitted picked sending sent answered ended"},
	{"chunks", recordGet + "backend> HTTP/1.1 200 OK\nbackend> Transfer-Encoding: chunked\nbackend>\nbackend> 5\nbackend> hello\nbackend> 0\nbackend>\n",
		"GET /a?b a.example; default 10.0.0.1:80 attempts 1; 200 in 0 out 5; begun admitted picked dialled sending sent answered ended"},
	{"route and pool", recordRoute + recordGet + "backend> HTTP/1.1 204 No Content\nbackend>\n",
		"GET /a?b a.example; route /a; blue a:80 attempts 1; 204 in 0 out 0; begun admitted picked dialled sending sent answered ended"},
	{"retried", recordTwo + "a: refuse\n" + recordGet + "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 2\nbackend>\nbackend> ok\\\n",
		"GET /a?b a.example; default b:80 attempts 2; 200 in 0 out 2; begun admitted picked dialled sending sent answered ended"},
	{"aborted", recordGet + "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 5\nbackend>\nbackend> he\\\nbackend: close\n",
		"GET /a?b a.example; default 10.0.0.1:80 attempts 1; 200 in 0 out 2; backend reset relay; begun admitted picked dialled sending sent answered ended"},
	{"answered early", recordPost + "backend> HTTP/1.1 413 Content Too Large\nbackend> Content-Length: 4\nbackend>\nbackend> huge\\\n",
		"POST /a a.example; default 10.0.0.1:80 attempts 1; 413 in 5 out 4; begun admitted picked dialled sending answered ended"},
	{"client gone in its body", recordPost + "client: reset\n",
		"POST /a a.example; default 10.0.0.1:80 attempts 1; 0 in 5 out 0; client gone send; begun admitted picked dialled sending ended"},
	{"client gone while it waits", recordGet + "client: reset\n",
		"GET /a?b a.example; default 10.0.0.1:80 attempts 1; 0 in 0 out 0; client gone wait; begun admitted picked dialled sending sent ended"},
	{"short body", recordPost + "client: shut\n",
		"POST /a a.example; default 10.0.0.1:80 attempts 1; 400 own in 5 out 55; client short_body send; begun admitted picked dialled sending answered ended"},
	{"cut off", recordGet + "lb: cut\n",
		"GET /a?b a.example; default 10.0.0.1:80 attempts 1; 0 in 0 out 0; lb cut wait; begun admitted picked dialled sending sent ended"},
	{"tunnel", recordUpgrade + "client> to\\\nbackend> from it\\\nclient: shut\nbackend: close\n",
		"GET /a a.example; default 10.0.0.1:80 attempts 1; 101 tunnel in 2 out 7; begun admitted picked dialled sending sent answered ended"},
	{"tunnel reset", recordUpgrade + "client> to\\\nclient: reset\n",
		"GET /a a.example; default 10.0.0.1:80 attempts 1; 101 tunnel in 2 out 0; client gone relay; begun admitted picked dialled sending sent answered ended"},
	{"no backend", "a: refuse\n" + recordGet,
		"GET /a?b a.example; default 10.0.0.1:80 attempts 3; 502 own in 0 out 47; backend no_connect dial; begun admitted picked dialled answered ended"},
	{"timed out", recordGet + "wait 61s\n",
		"GET /a?b a.example; default 10.0.0.1:80 attempts 1; 504 own in 0 out 47; backend slow wait; begun admitted picked dialled sending sent answered ended"},
	{"deadline of a call", recordCall + "wait 2s\n",
		"POST /s/M a.example; default 10.0.0.1:80 attempts 1; 504 own in 0 out 0;  deadline wait; begun admitted picked dialled sending sent answered ended"},
	{"no backend for a call", "a: refuse\n" + recordCall,
		"POST /s/M a.example; default 10.0.0.1:80 attempts 3; 502 own in 0 out 0; backend no_connect dial; begun admitted picked dialled answered ended"},
	{"redirect", recordMoved + recordGet,
		"GET /a?b a.example; route /a; no backend; 308 own in 0 out 0; begun admitted answered ended"},
	{"CONNECT", "client> CONNECT a.example:80 HTTP/1.1\nclient> Host: a.example:80\nclient>\n",
		"CONNECT a.example:80 a.example:80; no backend; 501 own in 0 out 74; begun admitted answered ended"},
	{"refused head", "client> GET /a HTTP/1.1\nclient> Host : a\nclient>\n",
		"no head; no backend; 400 own in 0 out 57; client bad_request admit; begun admitted answered ended"},
	{"late head", "client> GET /a HTTP/1.1\nwait 11s\n",
		"no head; no backend; 408 own in 0 out 57; client slow admit; begun admitted answered ended"},
	{"client gone in its head", "client> GET /a HTTP/1.1\nclient: reset\n",
		"no head; no backend; 0 in 0 out 0; client gone admit; begun admitted ended"},
	{"cut off in its head", "client> GET /a HTTP/1.1\nlb: cut\n",
		"no head; no backend; 0 in 0 out 0; lb cut admit; begun admitted ended"},
}

// TestRecord: the records of exchanges, however they end.
func TestRecord(t *testing.T) {
	for _, tc := range recordTests {
		t.Run(tc.name, func(t *testing.T) {
			p := play(t, tc.script, playing{})
			if n := len(p.rec.records); n == 0 {
				t.Fatal("no record")
			} else if got := p.rec.records[n-1].describe(); got != tc.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, tc.want)
			}
		})
	}
}

// describe returns a record as text, without its times.
func (k *kept) describe() string {
	parts := []string{"no head", "no backend", fmt.Sprint(k.Status)}
	if k.method != "" {
		parts[0] = k.method + " " + k.target + " " + k.host
	}
	if k.routed {
		parts[0] += "; route " + k.route.Path
	}
	if k.Attempts > 0 {
		parts[1] = fmt.Sprintf("%s %s attempts %d", k.Pool, k.Backend, k.Attempts)
	}
	if k.Own {
		parts[2] += " own"
	}
	if k.Tunnel {
		parts[2] += " tunnel"
	}
	parts[2] += fmt.Sprintf(" in %d out %d", k.BytesIn, k.Bytes)
	if f := k.Fault; f.Cause != record.NoCause {
		parts = append(parts, fmt.Sprintf("%v %v %v", f.Side, f.Cause, f.Phase))
	}
	var times []string
	for i, at := range []tick.Instant{k.Begun, k.Admitted, k.Picked, k.Dialled, k.Sending, k.Sent, k.Answered, k.Ended} {
		if at > 0 {
			times = append(times, [...]string{"begun", "admitted", "picked", "dialled", "sending", "sent", "answered", "ended"}[i])
		}
	}
	return strings.Join(append(parts, strings.Join(times, " ")), "; ")
}

// TestStalls: how long lb waited for the client, and that it is no wait for a backend.
func TestStalls(t *testing.T) {
	const answer = "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 400000\nbackend>\nwait 2s\nbackend> {400000 a}\\\n"
	for _, tc := range []struct {
		name, script      string
		stall, send, body time.Duration
		firstByte         time.Duration
	}{
		{"no wait", recordGet + "wait 1s\nbackend> HTTP/1.1 204 No Content\nbackend>\n", 0, 0, 0, time.Second},
		{"a slow upload", recordPost + "wait 3s\nclient> 678\\\nwait 4s\nclient> 90\\\nwait 1s\nbackend> HTTP/1.1 204 No Content\nbackend>\n",
			7 * time.Second, 7 * time.Second, 0, time.Second},
		{"a slow reader", "config buffers=1000\nclient: pause\n" + recordGet + answer + "wait 5s\nclient: resume\n",
			5 * time.Second, 0, 7 * time.Second, 0},
		{"a reader that leaves", "config buffers=1000\nclient: pause\n" + recordGet + answer + "wait 5s\nclient: reset\n",
			5 * time.Second, 0, 7 * time.Second, 0},
		{"a tunnel", recordUpgrade + "wait 5s\nclient: shut\nbackend: close\n", 0, 0, 5 * time.Second, 0},
	} {
		p := play(t, tc.script, playing{}).rec.records[0].Parts()
		if p.Stall != tc.stall || p.Send != tc.send || p.Body != tc.body || p.FirstByte != tc.firstByte {
			t.Errorf("%s: %+v", tc.name, p)
		}
	}
}

// TestRecordOfPeer: what a record says of the client's conn.
func TestRecordOfPeer(t *testing.T) {
	over := front.Session{Version: tls.VersionTLS13, Protocol: "h2", Resumed: true}
	for _, tc := range []struct {
		peer     front.Peer
		minor    uint8
		head     string
		protocol string
		version  string
	}{
		{front.Peer{}, 0, "GET", "HTTP/1.0", ""},
		{front.Peer{}, 1, "GET", "HTTP/1.1", ""},
		{front.Peer{}, 1, "", "", ""},
		{front.Peer{TLS: front.Session{Version: tls.VersionTLS12}}, 1, "GET", "HTTP/1.1", "1.2"},
		{front.Peer{HTTP2: true, TLS: over}, 1, "", "HTTP/2", "1.3"},
		{front.Peer{TLS: front.Session{Version: 0x7f00}}, 1, "", "", "other"},
	} {
		r := record.Record{Peer: &tc.peer, Request: &httpparse.Request{}, Head: []byte(tc.head)}
		r.Request.Minor = tc.minor
		if got := r.Protocol(); got != tc.protocol || tc.peer.TLS.Name() != tc.version {
			t.Errorf("%+v: %q over TLS %q", tc, got, tc.peer.TLS.Name())
		}
	}
	p := front.Peer{TLS: over}
	if p.Set(netip.AddrPort{}, front.Plain); p.TLS != (front.Session{}) {
		t.Errorf("the next conn has %+v", p.TLS)
	}
}

// TestRecordOfPanic: an exchange that ends in a panic, a bug of lb, has its record too.
func TestRecordOfPanic(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	client := r.k.Connect(r.listener, rigClient)
	client.Send([]byte(ask))
	r.settle()
	r.calls.panics = true
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	const want = "GET / a.example; default 10.0.0.1:80 attempts 1; 0 in 0 out 0; lb panic wait; begun admitted picked dialled sending sent ended"
	if len(r.rec.records) != 1 || r.rec.records[0].describe() != want {
		t.Errorf("%v, want one: %s", r.rec.records, want)
	}
}

// TestRecordThatPanics: a listener that panics costs its exchange and the client's conn,
// and is not called again for it.
func TestRecordThatPanics(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	calls := 0
	r.p.record = func(*record.Record) {
		calls++
		panic("a mistake")
	}
	r.rec.begun--
	client := r.k.Connect(r.listener, rigClient)
	client.Send([]byte("TRACE / HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n"))
	r.settle()
	r.p.counters.Panics.Sub(1)
	if n := r.p.counters.OwnReplies[5].Load(); calls != 1 || n != 1 || !client.WasReset() {
		t.Errorf("%d calls, %d replies, reset: %t", calls, n, client.WasReset())
	}
	for _, c := range []*board.Counter{&r.p.counters.OwnReplies[5], &r.p.counters.Replies[5], &r.p.counters.Requests} {
		c.Sub(1)
	}
	clear(r.rec.live)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestRecordAllocations: a listener costs no allocation either.
func TestRecordAllocations(t *testing.T) {
	for _, tc := range exchanges {
		records, bytes := 0, int64(0)
		o := rigOptions(rigConfig(1))
		o.Record = func(r *record.Record) {
			records++
			bytes += r.BytesIn + r.Bytes + int64(len(r.Request.Target.Of(r.Head)))
		}
		s := newSteadyOn(t, o, tc.request, tc.response)
		before := records
		if n := testing.AllocsPerRun(100, func() { s.exchange(); s.check(t) }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
		if records-before != 101 || bytes == 0 {
			t.Errorf("%s: %d records of 101 exchanges", tc.name, records-before)
		}
	}
}
