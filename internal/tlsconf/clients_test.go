package tlsconf_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

// login is a client of a server that asks for certificates.
func login(t testing.TB, ca *testkit.CA, own *testkit.Pair) *tls.Config {
	c := &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if own != nil {
		cert := own.TLS(t)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return c
}

// withClients returns the set of a server that asks for certificates of clients.
func withClients(t testing.TB, site *testkit.Pair, auth string, clients *testkit.CA) *tlsconf.Set {
	cfg, s := tlsConfig(), secrets(site)
	cfg.TLS.ClientAuth, s.ClientCA = auth, clients.Cert
	return build(t, cfg, s)
}

func TestClientIdentity(t *testing.T) {
	ca, clients, foreign := testkit.NewCA(t, "ca"), testkit.NewCA(t, "clients"), testkit.NewCA(t, "foreign")
	site := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	alice := testkit.Leaf{Names: []string{"alice.test"}, IPs: []string{"10.0.0.1"}, URIs: []string{"spiffe://a/b,c"}, Client: true}
	server := alice
	server.Client = false
	for _, tc := range []struct {
		name, reason string
		own          *testkit.Pair
	}{
		{"good", "", clients.Issue(t, alice)},
		{"with an intermediate", "", clients.Intermediate(t, "between").Issue(t, alice)},
		{"foreign", "unknown authority", foreign.Issue(t, alice)},
		{"expired", "expired", clients.Issue(t, alice.Expired())},
		{"early", "not yet valid", clients.Issue(t, alice.NotYet())},
		{"server's", "not for clients", clients.Issue(t, server)},
		{"none", "", nil},
	} {
		for _, auth := range []string{config.ClientAuthNone, config.ClientAuthRequest, config.ClientAuthRequire} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				set, client := withClients(t, site, auth, clients), login(t, ca, tc.own)
				client.MaxVersion = version
				state, _, err := shake(t, set.Server, client)
				refused := auth == config.ClientAuthRequire && (tc.own == nil || tc.reason != "")
				if refused != (err != nil) {
					t.Errorf("%s, %s, %x: %v", tc.name, auth, version, err)
				}
				if err != nil {
					continue
				}
				id, ok := set.ClientIdentity(&state)
				if shown := tc.own != nil && auth != config.ClientAuthNone; ok != shown {
					t.Errorf("%s, %s: shown is %v", tc.name, auth, ok)
				} else if shown {
					checkIdentity(t, tc.name, id, tc.own, tc.reason)
				}
			}
		}
	}
}

func checkIdentity(t *testing.T, name string, id tlsconf.Identity, own *testkit.Pair, reason string) {
	t.Helper()
	want := tlsconf.Identity{Fingerprint: fmt.Sprintf("%x", sha256.Sum256(own.X509.Raw)), Reason: reason, Verified: reason == ""}
	if want.Verified {
		want.Subject, want.SAN = "CN=alice.test", `DNS:alice.test, URI:spiffe://a/b\2Cc, IP:10.0.0.1`
	}
	if id != want {
		t.Errorf("%s: %+v, want %+v", name, id, want)
	}
}

// TestIdentityTexts: what a certificate has in it becomes no second field and no second
// entry, however odd.
func TestIdentityTexts(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	site := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	set := withClients(t, site, config.ClientAuthRequest, ca)
	identity := func(l testkit.Leaf) tlsconf.Identity {
		l.Client = true
		state, _, err := shake(t, set.Server, login(t, ca, ca.Issue(t, l)))
		if err != nil {
			t.Fatal(err)
		}
		id, _ := set.ClientIdentity(&state)
		return id
	}
	id := identity(testkit.Leaf{Subject: pkix.Name{CommonName: "a\r\nX: é", Organization: []string{"o,p"}}})
	if want := `CN=a\0D\0AX: \C3\A9,O=o\,p`; id.Subject != want {
		t.Errorf("subject %q, want %q", id.Subject, want)
	}
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("%d.%s.test", i, strings.Repeat("n", 40)))
	}
	id = identity(testkit.Leaf{Names: names, Subject: pkix.Name{CommonName: strings.Repeat("c", 2000)}})
	entries := strings.Split(id.SAN, ", ")
	if len(id.SAN) > 2048 || len(entries) < 20 || id.Subject != "" || !id.Verified {
		t.Errorf("%d bytes of SAN, %d of subject, verified %v", len(id.SAN), len(id.Subject), id.Verified)
	}
	for i, e := range entries {
		if e != "DNS:"+names[i] {
			t.Errorf("entry %d is %q", i, e)
		}
	}
}

// TestResumedIdentity: a resumed session names the same client, or none.
func TestResumedIdentity(t *testing.T) {
	ca, clients := testkit.NewCA(t, "ca"), testkit.NewCA(t, "clients")
	site, alice := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), clients.Issue(t, testkit.Leaf{Names: []string{"alice"}, Client: true})
	for _, auth := range []string{config.ClientAuthRequest, config.ClientAuthRequire} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := login(t, ca, alice)
			client.MaxVersion = version
			for i := range 3 {
				set := withClients(t, site, auth, clients) // another worker
				state, _, err := shake(t, set.Server, client)
				if err != nil || state.DidResume != (i > 0) {
					t.Fatalf("%s, %x, conn %d: %v, resumed %v", auth, version, i, err, state.DidResume)
				}
				if id, ok := set.ClientIdentity(&state); !ok || !id.Verified || id.Subject != "CN=alice" {
					t.Errorf("%s, %x, conn %d: %+v", auth, version, i, id)
				}
			}
		}
	}
}

// TestOldTicket: after a change of what is asked of clients every client does a full
// handshake, with its result.
func TestOldTicket(t *testing.T) {
	ca, clients, others := testkit.NewCA(t, "ca"), testkit.NewCA(t, "clients"), testkit.NewCA(t, "others")
	site, alice := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), clients.Issue(t, testkit.Leaf{Client: true})
	const none, request, require = config.ClientAuthNone, config.ClientAuthRequest, config.ClientAuthRequire
	for _, tc := range []struct {
		from, to string
		toCA     *testkit.CA
		own      *testkit.Pair
		resumed  bool
		refused  bool
	}{
		{none, none, clients, nil, true, false},
		{none, none, others, nil, true, false}, // no client is asked
		{none, require, clients, nil, false, true},
		{none, request, clients, alice, false, false},
		{request, require, clients, nil, false, true},
		{request, require, clients, alice, false, false},
		{require, require, others, alice, false, true},
		{request, request, others, alice, false, false},
		{require, none, clients, alice, false, false},
		{require, require, clients, alice, true, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := login(t, ca, tc.own)
			client.MaxVersion = version
			if _, _, err := shake(t, withClients(t, site, tc.from, clients).Server, client); err != nil {
				t.Fatal(err)
			}
			state, _, err := shake(t, withClients(t, site, tc.to, tc.toCA).Server, client)
			if state.DidResume != tc.resumed || (err != nil) != tc.refused {
				t.Errorf("%s to %s, %x: resumed %v, %v", tc.from, tc.to, version, state.DidResume, err)
			}
		}
	}
}

// TestTicketKeys: a ticket is good while its key is one of those that are left.
func TestTicketKeys(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	site := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
	key := func(b byte) []byte { return slices.Repeat([]byte{b}, 32) }
	server := func(keys ...[]byte) *tls.Config {
		s := secrets(site)
		s.Tickets = keys
		return build(t, tlsConfig(), s).Server
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := login(t, ca, nil)
		client.MaxVersion = version
		for i, step := range []struct {
			keys    [][]byte
			resumed bool
		}{
			{[][]byte{key(1)}, false}, {[][]byte{key(1)}, true}, {[][]byte{key(2), key(1)}, true},
			{[][]byte{key(2)}, true}, {[][]byte{key(3)}, false}, {nil, false},
		} {
			_, got, err := shake(t, server(step.keys...), client)
			if err != nil || got.DidResume != step.resumed {
				t.Errorf("%x, step %d: %v, resumed %v", version, i, err, got.DidResume)
			}
		}
	}
}

// oneSession is a memory of a client that offers its last session whatever the name is.
type oneSession struct{ tls.ClientSessionCache }

func (o oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.ClientSessionCache.Get("") }
func (o oneSession) Put(_ string, s *tls.ClientSessionState)    { o.ClientSessionCache.Put("", s) }

// TestTicketOfAnotherName: a ticket resumes a session for its own name alone (RFC 6066 3).
func TestTicketOfAnotherName(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	server := build(t, tlsConfig(), secrets(ca.Issue(t, testkit.Leaf{Names: []string{"a.test", "b.test"}}))).Server
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := login(t, ca, nil)
		client.MaxVersion, client.ClientSessionCache = version, oneSession{tls.NewLRUClientSessionCache(1)}
		for i, step := range []struct {
			name    string
			resumed bool
		}{
			{"a.test", false}, {"a.test", true}, {"A.test", true}, {"b.test", false}, {"b.test", true}, {"a.test", false},
		} {
			client.ServerName = step.name
			atServer, _, err := shake(t, server, client)
			if err != nil || atServer.DidResume != step.resumed {
				t.Errorf("%x, step %d, %s: %v, resumed %v", version, i, step.name, err, atServer.DidResume)
			}
		}
	}
}
