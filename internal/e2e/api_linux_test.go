package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"lb/internal/apidoc"
	"lb/internal/testkit"
)

// documented is an lb whose answers are held against its OpenAPI document.
type documented struct {
	*service
	doc *apidoc.Document
}

const apiToken = "token-of-the-end-to-end-test"

// ask makes a request on the socket or over TCP, holds the answer against the document and
// returns it. A stream is read up to its first line.
func (d *documented) ask(tcp bool, method, target, body string) (code int, answer string) {
	d.t.Helper()
	base, client := "http://lb", d.calls
	if tcp {
		base, client = "http://"+d.admin, &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+target, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	var text []byte
	switch media := resp.Header.Get("Content-Type"); media {
	case "application/x-ndjson", "text/event-stream":
		text, err = bufio.NewReader(resp.Body).ReadBytes('\n')
	default:
		text, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		d.t.Errorf("%s %s: %v", method, target, err)
	}
	if err := d.doc.Check(req, []byte(body), resp, text); err != nil {
		d.t.Errorf("%s %s %s: %d %.2000s: %v", method, target, body, resp.StatusCode, text, err)
	}
	if bytes.Contains(text, []byte(apiToken)) {
		d.t.Errorf("%s %s shows the token: %s", method, target, text)
	}
	return resp.StatusCode, string(text)
}

// readsAll asks everything that changes nothing, on both sides.
func (d *documented) readsAll(when string) {
	d.t.Helper()
	for _, tcp := range []bool{false, true} {
		for _, target := range []string{
			"/v1/status", "/v1/backends", "/v1/faults", "/v1/faults?max=1", "/v1/config", "/v1/log", "/v1/history", "/v1/history?points=2",
			"/v1/explain?url=http://localhost/&method=GET", "/v1/explain?url=http://localhost/sick&header=Accept:+a", "/v1/openapi.json", "/v1/events",
		} {
			if code, text := d.ask(tcp, "GET", target, ""); code != 200 {
				d.t.Errorf("%s: %s: %d %s", when, target, code, text)
			}
		}
		for _, target := range []string{"/healthz", "/readyz", "/metrics", "/", "/v1/explain?url=nonsense", "/v1/nothing", "/v1/trace", "/v1/faults?max=0"} {
			if tcp || strings.HasPrefix(target, "/v1/") {
				d.ask(tcp, "GET", target, "")
			}
		}
	}
}

// newDocumented starts an lb with a backend that answers, one where nobody listens, and a
// pool that is down.
func newDocumented(t *testing.T, mode string) (d *documented, good, bad string) {
	good, bad = demo(t, "127.0.0.1:0", "a").Addr(), testkit.FreePort(t)
	s := begin(t, mode, setup{
		admin:    true,
		keys:     fmt.Sprintf("admin.token = %q\nwatch = false\n", apiToken),
		backends: to(good),
		tables:   tableOf("sick", bad) + "[pools.health]\ninterval = \"50ms\"\n[[routes]]\npath = \"/sick\"\npool = \"sick\"\n",
	})
	d = &documented{service: s}
	resp, err := d.calls.Get("http://lb/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		d.doc, err = apidoc.Load(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, good, bad
}

// TestAPIDocument: every answer of lb is what its OpenAPI document says, in every state.
func TestAPIDocument(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		d, good, bad := newDocumented(t, mode)
		d.readsAll("at the start")
		d.until("the pool to be down", func(st status) bool { return st.backend(t, "sick", bad).Health == "down" })
		for _, path := range []string{"/", "/sick", "/%zz"} {
			if resp, err := http.Get(d.url(path)); err == nil {
				resp.Body.Close()
			}
		}
		d.readsAll("with faults")
		change := func(want int, target, body string) {
			t.Helper()
			for _, tcp := range []bool{false, true} {
				if code, text := d.ask(tcp, "POST", target, body); code != want {
					t.Errorf("POST %s %s: %d %s, want %d", target, body, code, text, want)
				}
			}
		}
		change(200, "/v1/backends", fmt.Sprintf(`{"pool":"default","address":%q,"action":"weight","weight":7}`, good))
		change(200, "/v1/backends", fmt.Sprintf(`{"pool":"default","address":%q,"action":"drain"}`, good))
		change(404, "/v1/backends", `{"pool":"none","address":"a:1","action":"drain"}`)
		change(400, "/v1/backends", fmt.Sprintf(`{"pool":"default","address":%q,"action":"paint"}`, good))
		change(400, "/v1/backends", fmt.Sprintf(`{"pool":"default","address":%q,"action":"weight","weight":65536}`, good))
		d.readsAll("with changes at run time")
		change(200, "/v1/backends", fmt.Sprintf(`{"pool":"default","address":%q,"action":"enable"}`, good))
		change(200, "/v1/reload", `{"plan":true}`)
		change(200, "/v1/log", `{"level":"debug"}`)
		change(400, "/v1/log", `{"level":"loud"}`)
		d.write("port = \"odd\"\n")
		change(422, "/v1/reload", `{}`)
		d.readsAll("with a file that was refused")
		d.write(d.text())
		change(200, "/v1/reload", `{}`)
		old := d.pid
		d.upgrade()
		d.readsAll("after an upgrade")
		d.wantExitOf(old, 0)
		d.wantAudited()
	})
}

// wantAudited wants each change to have its line, with who made it.
func (d *documented) wantAudited() {
	d.t.Helper()
	log := strings.Split(d.Log.String(), "\n")
	for _, path := range []string{"/v1/backends", "/v1/log", "/v1/reload"} {
		for _, by := range []string{"uid ", "127.0.0.1:"} {
			if !slices.ContainsFunc(log, func(line string) bool {
				return strings.Contains(line, "API: change") && strings.Contains(line, path) && strings.Contains(line, by) && strings.Contains(line, "done")
			}) {
				d.t.Errorf("no line about %s by %s", path, by)
			}
		}
	}
	if strings.Contains(d.Log.String(), apiToken) {
		d.t.Error("the token is in the log")
	}
}

// TestReadyz: ready if every pool that requests go to has a backend.
func TestReadyz(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		d, good, bad := newDocumented(t, mode)
		ready := func(want int, parts ...string) {
			t.Helper()
			var code int
			var text string
			if !testkit.Happens(func() bool { code, text = d.ask(true, "GET", "/readyz", ""); return code == want }) {
				t.Fatalf("readyz: %d %s, want %d", code, text, want)
			}
			for _, p := range parts {
				if !strings.Contains(text, p) {
					t.Errorf("readyz: %s, want %s in it", text, p)
				}
			}
			if code, _ := d.ask(true, "GET", "/healthz", ""); code != 200 {
				t.Errorf("healthz: %d", code)
			}
		}
		ready(503, "sick")
		demo(t, bad, "b")
		ready(200, "ok")
		d.want("backend", "drain", "default", good)
		ready(503, "default")
		d.want("backend", "enable", "default", good)
		ready(200)
	})
}

// TestStreamsOverUpgrade: a stream of the old process ends when the new one serves, and
// asking again reaches that.
func TestStreamsOverUpgrade(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		d, _, _ := newDocumented(t, mode)
		type end struct {
			what string
			err  error
		}
		ends := make(chan end, 10)
		n := 0
		for _, base := range []string{"http://lb", "http://" + d.admin} {
			for _, target := range []string{"/v1/faults?follow=true", "/v1/events"} {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				if base == "http://lb" {
					client.Transport = d.calls.Transport
				}
				resp, err := client.Get(base + target)
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s: %v, %v", target, resp, err)
				}
				n++
				go func() {
					defer resp.Body.Close()
					_, err := io.Copy(io.Discard, resp.Body)
					ends <- end{base + target, err}
				}()
			}
		}
		old := d.pid
		d.upgrade()
		for range n {
			if e := testkit.Wait(t, ends, "a stream to end"); e.err != nil {
				t.Errorf("%s: %v", e.what, e.err)
			}
		}
		d.wantExitOf(old, 0)
		d.readsAll("after the upgrade")
	})
}

// recording is a stream that is being read.
type recording struct {
	req  *http.Request
	resp *http.Response
	log  testkit.Log
	end  func() (text string) // ends it, if it goes on, and returns all of it
}

// record opens a stream on the socket.
func (d *documented) record(target string) *recording {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	r := &recording{}
	var err error
	if r.req, err = http.NewRequestWithContext(ctx, "GET", "http://lb"+target, nil); err != nil {
		d.t.Fatal(err)
	}
	if r.resp, err = (&http.Client{Transport: d.calls.Transport}).Do(r.req); err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(&r.log, r.resp.Body)
	}()
	r.end = func() string {
		cancel()
		testkit.Wait(d.t, done, "the stream to end")
		r.resp.Body.Close()
		text := r.log.String()
		if err := d.doc.Check(r.req, nil, r.resp, []byte(text)); err != nil {
			d.t.Errorf("%s: %v", target, err)
		}
		return text
	}
	d.t.Cleanup(cancel)
	return r
}

// lines returns how many lines have come that contain part.
func (r *recording) lines(part string) (n int) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// TestTraceAndFaults: a trace has each exchange of its client, and a stream of faults each
// that failed, in the form of the document: over HTTP/1 and HTTP/2, forwarded or refused.
func TestTraceAndFaults(t *testing.T) {
	eachListenerProcess(t, func(t *testing.T, mode string) {
		d, _, bad := newDocumented(t, mode)
		d.until("the pool to be down", func(st status) bool { return st.backend(t, "sick", bad).Health == "down" })
		trace, faults := d.record("/v1/trace?client=127.0.0.0/8&seconds=600"), d.record("/v1/faults?follow=true")
		if code, text := d.ask(true, "GET", "/v1/trace?id=x", ""); code != 409 || !strings.Contains(text, "another trace") {
			t.Errorf("a second trace: %d %s", code, text)
		}
		const each = 10
		transports := []*http.Transport{{TLSClientConfig: trusting(t)}}
		if d.secure {
			transports = append(transports, &http.Transport{Protocols: onlyHTTP2(), TLSClientConfig: trusting(t)})
		}
		for _, tr := range transports {
			defer tr.CloseIdleConnections()
			for i := range 2 * each {
				path := []string{"/fine?password=hunter2", "/sick"}[i%2]
				req, err := http.NewRequest("POST", d.url(path), strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Cookie", "id=hunter2")
				resp, err := (&http.Client{Transport: tr}).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			n := each * (1 + slices.Index(transports, tr))
			testkit.Until(t, "the trace to have all", func() bool { return trace.lines(`"/fine?`) == n && trace.lines(`"/sick"`) == n })
			testkit.Until(t, "the faults", func() bool { return faults.lines(`"/sick"`) == n })
		}
		dial(t, d.addr).ask("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
		testkit.Until(t, "what was refused", func() bool { return trace.lines(`"status":400`) == 1 })
		for what, text := range map[string]string{"trace": trace.end(), "faults": faults.end()} {
			if strings.Contains(text, "hunter2") || strings.Contains(text, `"lost"`) || what == "faults" && strings.Contains(text, "/fine") {
				t.Errorf("%s: %s", what, text)
			}
			for _, part := range []string{`"pool":"sick"`, `"status":503`, `"end":"lb"`, `POST /sick HTTP/1.1\r\n`, `Cookie: ***`} {
				if !strings.Contains(strings.ReplaceAll(text, "cookie: ***", "Cookie: ***"), part) {
					t.Errorf("%s: no %s in %s", what, part, text)
				}
			}
		}
		d.ask(false, "GET", "/v1/faults", "")
		testkit.Until(t, "room for another trace", func() bool {
			r := d.record("/v1/trace?id=x&seconds=1")
			defer r.end()
			return r.resp.StatusCode == 200
		})
	})
}
