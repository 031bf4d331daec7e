package explain

import (
	"bytes"
	"strings"
	"testing"

	"lb/admin/api"
	"lb/config"
	"lb/httpparse"
	"lb/proxy/front"
)

var listens = []config.Listener{{Address: "0.0.0.0:8080"}, {Address: ":80", RedirectHTTPS: true}, {Address: "[::1]:443", TLS: true}}

// TestParse: the head that a client would send, byte by byte, and where it comes in.
func TestParse(t *testing.T) {
	for _, tc := range []struct {
		ask     api.ExplainAsk
		head    string
		address string // of the listener
		way     front.Way
	}{
		{api.ExplainAsk{URL: "http://a.test"}, "GET / HTTP/1.1|Host: a.test|", ":80", front.RedirectedAt80},
		{api.ExplainAsk{Method: "POST", URL: "HTTP://a.test:8080/x?y#z"}, "POST /x?y HTTP/1.1|Host: a.test:8080|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{URL: "https://a.test?q"}, "GET /?q HTTP/1.1|Host: a.test|", "[::1]:443", front.TLS},
		{api.ExplainAsk{URL: "https://a.test:9/%2e%2e//a b"}, "GET /%2e%2e//a b HTTP/1.1|Host: a.test:9|", "[::1]:443", front.TLS},
		{api.ExplainAsk{URL: "https://[2001:db8::1]:8080/"}, "GET / HTTP/1.1|Host: [2001:db8::1]:8080|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{URL: "http://a.test:443/"}, "GET / HTTP/1.1|Host: a.test:443|", "[::1]:443", front.NotTLS},
		{api.ExplainAsk{URL: "/x"}, "GET /x HTTP/1.1|Host: localhost:8080|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{URL: "?x"}, "GET /?x HTTP/1.1|Host: localhost:8080|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{URL: "a.test/x"}, "GET /x HTTP/1.1|Host: a.test|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{Method: "OPTIONS", URL: "*"}, "OPTIONS * HTTP/1.1|Host: localhost:8080|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{Method: "CONNECT", URL: "a.test:443"}, "CONNECT a.test:443 HTTP/1.1|Host: a.test:443|", "[::1]:443", front.TLS},
		{api.ExplainAsk{Method: "CONNECT", URL: "http://a.test:8080/x"}, "CONNECT a.test:8080 HTTP/1.1|Host: a.test:8080|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{URL: "http://u:p@a.test:8080/"}, "GET / HTTP/1.1|Host: a.test:8080|Authorization: Basic dTpw|", "0.0.0.0:8080", front.Plain},
		{api.ExplainAsk{URL: "/", Headers: []string{"X-A: 1", "X-A:2", "X-Empty;", "host: b.test"}}, "GET / HTTP/1.1|X-A: 1|X-A:2|X-Empty:|host: b.test|", "0.0.0.0:8080", front.Plain},
	} {
		got, err := Parse(tc.ask, listens)
		if err != nil {
			t.Errorf("%+v: %v", tc.ask, err)
			continue
		}
		if want := strings.ReplaceAll(tc.head, "|", "\r\n") + "\r\n"; string(got.Head) != want {
			t.Errorf("%+v:\n%q, want\n%q", tc.ask, got.Head, want)
		}
		if got.Listener.Address != tc.address || got.Way != tc.way || got.Peer.String() != "127.0.0.1" {
			t.Errorf("%+v: at %s by way %d from %s, want %s and %d", tc.ask, got.Listener.Address, got.Way, got.Peer, tc.address, tc.way)
		}
	}
}

// TestParseNotes: where no listener is right, the operator hears which one was taken.
func TestParseNotes(t *testing.T) {
	plain := []config.Listener{{Address: ":80"}}
	for url, want := range map[string]string{"https://a.test/": "no listener for this URL speaks TLS", "http://a.test/": "", "/": ""} {
		a, err := Parse(api.ExplainAsk{URL: url}, plain)
		if err != nil || (want == "") != (len(a.Notes) == 0) || want != "" && !strings.Contains(a.Notes[0], want) {
			t.Errorf("%s: %q, %v", url, a.Notes, err)
		}
	}
	if a, _ := Parse(api.ExplainAsk{URL: "https://a.test:9/"}, listens); len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "no listener has the port") {
		t.Errorf("another port: %q", a.Notes)
	}
	if a, _ := Parse(api.ExplainAsk{URL: "/"}, []config.Listener{{Address: "unix:/run/lb"}}); !bytes.Contains(a.Head, []byte("Host: localhost\r\n")) {
		t.Errorf("a unix socket: %q", a.Head)
	}
}

// TestParseMistakes: what no client can send is refused in words.
func TestParseMistakes(t *testing.T) {
	for want, ask := range map[string]api.ExplainAsk{
		"there is no URL":        {},
		"no listener for \"ftp:": {URL: "ftp://a.test/"},
		"is no IP address":       {URL: "/", From: "a.test"},
		"has a line end":         {URL: "/\r\nX: y"},
		"\"GET\\n\" has a line":  {Method: "GET\n", URL: "/"},
		"X: y\\r\\nZ: w":         {URL: "/", Headers: []string{"X: y\r\nZ: w"}},
		"is no field":            {URL: "/", Headers: []string{"X"}},
	} {
		if _, err := Parse(ask, listens); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", ask, err, want)
		}
	}
}

// FuzzParse: whatever is asked, it is one whole head, or refused; and it has no credential when it is shown.
func FuzzParse(f *testing.F) {
	f.Add("GET", "http://u:p@a.test:80/x?token=y#z", "X: y", "10.0.0.1")
	f.Add("", "?", "Host:", "::1%eth0")
	f.Add("CONNECT", "[", ";", "")
	cfg := config.Default()
	limits := &httpparse.Limits{HeadBytes: 64 << 10, Fields: 100, TargetBytes: 16 << 10}
	f.Fuzz(func(t *testing.T, method, url, field, from string) {
		facts, err := Begin(api.ExplainAsk{Method: method, URL: url, Headers: []string{field}, From: from}, Facts{Config: cfg}, limits)
		if err != nil {
			return
		}
		head := facts.Asked.Head
		if !bytes.HasSuffix(head, []byte("\r\n\r\n")) || bytes.Count(head, []byte("\r\n\r\n")) != 1 {
			t.Errorf("%q is not one head", head)
		}
		if facts.Refused == httpparse.NoReason && int(facts.Request.HeadLen) != len(head) {
			t.Errorf("%q: %d bytes of it are the head", head, facts.Request.HeadLen)
		}
	})
}
