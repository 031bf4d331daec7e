package consul

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/config/discovery"
	"lb/internal/testkit"
	"lb/supervise/discover"
)

var _ discover.Source = (*Source)(nil)

// agent is a server whose answers the test gives, one by one. Those in testdata are what a
// Consul 1.14.11 has said, byte for byte: see docs/discovery.md.
type agent struct {
	addr  string
	asked chan *http.Request
	reply chan string // the bytes of the answer; "": the connection is closed
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l)
}

func serve(t *testing.T, l net.Listener) *agent {
	t.Helper()
	a := &agent{l.Addr().String(), make(chan *http.Request), make(chan string)}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.serve(ctx, c)
		}
	}()
	return a
}

func (a *agent) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	go func() { <-ctx.Done(); c.Close() }()
	for in := bufio.NewReader(c); ; {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		select {
		case a.asked <- req:
		case <-ctx.Done():
			return
		}
		select {
		case text := <-a.reply:
			if _, err := c.Write([]byte(text)); err != nil || text == "" || strings.Contains(text, "Connection: close") {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// next waits for a question, which has to have this index ("" for none), and answers it.
func (a *agent) next(t *testing.T, index, text string) *http.Request {
	t.Helper()
	req := a.question(t, index)
	a.answer(t, text)
	return req
}

// question waits for a question, which has to have this index, and leaves it without an answer.
func (a *agent) question(t *testing.T, index string) *http.Request {
	t.Helper()
	req := testkit.Wait(t, a.asked, "a question")
	if got := req.URL.Query().Get("index"); got != index {
		t.Errorf("asked with index %q, want %q", got, index)
	}
	return req
}

// answer answers the question that waits.
func (a *agent) answer(t *testing.T, text string) {
	t.Helper()
	if text != "" && !strings.HasPrefix(text, "HTTP/") {
		text = recorded(t, text)
	}
	select {
	case a.reply <- text:
	case <-time.After(testkit.Patience):
		t.Fatal("the answer is not taken")
	}
}

// recorded returns an answer of Consul.
func recorded(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// answered returns an answer with this body and these further lines of its head.
func answered(body string, more ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(body), strings.Join(append(more, ""), "\r\n"), body)
}

// start makes a source of the service web at a's address with a query.
func start(t *testing.T, a *agent, query string, log *testkit.Log) *Source {
	t.Helper()
	u, f := discovery.Parse("consul://" + a.addr + "/web" + query)
	if f != nil {
		t.Fatal(f)
	}
	s := New(u, slog.New(slog.NewTextHandler(log, nil)))
	s.gap, s.pause.Min, s.pause.Max = 0, time.Millisecond, time.Millisecond
	return s
}

// run runs s, and returns what it reports: the backends with their weights, or "error: " and
// why there are none.
func run(t *testing.T, s *Source) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reports, ended := make(chan string), make(chan struct{})
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

// expect takes the next report, which has want in it if want is an error.
func expect(t *testing.T, reports <-chan string, want string) {
	t.Helper()
	got := testkit.Wait(t, reports, "a report")
	if text, isError := strings.CutPrefix(want, "error: "); got != want && !(isError && strings.HasPrefix(got, "error: ") && strings.Contains(got, text)) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

const all, most = "10.0.0.1:8001*2 10.0.0.2:8002*4 127.0.0.1:8003*6 ", "10.0.0.1:8001*2 127.0.0.1:8003*6 "

// What Consul said when an instance failed its check, when nothing happened, when its server
// lost the others, and when it had them again.
func TestRecorded(t *testing.T) {
	a := newAgent(t)
	reports := run(t, start(t, a, "", &testkit.Log{}))
	if req := a.next(t, "", "three"); req.URL.String() != "/v1/health/service/web?passing=1" || req.Host != a.addr {
		t.Errorf("asked for %s at %s", req.URL, req.Host)
	}
	expect(t, reports, all)
	if req := a.next(t, "20", "woken"); req.URL.Query().Get("wait") != "55000ms" {
		t.Errorf("asked for %s", req.URL)
	}
	expect(t, reports, most)
	a.next(t, "21", "timedout")
	expect(t, reports, most)
	a.next(t, "21", "noleaderindex") // 200 and []: it is not believed
	a.next(t, "", "noleader")
	expect(t, reports, `error: status 500: "No cluster leader"; see Consul's log`)
	a.next(t, "", "three")
	expect(t, reports, all)
	for range 2 { // net/http tries once more, because the connection had carried another question
		a.next(t, "20", "")
	}
	expect(t, reports, "error: see that Consul's agent runs at "+a.addr)
	a.next(t, "", "stale")
	expect(t, reports, most)
}

// An empty list is asked for once more without an index, and comes again after a while.
func TestEmpty(t *testing.T) {
	a := newAgent(t)
	reports := run(t, start(t, a, "", &testkit.Log{}))
	a.next(t, "", "gone")
	expect(t, reports, "")
	for range 2 {
		if req := a.next(t, "24", "emptywait"); req.URL.Query().Get("wait") != "10000ms" {
			t.Errorf("asked for %s: the second empty answer would be late", req.URL)
		}
		a.next(t, "", "gone")
		expect(t, reports, "")
	}
	a.next(t, "24", "three") // of another Consul: its index is less
	expect(t, reports, all)
	a.next(t, "", "anonymous") // looks like a service without instances
	expect(t, reports, "")
}

// An index that goes backwards is not waited for, and 0 is none.
func TestIndex(t *testing.T) {
	a := newAgent(t)
	reports := run(t, start(t, a, "", &testkit.Log{}))
	const one = `[{"Service":{"Address":"10.0.0.9","Port":9}}]`
	a.next(t, "", answered(one, "X-Consul-Index: 999999"))
	expect(t, reports, "10.0.0.9:9*1 ")
	a.next(t, "999999", "future")
	expect(t, reports, most)
	for _, index := range []string{"0", "-1", "x", "99999999999999999999"} {
		a.next(t, "", answered(one, "X-Consul-Index: "+index))
		expect(t, reports, "10.0.0.9:9*1 ")
	}
	a.next(t, "", answered(one))
	expect(t, reports, "10.0.0.9:9*1 ")
	a.next(t, "", answered(one, "X-Consul-Index: 18446744073709551615"))
	expect(t, reports, "10.0.0.9:9*1 ")
	a.next(t, "18446744073709551615", "three")
	expect(t, reports, all)
}

// What keeps the last list, and what is said about it. The token is in none.
func TestErrors(t *testing.T) {
	const token = "99999999-2222-3333-4444-555555555555"
	a, log := newAgent(t), &testkit.Log{}
	reports := run(t, start(t, a, "?token="+token, log))
	for _, tc := range []struct{ reply, want string }{
		{"badtoken", `status 403: "ACL not found"; give token or token_file a token with service:read`},
		{"filtered", "the list is empty for this token; give it service:read and node:read"},
		{"nodc", `status 500: "No path to datacenter"`},
		{"badwait", `status 400: "Invalid wait time"`},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", `status 404: "no text"; see that Consul's HTTP API is at this address`},
		{"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nslow", `status 429: "slow"; raise limits.request_limits`},
		{"HTTP/1.1 302 Found\r\nLocation: http://" + a.addr + "/other\r\nContent-Length: 0\r\n\r\n", "status 302"},
		{"HTTP/1.1 500 no\r\nContent-Length: 38\r\n\r\n" + token + "\nx", `status 500: "***"`},
		{answered("<html>"), "the answer is no list of instances"},
		{answered("null"), "the answer is no list of instances"},
		{answered("{}"), "the answer is no list of instances"},
		{answered(`[{"Service":{"Port":"80"}}]`), "the answer is no list of instances"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n[{", "the answer is cut off"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\n[{", "the answer is cut off"},
		{"SSH-2.0-OpenSSH", "see that Consul's agent runs at"},
		{answered("[]", "X-Consul-Index: 3", "X-Consul-KnownLeader: false"), "no contact to a leader"},
		{answered("[]", "X-Consul-Index: 3", "X-Consul-KnownLeader: true", "X-Consul-LastContact: 10001"), "no contact to a leader"},
	} {
		text := tc.reply
		if strings.HasPrefix(text, "SSH") {
			text = "HTTP/0.0 " + text + "\r\n\r\n"
		}
		req := a.next(t, "", text)
		if req.Header.Get("X-Consul-Token") != token || strings.Contains(req.URL.String(), token) {
			t.Errorf("asked for %s with the token %q", req.URL, req.Header.Get("X-Consul-Token"))
		}
		got := testkit.Wait(t, reports, "a report")
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, tc.want) || !strings.Contains(got, "; ") || strings.Contains(got, token) {
			t.Errorf("%q: reported %q, want %q", tc.reply, got, tc.want)
		}
	}
	a.next(t, "", "three")
	expect(t, reports, all)
	if strings.Contains(log.String(), token) {
		t.Errorf("the token is in the log: %s", log)
	}
}

// A server that does not answer is an error, with an index and without.
func TestSilence(t *testing.T) {
	a := newAgent(t)
	s := start(t, a, "", &testkit.Log{})
	s.plain = 10 * time.Millisecond
	reports := run(t, s)
	for range 2 {
		expect(t, reports, "error: no answer in 10ms; see that Consul's agent runs at "+a.addr)
	}
	_, err := s.ask(context.Background(), 5, 16*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "no answer in 27ms") { // Consul may add a sixteenth to what it holds
		t.Errorf("with an index: %v", err)
	}
	a.addr = testkit.RefusingAddr(t)
	expect(t, run(t, start(t, a, "", &testkit.Log{})), "error: connection refused; see that Consul's agent runs at "+a.addr)
}

// The agent's certificate is checked, by a CA of its own if there is one.
func TestHTTPS(t *testing.T) {
	ca, folder := testkit.NewCA(t, "test"), t.TempDir()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, testkit.Leaf{IPs: []string{"127.0.0.1"}}).TLS(t)}})
	if err != nil {
		t.Fatal(err)
	}
	a := serve(t, l)
	reports := run(t, start(t, a, "?scheme=https&ca="+ca.Write(t, folder, "ca"), &testkit.Log{}))
	a.next(t, "", "three")
	expect(t, reports, all)
	expect(t, run(t, start(t, a, "?scheme=https", &testkit.Log{})), "error: certificate")
	for name, want := range map[string]string{folder + "/none.pem": "no such file", "consul_test.go": "no certificate in PEM"} {
		expect(t, run(t, start(t, a, "?scheme=https&ca="+name, &testkit.Log{})), "error: "+want)
	}
}

func TestQuestion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	testkit.WriteFile(t, file, "first\n")
	a := newAgent(t)
	reports := run(t, start(t, a, "?tag=v2&tag=eu&dc=east&near=_agent&ns=n&partition=p&token_file="+file, &testkit.Log{}))
	req := a.next(t, "", "tag")
	if got := req.URL.RawQuery; got != "dc=east&near=_agent&ns=n&partition=p&passing=1&tag=v2&tag=eu" || req.Header.Get("X-Consul-Token") != "first" {
		t.Errorf("asked for %s with %v", req.URL, req.Header)
	}
	expect(t, reports, most)
	a.question(t, "20") // with the first token
	testkit.SwapFile(t, file, "second")
	a.answer(t, "tag")
	expect(t, reports, most)
	if req := a.next(t, "20", "tag"); req.Header.Get("X-Consul-Token") != "second" {
		t.Errorf("asked with %v", req.Header)
	}
	expect(t, reports, most)
	a.question(t, "20")
	testkit.SwapFile(t, file, " \n")
	a.answer(t, "tag")
	expect(t, reports, most)
	expect(t, reports, "error: token_file: "+file+" has no token")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for got := range reports {
		if strings.Contains(got, "no such file") {
			break
		}
	}
}

// Instances that cannot be reached are left out, which the log has once.
func TestLeftOut(t *testing.T) {
	a, log := newAgent(t), &testkit.Log{}
	reports := run(t, start(t, a, "", log))
	const list = `[{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"no-port"}},
		{"Node":{"Address":"10.0.0.1"},"Service":{"Port":70000}},
		{"Service":{"Port":80}},
		{"Service":{"Address":"a b","Port":80}},
		{"Service":{"Address":"2001:db8::1","Port":443,"Weights":{"Passing":0}}},
		{"Service":{"Address":"web.test","Port":80,"Weights":{"Passing":70000}}},
		{"Service":{"SocketPath":"/run/web.sock"}}, {}]`
	for i, index := range []string{"", "5"} {
		a.next(t, index, answered(list, "X-Consul-Index: 5"))
		expect(t, reports, "[2001:db8::1]:443*1 web.test:80*65535 unix:/run/web.sock*1 ")
		if n := strings.Count(log.String(), "left out"); n != 1 || !strings.Contains(log.String(), "mend=") || !strings.Contains(log.String(), "instances=5") || !strings.Contains(log.String(), "no-port: port 0 is none") {
			t.Errorf("after %d answers: %s", i+1, log)
		}
	}
}

// FuzzInstances: whatever comes, the backends are such as a file could have.
func FuzzInstances(f *testing.F) {
	for _, name := range []string{"three", "empty", "restarted"} {
		_, body, _ := strings.Cut(recorded(f, name), "\r\n\r\n")
		f.Add([]byte(body))
	}
	f.Add([]byte(`[{"Node":{"Address":"::1"},"Service":{"Port":80,"Weights":{"Passing":-1}}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &Source{log: slog.New(slog.DiscardHandler)}
		resp := &http.Response{Header: http.Header{}, Body: http.NoBody}
		resp.Body = readCloser{strings.NewReader(string(body))}
		a, err := s.read(resp)
		if err != nil {
			return
		}
		for _, b := range a.list {
			if again, err := config.ParseBackend(b.String()); err != nil || config.Identity(again) != config.Identity(b) || b.Weight < 1 || b.Weight > config.WeightMax {
				t.Errorf("%+v: %v", b, err)
			}
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
