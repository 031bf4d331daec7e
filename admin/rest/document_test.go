package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/internal/apidoc"
	"lb/internal/testkit"
)

// asked is one request of TestAnswers, and what Control says to it.
type asked struct {
	target, body, fields string // fields are separated by "; "
	err                  error
	code                 int
}

// questions are requests for each endpoint, good and bad ones: each status code of the
// document is among the answers.
func questions() map[string][]asked {
	file := config.Errors{{File: "lb.toml", Line: 3, Column: 1, Key: "port", What: "is odd", Hint: "use 80"}, {What: "x"}}
	const auth, jsonType = "Authorization: Bearer t", "Content-Type: application/json"
	const both = auth + "; " + jsonType
	body := func(path, good, bad string, refusals ...asked) []asked {
		return append(refusals,
			asked{path, good, both, nil, 200}, asked{path, good, jsonType, nil, 401}, asked{path, good, auth, nil, 415},
			asked{path, bad, both, nil, 400}, asked{path + "?x=1", good, both, nil, 400}, asked{path, strings.Repeat(" ", BodyMax+1) + "{}", both, nil, 413},
			asked{path, good, both + "; Origin: http://evil", nil, 403}, asked{path, good, both + "; Host: evil", nil, 421},
			asked{path, good, both, errors.New("not now"), 409})
	}
	query := func(path string, good, bad []string, more ...asked) []asked {
		for _, q := range good {
			more = append(more, asked{path + "?" + q, "", auth, nil, 200})
		}
		for _, q := range append(bad, "nothing=1", "%zz") {
			more = append(more, asked{path + "?" + q, "", auth, nil, 400})
		}
		return append(more, asked{path + "?" + good[0], "", auth + "; Origin: null", nil, 403}, asked{path + "?" + good[0], "", auth + "; Host: evil", nil, 421})
	}
	missing, senseless := api.NotFoundError("there is no pool"), api.AskError("what?")
	trace := asked{"/v1/trace?id=x", "", "", nil, 401}
	return map[string][]asked{
		"GET /v1/status":       query("/v1/status", []string{""}, nil),
		"GET /v1/backends":     query("/v1/backends", []string{""}, nil),
		"POST /v1/backends":    body("/v1/backends", `{"pool":"a","address":"b:1","action":"weight","weight":3}`, `{"pool":1}`, asked{"/v1/backends", `{"pool":"a","address":"b:1","action":"drain"}`, both, missing, 404}),
		"GET /v1/faults":       query("/v1/faults", []string{"", "max=1", "max=256", "follow=false", "follow=true", "follow=true&max=0"}, []string{"max=0", "max=257", "max=x", "follow=1", "max=1&max=2"}),
		"GET /v1/trace":        query("/v1/trace", []string{"client=::1", "id=x&seconds=600", "client=10.0.0.0/8&id=x"}, []string{"id=x&seconds=601", "id=x&seconds=0"}, trace, asked{"/v1/trace?id=x", "", auth, errors.New("another"), 409}, asked{"/v1/trace?id=x", "", auth, senseless, 400}),
		"GET /v1/explain":      query("/v1/explain", []string{"url=http://a/", "method=PUT&url=https://a/b%3Fc&header=A:+b&header=C:d&from=::1"}, []string{"", "method=GET", "url=a&url=b"}, asked{"/v1/explain?url=%00", "", "", senseless, 400}),
		"GET /v1/config":       query("/v1/config", []string{""}, nil),
		"GET /v1/log":          query("/v1/log", []string{""}, nil),
		"POST /v1/log":         body("/v1/log", `{"level":"debug"}`, `{"level":3}`, asked{"/v1/log", `{"level":"loud"}`, both, senseless, 400}),
		"GET /v1/history":      query("/v1/history", []string{"", "points=1"}, []string{"points=0", "points=-1"}),
		"GET /v1/events":       query("/v1/events", []string{""}, nil),
		"POST /v1/reload":      body("/v1/reload", `{"plan":true}`, `[]`, asked{"/v1/reload", "", both, file, 422}, asked{"/v1/reload", "{}", both, errors.New("one loop has not"), 409}),
		"POST /v1/upgrade":     body("/v1/upgrade", `{}`, `{"binary":1}`, asked{"/v1/upgrade", `{"binary":"/lb"}`, both, nil, 403}),
		"POST /v1/drain":       body("/v1/drain", `{}`, `{"a":1}`),
		"GET /v1/openapi.json": query("/v1/openapi.json", []string{""}, nil),
		"GET /":                {{"/", "", "", nil, 200}, {"/", "", "Origin: null", nil, 403}, {"/", "", "Host: evil", nil, 421}},
		"GET /healthz":         {{"/healthz", "", "", nil, 200}, {"/healthz?503", "", "", nil, 503}},
		"GET /readyz":          {{"/readyz", "", "", nil, 200}, {"/readyz?503", "", "", nil, 503}},
		"GET /metrics":         {{"/metrics", "", "", nil, 200}},
	}
}

// speaks answers as text of that type, with the status code that the query has, and no
// longer than a moment: what it is for is tested where it is.
func speaks(media string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", media)
		if r.URL.RawQuery == "503" {
			w.WriteHeader(503)
		}
		io.WriteString(w, "text")
	})
}

// TestAnswers: each answer of each endpoint is what the document says, and has nothing that
// the document does not name; each status code of the document is among them.
func TestAnswers(t *testing.T) {
	doc, err := apidoc.Load(document)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{Network: overTCP("t"), Events: speaks("text/event-stream"), Page: speaks("text/html; charset=utf-8"),
		Health: speaks("text/plain; charset=utf-8"), Ready: speaks("text/plain"), Metrics: speaks("text/plain; version=0.0.4")})
	r.server.o.Streams = 1
	fillAnswers(t, r)
	all := questions()
	for _, op := range doc.Operations() {
		method, path, _ := strings.Cut(op, " ")
		seen := map[string]bool{}
		for _, q := range all[op] {
			var fields []string
			if q.fields != "" {
				fields = strings.Split(q.fields, "; ")
			}
			r.control.Err = q.err
			r.check(doc, method, q, fields, seen)
		}
		r.control.Err = nil
		if statuses := doc.Statuses(method, path); slices.Contains(statuses, "503") && !seen["503"] {
			_, _, end := r.follow("/v1/faults?follow=true") // the only stream that there may be
			r.check(doc, method, asked{target: path + map[string]string{"/v1/faults": "?follow=true", "/v1/trace": "?id=a"}[path], fields: "", code: 503}, []string{"Authorization: Bearer t"}, seen)
			end()
			testkit.Until(t, "the stream to end", func() bool { return r.server.streams.Load() == 0 })
		}
		for _, code := range doc.Statuses(method, path) {
			if !seen[code] {
				t.Errorf("%s never answers %s", op, code)
			}
		}
		delete(all, op)
	}
	for op := range all {
		t.Errorf("%s is not in the document", op)
	}
}

// check makes a request and holds the answer against the document.
func (r *rig) check(doc *apidoc.Document, method string, q asked, fields []string, seen map[string]bool) {
	r.t.Helper()
	var resp *http.Response
	var text []byte
	if strings.Contains(q.target, "follow=true") || strings.Contains(q.target, "/trace") {
		answer, lines, end := r.followWith(q.target, fields...)
		resp = answer
		for answer.StatusCode != 200 && lines.Scan() || answer.StatusCode == 200 && len(text) == 0 && lines.Scan() {
			text = append(append(text, lines.Bytes()...), '\n')
		}
		end()
		if answer.StatusCode == 200 {
			testkit.Until(r.t, "the stream to end", func() bool { return r.server.streams.Load() == 0 })
		}
	} else {
		answer, body := r.ask(method, q.target, q.body, fields...)
		resp, text = answer, []byte(body)
	}
	seen[fmt.Sprint(resp.StatusCode)] = true
	if resp.StatusCode != q.code {
		r.t.Errorf("%s %s %.40s: %d %s, want %d", method, q.target, q.body, resp.StatusCode, text, q.code)
	}
	if err := doc.Check(r.request(method, q.target, q.body, fields...), []byte(q.body), resp, text); err != nil {
		r.t.Errorf("%s %s %.40s: %d %s: %v", method, q.target, q.body, resp.StatusCode, text, err)
	}
}

// fillAnswers gives the Control answers in which nothing is left out.
func fillAnswers(t *testing.T, r *rig) {
	c := r.control
	var e api.Exchange
	for _, v := range []any{&c.Running, &c.Reloaded, &c.Upgraded, &c.Changed, &c.Explained, &c.Set, &c.Past, &e} {
		fill(t, reflect.ValueOf(v).Elem())
	}
	c.Level = "info"
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	c.Records = []json.RawMessage{text}
}

// fill puts a value into every field of v: of those whose values the document lists, one of
// them.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000, 5000)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if values := choices[v.Type().Name()+"."+f.Name]; values != nil {
				v.Field(i).SetString(values[len(values)-1])
				continue
			}
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text <é>")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1 << 40)
	case reflect.Uint64:
		v.SetUint(1<<64 - 1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.125)
	default:
		t.Fatalf("no way to fill a %v", v.Type())
	}
}

// TestStrangePaths: what is not in the document is refused in its form.
func TestStrangePaths(t *testing.T) {
	doc, err := apidoc.Load(document)
	if err != nil {
		t.Fatal(err)
	}
	tcp, socket := newRig(t, Options{Network: overTCP("")}), newRig(t, Options{})
	for _, tc := range []struct {
		ask, allow string
		code       int
	}{
		{"GET /v1", "", 404}, {"GET /v1/", "", 404}, {"GET /v1/status/", "", 404}, {"GET //v1/status", "", 404}, {"GET /v2/status", "", 404},
		{"GET /v1/Status", "", 404}, {"GET /debug/pprof/", "", 404}, {"POST /v1/nothing", "", 404}, {"GET /v1/../v1/status", "", 404},
		{"POST /v1/status", "GET, HEAD", 405}, {"DELETE /v1/backends", "GET, HEAD, POST", 405}, {"GET /v1/drain", "POST", 405},
		{"HEAD /v1/reload", "POST", 405}, {"PUT /v1/log", "GET, HEAD, POST", 405}, {"OPTIONS /v1/faults", "GET, HEAD", 405},
	} {
		method, path, _ := strings.Cut(tc.ask, " ")
		for _, r := range []*rig{tcp, socket} {
			resp, body := r.ask(method, path, "")
			if resp.StatusCode != tc.code || resp.Header.Get("Allow") != tc.allow {
				t.Errorf("%s: %d %s %v", tc.ask, resp.StatusCode, body, resp.Header)
			}
			if method == "HEAD" {
				continue
			}
			if err := doc.Check(r.request(method, path, ""), nil, resp, []byte(body)); err != nil {
				t.Errorf("%s: %s: %v", tc.ask, body, err)
			}
		}
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics"} {
		if resp, _ := socket.ask("GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s on the socket: %d", path, resp.StatusCode)
		}
	}
}
