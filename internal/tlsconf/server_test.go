package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

// tlsConfig returns a configuration with one TLS listener.
func tlsConfig() *config.Config {
	cfg := config.Default()
	cfg.Listeners = []config.Listener{{Address: ":443", TLS: true}}
	return cfg
}

// secrets returns secrets with these certificates and a ticket key.
func secrets(pairs ...*testkit.Pair) *tlsconf.Secrets {
	s := &tlsconf.Secrets{Number: 1, Tickets: [][]byte{[]byte(strings.Repeat("k", 32))}}
	for _, p := range pairs {
		s.Certs = append(s.Certs, tlsconf.Cert{Chain: p.Cert, Key: p.Key})
	}
	return s
}

func build(t testing.TB, cfg *config.Config, s *tlsconf.Secrets) *tlsconf.Set {
	t.Helper()
	set, err := tlsconf.Build(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// shake does a handshake over a socket, then sends a byte from the server, with which the
// client gets its tickets. It returns what each side knows of the other.
func shake(t testing.TB, server, client *tls.Config) (atServer, atClient tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	failed := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			failed <- err
			return
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(testkit.Patience))
		c := tls.Server(raw, server)
		_, err = c.Write([]byte("x"))
		atServer = c.ConnectionState()
		failed <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(testkit.Patience))
	c := tls.Client(raw, client)
	_, err = c.Read(make([]byte, 1))
	atClient = c.ConnectionState()
	c.Close()
	return atServer, atClient, errors.Join(err, <-failed)
}

func TestCertificateByName(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	first := ca.Issue(t, testkit.Leaf{Names: []string{"edge.test"}})
	a := ca.Issue(t, testkit.Leaf{Names: []string{"A.test."}})
	wild := ca.Issue(t, testkit.Leaf{Names: []string{"*.wild.test"}})
	exact := ca.Issue(t, testkit.Leaf{Names: []string{"x.wild.test"}})
	late := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	old := ca.Issue(t, testkit.Leaf{Subject: pkix.Name{CommonName: "cn.test"}})
	san := ca.Issue(t, testkit.Leaf{Names: []string{"san.test"}, Subject: pkix.Name{CommonName: "notsan.test"}})
	set := build(t, tlsConfig(), secrets(first, a, wild, exact, late, old, san))
	for _, tc := range []struct {
		sni  string
		want *testkit.Pair
	}{
		{"", first}, {"nobody.test", first}, {"edge.test", first},
		{"a.test", a}, {"A.TEST", a}, {"a.test.", a},
		{"y.wild.test", wild}, {"Y.Wild.Test", wild}, {"y.x.wild.test", first}, {"wild.test", first},
		{"x.wild.test", exact}, {"cn.test", old}, {"notsan.test", first}, {"san.test", san},
		{".wild.test", wild}, {".", first}, {strings.Repeat("a", 3000), first},
	} {
		got, err := set.Server.GetCertificate(&tls.ClientHelloInfo{ServerName: tc.sni})
		if err != nil || !got.Leaf.Equal(tc.want.X509) {
			t.Errorf("SNI %.20q: %v, %v; want the certificate of %v", tc.sni, got.Leaf.Subject, err, tc.want.X509.Subject)
		}
	}
}

// TestKeyTypes: of two certificates for one name the client gets the one that it can use,
// ECDSA if it can use both.
func TestKeyTypes(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	rsa := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}, RSA: 2048})
	ec := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	for _, order := range [][]*testkit.Pair{{rsa, ec}, {ec, rsa}} {
		set := build(t, tlsConfig(), secrets(order...))
		for _, tc := range []struct {
			suites []uint16
			want   *testkit.Pair
		}{
			{[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, rsa},
			{[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, ec},
		} {
			_, got, err := shake(t, set.Server, &tls.Config{
				RootCAs: ca.Pool(), ServerName: "a.test", MaxVersion: tls.VersionTLS12, CipherSuites: tc.suites,
			})
			if err != nil || !got.PeerCertificates[0].Equal(tc.want.X509) {
				t.Errorf("suites %x: %v, not the certificate with the other key", tc.suites, err)
			}
		}
	}
}

func TestVersionsSuitesAndProtocols(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	s := secrets(ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), ca.Issue(t, testkit.Leaf{Names: []string{"rsa.test"}, RSA: 2048}))
	cfg := tlsConfig()
	both := build(t, cfg, s)
	cfg.TLS.MinVersion = config.TLS13
	only13 := build(t, cfg, s)
	client := func(min, max uint16) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", MinVersion: min, MaxVersion: max}
	}
	with := func(c *tls.Config, change func(c *tls.Config)) *tls.Config {
		change(c)
		return c
	}
	for _, tc := range []struct {
		name   string
		server *tls.Config
		client *tls.Config
		fault  string // of the handshake; "" if it is good
	}{
		{"1.0", both.Server, client(tls.VersionTLS10, tls.VersionTLS10), "protocol version"},
		{"1.1", both.Server, client(tls.VersionTLS11, tls.VersionTLS11), "protocol version"},
		{"1.2", both.Server, client(tls.VersionTLS12, tls.VersionTLS12), ""},
		{"1.3", both.Server, client(tls.VersionTLS13, tls.VersionTLS13), ""},
		{"1.2 below the minimum", only13.Server, client(tls.VersionTLS12, tls.VersionTLS12), "protocol version"},
		{"1.3 at the minimum", only13.Server, client(tls.VersionTLS12, tls.VersionTLS13), ""},
		{"CBC", both.Server, with(client(0, tls.VersionTLS12), func(c *tls.Config) {
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		}), "handshake failure"},
		{"RSA key exchange", both.Server, with(client(0, tls.VersionTLS12), func(c *tls.Config) {
			c.CipherSuites, c.ServerName = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, "rsa.test"
		}), "handshake failure"},
		{"http/1.1", both.Server, with(client(0, 0), func(c *tls.Config) { c.NextProtos = []string{"x", "http/1.1"} }), ""},
		{"http/1.0", both.Server, with(client(0, 0), func(c *tls.Config) { c.NextProtos = []string{"http/1.0"} }), ""},
		{"unknown protocol", both.Server, with(client(0, 0), func(c *tls.Config) { c.NextProtos = []string{"x"} }), "no application protocol"},
		{"a challenge that there is not", both.Server, with(client(0, 0), func(c *tls.Config) { c.NextProtos = []string{"acme-tls/1"} }), "no application protocol"},
	} {
		_, got, err := shake(t, tc.server, tc.client)
		if tc.fault == "" && err != nil || tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.fault)
		}
		if slices.Contains(tc.client.NextProtos, "http/1.1") && got.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%s: ALPN says %q", tc.name, got.NegotiatedProtocol)
		}
		if err == nil && got.Version == tls.VersionTLS13 && got.CurveID != tls.X25519MLKEM768 {
			t.Errorf("%s: key exchange %v", tc.name, got.CurveID)
		}
	}
}

func TestChallenge(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	site := ca.Issue(t, testkit.Leaf{Names: []string{"a.test", "b.test"}})
	challenge := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	s := secrets(site)
	s.Certs = append([]tlsconf.Cert{{Chain: challenge.Cert, Key: challenge.Key, Challenge: "A.test"}}, s.Certs...)
	server := build(t, tlsConfig(), s).Server
	for _, tc := range []struct {
		name  string
		alpn  []string
		want  *testkit.Pair
		fault string
	}{
		{"a.test", []string{"acme-tls/1"}, challenge, ""},
		{"a.test", []string{"http/1.1"}, site, ""},
		{"a.test", nil, site, ""},
		{"b.test", []string{"acme-tls/1"}, nil, "no application protocol"},
		{"b.test", []string{"acme-tls/1", "http/1.1"}, site, ""},
	} {
		_, got, err := shake(t, server, &tls.Config{RootCAs: ca.Pool(), ServerName: tc.name, NextProtos: tc.alpn})
		switch {
		case tc.want == nil:
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%s %v: %v, want %s", tc.name, tc.alpn, err, tc.fault)
			}
		case err != nil || !got.PeerCertificates[0].Equal(tc.want.X509) || len(tc.alpn) == 1 && got.NegotiatedProtocol != tc.alpn[0]:
			t.Errorf("%s %v: %v, protocol %q, or the wrong certificate", tc.name, tc.alpn, err, got.NegotiatedProtocol)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	good, other := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), ca.Issue(t, testkit.Leaf{})
	bad := *good
	bad.Key = other.Key
	if _, err := tlsconf.Build(tlsConfig(), secrets(good, &bad)); err == nil || !strings.Contains(err.Error(), "certificate 2 for clients: ") {
		t.Errorf("a key that does not fit: %v", err)
	}
	cfg := tlsConfig()
	cfg.TLS.ClientAuth = config.ClientAuthRequest
	if _, err := tlsconf.Build(cfg, secrets(good)); err == nil || !strings.Contains(err.Error(), "client_ca") {
		t.Errorf("no client_ca: %v", err)
	}
	if next, err := build(t, tlsConfig(), secrets(good)).Next(tlsConfig(), secrets(good, &bad)); err == nil {
		t.Errorf("accepted after a good one: %+v", next)
	}
	if set := build(t, config.Default(), nil); set.Server != nil {
		t.Error("a server configuration without a TLS listener")
	}
	set := build(t, tlsConfig(), nil)
	if _, err := set.Server.GetCertificate(&tls.ClientHelloInfo{ServerName: "a.test"}); err == nil {
		t.Error("a certificate out of nothing")
	}
}

// BenchmarkCertificate: finding a certificate takes as long with 2,000 names as with two.
func BenchmarkCertificate(b *testing.B) {
	ca := testkit.NewCA(b, "ca")
	for _, n := range []int{2, 2000} {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("n%d.test", i))
		}
		set := build(b, tlsConfig(), secrets(ca.Issue(b, testkit.Leaf{Names: names})))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			hello := &tls.ClientHelloInfo{ServerName: "N1.test"}
			for b.Loop() {
				set.Server.GetCertificate(hello)
			}
		})
	}
}
