package rest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// rig is a server of one side with a fake Control.
type rig struct {
	t       *testing.T
	control *testkit.Control
	server  *Server
	over    context.CancelFunc
	network string // tcp or unix
	addr    string
	log     testkit.Log
}

// newRig starts a server: with a Network on TCP, else on a unix socket. set changes it
// before.
func newRig(t *testing.T, o Options, set ...func(*http.Server, *Server)) *rig {
	t.Helper()
	r := &rig{t: t, control: &testkit.Control{}, network: "unix", addr: filepath.Join(t.TempDir(), "s")}
	if o.Network != nil {
		r.network, r.addr = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(r.network, r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	o.Over, r.over = context.WithCancel(context.Background())
	if o.Control == nil {
		o.Control = r.control
	}
	o.Log = slog.New(slog.NewTextHandler(&r.log, nil))
	if o.Streams == 0 {
		o.Streams = 4
	}
	r.server = New(o)
	h := &http.Server{Handler: r.server, ConnContext: ConnContext, ReadTimeout: testkit.Patience}
	for _, f := range set {
		f(h, r.server)
	}
	done := make(chan struct{})
	go func() { defer close(done); h.Serve(l) }()
	t.Cleanup(func() {
		r.over()
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		<-done
	})
	return r
}

// overTCP returns the rules for a lb of that token, on lb.example.com and a machine of that
// name.
func overTCP(token string) *Network {
	return &Network{Token: func() string { return token }, Hosts: []string{"admin.example.com", "box", ""}}
}

// client returns a client that keeps no conn.
func (r *rig) client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, r.network, r.addr)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// request returns a request with fields such as "Origin: null"; Host sets the host.
func (r *rig) request(method, target, body string, fields ...string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://localhost"+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	return req
}

// ask makes a request and returns the whole answer.
func (r *rig) ask(method, target, body string, fields ...string) (*http.Response, string) {
	r.t.Helper()
	resp, err := r.client().Do(r.request(method, target, body, fields...))
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	return resp, string(bytes.TrimSpace(text))
}

// within returns a context that ends when the test has waited long enough.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	t.Cleanup(cancel)
	return ctx
}

// speak sends text on a conn of its own and returns all that comes back.
func (r *rig) speak(text string) string {
	r.t.Helper()
	c, err := net.Dial(r.network, r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(c, text)
	answer, _ := io.ReadAll(c)
	return string(answer)
}
