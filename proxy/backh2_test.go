package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/proxy/h2back"
)

// newH2Far returns a backend that net/http makes, with h over HTTP/2 without TLS, and HTTP/1.1 if
// protocols names any; or over TLS with these protocols in ALPN, if cert is given.
func newH2Far(t *testing.T, cert *testkit.Pair, protocols []string, h http.HandlerFunc) (f *far, s *http.Server) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f = &far{Listener: ln}
	s = &http.Server{Handler: h, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 5000, MaxReceiveBufferPerConnection: 70000}, ConnState: func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			f.conns.Add(1)
		}
	}}
	s.Protocols.SetHTTP1(len(protocols) > 0)
	s.Protocols.SetUnencryptedHTTP2(cert == nil)
	s.Protocols.SetHTTP2(cert != nil)
	t.Cleanup(func() { s.Close() })
	if cert == nil {
		go s.Serve(ln)
		return f, s
	}
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}, NextProtos: protocols}
	s.Protocols.SetHTTP2(strings.Contains(strings.Join(protocols, " "), "h2"))
	s.Protocols.SetHTTP1(strings.Contains(strings.Join(protocols, " "), "http/1.1"))
	go s.ServeTLS(ln, "", "")
	return f, s
}

// h2Config has one backend for each address.
func h2Config(protocol string, fars ...*far) *config.Config {
	cfg := farConfig(fars...)
	cfg.Pools[0].Protocol = protocol
	if protocol == config.ProtocolH2C {
		cfg.Pools[0].TLS = config.BackendTLS{}
		for i := range cfg.Pools[0].Backends {
			cfg.Pools[0].Backends[i].TLS = false
		}
	}
	return cfg
}

// TestBackendH2C: requests of several clients share one conn.
func TestBackendH2C(t *testing.T) {
	f, _ := newH2Far(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Host != "a" {
			t.Errorf("%s for %s", r.Proto, r.Host)
		}
		io.WriteString(w, "hello")
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, f), nil)
	var all sync.WaitGroup
	begun := time.Now()
	for range 20 {
		all.Go(func() {
			c := r.client()
			for range 5 {
				c.wants(200, "hello")
			}
		})
	}
	all.Wait()
	if n := f.conns.Load(); n != 1 && time.Since(begun) < h2back.Joinable { // else not all may have joined it
		t.Errorf("%d conns", n)
	}
}

// TestBackendH2TLS: the same over TLS, and what ALPN says.
func TestBackendH2TLS(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	for _, tc := range []struct {
		protocol string
		offers   []string
		status   int
		major    int32
	}{
		{config.ProtocolH2, []string{"h2", "http/1.1"}, 200, 2},
		{config.ProtocolH2, []string{"http/1.1"}, 502, 0},
		{config.ProtocolAuto, []string{"h2", "http/1.1"}, 200, 2},
		{config.ProtocolAuto, []string{"http/1.1"}, 200, 1},
	} {
		var major atomic.Int32
		cert := ca.Issue(t, testkit.Leaf{Names: []string{farName}})
		f, _ := newH2Far(t, cert, tc.offers, func(w http.ResponseWriter, r *http.Request) {
			major.Store(int32(r.ProtoMajor))
			io.WriteString(w, "hello")
		})
		r := newBackRig(t, h2Config(tc.protocol, f), &tlsconf.PoolSecrets{CA: ca.Cert})
		for range 3 {
			if status, body, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != tc.status || status == 200 && body != "hello" || err != nil {
				t.Errorf("%s, %v: status %d %q, %v", tc.protocol, tc.offers, status, body, err)
			}
		}
		if major.Load() != tc.major || tc.status == 200 && f.conns.Load() != 1 {
			t.Errorf("%s, %v: HTTP/%d on %d conns", tc.protocol, tc.offers, major.Load(), f.conns.Load())
		}
	}
}

// TestBackendH2Long: a long body each way arrives byte for byte, with trailers.
func TestBackendH2Long(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	f, _ := newH2Far(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		all := sha256.New()
		io.Copy(all, r.Body)
		if got := fmt.Sprintf("%x", all.Sum(nil)); got != sum || r.Trailer.Get("X-Sum") != sum && r.ContentLength < 0 {
			t.Errorf("sum %s, trailers %v", got, r.Trailer)
		}
		w.Header().Set("Trailer", "X-Sum")
		w.Write(body)
		w.Header().Set("X-Sum", sum)
	})
	r := newBackRig(t, h2Config(config.ProtocolH2C, f), nil)
	c := r.client()
	for i := range 4 {
		if i%2 == 0 {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body))
			c.Write(body)
		} else {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n%x\r\n%s\r\n0\r\nX-Sum: %s\r\n\r\n", len(body), body, sum)
		}
		a, err := http.ReadResponse(c.from, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(a.Body)
		if got := fmt.Sprintf("%x", sha256.Sum256(all)); a.StatusCode != 200 || got != sum || err != nil || a.Trailer.Get("X-Sum") != sum {
			t.Fatalf("status %d, %d bytes, %v, trailers %v", a.StatusCode, len(all), err, a.Trailer)
		}
	}
}
