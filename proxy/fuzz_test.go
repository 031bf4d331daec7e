package proxy

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/loop/looptest"
)

// fuzzMark is replaced, in a backend's answer, by the number of the request that it
// answers: of the same length, so that lengths in the answer stay right.
const fuzzMark = "@@@@"

var fuzzRequests = []string{
	"GET /a?b|c HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /q HTTP/1.1\r\nHost: h\r\nConnection: close;\r\n\r\n",
	"PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\nHEAD /h HTTP/1.1\r\nHost: h\r\n\r\nGET /i HTTP/1.1\r\nHost: h\r\n\r\n",
	"\r\nGET http://g/x HTTP/1.1\r\nHost: h\r\nConnection: X-B, te\r\nX-B: 2\r\nX-C:3 \r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /p HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nokGET /q HTTP/1.0\r\n\r\n",
	"POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
}

var fuzzAnswers = []string{
	"HTTP/1.1 200 OK\r\nX-N: @@@@\r\nContent-Length: 5\r\n\r\nh@@@@",
	"HTTP/1.1 200 OK\r\nX-N: @@@@\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nh@@@@\r\n0\r\nX-T: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX-N: @@@@\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-N: @@@@\r\nContent-Length: 6\r\n\r\npoison",
	"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\nX-N: @@@@\r\n\r\nsurplus",
	"HTTP/1.1 200 OK\nX-N: @@@@\nX-F: a\n b\nTransfer-Encoding: chunked\n\n5 \nhello\n0\n\n",
	"\r\nhttp/1.0  200 OK\r\nX-N : @@@@\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX-N: @@@@\r\nTransfer-Encoding: identity\r\n\r\nuntil the end",
	"HTTP/1.1 304 Not Modified\r\nX-N: @@@@\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 600 Odd\r\nX-N: @@@@\r\nContent-Length: 5\r\n\r\nh@@@@",
	"HTTP/1.1 999\r\nX-N: @@@@\r\nContent-Length: 0\r\n\r\n",
}

// FuzzForward: whatever a client and a backend send, in whatever pieces, the backend gets
// requests of the client, in order, each with its method, path, host, fields and body; the
// client gets at most one answer to each, and no bytes that came after an answer.
func FuzzForward(f *testing.F) {
	for i, client := range fuzzRequests {
		for k, backend := range fuzzAnswers {
			for closes := range 2 {
				f.Add([]byte(client), []byte(backend), uint64(2*(i*len(fuzzAnswers)+k)+closes))
			}
		}
	}
	f.Fuzz(func(t *testing.T, client, backend []byte, seed uint64) {
		if len(client)+len(backend) > 8<<10 || bytes.Contains(backend, []byte("101")) || fuzzNumbers.Match(backend) {
			return // slow, a tunnel, or marks that are not ours
		}
		z := newForwarding(t, backend, seed)
		z.run(client)
		z.check(client)
	})
}

// forwarding is one run of FuzzForward.
type forwarding struct {
	*rig
	t       *testing.T
	rng     *rand.Rand
	answer  []byte
	closes  bool             // the backend ends its conn after each answer
	got     []plainMessage   // by the backend
	heard   []*looptest.Peer // the backend's conns
	used    map[*looptest.Peer]int
	shut    map[*looptest.Peer]bool
	answers string // that the client got
}

func newForwarding(t *testing.T, answer []byte, seed uint64) *forwarding {
	cfg := rigConfig(1)
	cfg.Retry.Attempts = 0
	cfg.Limits.Fields = 4096
	cfg.Pools[0].Eject.Enabled = false
	z := &forwarding{t: t, rng: rand.New(rand.NewPCG(seed, 'f')), answer: answer, used: make(map[*looptest.Peer]int), shut: make(map[*looptest.Peer]bool)}
	z.rig = newRig(t, seed, cfg, seed%3 == 0)
	z.closes = seed%2 == 0
	z.k.Faults = looptest.Faults{CutReads: 0.3, CutWrites: 0.3, NotReady: 0.1, Shuffle: true}
	z.onEveryConnect(func(_ int, p *looptest.Peer) {
		z.heard = append(z.heard, p)
		p.OnBytes = func(p *looptest.Peer) { z.serve(p) }
	})
	return z
}

// run sends the client's bytes in pieces, waits until every timeout is over, and leaves.
func (z *forwarding) run(client []byte) {
	c := z.k.Connect(z.listener, rigClient)
	for rest := client; len(rest) > 0; {
		n := 1 + z.rng.IntN(len(rest))
		if z.rng.IntN(4) > 0 {
			n = min(n, 1+z.rng.IntN(40))
		}
		c.Send(rest[:n])
		rest = rest[n:]
		z.settle()
	}
	z.pass(10 * time.Minute)
	c.Shut()
	z.settle()
	for _, p := range z.heard {
		p.Close()
	}
	z.settle()
	c.Close()
	z.pass(10 * time.Minute)
	z.answers = string(c.Received())
	if left := z.leftovers(); len(left) > 0 {
		z.t.Fatalf("left over: %v", left)
	}
}

// serve reads the requests that have come on p and answers each whole one.
func (z *forwarding) serve(p *looptest.Peer) {
	for !z.shut[p] {
		all := string(p.Received())
		m, rest, verdict := readPlain(all[z.used[p]:], "", false)
		if verdict == plainBad {
			z.t.Fatalf("the backend got %q", all)
		}
		if verdict == plainCut {
			return
		}
		z.used[p] = len(all) - len(rest)
		z.got = append(z.got, m)
		p.Send(bytes.ReplaceAll(z.answer, []byte(fuzzMark), fuzzNumber(len(z.got)-1)))
		if z.closes {
			z.shut[p] = true
			p.Close()
		}
	}
}

// fuzzNumber returns the mark of request i.
func fuzzNumber(i int) []byte { return []byte{'q', 'Q', 'a' + byte(i/26%26), 'a' + byte(i%26)} }

var fuzzNumbers = regexp.MustCompile(`qQ[a-z][a-z]`)

// check compares what all sides have got.
func (z *forwarding) check(client []byte) {
	var sent []plainMessage // by the client
	verdict := plainWhole
	for rest := string(client); verdict == plainWhole; {
		var m plainMessage
		if m, rest, verdict = readPlain(rest, "", false); verdict == plainWhole {
			sent = append(sent, m)
		}
	}
	place := make([]int, len(z.got)) // of each request of the backend in sent
	next := 0
	for i := range z.got {
		why := "none is left"
		for ; next < len(sent); next++ {
			if why = sent[next].becomes(&z.got[i]); why == "" {
				break
			}
		}
		if why != "" {
			z.t.Fatalf("of %q the backend got %q: %s", client, z.got[i], why)
		}
		place[i] = next
		next++
	}
	z.checkAnswers(sent, place)
}

// checkAnswers compares what the client has got with its requests.
func (z *forwarding) checkAnswers(sent []plainMessage, place []int) {
	j := 0 // the request that is answered
	for rest := z.answers; rest != ""; {
		if j > len(sent) {
			z.t.Fatalf("%d requests, and an answer beyond: %q", len(sent), z.answers)
		}
		method := "GET" // of a request that was refused
		if j < len(sent) {
			method = sent[j].start[0]
		}
		m, after, verdict := readPlain(rest, method, true)
		switch verdict {
		case plainBad:
			z.t.Fatalf("the client got %q", z.answers)
		case plainCut:
			after = ""
		}
		i := slices.Index(place, j)
		for _, mark := range fuzzNumbers.FindAllString(rest[:len(rest)-len(after)], -1) {
			if i < 0 || mark != string(fuzzNumber(i)) {
				z.t.Fatalf("answer %d is that to request %s of the backend: %q", j, mark, z.answers)
			}
		}
		if rest = after; m.start != nil && m.start[1][0] == '1' {
			continue
		}
		if want, plain := z.plainAnswer(method, i); plain && (verdict != plainWhole || want.start[1] != m.start[1] || want.body != m.body) {
			z.t.Fatalf("the client got %q of %q", z.answers, z.answer)
		}
		j++
	}
	for i, at := range place {
		if _, plain := z.plainAnswer(sent[at].start[0], i); plain && at >= j {
			z.t.Fatalf("no answer to request %d, to which the backend sent %q", at, z.answer)
		}
	}
}

// plainAnswer returns the final answer to request i of the backend, which is none if i is
// negative. plain reports whether it is as lb itself might have written it: then it must
// arrive.
func (z *forwarding) plainAnswer(method string, i int) (m plainMessage, plain bool) {
	if i < 0 {
		return m, false
	}
	rest := strings.ReplaceAll(string(z.answer), fuzzMark, string(fuzzNumber(i)))
	for {
		var verdict int
		if m, rest, verdict = readPlain(rest, method, z.closes); verdict != plainWhole {
			return m, false
		}
		if m.start[1][0] != '1' {
			return m, len(m.list("connection")) < 60 // lb has a limit
		}
	}
}
