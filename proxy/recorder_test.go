package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/accesslog"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxy/record"
)

// recorder checks every record of a rig as it is handed out, and keeps a copy.
type recorder struct {
	front.Host
	t       testing.TB
	live    map[*record.Record]bool // of the exchanges that have begun and not ended
	begun   int
	records []kept
}

// kept is a record without the memory that the listener only borrows.
type kept struct {
	record.Record
	method, target, host, peer string // empty if the head was refused
	route                      config.Route
	routed                     bool
}

// attach makes c see the exchanges of p. The Options.Record of p is c.record.
func (c *recorder) attach(p *Proxy) {
	c.Host, p.shared.Host = p, c
}

// Begin implements front.Host.
func (c *recorder) Begin(f front.Front, l front.Lease, in *lane.Inbox, peer *front.Peer, req *httpparse.Request, since tick.Instant) front.Exchange {
	x := c.Host.Begin(f, l, in, peer, req, since)
	c.begun++
	c.live[&x.(*exchange).rec] = true
	return x
}

// record is Options.Record.
func (c *recorder) record(r *record.Record) {
	if !c.live[r] {
		c.t.Errorf("a record of no exchange that runs: %+v", *r)
	}
	delete(c.live, r)
	k := kept{Record: *r, peer: string(r.Peer.Address())}
	checkLine(c.t, r)
	if len(r.Head) > 0 {
		k.method, k.host = string(r.Request.MethodName.Of(r.Head)), string(r.Request.Authority.Of(r.Head))
		k.target = string(r.Request.Target.Of(r.Head))
	}
	if r.Route != nil {
		k.route, k.routed = *r.Route, true
	}
	for _, wrong := range k.check() {
		c.t.Errorf("%s: %s", wrong, k)
	}
	k.Peer, k.Request, k.Head, k.Route, k.ID = nil, nil, bytes.Clone(r.Head), nil, bytes.Clone(r.ID)
	c.records = append(c.records, k)
}

// checkLine checks that r makes a line of the access log and an entry of the flight recorder, whatever happened.
func checkLine(t testing.TB, r *record.Record) {
	s := accesslog.Subject{Record: r, Client: r.Peer.Address(), Clock: new(accesslog.Clock)}
	format, err := accesslog.Compile("json")
	if err != nil {
		t.Fatal(err)
	}
	line := format.Append(nil, &s)
	var x api.Exchange
	if err := json.Unmarshal(line, &x); err != nil || len(line) >= accesslog.LineMax {
		t.Errorf("%v: %s", err, line)
	}
	p := x.Phases
	for _, us := range []int64{p.Head, p.Queue, p.Connect, p.TLS, p.Send, p.FirstByte, p.Body, p.ClientStall, x.TotalUS} {
		if us < 0 {
			t.Errorf("less than no time: %s", line)
		}
	}
	if sum := p.Head + p.Queue + p.Connect + p.TLS + p.Send + p.FirstByte + p.Body; sum > x.TotalUS || (x.End == "ok") != (r.Fault.Cause == record.NoCause) {
		t.Errorf("parts of %d us: %s", sum, line)
	}
	if entry := accesslog.AppendEntry(nil, accesslog.Fault, &s, nil, board.EntryMax); !json.Valid(entry) || len(entry) > board.EntryMax {
		t.Errorf("%d bytes: %s", len(entry), entry)
	}
}

// check returns the contradictions in a record.
func (k *kept) check() (wrong []string) {
	isWrong := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	last := tick.Instant(0)
	for i, at := range []tick.Instant{k.Begun, k.Admitted, k.Picked, k.Dialled, k.Connected, k.Secured, k.Sending, k.Sent, k.Answered, k.Ended} {
		isWrong(at != 0 && at < last, "time %d is before an earlier one", i)
		last = max(last, at)
	}
	isWrong(k.Begun == 0 || k.Admitted == 0 || k.Ended == 0, "no beginning or no end")
	isWrong((k.Attempts > 0) != (k.Picked > 0), "picked without an attempt, or the other way round")
	isWrong((k.Attempts > 0) != (k.Backend != ""), "a backend without an attempt, or the other way round")
	isWrong(k.Attempts == 0 && k.Dialled+k.Sending+k.Sent > 0, "times of no attempt")
	isWrong(k.Sent > 0 && k.Sending == 0, "sent without sending")
	isWrong((k.Status == 0) != (k.Answered == 0), "a status without an answer, or the other way round")
	isWrong(k.Status == 0 && k.Fault.Cause == record.NoCause, "neither a status nor a fault")
	isWrong(k.Status > 0 && k.Status < 200 && k.Status != 101, "an interim status")
	isWrong(k.Tunnel != (k.Status == 101), "a tunnel without its status, or the other way round")
	isWrong(k.Own && k.Status < 200, "an own reply without a status")
	isWrong(!k.Own && k.Status > 0 && k.Attempts == 0, "an answer of no backend")
	isWrong(k.Fault.Side != record.NoSide && k.Fault.Cause == record.NoCause, "a side without a cause")
	isWrong(k.Fault.Detail == 0 && k.Fault.Cause == record.CauseBadRequest, "a bad request without a reason")
	isWrong((k.Words != "") != (k.Fault.Cause == record.CauseRateLimited), "words without a limit, or the other way round")
	isWrong(k.Fault.Detail != 0 && k.Fault.Side != record.BackendSide && k.Fault.Cause != record.CauseBadRequest && k.Fault.Cause != record.CauseRateLimited && k.Fault.Detail != record.DetailRoute, "a detail without its cause")
	isWrong(k.Attempts > 0 && k.Pool == "", "a backend in no pool")
	isWrong(k.Bytes < 0 || k.BytesIn < 0, "less than nothing")
	isWrong(k.Attempts > 0 && k.method == "", "a backend was tried without a head")
	k.checkAttempts(isWrong)
	k.checkParts(isWrong)
	if k.method != "" {
		isWrong(!bytes.HasPrefix(bytes.TrimLeft(k.Head, crlf), []byte(k.method+" "+k.target+" HTTP/1.")), "the request is not what its head says")
	}
	return wrong
}

// checkAttempts looks for contradictions in the attempts.
func (k *kept) checkAttempts(isWrong func(is bool, format string, args ...any)) {
	all := k.Done()
	for i, a := range all {
		last := i == len(all)-1
		isWrong(a.Backend == "" || a.Took < 0 || a.At < k.Admitted || a.At.Add(a.Took) > k.Ended, "attempt %d is %+v", i, a)
		isWrong(a.Fault.Cause == record.NoCause && (a.Status == 0 || !last), "attempt %d has neither a fault nor the last answer: %+v", i, a)
		isWrong(i > 0 && a.At < all[i-1].At.Add(all[i-1].Took), "attempt %d begins before the end of the one before", i)
		isWrong(last && (a.Backend != k.Backend || a.At != k.Picked), "the last attempt is %+v", a)
		isWrong(last && k.Status > 0 && !k.Own && a.Status != k.Status, "the last attempt has the status %d", a.Status)
		isWrong(last && k.Fault.Side == record.BackendSide && a.Fault != k.Fault, "the last attempt has the fault %+v", a.Fault)
	}
	isWrong(len(all) != min(k.Attempts, record.TriesMax), "%d attempts of %d", len(all), k.Attempts)
	isWrong(k.Attempts == 0 && k.Fault.Side == record.BackendSide, "a backend's fault without an attempt")
	isWrong(k.Reused && k.Connected > 0 || k.Sending > 0 && !k.Reused && k.Connected == 0, "a conn that was neither there nor made")
	isWrong(k.Secured > 0 && k.Connected == 0, "TLS without a conn")
}

// checkParts checks that the parts of an exchange are its whole time.
func (k *kept) checkParts(isWrong func(is bool, format string, args ...any)) {
	p := k.Parts()
	all := []time.Duration{p.Head, p.Queue, p.Earlier, p.Connect, p.TLS, p.Send, p.FirstByte, p.Body}
	sum := time.Duration(0)
	for i, d := range all {
		isWrong(d < 0, "part %d takes %v", i, d)
		sum += d
	}
	isWrong(sum != p.Total || p.Total != k.Ended.Sub(k.Begun), "%v in all, want %v: %+v", sum, p.Total, p)
	isWrong(p.Stall < 0 || p.Stall > p.Total, "the client took %v", p.Stall)
}

// String is for the log of a run.
func (k kept) String() string {
	return fmt.Sprintf("%s %s of %q at %q by %q: %d attempts, status %d, own %t, tunnel %t, %d bytes in, %d out, fault %v %v %v; times %d",
		k.method, k.target, k.host, k.Pool, k.Backend, k.Attempts, k.Status, k.Own, k.Tunnel, k.BytesIn, k.Bytes,
		k.Fault.Side, k.Fault.Cause, k.Fault.Phase, []tick.Instant{k.Begun, k.Admitted, k.Picked, k.Dialled, k.Sending, k.Sent, k.Answered, k.Ended})
}

// leftovers returns how the records as a whole differ from the board.
func (c *recorder) leftovers(r *rig) (all []string) {
	if c.begun != len(c.records) || len(c.live) > 0 {
		all = append(all, fmt.Sprintf("%d exchanges, %d records, %d still running", c.begun, len(c.records), len(c.live)))
	}
	attempts, own, aborts := 0, [6]int{}, 0
	requests, replies, broken := 0, [6]int{}, 0
	for _, k := range c.records {
		attempts += k.Attempts
		if k.method != "" {
			requests++
		}
		if k.Status >= 200 {
			replies[min(k.Status/100, 5)]++ // as they are counted
		}
		if k.Fault.Cause != record.NoCause && !k.Own {
			broken++
		}
		if k.Own {
			own[k.Status/100]++
		}
		if k.Fault.Side == record.ClientSide && (k.Fault.Cause == record.CauseGone || k.Fault.Cause == record.CauseShortBody) {
			aborts++
		}
	}
	var board [6]int
	for class := range board {
		board[class] = int(r.p.counters.OwnReplies[class].Load())
	}
	begun := 0
	for id := range r.board.Backends() {
		begun += int(r.board.Backend(r.p.slot, id).Attempts.Load())
	}
	if own != board || attempts != begun || aborts != int(r.p.counters.ClientAborts.Load()) {
		all = append(all, fmt.Sprintf("records tell of %d attempts, own replies %v, %d aborts; the board of %d, %v, %d",
			attempts, own, aborts, begun, board, r.p.counters.ClientAborts.Load()))
	}
	return append(all, c.miscounts(r, requests, replies, broken)...)
}

// miscounts returns how the numbers of requests and replies by records differ from those that
// are counted. Of broken exchanges, the reply may have ended before a byte of it was out.
func (c *recorder) miscounts(r *rig, requests int, replies [6]int, broken int) (all []string) {
	if n := int(r.p.counters.Requests.Load()); n != requests {
		all = append(all, fmt.Sprintf("%d records with a head, of %d requests", requests, n))
	}
	unsent := 0
	for class := 2; class < len(replies); class++ {
		n := int(r.p.counters.Replies[class].Load())
		if unsent += replies[class] - n; n > replies[class] {
			all = append(all, fmt.Sprintf("%d records with a %dxx, of %d", replies[class], class, n))
		}
	}
	if unsent > broken {
		all = append(all, fmt.Sprintf("%d replies were not sent, of %d exchanges that broke", unsent, broken))
	}
	return all
}
