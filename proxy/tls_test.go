package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

const getTLS = "GET /a?b=%20 HTTP/1.1\nHost: lb.test:8443\n\n"

// TestTLS: a request over TLS says so to the backend, whatever the client says, and its
// answer says once how long browsers are to come by https. The conn goes on, and another
// one is resumed.
func TestTLS(t *testing.T) {
	cfg := tlsConfig()
	cfg.TLS.HSTS = 24 * time.Hour
	cfg.Forwarded = true
	r := newTLSRig(t, cfg, nil)
	client := r.client()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for n := range 2 {
		c := r.secure(":8443", client)
		for range 3 {
			got := r.ask(c, "GET /a?b=%20 HTTP/1.1\nHost: lb.test:8443\nX-Forwarded-Proto: http\nX-Client-Cert-Subject: CN=me\nX_Client_Cert_Verified: yes\n\n")
			for _, want := range []string{"GET /a?b=%20\n", "X-Forwarded-Proto: https\r\n", "Forwarded: for=127.0.0.1;host=\"lb.test:8443\";proto=https\r\n"} {
				if got.StatusCode != 200 || !strings.Contains(got.body, want) {
					t.Errorf("%s: %q without %q", got.Status, got.body, want)
				}
			}
			if strings.Contains(strings.ToLower(got.body), "client") {
				t.Errorf("a forged field came through: %q", got.body)
			}
			if s := got.Header.Values("Strict-Transport-Security"); len(s) != 1 || s[0] != "max-age=86400" {
				t.Errorf("Strict-Transport-Security %q", s)
			}
		}
		got := r.ask(c, "GET / HTTP/1.1\nHost: lb.test\nContent-Length: x\n\n")
		if got.StatusCode != 400 || len(got.Header.Values("Strict-Transport-Security")) != 1 {
			t.Errorf("a reply of lb's own: %s %v", got.Status, got.Header)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the last answer: %v, want a close_notify", err)
		}
		if c.ConnectionState().DidResume != (n == 1) {
			t.Errorf("conn %d: resumed %t", n, c.ConnectionState().DidResume)
		}
	}
	if got := r.handshakes(); got != [board.HandshakeEnds]uint64{1, 1, 0, 0, 0} {
		t.Errorf("handshakes %v", got)
	}
	got := r.ask(r.dial(":8080"), getTLS)
	if got.StatusCode != 200 || got.Header.Values("Strict-Transport-Security") != nil || !strings.Contains(got.body, "X-Forwarded-Proto: http\r\n") {
		t.Errorf("plain: %v %q", got.Header, got.body)
	}
}

// TestPlainOnTLSPort: plain HTTP at a TLS listener is answered, never forwarded, and its conn
// ends. Browsers go to https if there is a redirecting listener.
func TestPlainOnTLSPort(t *testing.T) {
	for _, tc := range []struct {
		request   string
		redirects bool
		code      int
		location  string
	}{
		{getTLS, true, 400, ""},
		{"GET /a//b?c HTTP/1.1\nHost: lb.test:8443\nUpgrade-Insecure-Requests: 1\n\n", true, 308, "https://lb.test:8443/a//b?c"},
		{"GET /a HTTP/1.1\nHost: lb.test\nSec-Fetch-Mode: navigate\n\n", true, 308, "https://lb.test/a"},
		{"GET /a HTTP/1.1\nHost: lb.test\nSec-Fetch-Mode: cors\n\n", true, 400, ""},
		{"GET /a HTTP/1.1\nHost: lb.test\nUpgrade-Insecure-Requests: 1\n\n", false, 400, ""},
		{"GET /a HTTP/1.0\nUpgrade-Insecure-Requests: 1\n\n", true, 400, ""},
		{"POST /a HTTP/1.1\nHost: lb.test\nContent-Length: 3\n\nabc", true, 400, ""},
		{"CONNECT a:1 HTTP/1.1\nHost: a:1\n\n", true, 400, ""},
		{"SSH-2.0-client\n\n", true, 400, ""},
		{"\x15\x03\x01\x00\x02\x01\x5a", true, 400, ""},
		{"GET /.well-known/acme-challenge/token HTTP/1.1\nHost: lb.test\n\n", true, 400, ""},
	} {
		cfg := tlsConfig()
		cfg.Listeners[1].RedirectHTTPS = tc.redirects
		cfg.TLS.HSTS = time.Hour
		r := newTLSRig(t, cfg, func(s *tlsconf.Secrets) { s.Tokens = map[string]string{"token": "answer"} })
		c := r.dial(":8443")
		io.WriteString(c, strings.ReplaceAll(tc.request, "\n", "\r\n"))
		from := bufio.NewReader(c)
		got := r.read(from)
		if got.StatusCode != tc.code || got.Header.Get("Location") != tc.location || got.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%q: %s %v", tc.request, got.Status, got.Header)
		}
		if tc.code == 400 && got.body != "400 Bad Request: this port speaks HTTPS\n" && tc.request[:3] != "GET" {
			t.Errorf("%q: %q", tc.request, got.body)
		}
		if _, err := from.ReadByte(); err != io.EOF || !got.Close {
			t.Errorf("%q: the conn goes on: %v", tc.request, err)
		}
		if n := r.board.BackendTotals(0).Attempts; n != 0 {
			t.Errorf("%q reached the backend", tc.request)
		}
		if got := r.handshakes(); got != [board.HandshakeEnds]uint64{} {
			t.Errorf("%q: handshakes %v", tc.request, got)
		}
	}
}

// TestHandshakeFaults: a handshake that fails is counted and logged with its client, and the
// client gets the alert.
func TestHandshakeFaults(t *testing.T) {
	r := newTLSRig(t, tlsConfig(), nil)
	old := r.client()
	old.MaxVersion, old.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	err := tls.Client(r.dial(":8443"), old).Handshake()
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	c := r.dial(":8443") // leaves in its ClientHello
	c.Write([]byte{handshakeByte, 3, 1, 1})
	c.Close()
	c = r.dial(":8443") // leaves without a byte: no handshake
	c.Close()
	c = r.dial(":8443") // nonsense
	c.Write([]byte{handshakeByte, 3, 1, 0, 4, 9, 9, 9, 9})
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	testkit.Until(t, "three faults", func() bool { return r.handshakes()[board.HandshakeFailed] == 3 })
	if n := r.handshakes(); n != [board.HandshakeEnds]uint64{2: 3} {
		t.Errorf("handshakes %v", n)
	}
	for _, want := range []string{"msg=\"handshake failed\" client=127.0.0.1 cause=", "supported versions", "the client has closed the connection"} {
		testkit.Until(t, "the log to say "+want, func() bool { return strings.Contains(r.log.String(), want) }) // after it is counted
	}
	r.ask(r.secure(":8443", r.client()), getTLS)
}

const handshakeByte = 0x16

// TestNoCertificateYet: without a TLS set handshakes are refused. A new set goes for new
// handshakes, and conns that there are stay.
func TestNoCertificateYet(t *testing.T) {
	r := newTLSRig(t, tlsConfig(), nil)
	stays := r.secure(":8443", r.client())
	r.ask(stays, getTLS)
	r.do(func() { r.p.SetTLS(nil) })
	if err := tls.Client(r.dial(":8443"), r.client()).Handshake(); err == nil {
		t.Error("a handshake without certificates")
	}
	testkit.Until(t, "a refusal", func() bool { return r.handshakes()[board.HandshakeRefused] == 1 })
	r.ask(stays, getTLS)
	r.do(func() { r.p.SetTLS(r.snapshot.TLS) })
	r.ask(r.secure(":8443", r.client()), getTLS)
	r.ask(stays, getTLS)
}

// TestClientCertificates: what a backend learns of a client's certificate.
func TestClientCertificates(t *testing.T) {
	ca, other := testkit.NewCA(t, "clients"), testkit.NewCA(t, "others")
	good := ca.Issue(t, testkit.Leaf{Names: []string{"alice"}, URIs: []string{"spiffe://a/b"}, Client: true})
	late := ca.Issue(t, testkit.Leaf{Names: []string{"late"}, Client: true}.Expired())
	foreign := other.Issue(t, testkit.Leaf{Names: []string{"mallory"}, Client: true})
	for _, auth := range []string{config.ClientAuthRequest, config.ClientAuthRequire, config.ClientAuthNone} {
		cfg := tlsConfig()
		cfg.TLS.ClientAuth, cfg.TLS.ClientCA = auth, "ca.pem"
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} // forges nothing either
		r := newTLSRig(t, cfg, func(s *tlsconf.Secrets) { s.ClientCA = ca.Cert })
		for _, tc := range []struct {
			pair *testkit.Pair
			want string // of X-Client-Cert-Verified
		}{{nil, ""}, {good, "yes"}, {late, "no (expired)"}, {foreign, "no (unknown authority)"}} {
			client := r.client()
			if tc.pair != nil {
				pair := tc.pair.TLS(t)
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			r.askAs(client, auth, tc.want, tc.pair)
		}
	}
}

// askAs asks twice, on two conns of which the second may be resumed.
func (r *tlsRig) askAs(client *tls.Config, auth, want string, pair *testkit.Pair) {
	r.t.Helper()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		c := tls.Client(r.dial(":8443"), client)
		io.WriteString(c, strings.ReplaceAll("GET / HTTP/1.1\nHost: lb.test\nX-Client-Cert-Subject: CN=forged\nx-client-cert-verified: yes forged\n\n", "\n", "\r\n"))
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			if auth != config.ClientAuthRequire || want == "yes" {
				r.t.Errorf("%s, %q: %v", auth, want, err)
			}
			return
		}
		b, _ := io.ReadAll(a.Body)
		got := string(b)
		if auth == config.ClientAuthNone {
			want = ""
		}
		if auth == config.ClientAuthRequire && want != "yes" || strings.Contains(got, "forged") {
			r.t.Errorf("%s, %q: %q", auth, want, got)
		}
		if (want != "") != strings.Contains(got, "X-Client-Cert-Verified: "+want+"\r\n") || (want != "") != strings.Contains(got, "X-Client-Cert-Fingerprint: ") {
			r.t.Errorf("%s, %q: %q", auth, want, got)
		}
		named := strings.Contains(got, "X-Client-Cert-Subject: CN=alice") && strings.Contains(got, "X-Client-Cert-San: DNS:alice, URI:spiffe://a/b")
		if named != (want == "yes") {
			r.t.Errorf("%s, %q: %q", auth, want, got)
		}
	}
}

// TestHalfCloseOverTLS: a client that ends its side after its request gets its answer.
func TestHalfCloseOverTLS(t *testing.T) {
	r := newTLSRig(t, tlsConfig(), nil)
	c := r.secure(":8443", r.client())
	io.WriteString(c, strings.ReplaceAll(getTLS, "\n", "\r\n"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := r.read(bufio.NewReader(c)); got.StatusCode != 200 {
		t.Error(got.Status)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want a close_notify", err)
	}
}

// TestChallenges: tokens of HTTP-01 are answered first at every plain listener, whatever the
// routes say.
func TestChallenges(t *testing.T) {
	cfg := tlsConfig()
	cfg.Routes = []config.Route{{Host: "other.test", Pool: 0}}
	cfg.Pools = append(cfg.Pools, config.Pool{Name: "none"})
	r := newTLSRig(t, cfg, func(s *tlsconf.Secrets) { s.Tokens = map[string]string{"tok-1": "tok-1.thumb"} })
	const path = "/.well-known/acme-challenge/"
	for _, address := range []string{":80", ":8080"} {
		c := r.dial(address)
		for range 2 {
			got := r.ask(c, "GET "+path+"tok-1 HTTP/1.1\nHost: nobody.test\n\n")
			if got.StatusCode != 200 || got.body != "tok-1.thumb" || got.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("%s: %s %v %q", address, got.Status, got.Header, got.body)
			}
		}
		for _, other := range []string{path + "tok-2", path, path + "tok-1/", "/x" + path + "tok-1"} {
			if got := r.ask(c, "GET "+other+" HTTP/1.1\nHost: nobody.test\n\n"); strings.Contains(got.body, "thumb") {
				t.Errorf("%s%s: %q", address, other, got.body)
			}
		}
	}
	if got := r.ask(r.secure(":8443", r.client()), "GET "+path+"tok-1 HTTP/1.1\nHost: nobody.test\n\n"); strings.Contains(got.body, "thumb") {
		t.Errorf("over TLS: %q", got.body)
	}
	r.do(func() { r.p.SetTLS(nil) })
	if got := r.ask(r.dial(":80"), "GET "+path+"tok-1 HTTP/1.1\nHost: nobody.test\n\n"); got.StatusCode != 308 {
		t.Errorf("without tokens: %s", got.Status)
	}
}

// stalls returns a client that has sent its ClientHello and goes on when told to.
func (r *tlsRig) stalls() (c *tls.Conn, goOn chan<- struct{}, done <-chan error) {
	cfg := r.client()
	hello, held, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	cfg.VerifyConnection = func(tls.ConnectionState) error {
		close(hello) // lb has answered
		<-held
		return nil
	}
	c = tls.Client(r.dial(":8443"), cfg)
	go func() { over <- c.Handshake() }()
	testkit.Wait(r.t, hello, "the answer to a ClientHello")
	return c, held, over
}

// TestDrainWithHandshakes: a handshake that runs when a drain begins goes on, its client gets
// its last call, and the drain waits for it.
func TestDrainWithHandshakes(t *testing.T) {
	r := newTLSRig(t, tlsConfig(), nil)
	c, goOn, done := r.stalls()
	silent := r.dial(":8443")
	testkit.Until(t, "two clients", func() bool { return r.board.Totals().ClientConns == 2 })
	drained := make(chan struct{})
	r.do(func() { r.p.Drain(func() { close(drained) }) })
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one without a byte: %v", err)
	}
	select {
	case <-drained:
		t.Error("drained before the handshake was over")
	default:
	}
	close(goOn)
	if err := testkit.Wait(t, done, "the handshake"); err != nil {
		t.Fatal(err)
	}
	if got := r.ask(c, getTLS); got.StatusCode != 200 || !got.Close {
		t.Errorf("%s, close %t", got.Status, got.Close)
	}
	testkit.Wait(t, drained, "the drain")
}

// TestCutWithHandshakes: a cut ends handshakes that run on the thread, and lb serves on.
func TestCutWithHandshakes(t *testing.T) {
	r := newTLSRig(t, tlsConfig(), nil)
	var all []<-chan error
	for range 5 {
		_, goOn, done := r.stalls()
		close(goOn)
		all = append(all, done)
		go tls.Client(r.dial(":8443"), r.client()).Handshake()
	}
	r.do(func() { r.p.Cut() })
	for _, done := range all {
		testkit.Wait(t, done, "the end of a handshake")
	}
	r.ask(r.secure(":8443", r.client()), getTLS)
}

// TestPanicOnTheThread: a panic in a handshake costs that conn.
func TestPanicOnTheThread(t *testing.T) {
	r := newTLSRig(t, tlsConfig(), nil)
	bad := *r.snapshot.TLS
	bad.Server = bad.Server.Clone()
	bad.Server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("a mistake") }
	r.do(func() { r.p.SetTLS(&bad) })
	if err := tls.Client(r.dial(":8443"), r.client()).Handshake(); err == nil {
		t.Error("a handshake without a certificate")
	}
	r.do(func() { r.p.SetTLS(r.snapshot.TLS) })
	r.ask(r.secure(":8443", r.client()), getTLS)
	if got := r.handshakes(); got != [board.HandshakeEnds]uint64{1, 0, 1, 0, 0} {
		t.Errorf("handshakes %v", got)
	}
}

// TestRecordOfTLS: a record says what the client and lb have agreed on.
func TestRecordOfTLS(t *testing.T) {
	cfg := tlsConfig()
	cfg.HTTP2.Enabled = true
	r := newTLSRig(t, cfg, nil)
	client := r.client()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	client.NextProtos = []string{"http/1.1"}
	for range 2 {
		r.ask(r.secure(":8443", client), getTLS)
	}
	client.MaxVersion, client.NextProtos = tls.VersionTLS12, nil
	r.ask(r.secure(":8443", client), getTLS)
	r.ask(r.dial(":8080"), getTLS)
	tr := &http.Transport{TLSClientConfig: r.client(), ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	answer, err := (&http.Client{Transport: tr}).Get("https://" + r.addrs[":8443"])
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	want := []string{
		`HTTP/1.1 over "1.3" "http/1.1", resumed false`,
		`HTTP/1.1 over "1.3" "http/1.1", resumed true`,
		`HTTP/1.1 over "1.2" "", resumed false`,
		`HTTP/1.1 over "" "", resumed false`,
		`HTTP/2 over "1.3" "h2", resumed false`,
	}
	testkit.Until(t, "five records", func() (all bool) {
		r.do(func() { all = len(r.peers) == len(want) })
		return all
	})
	r.do(func() {
		if !slices.Equal(r.peers, want) {
			t.Errorf("%q, want %q", r.peers, want)
		}
	})
}
