package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// TestClientStreams: what lb sends comes, until the client has enough or lb ends.
func TestClientStreams(t *testing.T) {
	c := &testkit.Control{Records: []json.RawMessage{json.RawMessage(`{"a":1}`), json.RawMessage(`{"b":"<é>"}`)}}
	path := filepath.Join(t.TempDir(), "s")
	r := NewRuntime(c, nil)
	l, err := r.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(l)
	client := NewClient(path)
	enough := errors.New("enough")
	for name, follow := range map[string]func(context.Context, func(json.RawMessage) error) error{
		"follow faults 7": func(ctx context.Context, each func(json.RawMessage) error) error {
			return client.FollowFaults(ctx, 7, each)
		},
		`trace "::1/64" "x" 2m0s`: func(ctx context.Context, each func(json.RawMessage) error) error {
			return client.Trace(ctx, api.TraceAsk{Client: "::1/64", ID: "x", For: 2 * time.Minute}, each)
		},
		`trace "" "a b" 1m0s`: func(ctx context.Context, each func(json.RawMessage) error) error {
			return client.Trace(ctx, api.TraceAsk{ID: "a b"}, each)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var got []json.RawMessage
		err := follow(ctx, func(line json.RawMessage) error {
			if got = append(got, line); len(got) == 2 {
				cancel()
			}
			return nil
		})
		if asked := c.Asked(); err != nil || !reflect.DeepEqual(got, c.Records) || asked != name {
			t.Errorf("%s: %q, %v, asked was %s", name, got, err, asked)
		}
		if err := follow(t.Context(), func(json.RawMessage) error { return enough }); err != enough {
			t.Errorf("%s: %v, want the error of each", name, err)
		}
		c.Asked()
	}
	ended := make(chan error, 1)
	var once sync.Once
	got := make(chan struct{})
	go func() {
		ended <- client.FollowFaults(t.Context(), 0, func(json.RawMessage) error { once.Do(func() { close(got) }); return nil })
	}()
	testkit.Wait(t, got, "the first line")
	closeRuntime(t, r)
	if err := testkit.Wait(t, ended, "the end of the stream"); err != ErrEnded {
		t.Errorf("lb ends: %v", err)
	}
	var none *NoAnswerError
	if err := client.FollowFaults(t.Context(), 0, nil); !errors.As(err, &none) {
		t.Errorf("no lb: %v", err)
	}
}

// TestClientAsks: the other questions, and the refusals of streams.
func TestClientAsks(t *testing.T) {
	c := &testkit.Control{Level: "warn", Records: []json.RawMessage{json.RawMessage(`{"a":1}`), json.RawMessage(`{"b":2}`)}}
	for _, v := range []any{&c.Explained, &c.Set} {
		fill(t, reflect.ValueOf(v).Elem(), new(int))
	}
	course := api.Course{Rate: []float32{1, 2}, Errors: []float32{0, 1}, InFlight: []float32{3, 4}}
	c.Past = api.History{Seconds: 10, Total: course, Pools: []api.PoolHistory{{Name: "a", Course: course, Backends: []api.BackendHistory{}}}}
	client := NewClient(commands(t, c))
	for _, tc := range []struct {
		want   string
		ask    func() (got any, err error)
		answer any
	}{
		{"faults 1", func() (any, error) { return client.Faults(1) }, c.Records[1:]},
		{`explain GET http://a/b?c ["X: y" "Z: 1"] "192.0.2.1"`, func() (any, error) {
			return client.Explain(api.ExplainAsk{URL: "http://a/b?c", Headers: []string{"X: y", "Z: 1"}, From: "192.0.2.1"})
		}, c.Explained},
		{`explain PUT http://a [] ""`, func() (any, error) { return client.Explain(api.ExplainAsk{Method: "PUT", URL: "http://a"}) }, c.Explained},
		{"", func() (any, error) { return client.Settings() }, c.Set},
		{"", func() (any, error) { return client.LogLevel() }, "warn"},
		{"log level debug", func() (any, error) { return nil, client.SetLogLevel("debug") }, nil},
		{"", func() (any, error) { return client.LogLevel() }, "debug"},
		{"", func() (any, error) { return client.History(0) }, c.Past},
		{"", func() (any, error) { return client.History(1) }, c.Past.Last(1)},
	} {
		got, err := tc.ask()
		if err != nil || !reflect.DeepEqual(got, tc.answer) {
			t.Errorf("%s: got\n%+v, %v, want\n%+v", tc.want, got, err, tc.answer)
		}
		if asked := c.Asked(); asked != tc.want {
			t.Errorf("asked was %s, want %s", asked, tc.want)
		}
	}
	c.Err = errors.New("another trace runs")
	if err := client.Trace(t.Context(), api.TraceAsk{ID: "x"}, nil); err == nil || err.Error() != "another trace runs" {
		t.Errorf("a refused trace: %v", err)
	}
	if _, err := client.Explain(api.ExplainAsk{URL: "/" + strings.Repeat("a", explainMax)}); err == nil || !strings.Contains(err.Error(), "too long to ask about") {
		t.Errorf("a long URL: %v", err)
	}
	if err := client.Trace(t.Context(), api.TraceAsk{ID: "x", For: time.Hour}, nil); err == nil || !strings.Contains(err.Error(), "1 to 600") {
		t.Errorf("a trace of an hour: %v", err)
	}
}

// TestClientStreamLate: an lb that hangs is noticed.
func TestClientStreamLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var none *NoAnswerError
	if err := NewClient(path).FollowFaults(t.Context(), 0, nil); !errors.As(err, &none) || none.Late != answerTimeout {
		t.Errorf("%v", err)
	}
}

// TestManyStreams: of a thousand streams that are asked for at once, some begin and the
// others are refused. Health is answered meanwhile, and afterwards.
func TestManyStreams(t *testing.T) {
	o := options("127.0.0.1:0")
	o.Control = &testkit.Control{}
	s, url := start(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	codes := make(chan int, 1000)
	var asking sync.WaitGroup
	for range cap(codes) {
		asking.Go(func() {
			req := must(http.NewRequestWithContext(ctx, "GET", url+"/v1/faults?follow=true", nil))
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil { // closed because of too many conns, or by the end of the test
				codes <- 0
				return
			}
			codes <- resp.StatusCode
			if resp.StatusCode == 200 {
				io.Copy(io.Discard, resp.Body)
			}
			resp.Body.Close()
		})
	}
	testkit.Until(t, "health in the rush", func() bool { // on a machine that hangs a conn may be closed
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequest("GET", url+"/healthz", nil)))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	count := map[int]int{}
	for range cap(codes) {
		count[testkit.Wait(t, codes, "an answer")]++
	}
	if count[200] != connsMax/2 || count[503] == 0 || count[200]+count[503]+count[0] != cap(codes) {
		t.Errorf("answers by status: %v", count)
	}
	t.Log(count)
	for _, path := range []string{"/healthz", "/metrics", "/v1/status"} {
		if resp, _ := fetch(t, "GET", url+path); resp.StatusCode != 200 {
			t.Errorf("%s is %d", path, resp.StatusCode)
		}
	}
	cancel()
	asking.Wait()
	testkit.Until(t, "conns to end", func() bool {
		s.http.mu.Lock()
		defer s.http.mu.Unlock()
		return len(s.http.conns) == 0
	})
}

// TestStreamsEnd: when no listener is left, as after an upgrade, streams end and conns go on.
func TestStreamsEnd(t *testing.T) {
	o := options("127.0.0.1:0")
	o.Control = &testkit.Control{}
	for name, end := range map[string]func(s *Server, l net.Listener){
		"upgrade": func(_ *Server, l net.Listener) { l.Close() },
		"move":    func(s *Server, _ net.Listener) { s.Unlisten() },
		"end":     func(s *Server, _ net.Listener) { closeServer(t, s) },
	} {
		s := New(o)
		ln := must(s.Listen(nil))
		s.Serve(ln)
		for _, path := range []string{"/v1/faults?follow=true", "/v1/events"} {
			resp := must(http.Get("http://" + ln.Addr().String() + path))
			defer resp.Body.Close()
			done := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, resp.Body)
				done <- err
			}()
			defer func() {
				if err := testkit.Wait(t, done, "the end of the stream"); err != nil {
					t.Errorf("%s, %s: %v", name, path, err)
				}
			}()
		}
		s.SetDraining(true) // a drain alone ends no stream: it is to be seen
		if resp := must(http.Get("http://" + ln.Addr().String() + "/v1/faults?follow=true")); resp.StatusCode != 200 {
			t.Errorf("%s: a stream while lb drains: %d", name, resp.StatusCode)
		} else {
			resp.Body.Close()
		}
		end(s, ln)
		defer closeServer(t, s)
	}
}

// TestStreamSurvivesMove: a stream on the socket goes on when another socket takes its place.
func TestStreamSurvivesMove(t *testing.T) {
	dir := t.TempDir()
	c := &testkit.Control{Records: []json.RawMessage{json.RawMessage("{}")}}
	r := NewRuntime(c, nil)
	defer closeRuntime(t, r)
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := r.Listen(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	r.Serve(listeners[0])
	ended, begun := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- NewClient(filepath.Join(dir, "0")).FollowFaults(t.Context(), 0, func(json.RawMessage) error { close(begun); return nil })
	}()
	testkit.Wait(t, begun, "the stream")
	r.Serve(listeners[1])
	listeners[0].Close()
	if err := NewClient(filepath.Join(dir, "1")).Drain(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Errorf("the stream has ended: %v", err)
	default:
	}
	listeners[1].Close()
	if err := testkit.Wait(t, ended, "the end of the stream"); err != ErrEnded {
		t.Error(err)
	}
}
