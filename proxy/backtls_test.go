package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/internal/tlsfault"
)

// TestBackendTLS: requests go to a backend over one conn; without reuse, sessions are
// resumed.
func TestBackendTLS(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}}))
		cfg.MaxVersion = version
		cfg.NextProtos = []string{"http/1.1"}
		var named []string
		cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			named = append(named, h.ServerName)
			return nil, nil
		}
		f := newTLSFar(t, cfg, serve)
		r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: ca.Cert})
		c := r.client()
		for range 5 {
			c.wants(200, "hello")
		}
		r.client().wants(200, "hello")
		if n := f.conns.Load(); n != 1 {
			t.Errorf("%x: %d conns for 6 requests", version, n)
		}
		if len(named) == 0 || named[0] != farName {
			t.Errorf("%x: names %q", version, named)
		}
		apart := farConfig(f)
		apart.Pools[0].Reuse = config.ReuseNever
		r.reload(apart, &tlsconf.PoolSecrets{CA: ca.Cert})
		for range 10 {
			r.client().wants(200, "hello")
		}
		if f.resumed.Load() != f.conns.Load()-1 {
			t.Errorf("%x: %d of %d sessions resumed", version, f.resumed.Load(), f.conns.Load())
		}
	}
}

// TestBackendTLSAddress: without server_name the certificate has to be for the host, be it
// an address.
func TestBackendTLSAddress(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{IPs: []string{"127.0.0.1"}})), serve)
	cfg := farConfig(f)
	cfg.Pools[0].TLS.ServerName = ""
	newBackRig(t, cfg, &tlsconf.PoolSecrets{CA: ca.Cert}).client().wants(200, "hello")
}

// TestBackendTLSFaults: what fails in a handshake is a 502 and a fault of its kind, and is
// not tried again at the same backend. The next request fails in the same way: nothing of
// the first is left.
func TestBackendTLSFaults(t *testing.T) {
	for _, tc := range farFaults(t) {
		t.Run(tc.name, func(t *testing.T) {
			cfg := farConfig(tc.far)
			cfg.Pools[0].Eject.Enabled = false
			cfg.Timeouts.Connect = testkit.Patience
			if tc.status = 502; tc.kind == tlsfault.Late {
				cfg.Timeouts.Connect, tc.status = 100*time.Millisecond, 504
			}
			r := newBackRig(t, cfg, &tlsconf.PoolSecrets{CA: tc.ca.Cert})
			for n := int32(1); n <= 2; n++ {
				if status, body, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != tc.status || err != nil {
					t.Fatalf("status %d %q, %v", status, body, err)
				}
				testkit.Until(t, "the backend to accept it", func() bool { return tc.far.opened.Load() >= n })
				if got := tc.far.opened.Load(); got != n {
					t.Errorf("%d conns for %d requests", got, n)
				}
			}
			s := r.state(0)
			last, _ := s.LastFault()
			if got := tlsfault.Kind(last.Detail); !last.Why.InTLS() || got != tc.kind || last.Why != tc.kind.Reason() {
				t.Errorf("fault %v %q, want %q", last.Why, got, tc.kind)
			}
			if got := s.FaultsInTLS(); got != 2 {
				t.Errorf("%d faults are counted, want 2", got)
			}
		})
	}
}

type farFault struct {
	name   string
	far    *far
	ca     *testkit.CA
	kind   tlsfault.Kind
	status int
}

// farFaults are backends with which no handshake comes about.
func farFaults(t *testing.T) (all []farFault) {
	ca, other := testkit.NewCA(t, "ca"), testkit.NewCA(t, "other")
	add := func(name string, kind tlsfault.Kind, f *far) { all = append(all, farFault{name, f, ca, kind, 0}) }
	leaf := testkit.Leaf{Names: []string{farName}}
	with := func(p *testkit.Pair, change func(c *tls.Config)) *far {
		cfg := farTLS(t, p)
		if change != nil {
			change(cfg)
		}
		return newTLSFar(t, cfg, serve)
	}
	good := ca.Issue(t, leaf)
	add("wrong name", tlsfault.WrongName, with(ca.Issue(t, testkit.Leaf{Names: []string{"other.test"}}), nil))
	add("address", tlsfault.WrongName, with(ca.Issue(t, testkit.Leaf{IPs: []string{"127.0.0.1"}}), nil))
	add("unknown authority", tlsfault.Unknown, with(other.Issue(t, leaf), nil))
	add("expired", tlsfault.Expired, with(ca.Issue(t, leaf.Expired()), nil))
	add("early", tlsfault.Early, with(ca.Issue(t, leaf.NotYet()), nil))
	add("for clients", tlsfault.Unfit, with(ca.Issue(t, testkit.Leaf{Names: leaf.Names, Client: true}), nil))
	add("old version", tlsfault.NoVersion, with(good, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }))
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		kind := map[uint16]tlsfault.Kind{tls.VersionTLS12: tlsfault.Refused, tls.VersionTLS13: tlsfault.CertRequired}[v]
		add(fmt.Sprintf("client certificate %x", v), kind, with(good, func(c *tls.Config) {
			c.MaxVersion, c.ClientAuth, c.ClientCAs = v, tls.RequireAndVerifyClientCert, ca.Pool()
		}))
	}
	add("no protocol", tlsfault.NoProtocol, with(good, func(c *tls.Config) { c.NextProtos = []string{"ftp"} }))
	add("unknown name", tlsfault.UnknownName, newFar(t, alert(112)))
	add("refuses", tlsfault.Refused, newFar(t, alert(40)))
	add("another alert", tlsfault.Alerted, newFar(t, alert(80)))
	add("close_notify", tlsfault.Closed, newFar(t, alert(0)))
	add("plain HTTP", tlsfault.NotTLS, newFar(t, func(c net.Conn) { answerHello(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }))
	add("garbage", tlsfault.NotTLS, newFar(t, func(c net.Conn) { answerHello(c, strings.Repeat("\x00\xff", 5000)) }))
	add("garbage in a record", tlsfault.Broken, newFar(t, func(c net.Conn) { answerHello(c, "\x16\x03\x03\x00\x05\x02\x00\x00\x01\x00") }))
	add("closes at once", tlsfault.Closed, newFar(t, func(c net.Conn) {}))
	add("closes after the hello", tlsfault.Closed, newFar(t, func(c net.Conn) { answerHello(c, "") }))
	add("closes within a record", tlsfault.Closed, newFar(t, func(c net.Conn) { answerHello(c, "\x16\x03\x03\x10\x00\x02\x00") }))
	add("resets", tlsfault.Closed, newFar(t, func(c net.Conn) {
		readHello(c)
		c.(*net.TCPConn).SetLinger(0)
	}))
	add("never answers", tlsfault.Late, newFar(t, func(c net.Conn) { io.Copy(io.Discard, c) }))
	huge := farTLS(t, good)
	for len(huge.Certificates[0].Certificate) < 700 {
		huge.Certificates[0].Certificate = append(huge.Certificates[0].Certificate, good.X509.Raw)
	}
	add("huge certificates", tlsfault.Broken, newTLSFar(t, huge, serve))
	return all
}

// readHello reads a ClientHello.
func readHello(c net.Conn) bool {
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, int(head[3])<<8|int(head[4])))
	return err == nil
}

// answerHello answers a ClientHello with text.
func answerHello(c net.Conn, text string) {
	if readHello(c) {
		io.WriteString(c, text)
	}
}

// alert answers a ClientHello with an alert.
func alert(number byte) func(c net.Conn) {
	level := "\x02"
	if number == 0 {
		level = "\x01"
	}
	return func(c net.Conn) { answerHello(c, "\x15\x03\x03\x00\x02"+level+string([]byte{number})) }
}

// TestBackendTLSElsewhere: another backend is asked instead, and the bad one is ejected like
// one that cannot be reached.
func TestBackendTLSElsewhere(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	bad := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}}.Expired())), serve)
	good := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), serve)
	r := newBackRig(t, farConfig(bad, good), &tlsconf.PoolSecrets{CA: ca.Cert})
	c := r.client()
	for range 20 {
		if status, body, err := c.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi"); status != 200 || body != "hello" || err != nil {
			t.Fatalf("status %d, %q, %v", status, body, err)
		}
	}
	s := r.state(0)
	if s.EjectedUntil.Load() == 0 || board.Reason(s.EjectedReason.Load()) != board.ReasonTLSDate {
		t.Errorf("not ejected, or for %v", board.Reason(s.EjectedReason.Load()))
	}
	if n := bad.opened.Load(); n != 3 { // faults until the ejection
		t.Errorf("the bad one was tried %d times", n)
	}
}

// TestBackendTLSEnd: an answer that the end of the conn ends is whole with a close_notify
// alone.
func TestBackendTLSEnd(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	for _, whole := range []bool{true, false} {
		f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), func(c *tls.Conn, from *bufio.Reader) {
			nextHead(from)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
			if whole {
				c.CloseWrite()
			} else {
				c.NetConn().Close()
			}
		})
		r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: ca.Cert})
		for _, version := range []string{"1.0", "1.1"} {
			_, body, err := r.client().ask("GET / HTTP/" + version + "\nHost: a\n\n")
			if (err == nil) != whole || whole && body != "hello" {
				t.Errorf("whole %v, HTTP/%s: %q, %v", whole, version, body, err)
			}
		}
	}
}

// TestBackendTLSIdle: a backend that ends an idle conn, with or without a close_notify, or
// sends something on it, is not to blame, and gets the next request on another conn.
func TestBackendTLSIdle(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	for name, end := range map[string]func(c *tls.Conn){
		"close_notify": func(c *tls.Conn) { c.CloseWrite() },
		"closes":       func(c *tls.Conn) { c.NetConn().Close() },
		"sends":        func(c *tls.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
	} {
		idle := make(chan *tls.Conn)
		f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), func(c *tls.Conn, from *bufio.Reader) {
			if nextHead(from) {
				io.WriteString(c, hello)
				idle <- c
				io.Copy(io.Discard, from)
			}
		})
		r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: ca.Cert})
		c := r.client()
		for range 3 {
			c.wants(200, "hello")
			far := testkit.Wait(t, idle, "an answer")
			testkit.Until(t, "an idle conn", func() bool { return r.p.counters.BackendIdle.Load() == 1 })
			end(far)
			testkit.Until(t, name+": no idle conn", func() bool { return r.p.counters.BackendIdle.Load() == 0 })
		}
		if _, any := r.state(0).LastFault(); any || f.conns.Load() != 3 {
			t.Errorf("%s: a fault %v, %d conns", name, any, f.conns.Load())
		}
	}
}

// TestBackendTLSTunnel: bytes and ends of either side pass through a tunnel.
func TestBackendTLSTunnel(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	for _, farFirst := range []bool{true, false} {
		got := make(chan string, 1)
		f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), func(c *tls.Conn, from *bufio.Reader) {
			nextHead(from)
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nfirst")
			if farFirst {
				c.CloseWrite()
			}
			all, _ := io.ReadAll(from)
			got <- string(all)
			if !farFirst {
				io.WriteString(c, "last")
				c.CloseWrite()
			}
		})
		r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: ca.Cert})
		c := r.client()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		a, err := http.ReadResponse(c.from, nil)
		if err != nil || a.StatusCode != 101 {
			t.Fatal(a, err)
		}
		want := "first"
		if farFirst {
			if all, err := io.ReadAll(c.from); string(all) != want || err != nil {
				t.Errorf("the client got %q, %v", all, err)
			}
			want = ""
		} else {
			want += "last"
		}
		io.WriteString(c, "from the client")
		c.CloseWrite()
		if all := testkit.Wait(t, got, "the bytes of the client"); all != "from the client" {
			t.Errorf("the backend got %q", all)
		}
		if all, err := io.ReadAll(c.from); string(all) != want || err != nil {
			t.Errorf("the client got %q, %v, want %q", all, err, want)
		}
	}
}

// TestBackendTLSClientCert: lb shows its certificate.
func TestBackendTLSClientCert(t *testing.T) {
	ca, other := testkit.NewCA(t, "ca"), testkit.NewCA(t, "other")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}}))
		cfg.MaxVersion, cfg.ClientAuth, cfg.ClientCAs = version, tls.RequireAndVerifyClientCert, ca.Pool()
		cfg.VerifyConnection = func(s tls.ConnectionState) error {
			if name := s.PeerCertificates[0].Subject.CommonName; name != "lb" {
				return fmt.Errorf("shown: %s", name)
			}
			return nil
		}
		f := newTLSFar(t, cfg, serve)
		own := farConfig(f)
		own.Pools[0].TLS.ClientCert, own.Pools[0].TLS.ClientKey = "lb.pem", "lb.key"
		leaf := testkit.Leaf{Names: []string{"lb"}, Client: true}
		mine, foreign := ca.Issue(t, leaf), other.Issue(t, leaf)
		r := newBackRig(t, own, &tlsconf.PoolSecrets{CA: ca.Cert, ClientCert: mine.Cert, ClientKey: mine.Key})
		r.client().wants(200, "hello")
		r.reload(own, &tlsconf.PoolSecrets{CA: ca.Cert, ClientCert: foreign.Cert, ClientKey: foreign.Key})
		if status, _, _ := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != 502 {
			t.Errorf("%x: status %d with a certificate of another authority", version, status)
		}
		if last, _ := r.state(0).LastFault(); tlsfault.Kind(last.Detail) != tlsfault.CertRefused {
			t.Errorf("%x: %+v", version, last)
		}
	}
}

// TestBackendTLSReload: an idle conn is not used under other settings, and is under the same.
func TestBackendTLSReload(t *testing.T) {
	ca, other := testkit.NewCA(t, "ca"), testkit.NewCA(t, "other")
	f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), serve)
	cfg := farConfig(f)
	cfg.Pools[0].TLS.Insecure = true
	files := &tlsconf.PoolSecrets{CA: other.Cert}
	r := newBackRig(t, cfg, files)
	r.client().wants(200, "hello")
	r.reload(cfg, files)
	r.client().wants(200, "hello")
	if f.conns.Load() != 1 {
		t.Errorf("%d conns under the same settings", f.conns.Load())
	}
	r.reload(farConfig(f), files)
	if status, _, _ := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != 502 {
		t.Errorf("status %d over a conn that was not verified", status)
	}
}

// TestBackendTLSLong: a long body each way arrives byte for byte, whatever the pace.
func TestBackendTLSLong(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), func(c *tls.Conn, from *bufio.Reader) {
		for {
			r, err := http.ReadRequest(from)
			if err != nil {
				return
			}
			all := sha256.New()
			io.Copy(all, r.Body)
			if got := fmt.Sprintf("%x", all.Sum(nil)); got != sum {
				io.WriteString(c, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: ca.Cert})
	c := r.client()
	for range 3 {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body))
		if _, err := c.Write(body); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(c.from, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(a.Body)
		if got := fmt.Sprintf("%x", sha256.Sum256(all)); a.StatusCode != 200 || got != sum || err != nil {
			t.Fatalf("status %d, %d bytes, %v", a.StatusCode, len(all), err)
		}
	}
}

// TestBackendTLSBusy: if lb can begin no handshake, that is not the backend's fault.
func TestBackendTLSBusy(t *testing.T) {
	ca := testkit.NewCA(t, "ca")
	f := newTLSFar(t, farTLS(t, ca.Issue(t, testkit.Leaf{Names: []string{farName}})), serve)
	cfg := farConfig(f)
	cfg.Timeouts.Connect = 100 * time.Millisecond
	r := newBackRig(t, cfg, &tlsconf.PoolSecrets{CA: ca.Cert})
	r.do(func() { r.p.shared.Shaker().Close() }) // takes no handshake any more
	if status, body, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != 503 || err != nil {
		t.Errorf("status %d %q, %v", status, body, err)
	}
	if last, any := r.state(0).LastFault(); any {
		t.Errorf("the backend is blamed: %+v", last)
	}
}

// TestBackendTLSMissing: a backend with TLS gets nothing in plain text if there is no
// configuration of it.
func TestBackendTLSMissing(t *testing.T) {
	f := newFar(t, func(c net.Conn) {
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			t.Error("the backend got something")
		}
	})
	r := newBackRig(t, farConfig(f), &tlsconf.PoolSecrets{CA: testkit.NewCA(t, "ca").Cert})
	r.do(func() { r.p.SetTLS(nil) })
	if status, _, err := r.client().ask("GET / HTTP/1.1\nHost: a\n\n"); status != 502 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}
