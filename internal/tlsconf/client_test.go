package tlsconf

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
)

// meet has a backend that server configures and a client shake hands. It returns what the
// client agreed on, and which name it has sent.
func meet(t *testing.T, client, server *tls.Config) (state tls.ConnectionState, sni string, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(testkit.Patience))
	}
	server = server.Clone()
	server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		sni = h.ServerName
		return nil, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(b, server)
		s.Handshake()
		s.Write([]byte("x")) // after the tickets
	}()
	c := tls.Client(a, client)
	if err = c.Handshake(); err == nil {
		c.Read(make([]byte, 1))
		state = c.ConnectionState()
	}
	a.Close()
	<-done
	return state, sni, err
}

// TestClientNames: the certificate is for server_name, or else the backend's host; an
// address is verified as one, and not sent.
func TestClientNames(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	leaf := ca.Issue(t, testkit.Leaf{Names: []string{"a.test", "localhost"}, IPs: []string{"10.0.0.1", "fe80::1"}})
	server := &tls.Config{Certificates: []tls.Certificate{leaf.TLS(t)}}
	for _, tc := range []struct {
		name, sni string
		b         config.Backend
		good      bool
	}{
		{"", "a.test", config.Backend{Host: "a.test", Port: 443}, true},
		{"", "a.test", config.Backend{Host: "a.test.", Port: 443}, true},
		{"", "b.test", config.Backend{Host: "b.test", Port: 443}, false},
		{"", "a.test", config.Backend{Host: "10.0.0.9", Name: "a.test", Port: 443}, true},
		{"", "b.test", config.Backend{Host: "10.0.0.1", Name: "b.test", Port: 443}, false},
		{"a.test", "a.test", config.Backend{Host: "b.test", Port: 443}, true},
		{"b.test", "b.test", config.Backend{Host: "a.test", Port: 443}, false},
		{"", "", config.Backend{Host: "10.0.0.1", Port: 443}, true},
		{"", "", config.Backend{Host: "10.0.0.2", Port: 443}, false},
		{"", "", config.Backend{Host: "fe80::1%lo", Port: 443}, true},
		{"", "localhost", config.Backend{Socket: "/run/a"}, true},
	} {
		pool, err := Client(config.BackendTLS{CA: "ca.pem", ServerName: tc.name}, config.ProtocolHTTP1, &PoolSecrets{CA: ca.Cert})
		if err != nil {
			t.Fatal(err)
		}
		tc.b.TLS = true
		_, sni, err := meet(t, ForBackend(pool, tc.b), server)
		if sni != tc.sni || (err == nil) != tc.good {
			t.Errorf("%q, %v: SNI %q, %v", tc.name, tc.b, sni, err)
		}
	}
	if ForBackend(nil, config.Backend{}) != nil || ForBackend(&tls.Config{}, config.Backend{Host: "a"}) != nil {
		t.Error("a configuration of TLS for a plain backend")
	}
}

// TestClientSettings: authorities, insecure, versions, ALPN and lb's own certificate.
func TestClientSettings(t *testing.T) {
	ca, other := testkit.NewCA(t, "ca"), testkit.NewCA(t, "other")
	leaf, own := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), ca.Issue(t, testkit.Leaf{Names: []string{"lb"}, Client: true})
	b := config.Backend{Host: "a.test", Port: 443, TLS: true}
	settings := func(cfg config.BackendTLS, s *PoolSecrets) *tls.Config {
		pool, err := Client(cfg, config.ProtocolHTTP1, s)
		if err != nil {
			t.Fatal(err)
		}
		return ForBackend(pool, b)
	}
	server := &tls.Config{Certificates: []tls.Certificate{leaf.TLS(t)}, MinVersion: tls.VersionTLS10, NextProtos: []string{"h2", "http/1.1"}}
	state, _, err := meet(t, settings(config.BackendTLS{CA: "ca.pem"}, &PoolSecrets{CA: append(other.Cert, ca.Cert...)}), server)
	if err != nil || state.NegotiatedProtocol != "http/1.1" || state.Version != tls.VersionTLS13 {
		t.Errorf("protocol %q, version %x, %v", state.NegotiatedProtocol, state.Version, err)
	}
	if _, _, err := meet(t, settings(config.BackendTLS{CA: "ca.pem"}, &PoolSecrets{CA: other.Cert}), server); err == nil {
		t.Error("an unknown authority is believed")
	}
	if _, _, err := meet(t, settings(config.BackendTLS{}, nil), server); err == nil {
		t.Error("the system believes the authority of a test")
	}
	if _, _, err := meet(t, settings(config.BackendTLS{Insecure: true}, nil), server); err != nil {
		t.Errorf("insecure: %v", err)
	}
	for protocol, want := range map[string]string{"": "http/1.1", config.ProtocolHTTP1: "http/1.1", config.ProtocolH2: "h2", config.ProtocolAuto: "h2"} {
		pool, err := Client(config.BackendTLS{Insecure: true}, protocol, nil)
		if err != nil {
			t.Fatal(err)
		}
		if state, _, err := meet(t, ForBackend(pool, b), server); err != nil || state.NegotiatedProtocol != want {
			t.Errorf("protocol %q: %q, %v", protocol, state.NegotiatedProtocol, err)
		}
	}
	server.MaxVersion = tls.VersionTLS11
	if _, _, err := meet(t, settings(config.BackendTLS{Insecure: true}, nil), server); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	server.MaxVersion = 0
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	var shown string
	server.VerifyConnection = func(s tls.ConnectionState) error {
		shown = s.PeerCertificates[0].Subject.CommonName
		return nil
	}
	cfg := config.BackendTLS{CA: "ca.pem", ClientCert: "lb.pem", ClientKey: "lb.key"}
	for _, s := range []*PoolSecrets{{CA: ca.Cert, ClientCert: own.Cert, ClientKey: own.Key}, {CA: ca.Cert, ClientCert: append(own.Key, own.Cert...)}} {
		if cfg.ClientKey = ""; s.ClientKey != nil {
			cfg.ClientKey = "lb.key"
		}
		if _, _, err := meet(t, settings(cfg, s), server); err != nil || shown != "lb" {
			t.Errorf("shown %q, %v", shown, err)
		}
	}
}

// TestClientResumes: sessions belong to one backend, and stay as long as the settings.
func TestClientResumes(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	leaf := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	one := &tls.Config{Certificates: []tls.Certificate{leaf.TLS(t)}}
	one.SetSessionTicketKeys([][32]byte{{1}})
	cfg := &config.Config{Pools: []config.Pool{
		{Name: "plain", Backends: []config.Backend{{Host: "p", Port: 80}}},
		{Name: "a", TLS: config.BackendTLS{CA: "ca.pem", ServerName: "a.test"}, Backends: []config.Backend{
			{Host: "10.0.0.1", Port: 443, TLS: true}, {Host: "10.0.0.2", Port: 443, TLS: true}}},
	}}
	secrets := &Secrets{Pools: []*PoolSecrets{nil, {CA: ca.Cert}}}
	build := func(before *Set) *Set {
		set, err := ForProbes(cfg, secrets)
		if err != nil {
			t.Fatal(err)
		}
		set.Keep(before)
		return set
	}
	set := build(nil)
	if set.Pools[0] != nil || set.Pools[1] == nil {
		t.Fatalf("%v", set.Pools)
	}
	resumes := func(set *Set, i int) bool {
		t.Helper()
		state, _, err := meet(t, ForBackend(set.Pools[1], cfg.Pools[1].Backends[i]), one)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	if resumes(set, 0) || !resumes(set, 0) {
		t.Error("the first handshake is resumed, or the second is not")
	}
	if resumes(set, 1) {
		t.Error("a session with another backend is resumed")
	}
	again := build(set)
	if again.Pools[1] != set.Pools[1] || !resumes(again, 0) {
		t.Error("sessions are lost though nothing has changed")
	}
	cfg.Pools[1].Protocol = config.ProtocolAuto
	if changed := build(again); changed.Pools[1] == set.Pools[1] {
		t.Error("a configuration stays though the protocol has changed")
	}
	cfg.Pools[1].Protocol = ""
	secrets.Pools[1] = &PoolSecrets{CA: append(testkit.NewCA(t, "other").Cert, ca.Cert...)}
	if changed := build(again); changed.Pools[1] == set.Pools[1] || resumes(changed, 0) {
		t.Error("sessions stay though the authorities have changed")
	}
	cfg.Pools = append(cfg.Pools, cfg.Pools[1])
	secrets.Pools = append(secrets.Pools, secrets.Pools[1])
	twins := build(build(set))
	if twins.Pools[1] == twins.Pools[2] {
		t.Error("two pools share their sessions")
	}
	var none *Set
	none.Keep(set)
}

// TestClientErrors: an error names the table, the key and the file.
func TestClientErrors(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	a, b := ca.Issue(t, testkit.Leaf{Client: true}), ca.Issue(t, testkit.Leaf{Client: true})
	for _, tc := range []struct {
		pool string
		tls  config.BackendTLS
		s    *PoolSecrets
		want []string
	}{
		{"default", config.BackendTLS{CA: "ca.pem"}, &PoolSecrets{CA: []byte("nonsense")}, []string{"[backend_tls]: ca: ca.pem has no certificate"}},
		{"web", config.BackendTLS{CA: "ca.pem"}, nil, []string{`[pools.tls] of the pool "web": ca: ca.pem`}},
		{"web", config.BackendTLS{ClientCert: "a.pem", ClientKey: "a.key"}, &PoolSecrets{ClientCert: a.Cert, ClientKey: b.Key},
			[]string{"client_cert a.pem", "client_key a.key", "does not match"}},
		{"web", config.BackendTLS{ClientCert: "a.pem"}, &PoolSecrets{ClientCert: a.Cert}, []string{"client_key a.pem"}},
	} {
		cfg := &config.Config{Pools: []config.Pool{{Name: tc.pool, TLS: tc.tls, Backends: []config.Backend{{Host: "h", TLS: true}}}}}
		_, err := ForProbes(cfg, &Secrets{Pools: []*PoolSecrets{tc.s}})
		if err == nil {
			t.Errorf("%+v: no error", tc.tls)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}
