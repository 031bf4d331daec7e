package bench

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

// secure starts a server of net/http with TLS and returns its URL and authority.
func secure(t *testing.T, version uint16, h http.HandlerFunc) (url string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{MaxVersion: version}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL + "/", roots
}

func TestTLS(t *testing.T) {
	testkit.Long(t)
	for _, tc := range []struct {
		name            string
		version         uint16
		o               Options
		shakes, resumed int64
	}{
		{"keep-alive", tls.VersionTLS13, Options{Requests: 500, Conns: 5, Loops: 2}, 5, 0},
		{"pipeline", tls.VersionTLS13, Options{Requests: 500, Conns: 2, Loops: 1, Pipeline: 10}, 2, 0},
		{"upload", tls.VersionTLS13, Options{Requests: 40, Conns: 2, Loops: 1, BodyBytes: 300_000}, 2, 0},
		{"1.2", tls.VersionTLS12, Options{Requests: 500, Conns: 5, Loops: 2}, 5, 0},
		{"open loop", tls.VersionTLS13, Options{Requests: 200, Conns: 5, Loops: 2, Rate: 2000}, 5, 0},
		{"full handshakes", tls.VersionTLS13, Options{Requests: 60, Conns: 4, Loops: 2, NewConnPerRequest: true}, 60, 0},
		{"full handshakes, 1.2", tls.VersionTLS12, Options{Requests: 60, Conns: 4, Loops: 2, NewConnPerRequest: true}, 60, 0},
		{"resumed", tls.VersionTLS13, Options{Requests: 60, Conns: 4, Loops: 2, NewConnPerRequest: true, Resume: true}, 60, 56},
		{"resumed, 1.2", tls.VersionTLS12, Options{Requests: 60, Conns: 4, Loops: 2, NewConnPerRequest: true, Resume: true}, 60, 56},
		{"more conns than handshakes at once", tls.VersionTLS13, Options{Requests: 300, Conns: 3 * shakesMax, Loops: 1}, 3 * shakesMax, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := strings.Repeat("x", 100_000)
			url, roots := secure(t, tc.version, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, body)
			})
			o := tc.o
			o.URL, o.TLS, o.Verify, o.Timeout = url, &tls.Config{RootCAs: roots}, true, testkit.Patience
			r := finished(t, o)
			if r.Answers != o.Requests || r.Errors.Total() != 0 {
				t.Errorf("%d answers, %+v, %+v; want %d", r.Answers, r.Errors, *r.TLS, o.Requests)
			}
			want := TLS{Handshakes: tc.shakes, Resumed: tc.resumed, Version: tls.VersionName(tc.version), Suite: r.TLS.Suite}
			if *r.TLS != want || r.TLS.Suite == "" {
				t.Errorf("handshakes %+v, want %+v", *r.TLS, want)
			}
		})
	}
}

// A certificate of an unknown authority, and bytes that are no TLS.
func TestNoTLS(t *testing.T) {
	url, _ := secure(t, tls.VersionTLS13, func(http.ResponseWriter, *http.Request) {})
	plain := strings.Replace(serve(t, func(p *peer) { p.say(ok("hello")); p.wait() }), "http:", "https:", 1)
	silent := strings.Replace(serve(t, func(p *peer) { p.wait() }), "http:", "https:", 1)
	for _, tc := range []struct {
		url, want string
		timeout   time.Duration
	}{
		{url, "unknown authority", 0},
		{plain, "first record does not look like a TLS handshake", 0},
		{silent, "", 100 * time.Millisecond},
	} {
		r := finished(t, Options{URL: tc.url, Requests: 3, Conns: 2, Timeout: tc.timeout})
		if r.Errors.Handshake != 3 || r.Answers != 0 || r.TLS.Handshakes != 0 || !strings.Contains(r.TLS.Error, tc.want) {
			t.Errorf("%s: %+v, %+v; want 3 failed handshakes and %q", tc.url, r.Errors, r.TLS, tc.want)
		}
	}
}
