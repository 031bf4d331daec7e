package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/loop/looptest"
	"lb/proxy/explain"
)

// scheme returns the scheme of the clients of r.
func (r *rig) scheme() string {
	if r.layered {
		return "https"
	}
	return "http"
}

const (
	explainConfigs  = 250
	explainRequests = 40 // of each configuration
)

// explainRun is one configuration, for which requests are explained and then sent.
type explainRun struct {
	*rig
	t    *testing.T
	d    explainDraw
	seed uint64
	got  map[int][]byte // what each place has got since the last request
	kept map[string]int // how often each outcome was seen
}

// TestExplainAgrees: what Explain says is what is done, for 10,000 requests over 250
// configurations: the same route, pool, backend, head for the backend, status, or queue.
func TestExplainAgrees(t *testing.T) {
	first := rand.Uint64()
	t.Logf("seeds from %d on", first)
	kept := map[string]int{}
	for seed := first; seed < first+explainConfigs; seed++ {
		testExplain(t, seed, kept)
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", kept)
	for _, outcome := range []string{api.ToBackend, api.ToQueue, "answer 302", "answer 308", "answer 400", "answer 404", "answer 413", "answer 414", "answer 429", "answer 501", "answer 503", "settled", "sticky", "several readings",
		config.RoundRobin, config.Random, config.LeastConn, config.P2C, config.LeastTime, config.HashOnKey} {
		if kept[outcome] < 3 {
			t.Errorf("%s was seen %d times", outcome, kept[outcome])
		}
	}
}

func testExplain(t *testing.T, seed uint64, kept map[string]int) {
	d := explainDraw{rand.New(rand.NewPCG(seed, 1))}
	cfg := d.config()
	o := rigOptions(cfg)
	o.Board = board.New(2, rigBackendsMax)
	e := &explainRun{rig: newRigOn(t, seed, o, false), t: t, d: d, seed: seed, got: map[int][]byte{}, kept: kept}
	e.layered = cfg.Listening()[0].TLS
	e.onEveryConnect(e.answer)
	for range explainRequests {
		for range d.IntN(3) {
			d.disturb(e.rig)
		}
		e.pass(time.Duration(d.IntN(3)) * time.Second)
		e.request(d.ask(e.rig))
		if t.Failed() {
			return
		}
	}
}

// answer has the backend at a place answer each request when it is whole.
func (e *explainRun) answer(place int, p *looptest.Peer) {
	var head []byte
	p.OnBytes = func(p *looptest.Peer) {
		b := p.Recv()
		e.got[place] = append(e.got[place], b...)
		head = append(head, b...)
		end := bytes.Index(head, []byte(crlf+crlf))
		if end < 0 {
			return
		}
		body := head[end+4:]
		if _, after, ok := bytes.Cut(head[:end], []byte("Content-Length: ")); ok {
			n, _, _ := bytes.Cut(after, []byte(crlf))
			if want, _ := strconv.Atoi(string(n)); len(body) < want {
				return
			}
		} else if bytes.Contains(head[:end], []byte("chunked")) && !bytes.HasSuffix(body, []byte("0\r\n\r\n")) {
			return
		}
		head = nil
		p.Send([]byte(answer))
	}
}

// untouched returns what Explain must not change.
func (e *explainRun) untouched() []any {
	all := []any{*e.p.counters, e.board.Version(), e.p.budget, e.p.arena.Out(), e.p.now.picking, e.l.Timers()}
	for id := range e.board.Backends() {
		all = append(all, *e.board.CopyState(id), e.board.InFlight(id), e.board.Backend(0, id).Attempts.Load())
	}
	return all
}

// request has one request explained, then sends it and compares.
func (e *explainRun) request(ask api.ExplainAsk) {
	before := e.untouched()
	f, err := e.p.Explain(ask)
	if err != nil {
		e.t.Fatalf("seed %d: %+v: %v", e.seed, ask, err)
	}
	if after := e.untouched(); !reflect.DeepEqual(before, after) {
		e.t.Errorf("seed %d: %+v changes something:\n%+v\n%+v", e.seed, ask, before, after)
	}
	says := f.Answer()
	clear(e.got)
	e.rec.records = nil
	waits := e.waiting()
	client := e.connect(netip.AddrPortFrom(f.Asked.Peer, 1000))
	client.Send(slices.Concat(f.Asked.Head, body(f)))
	e.settle()
	if wrong := e.compare(f, &says, client, waits); wrong != "" {
		e.t.Errorf("seed %d: %s\nasked: %+v\nsays: %+v\nclient got %q", e.seed, wrong, ask, says, client.Received())
	}
	client.Close()
	e.settle() // no time passes, in which an ejection or another state could end
	if again, err := e.p.Explain(ask); says.Settled && e.p.now.rates == nil && (err != nil || again.Answer().Choice != says.Choice) {
		e.t.Errorf("seed %d: %+v is settled, and gets %+v, %v the next time; before it was %+v", e.seed, ask, again.Answer(), err, says)
	}
	e.pass(time.Millisecond)
	e.note(&says)
}

// body returns a body for the framing of the request's head.
func body(f *explain.Facts) []byte {
	switch m := &f.Request.Message; {
	case m.HeadLen == 0, m.Length == 0:
		return nil
	case m.Length > 0:
		return bytes.Repeat([]byte{'x'}, int(m.Length))
	}
	return []byte("3\r\nabc\r\n0\r\n\r\n")
}

// waiting returns how many exchanges wait for room.
func (e *explainRun) waiting() (n int) {
	for _, q := range e.p.now.pools {
		n += q.room.Len()
	}
	return n
}

// note counts what was seen.
func (e *explainRun) note(says *api.Explained) {
	switch {
	case says.Answer != nil:
		e.kept[fmt.Sprintf("answer %d", says.Answer.Status)]++
	default:
		e.kept[says.Outcome]++
	}
	if says.Settled {
		e.kept["settled"]++
	} else if says.Outcome == api.ToBackend {
		e.kept[says.Strategy]++
	}
	if len(says.Readings) > 0 {
		e.kept["several readings"]++
	}
	if strings.HasPrefix(says.How, "its cookie") {
		e.kept["sticky"]++
	}
}

// compare returns how what was done differs from what was said, or "".
func (e *explainRun) compare(f *explain.Facts, says *api.Explained, client *looptest.Peer, waits int) string {
	if says.Outcome == api.ToQueue {
		if e.waiting() != waits+1 || len(e.got) > 0 || len(e.rec.records) > 0 {
			return "it does not wait"
		}
		return ""
	}
	if len(e.rec.records) != 1 {
		return fmt.Sprintf("%d records, %d wait", len(e.rec.records), e.waiting())
	}
	k := e.rec.records[0]
	route := 0
	if k.routed {
		route = 1 + slices.IndexFunc(e.p.now.cfg.Routes, func(r config.Route) bool { return reflect.DeepEqual(r, k.route) })
	}
	same := says.Route == route || says.Route > 0 && route > 0 && reflect.DeepEqual(e.p.now.cfg.Routes[says.Route-1], k.route)
	if !same || says.Pool != k.Pool {
		return fmt.Sprintf("route %d, pool %q", route, k.Pool)
	}
	if says.Outcome == api.ToBackend {
		return e.compareSent(f, says, k)
	}
	if !k.Own || k.Status != says.Answer.Status || len(e.got) > 0 || k.Fault.Cause.String() != says.Answer.Cause {
		return fmt.Sprintf("own %t, status %d, cause %v, backends got %v", k.Own, k.Status, k.Fault.Cause, e.got)
	}
	code := says.Answer.Status
	if says.Answer.GRPCStatus > 0 {
		code = 200
	}
	text := string(client.Received())
	if !strings.HasPrefix(text, fmt.Sprintf("HTTP/1.1 %d ", code)) && !strings.HasPrefix(text, fmt.Sprintf("HTTP/1.0 %d ", code)) {
		return "another status"
	}
	for _, line := range says.Answer.Fields {
		if !strings.Contains(text, crlf+line+crlf) {
			return "without the field " + line
		}
	}
	return ""
}

var idLines = regexp.MustCompile(`(?mi)^(x-request-id|traceparent): [^\r]*`)

// withoutIDs returns a head with the same text for all ids, which lb makes for each request.
func withoutIDs(head []byte) []byte { return idLines.ReplaceAll(head, []byte("$1: id")) }

// compareSent is compare for a request that a backend gets.
func (e *explainRun) compareSent(f *explain.Facts, says *api.Explained, k kept) string {
	if k.Own || k.Backend != says.Choice || k.Attempts != 1 || len(e.got) != 1 {
		return fmt.Sprintf("own %t, status %d, backend %q, %d attempts, places %d", k.Own, k.Status, k.Backend, k.Attempts, len(e.got))
	}
	for _, got := range e.got {
		if got := withoutIDs(got); !bytes.HasPrefix(got, withoutIDs(f.Head)) {
			return fmt.Sprintf("the backend got\n%q, and not\n%q", got, f.Head)
		}
	}
	chosen := slices.IndexFunc(says.Backends, func(b api.ExplainedBackend) bool { return b.Chosen })
	if chosen < 0 || says.Backends[chosen].Address != says.Choice || !says.Backends[chosen].Candidate {
		return "the choice is no candidate"
	}
	return ""
}
