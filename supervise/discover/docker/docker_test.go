package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/internal/testkit"
	"lb/supervise/discover"
)

var _ discover.Source = (*Source)(nil)

// engine is a server that says what Docker's API is documented to say, at a unix socket.
type engine struct {
	socket string
	events chan string // handed to the stream that is open; "": the stream ends
	late   bool        // the head of the stream comes with the first event

	mu      sync.Mutex
	version string
	list    []string      // containers, by JSON
	refuse  int           // status of every answer, or 0
	opened  chan struct{} // has a value for each stream that was opened
	asked   []string
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	folder, err := os.MkdirTemp("", "lb") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{
		socket: filepath.Join(folder, "docker.sock"), events: make(chan string), opened: make(chan struct{}, 100),
		version: `{"Version":"28.5.2","ApiVersion":"1.51","MinAPIVersion":"1.24","Os":"linux"}`,
	}
	server := e.serve(t)
	t.Cleanup(func() {
		server.Close()
		os.RemoveAll(folder)
	})
	return e
}

func (e *engine) serve(t *testing.T) *http.Server {
	t.Helper()
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go server.Serve(l)
	return server
}

func (e *engine) set(list ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = list
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	version, list, refuse := e.version, "["+strings.Join(e.list, ",")+"]", e.refuse
	e.asked = append(e.asked, r.URL.String())
	e.mu.Unlock()
	w.Header().Set("Api-Version", "1.51")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Server", "Docker/28.5.2 (linux)")
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1."), "/")
	switch {
	case refuse != 0:
		http.Error(w, `{"message":"the engine is ill"}`, refuse)
	case r.URL.Path == "/version":
		fmt.Fprintln(w, version)
	case path == "containers/json":
		fmt.Fprintln(w, list)
	case path == "events":
		e.stream(w, r)
	default:
		http.Error(w, `{"message":"page not found"}`, http.StatusNotFound)
	}
}

func (e *engine) stream(w http.ResponseWriter, r *http.Request) {
	if !e.late {
		w.(http.Flusher).Flush()
	}
	e.opened <- struct{}{}
	for {
		select {
		case text := <-e.events:
			if text == "" {
				return
			}
			fmt.Fprintln(w, text)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// emit sends an event about the container id to the stream that is open.
func (e *engine) emit(t *testing.T, action, id, signal string) {
	t.Helper()
	text := fmt.Sprintf(`{"status":%q,"id":%q,"from":"web:1","Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{"image":"web:1","lb.pool":"web","name":"a","signal":%q}},"scope":"local","time":1764284400,"timeNano":1764284400515050000}`,
		action, id, action, id, signal)
	select {
	case e.events <- text:
	case <-time.After(testkit.Patience):
		t.Fatal("no stream takes the event")
	}
}

// running returns a container in the list, in the form of the API.
func running(id, ip, more string) string {
	return fmt.Sprintf(`{"Id":%q,"Names":["/web-%s"],"Image":"web:1","State":"running","Status":"Up 2 minutes",
		"Labels":{"lb.pool":"web","lb.port":"8080"},"Ports":[{"PrivatePort":8080,"Type":"tcp"}],
		"NetworkSettings":{"Networks":{"bridge":{"IPAddress":%q,"GlobalIPv6Address":"","MacAddress":"02:42:ac:11:00:03"}}}%s}`, id, id, ip, more)
}

func source(t *testing.T, e *engine, query string, log *testkit.Log) *Source {
	t.Helper()
	u, f := discovery.Parse("docker://" + e.socket + query)
	if f != nil {
		t.Fatal(f)
	}
	s := New(u, "web", slog.New(slog.NewTextHandler(log, nil)))
	s.begin, s.every, s.empty, s.leaving = time.Hour, time.Hour, time.Hour, time.Hour
	s.pause.Min, s.pause.Max = time.Millisecond, time.Millisecond
	return s
}

// run runs s and returns what it reports, each text once in a row.
func run(t *testing.T, s *Source) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reports, ended := make(chan string), make(chan struct{})
	last := "nothing"
	go func() {
		defer close(ended)
		s.Run(ctx, func(list []config.Backend, err error) {
			text := fmt.Sprintf("error: %v", err)
			if err == nil {
				text = ""
				for _, b := range list {
					text += fmt.Sprintf("%s*%d ", b, b.Weight)
				}
			}
			if text == last && s.empty == time.Hour {
				return
			}
			last = text
			select {
			case reports <- text:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Wait(t, ended, "the end of Run")
	})
	return reports
}

func expect(t *testing.T, reports <-chan string, want string) {
	t.Helper()
	got := testkit.Wait(t, reports, "a report")
	if text, isError := strings.CutPrefix(want, "error: "); got != want && !(isError && strings.HasPrefix(got, "error: ") && strings.Contains(got, text)) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

const a, b, both = "172.17.0.2:8080*1 ", "172.17.0.3:8080*1 ", "172.17.0.2:8080*1 172.17.0.3:8080*1 "

// Containers leave when they are paused, unhealthy or asked to end, and come back.
func TestEvents(t *testing.T) {
	e := newEngine(t)
	first, second := running("aa", "172.17.0.2", ""), running("bb", "172.17.0.3", "")
	e.set(first)
	reports := run(t, source(t, e, "", &testkit.Log{}))
	expect(t, reports, a)
	e.set(first, second)
	e.emit(t, "start", "bb", "")
	expect(t, reports, both)
	for _, step := range []struct{ action, state, back string }{
		{"pause", `,"State":"paused","Status":"Up 2 minutes (Paused)"`, "unpause"},
		{"health_status: unhealthy", `,"Status":"Up 2 minutes (unhealthy)"`, "health_status: healthy"},
		{"die", `,"State":"restarting","Status":"Restarting (1) 2 seconds ago"`, "start"},
		{"start", `,"Status":"Up 1 second (health: starting)"`, "health_status: healthy"},
	} {
		e.set(first, running("bb", "172.17.0.3", step.state))
		e.emit(t, step.action, "bb", "")
		expect(t, reports, a)
		e.set(first, running("bb", "172.17.0.3", `,"Status":"Up 3 minutes (healthy)"`))
		e.emit(t, step.back, "bb", "")
		expect(t, reports, both)
	}
	e.emit(t, "kill", "bb", "1") // SIGHUP
	e.emit(t, "kill", "aa", "15")
	expect(t, reports, b) // though it is in the list
	e.set(second)
	e.emit(t, "die", "aa", "")
	e.set(first, second)
	e.emit(t, "start", "aa", "")
	expect(t, reports, both)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, target := range e.asked[1:] {
		if f := filtersOf(t, target); len(f["label"]) != 1 || f["label"][0] != "lb.pool=web" || !strings.HasPrefix(target, "/v1.44/") {
			t.Errorf("asked for %s", target)
		}
	}
}

// filtersOf returns the filters in a target.
func filtersOf(t *testing.T, target string) (f map[string][]string) {
	t.Helper()
	u, err := url.Parse(target)
	if err == nil {
		err = json.Unmarshal([]byte(u.Query().Get("filters")), &f)
	}
	if err != nil {
		t.Errorf("%s: %v", target, err)
	}
	return f
}

// A container that was asked to end and goes on is taken again after a while.
func TestGoesOn(t *testing.T) {
	e := newEngine(t)
	e.set(running("aa", "172.17.0.2", ""), running("bb", "172.17.0.3", ""))
	s := source(t, e, "", &testkit.Log{})
	s.leaving = 50 * time.Millisecond
	reports := run(t, s)
	expect(t, reports, both)
	e.emit(t, "kill", "bb", "15")
	for got := testkit.Wait(t, reports, "a report"); got != both; got = testkit.Wait(t, reports, "a report") {
		if got != a {
			t.Errorf("reported %q", got)
		}
	}
}

// After an engine that has ended comes another, perhaps of another version; what has changed
// meanwhile is seen.
func TestReconnect(t *testing.T) {
	e := newEngine(t)
	e.set(running("aa", "172.17.0.2", ""))
	reports := run(t, source(t, e, "", &testkit.Log{}))
	expect(t, reports, a)
	testkit.Wait(t, e.opened, "the stream")
	e.mu.Lock()
	e.version, e.refuse = `{"ApiVersion":"1.60","MinAPIVersion":"1.52"}`, http.StatusServiceUnavailable
	e.mu.Unlock()
	e.events <- ""
	expect(t, reports, "error: the engine has ended the stream of events; see that it runs")
	expect(t, reports, `error: status 503: "the engine is ill"; see the engine's log`)
	e.set(running("bb", "172.17.0.3", ""))
	e.mu.Lock()
	e.refuse = 0
	e.mu.Unlock()
	expect(t, reports, b)
	e.mu.Lock()
	last := e.asked[len(e.asked)-1]
	e.mu.Unlock()
	if !strings.HasPrefix(last, "/v1.52/") {
		t.Errorf("asked for %s", last)
	}
}

// The list does not wait for a stream whose head comes with the first event.
func TestHeadComesLate(t *testing.T) {
	e := newEngine(t)
	e.late = true
	e.set(running("aa", "172.17.0.2", ""))
	s := source(t, e, "", &testkit.Log{})
	s.begin = time.Millisecond
	reports := run(t, s)
	expect(t, reports, a)
	e.set()
	e.emit(t, "die", "aa", "")
	expect(t, reports, "")
}

// An empty list is reported again after a while, because only a second one counts.
func TestEmptyAgain(t *testing.T) {
	e := newEngine(t)
	s := source(t, e, "", &testkit.Log{})
	s.empty = time.Millisecond
	reports := run(t, s)
	for range 3 {
		expect(t, reports, "")
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]string{
		`{"ApiVersion":"1.41","MinAPIVersion":"1.12"}`: "/v1.41",
		`{"ApiVersion":"1.52","MinAPIVersion":"1.44"}`: "/v1.44",
		`{"ApiVersion":"1.99","MinAPIVersion":"1.60"}`: "/v1.60",
		`{"ApiVersion":"1.24"}`:                        "/v1.24",
		`{"ApiVersion":"1.23"}`:                        "speaks version 1.23 of its API at most",
		`{}`:                                           "no version of its API",
		`{"ApiVersion":"2.0"}`:                         "no version of its API",
		`[]`:                                           "not what Docker's API says",
		`<html>`:                                       "not what Docker's API says",
	} {
		e := newEngine(t)
		e.version = version
		s := source(t, e, "", &testkit.Log{})
		err := s.negotiate(t.Context())
		got := s.version
		if err != nil {
			got = err.Error()
		}
		if got != want && !(want[0] != '/' && strings.Contains(got, want) && strings.Contains(got, "; ")) {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
		s.client.CloseIdleConnections()
	}
}

func TestNoEngine(t *testing.T) {
	e := &engine{socket: "/none/docker.sock"}
	expect(t, run(t, source(t, e, "", &testkit.Log{})), "error: no such file or directory; see that a Docker engine is at "+e.socket)
}

func TestContainers(t *testing.T) {
	const networks = `,"NetworkSettings":{"Networks":{"back":{"IPAddress":"10.1.0.2"},"front":{"IPAddress":"","GlobalIPv6Address":"fd00::2"},"none":null}}`
	for _, tc := range []struct{ more, query, want string }{
		{``, "", a},
		{`,"Labels":{"lb.port":"443","lb.weight":"7"}`, "", "172.17.0.2:443*7 "},
		{`,"Labels":{"lb.port":"0"}`, "", `label lb.port: "0" is not 1 to 65535`},
		{`,"Labels":{"lb.port":"http"}`, "", `label lb.port: "http" is not`},
		{`,"Labels":{"lb.weight":"-1"}`, "", `label lb.weight: "-1" is not`},
		{`,"Labels":{"lb.weight":"65536"}`, "", `label lb.weight: "65536" is not`},
		{`,"Labels":{}`, "", a},
		{`,"Labels":null,"Ports":[{"PrivatePort":53,"Type":"udp"},{"IP":"0.0.0.0","PrivatePort":9,"PublicPort":99,"Type":"tcp"},{"IP":"::","PrivatePort":9,"PublicPort":99,"Type":"tcp"}]`, "", "172.17.0.2:9*1 "},
		{`,"Labels":{},"Ports":[{"PrivatePort":80,"Type":"tcp"},{"PrivatePort":81,"Type":"tcp"}]`, "", "it exposes several ports"},
		{`,"Labels":{},"Ports":[]`, "", "it exposes no port"},
		{networks, "", "10.1.0.2:8080*1 "},
		{networks, "?network=front", "[fd00::2]:8080*1 "},
		{networks + `,"Labels":{"lb.network":"front","lb.port":"1"}`, "?network=back", "[fd00::2]:1*1 "},
		{networks, "?network=other", `it is not in the network "other"`},
		{networks, "?network=none", "it has no address in a network"},
		{`,"NetworkSettings":{"Networks":{"host":{"IPAddress":""}}}`, "", "127.0.0.1:8080*1 "},
		{`,"NetworkSettings":{"Networks":{}}`, "", "it has no address in a network"},
		{`,"NetworkSettings":{"Networks":{"x":{"IPAddress":"nonsense"}}}`, "", "it has no address in a network"},
	} {
		e, log := newEngine(t), &testkit.Log{}
		// A key that is given again takes the place of the first, but in maps.
		text := running("aa", "172.17.0.2", "")
		var whole, over map[string]any
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte("{"+strings.TrimPrefix(tc.more, ",")+"}"), &over); err != nil {
			t.Fatal(tc.more, err)
		}
		for k, v := range over {
			whole[k] = v
		}
		data, _ := json.Marshal(whole)
		e.set(string(data))
		s := source(t, e, tc.query, log)
		s.version = "/v1.44"
		for range 2 {
			list, err := s.list(t.Context())
			got := ""
			for _, b := range list {
				got += fmt.Sprintf("%s*%d ", b, b.Weight)
			}
			if err != nil || got != tc.want && !(got == "" && strings.Count(log.String(), "mend=") == 1 && strings.Contains(strings.ReplaceAll(log.String(), `\"`, `"`), tc.want) && strings.Contains(log.String(), "container=web-aa")) {
				t.Errorf("%s %s: %q, %v, log %s; want %q", tc.more, tc.query, got, err, log, tc.want)
			}
		}
		s.client.CloseIdleConnections()
	}
}

// FuzzContainers: whatever comes, the backends are such as a file could have.
func FuzzContainers(f *testing.F) {
	f.Add([]byte(running("aa", "172.17.0.2", "")))
	f.Add([]byte(`{"Labels":{"lb.port":"1","lb.weight":"2"},"NetworkSettings":{"Networks":{"host":null}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c container
		if json.Unmarshal(data, &c) != nil {
			return
		}
		b, flaw := c.backend("")
		if flaw != nil {
			if flaw.What == "" || flaw.Hint == "" {
				t.Errorf("%+v", flaw)
			}
			return
		}
		if again, err := config.ParseBackend(b.String()); err != nil || config.Identity(again) != config.Identity(b) || b.Weight < 1 || b.Weight > config.WeightMax {
			t.Errorf("%+v: %v", b, err)
		}
	})
}
