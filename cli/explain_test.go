package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lb/admin/api"
	"lb/internal/testkit"
)

// toBackend is a request that a backend gets.
var toBackend = api.Explained{
	Outcome: api.ToBackend, Choice: "10.0.0.2:80", How: "it is its turn among 2 in this loop",
	Config: 3, Loop: 1, Method: "GET", Host: "a.test", Target: "/api/x",
	Listener: api.ExplainedListener{Address: ":443", Role: api.RoleHTTPS},
	Client:   api.ExplainedClient{Address: "203.0.113.9", Peer: "10.0.0.5", Trusted: true, Scheme: "https"},
	Route:    2,
	Routes: []api.ExplainedRoute{
		{Number: 1, Name: "b.test/", To: "redirect 308 to https://c.test{uri}", Why: "host: it is for b.test"},
		{Number: 2, Name: "/api", To: "pool api", Taken: true, Why: "takes it"},
	},
	Readings: []api.ExplainedReading{{Form: "as it came", Path: "//api/x", Route: 2}, {Form: "normalized", Path: "/api/x"}},
	Pool:     "api", Strategy: "hash", HashKey: "header:x-user",
	Backends: []api.ExplainedBackend{
		{Address: "10.0.0.1:80", State: "unknown", Weight: 1, Percent: 40, InFlight: 1200, Candidate: true, Why: "can be chosen; in slow start, with 40 % of its weight"},
		{Address: "10.0.0.2:80", State: "up", Weight: 2, Percent: 100, InFlight: 3, MaxConnections: 9, Candidate: true, Chosen: true, Why: "can be chosen"},
		{Address: "10.0.0.3:80", State: "down", Weight: 2, Percent: 100, Why: "its active checks fail: no answer in time"},
	},
	Settings: []api.ExplainedSetting{{Key: "paths", Value: "raw"}, {Key: "retry.attempts", Value: "2"}, {Key: "retry.budget", Value: "0.2"},
		{Key: "pools[0].reuse", Value: "safe"}, {Key: "pools[0].eject.enabled", Value: "true"}},
	Head:    "GET /x HTTP/1.1\nHost: a.test\nX-Forwarded-For: 203.0.113.9\n",
	Added:   []string{"X-Forwarded-For: 203.0.113.9"},
	Dropped: []string{"Connection: \x1b[31mclose"},
	Notes:   []string{"the target is sent as /x"},
}

const toBackendText = `choice    10.0.0.2:80 (this time)
          it is its turn among 2 in this loop

request   GET /api/x for a.test
client    203.0.113.9 by https, as 10.0.0.5 says, which is trusted
listener  :443 (https)
route     2: /api -> pool api
          as it came: //api/x, route 2
          normalized: /api/x, no route
          OTHERS  ROUTE    LEADS TO                             WHY NOT
          1       b.test/  redirect 308 to https://c.test{uri}  host: it is for b.test
pool      api, strategy hash of header:x-user
asked     loop 1, configuration 3

    BACKEND      STATE        WEIGHT          IN FLIGHT  REASON
    10.0.0.1:80  not checked  1 (40 % of it)  1,200      can be chosen; in slow start, with 40 % of its weight
->  10.0.0.2:80  up           2               3 of 9     can be chosen
    10.0.0.3:80  down         2               0          its active checks fail: no answer in time

sent        GET /x HTTP/1.1
            Host: a.test
          + X-Forwarded-For: 203.0.113.9
          - Connection: \u{1b}[31mclose

settings  paths raw
retry     attempts 2, budget 0.2
pool      reuse safe
eject     enabled true
note      the target is sent as /x
`

const answerText = `choice    lb answers 503 Service Unavailable, as gRPC status 14, Retry-After: 1
          no backend of pool default can be chosen: it has none

request   POST /
client    - by http
listener  unix:/run/lb (http)
route     none takes it, so the pool default does
pool      default, strategy random
asked     loop 0, configuration 1
`

// TestExplainText: the choice comes first, then why; nothing that a terminal obeys is in it.
func TestExplainText(t *testing.T) {
	own := api.Explained{Outcome: api.OwnAnswer, How: "no backend of pool default can be chosen: it has none", Config: 1, Method: "POST", Target: "/",
		Listener: api.ExplainedListener{Address: "unix:/run/lb", Role: api.RoleHTTP}, Client: api.ExplainedClient{Scheme: "http"},
		Answer: &api.ExplainedAnswer{Status: 503, GRPCStatus: 14, Fields: []string{"Retry-After: 1"}}, Pool: "default", Strategy: "random"}
	for want, e := range map[string]api.Explained{toBackendText: toBackend, answerText: own} {
		var out bytes.Buffer
		printExplained(page{w: &out}, e)
		if out.String() != want {
			t.Errorf("got\n%s\nwant\n%s", out.String(), want)
		}
	}
	named := toBackend
	named.Host = "other"
	var line bytes.Buffer
	printExplained(page{w: &line}, named)
	if !strings.Contains(line.String(), "request   GET /api/x for other\n") {
		t.Errorf("of the host other:\n%s", line.String())
	}
	many := toBackend
	many.Outcome, many.Choice, many.Settled = api.ToQueue, "", false
	for range routesShown {
		many.Routes = append(many.Routes, api.ExplainedRoute{Number: 9, Name: "/", Why: "path: it is for /"})
	}
	var out bytes.Buffer
	printExplained(page{w: &out}, many)
	if text := out.String(); !strings.HasPrefix(text, "choice    no backend yet: it waits\n") || !strings.Contains(text, "and 1 more (--json has all)\n") {
		t.Errorf("of many routes:\n%s", text)
	}
}

// TestExplainCommand: what is asked arrives as it was written, and JSON has everything.
func TestExplainCommand(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	f := &testkit.Control{Explained: toBackend}
	serveAt(t, f, socket)
	code, out, errOut := give("explain", "--socket", socket, "--json", "PUT", "https://a.test/x,y", "-H", "Accept: a, b", "-H", "X-A: 1", "--from", "10.0.0.5")
	var got api.Explained
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil || got.Choice != toBackend.Choice || len(got.Backends) != 3 {
		t.Errorf("%d, %q, %v in %s", code, errOut, err, out)
	}
	if asked := f.Asked(); !strings.Contains(asked, `explain PUT https://a.test/x,y ["Accept: a, b" "X-A: 1"] "10.0.0.5"`) {
		t.Errorf("asked: %s", asked)
	}
	f.Err = api.AskError("that is no request")
	if code, _, errOut := give("explain", "--socket", socket, "GET", "/"); code != 1 || errOut != "lb: that is no request\n" {
		t.Errorf("%d, %q", code, errOut)
	}
}

// TestConfigShow: a line for each setting, with where it comes from; keys and tables choose.
func TestConfigShow(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	socket := filepath.Join(dir, "s")
	f := &testkit.Control{Set: []api.Setting{
		{Key: "port", Value: "80", Source: api.FromFlag, Flag: "--port", File: "lb.toml", Line: 1},
		{Key: "pools[0].name", Value: "api", Source: api.FromFile, File: "lb.toml", Line: 7},
		{Key: "pools[0].backends[0].weight", Value: "5", Source: api.FromRuntime, File: "lb.toml", Line: 9},
		{Key: "pools[10].name", Value: "web", Source: api.FromDefault},
		{Key: "log_level", Value: "debug", Source: api.FromRuntime, Flag: "--log-level"},
	}}
	serveAt(t, f, socket)
	const want = `SETTING                      VALUE  FROM
port                         80     --port, over lb.toml:1
pools[0].name                api    lb.toml:7
pools[0].backends[0].weight  5      run time, over lb.toml:9
pools[10].name               web    default
log_level                    debug  run time, over --log-level
`
	if code, out, errOut := give("config", "show", "--socket", socket); code != 0 || out != want {
		t.Errorf("%d, %q:\n%s", code, errOut, out)
	}
	for keys, lines := range map[string]int{"pools[0]": 2, "pools": 3, "pool": 0, "port log_level": 2, "pools[0] pools[0].name": 2, "port nonsense": 0} {
		code, out, errOut := give(append([]string{"config", "show", "--socket", socket}, strings.Fields(keys)...)...)
		if n := max(0, strings.Count(out, "\n")-1); n != lines || (code != 0) != (lines == 0) || lines == 0 && !strings.Contains(errOut, "there is no setting") {
			t.Errorf("%s: %d, %q:\n%s", keys, code, errOut, out)
		}
	}
	if err := os.WriteFile("other.toml", []byte("port = 81\n[admin]\nsocket = \"none\"\n[[backends]]\nhost = \"a\"\nport = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := give("config", "show", "-c", "other.toml", "port")
	if code != 0 || !strings.Contains(out, "port     81     other.toml:1") || !strings.Contains(errOut, "this is what other.toml says") {
		t.Errorf("of a file: %d, %q, %s", code, out, errOut)
	}
	if code, _, errOut := give("config", "show", "-c", "nowhere.toml"); code == 0 || errOut == "" {
		t.Errorf("of no file: %d, %q", code, errOut)
	}
}
