package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// h2server starts a server of net/http that speaks HTTP/2, over TLS or not, and allows so many
// streams on a conn.
func h2server(t *testing.T, secure bool, streams int, h http.HandlerFunc) (url string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP2(secure)
	if s.EnableHTTP2 = secure; secure {
		s.StartTLS()
		roots = x509.NewCertPool()
		roots.AddCert(s.Certificate())
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL + "/", roots
}

// Every request is answered once, over conns that speak HTTP/2.
func TestH2(t *testing.T) {
	for _, tc := range []struct {
		name   string
		secure bool
		allows int // streams, by the server
		o      Options
	}{
		{"one stream", false, 100, Options{Requests: 100, Conns: 3, Loops: 2}},
		{"one request", false, 100, Options{Requests: 1, Conns: 3, Streams: 8}},
		{"streams", false, 100, Options{Requests: 1001, Conns: 3, Loops: 2, Streams: 50}},
		{"more streams than allowed", false, 3, Options{Requests: 300, Conns: 2, Streams: 50}},
		{"TLS", true, 100, Options{Requests: 500, Conns: 3, Loops: 2, Streams: 20}},
		{"uploads", false, 100, Options{Requests: 40, Conns: 2, Streams: 10, BodyBytes: 300_000}},
		{"uploads, TLS", true, 100, Options{Requests: 40, Conns: 2, Streams: 10, BodyBytes: 300_000}},
		{"HEAD", false, 100, Options{Requests: 100, Conns: 2, Streams: 10, Method: "HEAD"}},
		{"a conn each", false, 100, Options{Requests: 30, Conns: 2, NewConnPerRequest: true}},
		{"open loop", false, 100, Options{Requests: 200, Conns: 2, Streams: 10, Rate: 2000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked, other, short atomic.Int64
			body := strings.Repeat("x", 100_000)
			url, roots := h2server(t, tc.secure, tc.allows, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.ProtoMajor != 2 || r.URL.Path != "/" || r.Host == "" {
					other.Add(1)
				}
				if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(tc.o.BodyBytes) {
					short.Add(1)
				}
				w.Header().Set("Trailer", "X-Sum")
				io.WriteString(w, body)
				w.Header().Set("X-Sum", "1")
			})
			o := tc.o
			o.URL, o.HTTP2, o.Verify, o.Timeout, o.TLS = url, true, true, testkit.Patience, &tls.Config{RootCAs: roots}
			r := finished(t, o)
			if r.Answers != o.Requests || r.Errors.Total() != 0 || asked.Load() != o.Requests || other.Load() != 0 || short.Load() != 0 {
				t.Errorf("%d answers, %+v, %d came, %d in HTTP/1, %d short; want %d", r.Answers, r.Errors, asked.Load(), other.Load(), short.Load(), o.Requests)
			}
			if want := int64(o.Conns); !o.NewConnPerRequest && r.Connects > want || o.NewConnPerRequest && r.Connects != o.Requests {
				t.Errorf("%d conns", r.Connects)
			}
		})
	}
}

// A server that says GOAWAY again and again loses no request.
func TestH2Goaway(t *testing.T) {
	var asked atomic.Int64
	url, _ := h2server(t, false, 100, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%40 == 0 {
			w.Header().Set("Connection", "close") // GOAWAY, for net/http
		}
	})
	r := finished(t, Options{URL: url, HTTP2: true, Requests: 1000, Conns: 3, Streams: 20, Timeout: testkit.Patience})
	if r.Answers != 1000 || r.Errors.Total() != 0 || r.Connects < 4 {
		t.Errorf("%d answers, %+v, %d conns; want 1000 on more than 3", r.Answers, r.Errors, r.Connects)
	}
}

// Each fault counts as what it is.
func TestH2Faults(t *testing.T) {
	reset, _ := h2server(t, false, 100, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	status, _ := h2server(t, false, 100, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	done := make(chan struct{})
	silent, _ := h2server(t, false, 100, func(_ http.ResponseWriter, r *http.Request) { <-done })
	defer close(done)
	h1 := serve(t, func(p *peer) { p.say(ok("hello")); p.wait() })
	ends := serve(t, func(p *peer) { p.request(); p.reset() })
	for _, tc := range []struct {
		name, url string
		timeout   time.Duration
		want      Errors
	}{
		{"streams that are reset", reset, 0, Errors{Reset: 10}},
		{"status", status, 0, Errors{Status: 10}},
		{"no answer", silent, 50 * time.Millisecond, Errors{Timeout: 10}},
		{"conns that end", ends, 0, Errors{Reset: 10}},
	} {
		r := finished(t, Options{URL: tc.url, HTTP2: true, Requests: 10, Conns: 2, Streams: 5, Timeout: tc.timeout})
		if r.Errors != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, r.Errors, tc.want)
		}
	}
	r := finished(t, Options{URL: h1, HTTP2: true, Requests: 10, Conns: 2, Streams: 5})
	if r.Errors.Protocol == 0 || r.Errors.Protocol+r.Errors.Reset != 10 {
		t.Errorf("a server of HTTP/1.1: %+v", r.Errors)
	}
	url, roots := secure(t, tls.VersionTLS13, func(http.ResponseWriter, *http.Request) {})
	r = finished(t, Options{URL: url, HTTP2: true, Requests: 4, Conns: 2, TLS: &tls.Config{RootCAs: roots}})
	if r.Errors.Handshake != 4 || r.TLS.Error == "" {
		t.Errorf("a server without ALPN: %+v, %+v", r.Errors, r.TLS)
	}
}

// The end of the context cuts off the streams.
func TestH2Cut(t *testing.T) {
	done := make(chan struct{})
	url, _ := h2server(t, false, 100, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(50*time.Millisecond, cancel)
	r, err := Run(ctx, Options{URL: url, HTTP2: true, Requests: 100, Conns: 2, Streams: 5})
	if err != nil || !r.Cut || r.Unfinished != 10 || r.Answers != 0 {
		t.Errorf("%+v, %v; want 10 unfinished", r, err)
	}
}
