package health

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/internal/tlsfault"
)

// h2cServer serves h by HTTP/2 without TLS, and by nothing else.
func h2cServer(t *testing.T, h http.HandlerFunc) location {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return location{"tcp", s.Listener.Addr().String()}
}

// frame returns a frame of HTTP/2 (RFC 9113 4.1).
func frame(kind, flags byte, stream byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}) + payload
}

// rawH2 sends an empty SETTINGS frame, and answer once it has read a head. If hold says so,
// it does not end its side of the conn before the client does.
func rawH2(t *testing.T, answer string, hold bool) location {
	t.Helper()
	return secureBackend(t, nil, func(c net.Conn) {
		in := bufio.NewReader(c)
		in.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		io.WriteString(c, frame(4, 0, 0, ""))
		for kind := byte(0); kind != 1; {
			head, err := in.Peek(9)
			if err != nil {
				return
			}
			kind = head[3]
			in.Discard(9 + int(head[1])<<8 + int(head[2]))
		}
		io.WriteString(c, answer)
		if !hold {
			c.(*net.TCPConn).CloseWrite()
		}
		io.Copy(io.Discard, in) // what is not read when the conn is closed would reset it
	})
}

// TestProbeH2C: checks of a pool with "h2c" are HTTP/2 from the first byte.
func TestProbeH2C(t *testing.T) {
	const status200, status500 = "\x88", "\x8e" // of the static table (RFC 7541 A)
	const quick = 30 * time.Millisecond
	answers := func(code int) location {
		return h2cServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for _, tc := range []struct {
		name    string
		at      location
		timeout time.Duration
		want    result
	}{
		{"200", answers(200), testkit.Patience, result{good: true, why: board.ReasonOK, detail: 200, cause: "status 200"}},
		{"503", answers(503), testkit.Patience, result{why: board.ReasonStatus, detail: 503, cause: "status 503, want 200-399"}},
		{"a body that does not end", rawH2(t, frame(1, 4, 1, status200)+frame(0, 0, 1, "x"), true), testkit.Patience,
			result{good: true, why: board.ReasonOK, detail: 200, cause: "status 200"}},
		{"500 by hand", rawH2(t, frame(1, 5, 1, status500), true), testkit.Patience,
			result{why: board.ReasonStatus, detail: 500, cause: "status 500, want 200-399"}},
		{"refused", rawH2(t, frame(3, 0, 1, "\x00\x00\x00\x07"), true), testkit.Patience,
			result{why: board.ReasonBadAnswer, cause: "response: stream error: stream ID 1; REFUSED_STREAM; received from peer"}},
		{"closes", rawH2(t, "", false), testkit.Patience, result{why: board.ReasonReset, cause: "response: connection closed"}},
		{"says nothing", rawH2(t, "", true), quick, result{why: board.ReasonTimeout, cause: "response: timeout after "}},
		{"frames that lead nowhere", rawH2(t, frame(0, 0, 0, ""), true), testkit.Patience, result{why: board.ReasonBadAnswer, cause: "response: connection error: PROTOCOL_ERROR"}},
		{"HTTP/1", rawBackend(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", true), testkit.Patience,
			result{why: board.ReasonBadAnswer, cause: "response: HTTP/1, and the pool has HTTP/2"}},
		{"refuses", refusing(t), testkit.Patience, result{why: board.ReasonConnect, cause: "connect: connection refused"}},
	} {
		h := config.NewHealth()
		h.Timeout = tc.timeout
		r := probe(t.Context(), &h, "x", config.ProtocolH2C, tc.at, nil)
		// On a busy machine, even the connection may take longer than so short a time.
		for strings.HasPrefix(r.cause, "connect: timeout") && h.Timeout < testkit.Patience {
			h.Timeout *= 2
			r = probe(t.Context(), &h, "x", config.ProtocolH2C, tc.at, nil)
		}
		if tc.want.why == board.ReasonTimeout {
			tc.want.cause += h.Timeout.String()
		}
		if r != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, r, tc.want)
		}
	}
}

// TestProbeHTTP2Request: what a backend is asked by HTTP/2.
func TestProbeHTTP2Request(t *testing.T) {
	got := make(chan string, 1)
	at := h2cServer(t, func(_ http.ResponseWriter, r *http.Request) {
		got <- fmt.Sprintf("%s %s %s %s UA:%s fields:%d", r.Proto, r.Method, r.RequestURI, r.Host, r.UserAgent(), len(r.Header))
	})
	for _, tc := range []struct{ method, path, host, want string }{
		{"GET", "/", "", "HTTP/2.0 GET / app:80 UA:lb-health fields:1"},
		{"HEAD", "//x/%2e?a=%20b", "www.example.com", "HTTP/2.0 HEAD //x/%2e?a=%20b www.example.com UA:lb-health fields:1"},
	} {
		h := config.NewHealth()
		h.Method, h.Path, h.Host, h.Timeout = tc.method, tc.path, tc.host, testkit.Patience
		r := probe(t.Context(), &h, hostOf(h, config.Backend{Host: "app", Port: 80}), config.ProtocolH2C, at, nil)
		if !r.good {
			t.Fatalf("%+v", r)
		}
		if g := testkit.Wait(t, got, "the request"); g != tc.want {
			t.Errorf("the backend got %q, want %q", g, tc.want)
		}
	}
}

// TestProbeALPN: "h2" wants HTTP/2 of the backend, "auto" takes what it chooses.
func TestProbeALPN(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	pair := ca.Issue(t, testkit.Leaf{Names: []string{"backend.test"}})
	proto := make(chan string, 1)
	backend := func(protos ...string) location {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto <- r.Proto }))
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}, NextProtos: protos}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return location{"tcp", s.Listener.Addr().String()}
	}
	both, old, none := backend("h2", "http/1.1"), backend("http/1.1"), secureBackend(t, &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}}, nil)
	for _, tc := range []struct {
		name, protocol, kind string
		at                   location
		want                 string // what the backend was spoken to by; "": it is down
	}{
		{"both", config.ProtocolH2, config.CheckHTTP, both, "HTTP/2.0"},
		{"both", config.ProtocolAuto, config.CheckHTTP, both, "HTTP/2.0"},
		{"both", config.ProtocolHTTP1, config.CheckHTTP, both, "HTTP/1.1"},
		{"HTTP/1.1 alone", config.ProtocolAuto, config.CheckHTTP, old, "HTTP/1.1"},
		{"HTTP/1.1 alone", config.ProtocolH2, config.CheckHTTP, old, ""},
		{"HTTP/1.1 alone", config.ProtocolH2, config.CheckTCP, old, ""},
		{"HTTP/1.1 alone", config.ProtocolAuto, config.CheckGRPC, old, ""},
		{"no ALPN", config.ProtocolH2, config.CheckHTTP, none, ""},
		{"no ALPN", config.ProtocolH2, config.CheckTCP, none, ""},
		{"no ALPN", config.ProtocolAuto, config.CheckGRPC, none, ""},
	} {
		cfg := &config.Config{Pools: []config.Pool{{TLS: config.BackendTLS{CA: "ca.pem"}, Protocol: tc.protocol,
			Backends: []config.Backend{{Host: "backend.test", Port: 443, TLS: true}}}}}
		set, err := tlsconf.ForProbes(cfg, &tlsconf.Secrets{Pools: []*tlsconf.PoolSecrets{{CA: ca.Cert}}})
		if err != nil {
			t.Fatal(err)
		}
		h := config.NewHealth()
		h.Type, h.Timeout = tc.kind, testkit.Patience
		r := probe(t.Context(), &h, "backend.test", tc.protocol, tc.at, tlsconf.ForBackend(set.Pools[0], cfg.Pools[0].Backends[0]))
		switch {
		case tc.want == "":
			if r.good || r.why != board.ReasonTLS || r.detail != uint64(tlsfault.NoProtocol) {
				t.Errorf("%s, %s, %s: %+v; want no protocol in common", tc.name, tc.protocol, tc.kind, r)
			}
		case !r.good:
			t.Errorf("%s, %s, %s: %+v", tc.name, tc.protocol, tc.kind, r)
		default:
			if got := testkit.Wait(t, proto, "the request"); got != tc.want {
				t.Errorf("%s, %s, %s: %s, want %s", tc.name, tc.protocol, tc.kind, got, tc.want)
			}
		}
	}
}

// TestUpdateOfProtocol: another protocol of the pool is another check.
func TestUpdateOfProtocol(t *testing.T) {
	at := h2cServer(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, func(h *config.Health) { h.Fall, h.Rise = 1, 1 }, at)
	testkit.Until(t, "down by HTTP/1.1", func() bool { return r.health(1) == board.Down })
	r.update(func(p *config.Pool) { p.Protocol = config.ProtocolH2C })
	testkit.Until(t, "up by HTTP/2", func() bool { return r.health(1) == board.Up })
	r.update(func(p *config.Pool) { p.Health.Type = config.CheckGRPC })
	testkit.Until(t, "down by gRPC", func() bool { return r.health(1) == board.Down })
	if why := board.Reason(r.board.State(1).HealthReason.Load()); why != board.ReasonBadAnswer {
		t.Errorf("down for %v", why)
	}
}
