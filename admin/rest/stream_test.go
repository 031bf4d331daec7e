package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// source is a Control whose streams a test fills.
type source struct {
	testkit.Control
	lines  chan json.RawMessage // goes to one stream
	flood  []byte               // a line that is sent as fast as the stream takes it, unless it is nil
	err    error                // of Trace
	began  atomic.Int32         // streams
	open   atomic.Int32         // those that have not ended
	passed atomic.Int64         // lines of the flood
}

func (s *source) FollowFaults(ctx context.Context, _ int, each func(json.RawMessage)) error {
	s.began.Add(1)
	s.open.Add(1)
	defer s.open.Add(-1)
	each(nil)
	for {
		select {
		case l := <-s.lines:
			each(l)
		case <-ctx.Done():
			return nil
		default:
			if s.flood == nil {
				select {
				case l := <-s.lines:
					each(l)
				case <-ctx.Done():
				}
				continue
			}
			each(s.flood)
			s.passed.Add(1)
		}
	}
}

func (s *source) Trace(ctx context.Context, _ api.TraceAsk, each func(json.RawMessage)) error {
	if s.err != nil {
		return s.err
	}
	return s.FollowFaults(ctx, 0, each)
}

// follow opens a stream and returns its lines. It ends with cancel.
func (r *rig) follow(target string) (resp *http.Response, lines *bufio.Scanner, cancel func()) {
	r.t.Helper()
	return r.followWith(target, "Authorization: Bearer t")
}

// followWith is follow with other fields.
func (r *rig) followWith(target string, fields ...string) (resp *http.Response, lines *bufio.Scanner, cancel func()) {
	r.t.Helper()
	ctx, stop := context.WithCancel(within(r.t))
	resp, err := r.client().Do(r.request("GET", target, "", fields...).WithContext(ctx))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, bufio.NewScanner(resp.Body), func() { stop(); resp.Body.Close() }
}

// A stream begins before there is a line, has each line at once, and ends with the client or
// with the server.
func TestStream(t *testing.T) {
	for name, network := range map[string]*Network{"socket": nil, "TCP": overTCP("t")} {
		for _, target := range []string{"/v1/faults?follow=true", "/v1/trace?id=a"} {
			s := &source{lines: make(chan json.RawMessage)}
			r := newRig(t, Options{Network: network, Control: s})
			resp, lines, cancel := r.follow(target)
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" {
				t.Fatalf("%s, %s: %d %v", name, target, resp.StatusCode, resp.Header)
			}
			for _, want := range []string{`{"a":1}`, `{"b":2}`} {
				s.lines <- json.RawMessage(want)
				if !lines.Scan() || lines.Text() != want {
					t.Fatalf("%s, %s: %q, %v, want %s", name, target, lines.Text(), lines.Err(), want)
				}
			}
			cancel()
			testkit.Until(t, "the stream to end with its client", func() bool { return s.open.Load() == 0 && r.server.streams.Load() == 0 })
			_, lines, cancel = r.follow(target)
			r.over()
			if lines.Scan() || lines.Err() != nil {
				t.Errorf("%s, %s: after the server's end %q, %v", name, target, lines.Text(), lines.Err())
			}
			cancel()
			testkit.Until(t, "the stream to end with the server", func() bool { return s.open.Load() == 0 && r.server.streams.Load() == 0 })
			if resp, _, cancel := r.follow(target); resp.StatusCode == 200 { // one that begins too late ends at once
				testkit.Until(t, "the late one to end", func() bool { return s.open.Load() == 0 })
				cancel()
			}
		}
	}
}

// Streams outlive the timeouts of the server, which are for answers that end.
func TestStreamOutlivesTimeouts(t *testing.T) {
	s := &source{lines: make(chan json.RawMessage)}
	r := newRig(t, Options{Control: s}, func(h *http.Server, _ *Server) {
		h.ReadTimeout, h.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	})
	var resp *http.Response
	testkit.Until(t, "a stream", func() bool { // on a busy machine, the request may come too late for the timeouts
		var err error
		resp, err = r.client().Do(r.request("GET", "/v1/faults?follow=true", "").WithContext(within(t)))
		return err == nil
	})
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for range 2 {
		r.speak("GET /v1/sta") // which the timeouts end
	}
	s.lines <- json.RawMessage("{}")
	if !lines.Scan() {
		t.Errorf("the stream has ended: %v", lines.Err())
	}
}

// However many streams are asked for, there are so many and no more, and whatever else is
// asked is answered.
func TestStreamsAreBounded(t *testing.T) {
	s := &source{lines: make(chan json.RawMessage)}
	r := newRig(t, Options{Control: s, Network: overTCP("t"), Streams: 3})
	var ends []func()
	for i := range 10 {
		resp, _, cancel := r.follow([]string{"/v1/faults?follow=true", "/v1/trace?id=a"}[i%2])
		ends = append(ends, cancel)
		if want := map[bool]int{true: 200, false: 503}[i < 3]; resp.StatusCode != want {
			t.Fatalf("stream %d: %d", i, resp.StatusCode)
		} else if want == 503 && (!resp.Close || resp.Header.Get("Retry-After") == "") {
			t.Errorf("stream %d: %v", i, resp.Header)
		}
	}
	if resp, _ := r.ask("GET", "/v1/status", ""); resp.StatusCode != 200 {
		t.Errorf("status: %d", resp.StatusCode)
	}
	ends[0]()
	testkit.Until(t, "room for another", func() bool { return s.open.Load() == 2 && r.server.streams.Load() == 2 })
	resp, _, cancel := r.follow("/v1/faults?follow=true")
	if resp.StatusCode != 200 {
		t.Errorf("after one has ended: %d", resp.StatusCode)
	}
	for _, end := range append(ends, cancel) {
		end()
	}
}

// A client that does not read is cut off and frees its stream.
func TestSlowReader(t *testing.T) {
	s := &source{flood: []byte(`{"line":"` + strings.Repeat("x", 4000) + `"}`)}
	r := newRig(t, Options{Control: s, Network: overTCP("t")}, func(_ *http.Server, s *Server) {
		s.writeTimeout = 100 * time.Millisecond
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("GET /v1/faults?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	// On a busy machine it may be cut off before it has sent anything.
	testkit.Until(t, "the stream to begin", func() bool { return s.began.Load() > 0 })
	testkit.Until(t, "the stream to end", func() bool { return s.open.Load() == 0 && r.server.streams.Load() == 0 })
	if passed := s.passed.Load(); passed > 64<<20/4000 {
		t.Errorf("%d lines were kept for it", passed)
	}
}

// A body that never comes does not keep a stream from its end.
func TestStreamTakesNoBody(t *testing.T) {
	r := newRig(t, Options{Control: &source{}})
	for _, fields := range []string{"Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"} {
		c, err := net.Dial(r.network, r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(testkit.Patience))
		io.WriteString(c, "GET /v1/faults?follow=true HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n")
		if line, _ := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 400 ") {
			t.Errorf("%q: %s", fields, line)
		}
	}
}

// A stream that is refused has the reason as its answer, and HEAD begins none.
func TestStreamRefused(t *testing.T) {
	s := &source{err: errors.New("another trace runs")}
	r := newRig(t, Options{Control: s})
	if resp, body := r.ask("GET", "/v1/trace?id=a", ""); resp.StatusCode != 409 || body != `{"error":"another trace runs"}` {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if log := r.log.String(); !strings.Contains(log, `what="GET /v1/trace"`) || !strings.Contains(log, `outcome="another trace runs"`) {
		t.Errorf("the log is %s", log)
	}
	s.err = nil
	_, _, end := r.follow("/v1/trace?id=a")
	if end(); !strings.Contains(r.log.String(), "outcome=begun") {
		t.Errorf("the log is %s", r.log.String())
	}
	for _, target := range []string{"/v1/trace?id=a", "/v1/faults?follow=true", "/v1/faults", "/v1/events"} {
		if resp, _ := r.ask("HEAD", target, ""); resp.StatusCode != 200 && target != "/v1/events" {
			t.Errorf("HEAD %s: %d", target, resp.StatusCode)
		}
	}
}

// Events are another package's; rest counts them among the streams and ends them.
func TestEvents(t *testing.T) {
	var open atomic.Int32
	events := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	r := newRig(t, Options{Network: overTCP(""), Events: events, Streams: 1})
	resp, _, cancel := r.follow("/v1/events")
	if resp.StatusCode != 200 || open.Load() != 1 {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := r.ask("GET", "/v1/faults?follow=true", ""); resp.StatusCode != 503 {
		t.Errorf("another stream: %d", resp.StatusCode)
	}
	cancel()
	testkit.Until(t, "the events to end", func() bool { return open.Load() == 0 && r.server.streams.Load() == 0 })
	_, lines, cancel := r.follow("/v1/events")
	defer cancel()
	r.over()
	if lines.Scan() {
		t.Errorf("got %q", lines.Text())
	}
}
