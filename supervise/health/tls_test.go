package health

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/internal/tlsfault"
)

// secureBackend answers over TLS, or does what answer does instead.
func secureBackend(t *testing.T, cfg *tls.Config, answer func(c net.Conn)) location {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if answer == nil {
		answer = func(raw net.Conn) {
			c := tls.Server(raw, cfg)
			c.Read(make([]byte, 1000))
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			c.CloseWrite()
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(testkit.Patience))
				answer(c)
			}()
		}
	}()
	return location{"tcp", l.Addr().String()}
}

// TestProbeTLS: checks of either type need a good handshake, and say what was wrong in the
// words of faults.
func TestProbeTLS(t *testing.T) {
	ca, other := testkit.NewCA(t, "ca"), testkit.NewCA(t, "other")
	leaf := testkit.Leaf{Names: []string{"backend.test"}}
	with := func(p *testkit.Pair) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{p.TLS(t)}}
	}
	asks := with(ca.Issue(t, leaf))
	asks.ClientAuth, asks.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	old := with(ca.Issue(t, leaf))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	plain := func(c net.Conn) {
		c.Read(make([]byte, 1000))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	cfg := &config.Config{Pools: []config.Pool{{TLS: config.BackendTLS{CA: "ca.pem"},
		Backends: []config.Backend{{Host: "backend.test", Port: 443, TLS: true}}}}}
	set, err := tlsconf.ForProbes(cfg, &tlsconf.Secrets{Pools: []*tlsconf.PoolSecrets{{CA: ca.Cert}}})
	if err != nil {
		t.Fatal(err)
	}
	own := tlsconf.ForBackend(set.Pools[0], cfg.Pools[0].Backends[0])
	for _, tc := range []struct {
		what  string
		at    location
		kind  tlsfault.Kind
		cause string // a part of it
	}{
		{"good", secureBackend(t, with(ca.Issue(t, leaf)), nil), tlsfault.None, ""},
		{"wrong name", secureBackend(t, with(ca.Issue(t, testkit.Leaf{Names: []string{"other.test"}})), nil), tlsfault.WrongName, "other.test"},
		{"unknown", secureBackend(t, with(other.Issue(t, leaf)), nil), tlsfault.Unknown, ""},
		{"expired", secureBackend(t, with(ca.Issue(t, leaf.Expired())), nil), tlsfault.Expired, ""},
		{"early", secureBackend(t, with(ca.Issue(t, leaf.NotYet())), nil), tlsfault.Early, ""},
		{"version", secureBackend(t, old, nil), tlsfault.NoVersion, ""},
		{"client certificate", secureBackend(t, asks, nil), tlsfault.CertRequired, ""},
		{"plain", secureBackend(t, nil, plain), tlsfault.NotTLS, ""},
		{"closes", secureBackend(t, nil, func(net.Conn) {}), tlsfault.Closed, ""},
	} {
		for _, kind := range []string{config.CheckHTTP, config.CheckTCP} {
			h := config.NewHealth()
			h.Type, h.Timeout = kind, testkit.Patience
			r := probe(t.Context(), &h, "x", "", tc.at, own)
			if r.good != (tc.kind == tlsfault.None) || r.ours {
				t.Errorf("%s, %s: %+v", tc.what, kind, r)
			}
			if tc.kind == tlsfault.None {
				continue
			}
			if r.why != tc.kind.Reason() || r.detail != uint64(tc.kind) || !strings.HasPrefix(r.cause, "tls: "+tc.kind.String()) || !strings.Contains(r.cause, tc.cause) {
				t.Errorf("%s, %s: %v %d %q", tc.what, kind, r.why, r.detail, r.cause)
			}
		}
	}
	h := config.NewHealth()
	h.Timeout = 50 * time.Millisecond
	silent := secureBackend(t, nil, func(c net.Conn) { io.Copy(io.Discard, c) })
	r := probe(t.Context(), &h, "x", "", silent, own)
	// On a busy machine, even the connection may take longer than so short a time.
	for strings.HasPrefix(r.cause, "connect: timeout") && h.Timeout < testkit.Patience {
		h.Timeout *= 2
		r = probe(t.Context(), &h, "x", "", silent, own)
	}
	if r.why != board.ReasonTimeout || !strings.HasPrefix(r.cause, "tls: timeout") {
		t.Errorf("never answers: %+v", r)
	}
}
