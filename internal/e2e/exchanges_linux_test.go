package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"lb/admin/api"
	"lb/internal/testkit"
)

// logAsked are exchanges of each kind, with what their lines have to say.
var logAsked = []struct{ path, want string }{
	{"/good?token=s3cret", "200 web ok//; 200; 0 5"},
	{"/post", "200 web ok//; 200; 4 5"},
	{"/retried", "200 retried ok//; no_connect dial 200; 0 5"},
	{"/refused", "502 refused backend/dial/no_connect; no_connect dial no_connect dial no_connect dial; 0 47"},
	{"/gone", "0 gone client/wait/gone; gone wait; 0 0"},
	{"/503", "503 web ok//; 503; 0 5"},
	{"/socket", "101 web ok//; 101; 8 4"},
	{"/moved", "308  ok//;; 0 0"},
	{"/nowhere", "404  client/admit/no_route;; 0 56"},
	{"/h2", "200 web ok//; 200; 0 5"},
	{"/slow", "504 slow backend/wait/slow; slow wait; 0 47"}, // the last, with a timeout that others could miss
}

// TestExchanges: what the access log says of exchanges of each kind, whoever ended them. Nothing else is
// in it, and no credential.
func TestExchanges(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		arrived, hold := make(chan struct{}), make(chan struct{})
		defer close(hold)
		backend := serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				<-r.Context().Done()
				return
			case "/gone":
				arrived <- struct{}{}
				<-hold
			case "/503":
				w.WriteHeader(503)
			case "/socket":
				wsEcho(make(chan websocket.StatusCode, 1))(w, r)
				return
			}
			fmt.Fprint(w, "hello")
		})
		path := filepath.Join(t.TempDir(), "access.log")
		p := begin(t, mode, setup{tables: exchangeTables(t, path, backend)})
		c := dial(t, p.addr)
		for _, x := range logAsked {
			switch path, _, _ := strings.Cut(x.path, "?"); path {
			case "/gone":
				gone := dial(t, p.addr)
				fmt.Fprintf(gone, "GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
				testkit.Wait(t, arrived, "the request")
				gone.Conn.(*net.TCPConn).SetLinger(0)
				gone.Close()
			case "/socket":
				speakSocket(t, p.addr)
			case "/h2":
				askH2(t, p.addr, x.path)
			default:
				if path == "/slow" {
					p.setup.tables += "[timeouts]\nresponse = \"300ms\"\n"
					p.reload()
				}
				head := lines("GET "+x.path+" HTTP/1.1", "Host: a", "Authorization: Bearer s3cret", "Cookie: a=s3cret")
				if path == "/post" {
					head = lines("POST /post HTTP/1.1", "Host: a", "Content-Length: 4") + "body"
				}
				if _, _, err := c.ask(head); err != nil {
					t.Fatalf("%s: %v", x.path, err)
				}
			}
		}
		wantLines(t, path)
	})
}

// exchangeTables has pools that behave in different ways, and routes to them.
func exchangeTables(t *testing.T, path, backend string) string {
	refusing := testkit.RefusingAddr(t)
	host, port, _ := net.SplitHostPort(backend)
	var b strings.Builder
	fmt.Fprintf(&b, "[access_log]\npath = %q\n", path)
	for _, name := range []string{"web", "slow", "gone"} {
		b.WriteString(poolAt(name, backend))
	}
	b.WriteString(poolAt("refused", refusing) + poolAt("retried", refusing))
	fmt.Fprintf(&b, "[[pools.backends]]\nhost = %q\nport = %s\nbackup = true\n", host, port)
	for _, name := range []string{"retried", "refused", "slow", "gone"} {
		fmt.Fprintf(&b, "[[routes]]\npath = \"/%s\"\npool = %q\n", name, name)
	}
	for _, name := range []string{"good", "post", "503", "socket", "h2"} {
		fmt.Fprintf(&b, "[[routes]]\npath = \"/%s\"\npool = \"web\"\n", name)
	}
	b.WriteString("[[routes]]\npath = \"/moved\"\nredirect = { to = \"/good\", code = 308 }\n")
	return b.String()
}

// speakSocket has a message be sent back over a WebSocket, which the client closes.
func speakSocket(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, wsURL(addr)+"/socket", wsOptions(t))
	if err == nil {
		err = c.Close(websocket.StatusNormalClosure, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// askH2 asks over HTTP/2.
func askH2(t *testing.T, addr, path string) {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: testkit.Patience}).Get("http://" + addr + path)
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
}

// wantLines waits for a line for each exchange, and compares them.
func wantLines(t *testing.T, path string) {
	t.Helper()
	var text string
	testkit.Until(t, "all lines", func() bool {
		b, _ := os.ReadFile(path)
		text = string(b)
		return strings.Count(text, "\n") >= len(logAsked)
	})
	if strings.Contains(text, "s3cret") {
		t.Errorf("a credential in the log: %s", text)
	}
	got := map[string]string{}
	for line := range strings.Lines(text) {
		var x api.Exchange
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if x.Client != "127.0.0.1" || x.RequestID == "" || x.Time.IsZero() || x.Protocol != map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[x.Target == "/h2"] {
			t.Errorf("%s", line)
		}
		tries := ""
		for _, a := range x.Attempts {
			if a.Cause != "" {
				tries += " " + a.Cause + " " + a.Phase
			}
			if a.Status > 0 {
				tries += fmt.Sprint(" ", a.Status)
			}
		}
		said := fmt.Sprintf("%d %s %s/%s/%s;%s; ", x.Status, x.Pool, x.End, x.EndPhase, x.EndWhy, tries)
		got[strings.Replace(x.Target, "***", "s3cret", 1)] = fmt.Sprintf("%s%d %d", said, x.BytesIn, x.Bytes)
	}
	for _, x := range logAsked {
		if got[x.path] != x.want {
			t.Errorf("%s: %q, want %q", x.path, got[x.path], x.want)
		}
	}
	if len(got) != len(logAsked) || strings.Count(text, "\n") != len(logAsked) {
		t.Errorf("%d lines of %d exchanges: %s", strings.Count(text, "\n"), len(logAsked), text)
	}
}
