package bench

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// nth answers the requests on all conns with text, except request number n (from 1
// on), which special answers.
func nth(n int64, text string, special func(p *peer)) func(*peer) {
	var count atomic.Int64
	return func(p *peer) {
		for {
			if _, more := p.request(); !more {
				return
			}
			if count.Add(1) == n {
				special(p)
				return
			}
			if !p.say(text) {
				return
			}
		}
	}
}

func TestVerification(t *testing.T) {
	body := strings.Repeat("0123456789", 30_000) // comes in several reads
	wrong := body[:200_000] + "x" + body[200_001:]
	chunked := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n",
			100, body[:100], len(body)-100, body[100:])
	}
	closing := func(body string) string { return "HTTP/1.1 200 OK\r\n\r\n" + body }
	say := func(text string) func(*peer) { return func(p *peer) { p.say(text); p.wait() } }
	cut := func(text string) func(*peer) { return func(p *peer) { p.say(text) } }
	for _, tc := range []struct {
		name    string
		special func(*peer) // of one request in the midst of others
		want    Errors
	}{
		{"the same", say(ok(body)), Errors{}},
		{"the same in chunks", say(chunked(body)), Errors{}},
		{"the same until the close", cut(closing(body)), Errors{}},
		{"a wrong byte", say(ok(wrong)), Errors{Verify: 1}},
		{"a wrong byte in a chunk", say(chunked(wrong)), Errors{Verify: 1}},
		{"a wrong byte before the close", cut(closing(wrong)), Errors{Verify: 1}},
		{"a byte less", say(ok(body[1:])), Errors{Verify: 1}},
		{"a byte more", say(ok(body + "x")), Errors{Verify: 1}},
		{"two bytes exchanged", say(ok("1" + "0" + body[2:])), Errors{Verify: 1}},
		{"nothing", say(ok("")), Errors{Verify: 1}},
		{"truncated", cut(strings.TrimSuffix(ok(body), "9")), Errors{Reset: 1}},
		{"truncated in its chunks", cut(strings.TrimSuffix(chunked(body), "\r\n")), Errors{Reset: 1}},
		{"truncated at the close", cut(closing(body[:len(body)-1])), Errors{Verify: 1}},
		{"more than it says", say(ok(body) + "x"), Errors{Protocol: 1}},
		{"twice", say(ok("") + ok("")), Errors{Protocol: 1}},
		{"another status", say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), Errors{Status: 1}},
	} {
		url := serve(t, nth(7, ok(body), tc.special))
		// The special request is the last of its conn: with another request after
		// it, an orderly end would count as an error of the server.
		r := finished(t, Options{URL: url, Requests: 7, Verify: true})
		if r.Errors != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, r.Errors, tc.want)
		}
	}
}

// TestVerificationOfTheFirst has answers that are wrong from the first on.
func TestVerificationOfTheFirst(t *testing.T) {
	url := serve(t, serveAll(ok("wrong")))
	if r := finished(t, Options{URL: url, Requests: 10, Verify: true, Want: &Answer{Length: 5}}); r.Errors != (Errors{Verify: 10}) {
		t.Errorf("%+v, want all of them to be wrong", r.Errors)
	}
	if r := finished(t, Options{URL: url, Requests: 10, Want: &Answer{Length: 5}}); r.Errors != (Errors{}) {
		t.Errorf("%+v though nothing was to be verified", r.Errors)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const short = 250 * time.Millisecond // long enough to connect in, on a busy machine
	silent := func(p *peer) { p.request(); p.wait() }
	for _, tc := range []struct {
		name string
		do   func(*peer)
		o    Options
		want Errors // of ten requests
	}{
		{"no answer", silent, Options{Timeout: short, Conns: 10}, Errors{Timeout: 10}},
		{"no answer, pipelined", silent, Options{Timeout: short, Pipeline: 5}, Errors{Timeout: 10}},
		{"no answer, at a rate", silent, Options{Timeout: short, Rate: 1000, Conns: 10}, Errors{Timeout: 10}},
		{"half an answer", func(p *peer) { p.request(); p.say("HTTP/1.1 200 OK\r\nContent-Le"); p.wait() },
			Options{Timeout: short, Conns: 10}, Errors{Timeout: 10}},
		{"half a body", func(p *peer) { p.request(); p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"); p.wait() },
			Options{Timeout: short, Conns: 10}, Errors{Timeout: 10}},
		{"closed", func(p *peer) { p.request() }, Options{}, Errors{Reset: 10}},
		{"closed at once", func(p *peer) {}, Options{}, Errors{Reset: 10}},
		{"reset", func(p *peer) { p.request(); p.reset() }, Options{}, Errors{Reset: 10}},
		{"reset, at a rate", func(p *peer) { p.request(); p.reset() }, Options{Rate: 1000}, Errors{Reset: 10}},
		{"reset in the body", func(p *peer) { p.request(); p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"); p.reset() },
			Options{}, Errors{Reset: 10}},
		{"no HTTP", func(p *peer) { p.request(); p.say("220 mail.example ESMTP\r\n"); p.wait() }, Options{}, Errors{Protocol: 10}},
		{"a head without end", func(p *peer) { p.request(); p.say("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 200_000)); p.wait() },
			Options{}, Errors{Protocol: 10}},
		{"bad chunks", func(p *peer) {
			p.request()
			p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
			p.wait()
		},
			Options{}, Errors{Protocol: 10}},
		{"an upgrade", func(p *peer) {
			p.request()
			p.say("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
			p.wait()
		},
			Options{}, Errors{Protocol: 10}},
		{"statuses", serveAll("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), Options{}, Errors{Status: 10}},
		{"redirects", serveAll("HTTP/1.1 301 No\r\nContent-Length: 0\r\n\r\n"), Options{}, Errors{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := tc.o
			o.URL, o.Requests = serve(t, tc.do), 10
			r := finished(t, o)
			if r.Errors != tc.want || r.Requests != 10 {
				t.Errorf("%+v of %d, want %+v of 10", r.Errors, r.Requests, tc.want)
			}
			if o.Timeout > 0 && r.Duration < o.Timeout {
				t.Errorf("a timeout of %v after %v", o.Timeout, r.Duration)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	addr := testkit.RefusingAddr(t)
	for _, o := range []Options{
		{Conns: 3, Requests: 10},
		{Conns: 3, Requests: 10, Pipeline: 2},
		{Conns: 3, Requests: 10, NewConnPerRequest: true},
		{Conns: 3, Requests: 10, Rate: 1000, Loops: 2},
		{Conns: 3, Requests: 10, Rate: 1000, NewConnPerRequest: true},
		{Conns: 3, Requests: 10, Addrs: []string{"unix:" + t.TempDir() + "/none"}},
		{Conns: 3, Requests: 10, Rate: 1000, Addrs: []string{"unix:" + t.TempDir() + "/none"}},
	} {
		o.URL = "http://" + addr
		if r := finished(t, o); r.Errors != (Errors{Connect: 10}) || r.Connects != 0 {
			t.Errorf("%+v: %+v and %d connects, want 10 errors", o, r.Errors, r.Connects)
		}
	}
}

// TestAnnouncedClose: requests that a server has not answered when it announces its
// close were not processed (RFC 9112 9.6). They are sent again and are no errors.
func TestAnnouncedClose(t *testing.T) {
	const perConn = 3
	url := serve(t, func(p *peer) {
		for range perConn - 1 {
			p.request()
			p.say(ok(""))
		}
		p.request()
		p.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		p.wait() // closing earlier, with requests unread, would be a reset
	})
	for _, o := range []Options{{}, {Pipeline: 10}, {Rate: 5000}, {Rate: 5000, Pipeline: 10}, {Rate: 50_000, Pipeline: 50}} {
		o.URL, o.Conns, o.Requests = url, 2, 60
		r := finished(t, o)
		if r.Answers != 60 || r.Errors.Total() > 0 || r.Connects < 60/perConn {
			t.Errorf("pipeline %d, rate %v: %d answers, %+v, %d connects", o.Pipeline, o.Rate, r.Answers, r.Errors, r.Connects)
		}
	}
}

// TestCloseDelimited has answers that end with their conn, even if further requests
// were sent.
func TestCloseDelimited(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.request()
		p.say("HTTP/1.1 200 OK\r\n\r\nhello")
		p.Conn.(*net.TCPConn).CloseWrite()
		p.wait()
	})
	for _, o := range []Options{{}, {Pipeline: 3}, {Rate: 2000, Pipeline: 3}} {
		o.URL, o.Conns, o.Requests, o.Verify, o.Want = url, 2, 20, true, &Answer{Length: 5, Sum: 0x9a71bb4c}
		if r := finished(t, o); r.Answers != 20 || r.Errors.Total() > 0 || r.Connects < 20 {
			t.Errorf("pipeline %d, rate %v: %d answers, %+v, %d connects", o.Pipeline, o.Rate, r.Answers, r.Errors, r.Connects)
		}
	}
}

// TestIdleClose has a server that closes a conn without outstanding requests. No
// request has failed.
func TestIdleClose(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.request()
		p.say(ok(""))
	})
	r := finished(t, Options{URL: url, Requests: 4, Rate: 40, Conns: 4})
	if r.Answers != 4 || r.Errors.Total() > 0 {
		t.Errorf("%d answers, %+v", r.Answers, r.Errors)
	}
}

// TestEarlyAnswer has a server that answers before it has read the request.
func TestEarlyAnswer(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.r.ReadString('\n')
		p.say("HTTP/1.1 413 Too large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		p.wait()
	})
	r := finished(t, Options{URL: url, Requests: 5, BodyBytes: 8 << 20})
	if r.Errors != (Errors{Status: 5}) || r.Status.S4xx != 5 {
		t.Errorf("%+v, %+v", r.Errors, r.Status)
	}
}

// TestPieces has answers cut in two at every place, and byte by byte.
func TestPieces(t *testing.T) {
	head := "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 50) + "\r\n"
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
	length := head + "Content-Length: 5\r\n\r\nhello"
	for _, text := range []string{chunked, length} {
		var at atomic.Int64
		url := serve(t, func(p *peer) {
			for {
				if _, more := p.request(); !more {
					return
				}
				cut := int(at.Add(1))
				if cut < len(text) {
					p.say(text[:cut])
					p.say(text[cut:])
					continue
				}
				for i := range text {
					p.say(text[i : i+1])
				}
			}
		})
		n := int64(len(text))
		r := finished(t, Options{URL: url, Requests: n, Verify: true, Want: &Answer{Length: 5, Sum: 0x9a71bb4c}})
		if r.Answers != n || r.Errors.Total() > 0 {
			t.Errorf("%d answers of %d, %+v", r.Answers, n, r.Errors)
		}
	}
}

// TestLongHeads has heads longer than a slab, in pieces.
func TestLongHeads(t *testing.T) {
	t.Parallel()
	line := "X: " + strings.Repeat("a", 900) + "\r\n"
	for _, lines := range []int{1, 3, 5, 30, 60} {
		url := serve(t, func(p *peer) {
			for {
				if _, more := p.request(); !more || !p.say("HTTP/1.1 200 OK\r\n") {
					return
				}
				for range lines {
					p.say(line)
				}
				p.say("Content-Length: 5\r\n\r\nhello")
			}
		})
		r := finished(t, Options{URL: url, Conns: 3, Pipeline: 2, Requests: 100, Verify: true, Want: &Answer{Length: 5, Sum: 0x9a71bb4c}})
		if r.Answers != 100 || r.Errors.Total() > 0 {
			t.Errorf("%d lines: %d answers, %+v", lines, r.Answers, r.Errors)
		}
	}
}
