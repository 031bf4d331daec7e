package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/httpparse/h2"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/internal/tlsfault"
	"lb/proxy/record"
)

// Parts of scripts about faults.
const (
	faultOne   = "| backends = [{ host = \"a\", port = 80 }]\n"
	faultTwo   = "| backends = [{ host = \"a\", port = 80 }, { host = \"b\", port = 80 }]\n"
	faultRetry = "| retry.on = [\"connect\", \"stale\", \"reset\", \"timeout\", \"503\"]\n" + faultTwo
	faultFull  = "| backends = [{ host = \"a\", port = 80, max_connections = 1 }]\n"
	faultPaths = faultOne + "| [[pools]]\n| name = \"blue\"\n| backends = [{ host = \"b\", port = 80 }]\n| [[routes]]\n| path = \"/a/\"\n| pool = \"blue\"\n"
	noPool     = "| [[pools]]\n| name = \"blue\"\n| backends = [{ host = \"b\", port = 80 }]\n| [[routes]]\n| path = \"/a/\"\n| pool = \"blue\"\n"
	faultBegun = "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 5\nbackend>\nbackend> he\\\n"
	faultBig   = "client: pause\n" + recordGet + "backend> HTTP/1.1 200 OK\nbackend> Content-Length: 400000\nbackend>\nbackend> {400000 a}\\\n"
	faultLong  = "client> POST /a HTTP/1.1\nclient> Host: a.example\nclient> Content-Length: 900000\nclient>\n"
)

// faultTests are exchanges with faults, as scripts, and what the first record says: the fault
// that ended the exchange, and each attempt with its status or fault.
var faultTests = []struct{ name, script, want string }{
	{"no fault", faultOne + recordGet + "backend> HTTP/1.1 204 No Content\nbackend>\n", "204 | a:80 204"},
	{"gone, in its head", faultOne + "client> GET\\\nclient: reset\n", "0 client gone admit |"},
	{"gone, in its body", faultOne + recordPost + "client: reset\n", "0 client gone send | a:80 client gone send"},
	{"gone, before the answer", faultOne + recordGet + "client: reset\n", "0 client gone wait | a:80 client gone wait"},
	{"gone, in the answer", faultOne + recordGet + faultBegun + "client: reset\n", "200 client gone relay | a:80 200 client gone relay"},
	{"gone, in the queue", faultFull + recordGet + "client2> GET / HTTP/1.1\nclient2> Host: a\nclient2>\nclient2: shut\n", "0 client gone pick |"},
	{"short body", faultOne + recordPost + "client: shut\n", "400 client short_body send | a:80 client short_body send"},
	{"bad request", faultOne + "client> GET /a HTTP/1.1\nclient> Host : a\nclient>\n", "400 client bad_request(18) admit |"},
	{"bad chunk", faultOne + "client> POST /a HTTP/1.1\nclient> Host: a\nclient> Transfer-Encoding: chunked\nclient>\n\nclient> 2\nclient> hi\nclient> x\n",
		"400 client bad_request(31) send | a:80 client bad_request(31) send"},
	{"too large", "| limits.body_bytes = 5\n" + faultOne + recordPost, "413 client too_large admit |"},
	{"slow head", faultOne + "client> GET\\\nwait 11s\n", "408 client slow admit |"},
	{"slow body", faultOne + recordPost + "wait 31s\n", "408 client slow send | a:80 client slow send"},
	{"slow reader", "config buffers=1000\n" + faultOne + faultBig + "wait 61s\n", "200 client slow relay | a:80 200 client slow relay"},
	{"slow to connect", faultOne + "a: be silent\n" + recordGet + "wait 16s\n", "504 backend slow dial | a:80 backend slow dial, a:80 backend slow dial, a:80 backend slow dial"},
	{"slow to take the request", "config buffers=1000\n" + faultOne + "a: be silent\na: accept\n" + faultLong + "backend: pause\nclient> {500000 a}\\\nwait 61s\n",
		"504 backend slow send | a:80 backend slow send"},
	{"slow to answer", faultOne + recordGet + "wait 61s\n", "504 backend slow wait | a:80 backend slow wait"},
	{"slow in its body", faultOne + recordGet + faultBegun + "wait 61s\n", "200 backend slow relay | a:80 200 backend slow relay"},
	{"slow, then another", faultRetry + recordGet + "wait 61s\nbackend2> HTTP/1.1 204 No Content\nbackend2>\n", "204 | a:80 backend slow wait, b:80 204"},
	{"refused", faultTwo + "a: refuse\nb: refuse\n" + recordGet, "502 backend no_connect(111) dial | a:80 backend no_connect(111) dial, b:80 backend no_connect(111) dial, a:80 backend no_connect(111) dial"},
	{"unknown", faultOne + "a: be unknown\n" + recordGet, "502 backend no_connect dial | a:80 backend no_connect dial, a:80 backend no_connect dial, a:80 backend no_connect dial"},
	{"refused, then another", faultTwo + "a: refuse\n" + recordGet + "backend> HTTP/1.1 204 No Content\nbackend>\n", "204 | a:80 backend no_connect(111) dial, b:80 204"},
	{"reset, no byte", faultOne + recordGet + "backend: close\n", "502 backend reset wait | a:80 backend reset wait"},
	{"reset by force", faultOne + recordGet + "backend: reset\n", "502 backend reset(104) wait | a:80 backend reset(104) wait"},
	{"reset in its head", faultOne + recordGet + "backend> HTTP/1.1\\\nbackend: close\n", "502 backend reset wait | a:80 backend reset wait"},
	{"reset in its body", faultOne + recordGet + faultBegun + "backend: reset\n", "200 backend reset(104) relay | a:80 200 backend reset(104) relay"},
	{"bad answer", faultOne + recordGet + "backend> 220 mail.example\n", "502 backend bad_answer(11) wait | a:80 backend bad_answer(11) wait"},
	{"no backend", faultOne + "a: fail its checks\n" + recordGet, "503 lb no_backend pick |"},
	{"cut", faultOne + recordGet + "lb: cut\n", "0 lb cut wait | a:80 lb cut wait"},
	{"crowded", faultFull + recordGet + "client2> GET / HTTP/1.1\nclient2> Host: a\nclient2>\nwait 11s\n", "503 lb crowded pick |"},
	{"no route", noPool + recordGet, "404 client no_route admit |"},
	{"ambiguous", faultPaths + "client> GET /a%2fb HTTP/1.1\nclient> Host: a\nclient>\n", "400 client ambiguous admit |"},
	{"status, then another", faultRetry + recordGet + "backend> HTTP/1.1 503 Busy\nbackend> Content-Length: 0\nbackend>\nbackend2> HTTP/1.1 204 No Content\nbackend2>\n",
		"204 | a:80 503 backend status wait, b:80 204"},
	{"deadline", faultOne + recordCall + "wait 2s\n", "504  deadline wait | a:80  deadline wait"},
	{"out", faultRetry + recordGet + "a: fail its checks\nwait 200ms\nbackend2> HTTP/1.1 204 No Content\nbackend2>\n", "204 | a:80 backend out wait, b:80 204"},
}

// otherFaults are the causes that other tests here have.
var otherFaults = []record.Cause{record.CausePanicked, record.CauseExhausted, record.CauseTLS, record.CauseNoTunnel, record.CauseDenied, record.CauseRateLimited}

// TestFaultRecords: a record says whose fault it was, which, in which phase, and what each
// attempt came to at which backend. There is a test of every cause.
func TestFaultRecords(t *testing.T) {
	var seen []string
	for _, tc := range faultTests {
		seen = append(seen, tc.want)
		t.Run(tc.name, func(t *testing.T) {
			p := play(t, tc.script, playing{})
			if got := p.rec.firstFault(t); got != tc.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, tc.want)
			}
		})
	}
	for c := record.NoCause + 1; c.String() != ""; c++ {
		tested := slices.ContainsFunc(seen, func(want string) bool { return strings.Contains(want, " "+c.String()) })
		if !tested && !slices.Contains(otherFaults, c) {
			t.Errorf("no test of the cause %s", c)
		}
		if c == record.CauseOut {
			break
		}
	}
}

// firstFault returns the status and the fault of the first record, and of its attempts.
func (c *recorder) firstFault(t *testing.T) string {
	if len(c.records) == 0 {
		t.Fatal("no record")
	}
	k := &c.records[0]
	var attempts []string
	for _, a := range k.Done() {
		attempts = append(attempts, a.Backend+outcome(a.Status, a.Fault))
	}
	status := fmt.Sprint(k.Status) + outcome(0, k.Fault) + " |"
	if len(attempts) > 0 {
		status += " " + strings.Join(attempts, ", ")
	}
	return status
}

// outcome describes a status, if there is one, and a fault, if there is one.
func outcome(status int, f record.Fault) (text string) {
	if status > 0 {
		text = fmt.Sprint(" ", status)
	}
	if f.Cause == record.NoCause {
		return text
	}
	text += fmt.Sprintf(" %v %v", f.Side, f.Cause)
	if f.Detail != 0 {
		text += fmt.Sprintf("(%d)", f.Detail)
	}
	return text + " " + f.Phase.String()
}

// TestExhaustedRecord: a lack of descriptors is lb's fault.
func TestExhaustedRecord(t *testing.T) {
	r := lackingRig(t)
	client := r.k.Connect(r.listener, rigClient)
	r.settle()
	r.k.Faults.FDMax = r.k.OpenFDs()
	client.Send([]byte(ask))
	r.settle()
	r.pass(100 * time.Millisecond)
	const want = "503 lb exhausted dial | 10.0.0.1:80 lb exhausted dial"
	if got := r.rec.firstFault(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPanicRecord: so is a panic.
func TestPanicRecord(t *testing.T) {
	r := newRig(t, 1, rigConfig(1), false)
	client := r.k.Connect(r.listener, rigClient)
	client.Send([]byte(ask))
	r.settle()
	r.calls.panics = true
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	const want = "0 lb panic wait | 10.0.0.1:80 lb panic wait"
	if got := r.rec.firstFault(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestNoTunnelRecord: so is an answer that cannot be passed on.
func TestNoTunnelRecord(t *testing.T) {
	cfg := rigConfig(1)
	cfg.HTTP2.Enabled, cfg.HTTP2.Streams = true, 10
	r := newRig(t, 1, cfg, false)
	client := r.k.Connect(r.listener, rigClient)
	head := block(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "a")
	client.Send([]byte(h2.Preface + string(h2.AppendHeader(nil, h2.Header{Type: h2.Settings}))))
	client.Send(append(h2.AppendHeader(nil, h2.Header{Length: len(head), Type: h2.Headers, Flags: h2.FlagEndHeaders, Stream: 1}), head...))
	r.settle()
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	const want = "502 lb no_tunnel wait | 10.0.0.1:80 200 lb no_tunnel wait"
	if got := r.rec.firstFault(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTLSFaultRecords: what fails in a handshake with a backend has a detail of its own,
// and is not the time to connect.
func TestTLSFaultRecords(t *testing.T) {
	for _, tc := range farFaults(t) {
		t.Run(tc.name, func(t *testing.T) {
			cfg := farConfig(tc.far)
			cfg.Pools[0].Eject.Enabled = false
			cfg.Timeouts.Connect = testkit.Patience
			if tc.status = 502; tc.name == "never answers" {
				cfg.Timeouts.Connect, tc.status = 100*time.Millisecond, 504
			}
			r := newBackRig(t, cfg, &tlsconf.PoolSecrets{CA: tc.ca.Cert})
			if status, body, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != tc.status || err != nil {
				t.Fatalf("status %d %q, %v", status, body, err)
			}
			name := cfg.Pools[0].Backends[0].String()
			phase := record.Dial
			if tc.kind == tlsfault.CertRequired { // RFC 8446 4.4.2.4: it is said after the handshake
				phase = record.Wait
			}
			want := fmt.Sprintf("%d backend tls(%d) %v | %s backend tls(%d) %[3]v", tc.status, tc.kind, phase, name, tc.kind)
			r.do(func() {
				if got := r.rec.firstFault(t); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				k := &r.rec.records[0]
				if p := k.Parts(); phase == record.Dial && (k.Connected == 0 || k.Secured != 0 || p.TLS != k.Done()[0].Took-p.Connect || p.Send+p.FirstByte != 0) {
					t.Errorf("connected %d, secured %d, %+v", k.Connected, k.Secured, p)
				}
			})
		})
	}
}

// TestBackendTLSRecord: a record has the handshake of a new conn to a backend apart, and none
// of one that was there.
func TestBackendTLSRecord(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), serve)
	r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: ca.Cert})
	c := r.client()
	c.wants(200, "hello")
	c.wants(200, "hello")
	r.do(func() {
		first, second := &r.rec.records[0], &r.rec.records[1]
		if p := first.Parts(); first.Reused || first.Connected == 0 || first.Secured <= first.Connected || p.TLS != first.Secured.Sub(first.Connected) {
			t.Errorf("a new conn: connected %d, secured %d, %+v", first.Connected, first.Secured, p)
		}
		if p := second.Parts(); !second.Reused || second.Connected+second.Secured != 0 || p.Connect+p.TLS != 0 {
			t.Errorf("a conn that was there: connected %d, secured %d, %+v", second.Connected, second.Secured, p)
		}
	})
}
