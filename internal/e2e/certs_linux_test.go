package e2e

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// visit opens a conn to lb at addr, does one exchange on it, and returns what was agreed on.
func visit(addr string, cfg *tls.Config) (state tls.ConnectionState, err error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: testkit.Patience}, "tcp", addr, cfg)
	if err != nil {
		return state, err
	}
	defer c.Close()
	return c.ConnectionState(), served(c)
}

// certs returns the certificates that lb status shows.
func (s *service) certs() []api.Certificate {
	s.t.Helper()
	var st api.Status
	if err := json.Unmarshal([]byte(s.want("status", "--json")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st.Certificates
}

// newCert puts a new certificate for localhost into the place of the one in use.
func (s *service) newCert() *testkit.Pair {
	s.t.Helper()
	p := ca(s.t).Issue(s.t, testkit.Leaf{Names: []string{"localhost"}})
	p.Write(s.t, s.dir, "site")
	return p
}

// shows reports whether lb shows p to a new client.
func (s *service) shows(p *testkit.Pair) bool {
	s.t.Helper()
	state, err := visit(s.addr, trusting(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	return state.PeerCertificates[0].Equal(p.X509)
}

// TestCertificateSwaps: the files are replaced again and again under load, and no handshake
// and no request fails. LB_LONG=1 does a hundred swaps.
func TestCertificateSwaps(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode+secured, setup{admin: true, backends: to(serve(t, echo))})
		client := trusting(t)
		clients := gather(t, 4, func(int, <-chan struct{}) error {
			_, err := visit(s.addr, client)
			return err
		})
		kept := dial(t, s.addr)
		swaps := 6
		if long() {
			swaps = 100
		}
		var slowest time.Duration
		for range swaps {
			p, begun := s.newCert(), time.Now()
			testkit.Until(t, "the new certificate", func() bool { return s.shows(p) })
			slowest = max(slowest, time.Since(begun))
			if err := served(kept); err != nil {
				t.Fatalf("a conn from before: %v", err)
			}
		}
		clients.more(t, 50)
		clients.leave()
		t.Logf("%d swaps, the slowest after %v; %d handshakes", swaps, slowest, clients.done.Load())
		if got := s.metrics(t)[`lb_certificate_expiry_timestamp_seconds{name="localhost",source="file"}`]; got < float64(time.Now().Unix()) {
			t.Errorf("the metric says that the certificate expires at %v", got)
		}
	})
}

// TestUnfitCertificates: whatever stands in the files, the old pair is served until a good
// one is there; a reload meanwhile is refused.
func TestUnfitCertificates(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode+secured, setup{backends: to(serve(t, echo))})
		good := s.newCert()
		testkit.Until(t, "the first certificate", func() bool { return s.shows(good) })
		cert, key := s.file("site.pem"), s.file("site.key")
		for _, tc := range []struct {
			name, says string
			spoil      func()
		}{
			{"a foreign key", "does not fit the certificate", func() { testkit.SwapFile(t, key, string(ca(t).Issue(t, testkit.Leaf{}).Key)) }},
			{"garbage", "-----BEGIN 1 times, and 0", func() { testkit.SwapFile(t, cert, "-----BEGIN CERTIFICATE-----\nnonsense\n") }},
			{"nothing", "does not exist", func() { os.Remove(cert); os.Remove(key) }},
		} {
			tc.spoil()
			s.refuses([]string{"reload"}, tc.says)
			testkit.Until(t, "status to say so", func() bool { list := s.certs(); return len(list) == 1 && list[0].Fault != "" })
			if !s.shows(good) {
				t.Errorf("%s: the old certificate is no longer shown", tc.name)
			}
			good = s.newCert()
			testkit.Until(t, "a good certificate after "+tc.name, func() bool { return s.shows(good) })
			if list := s.certs(); list[0].Fault != "" {
				t.Errorf("%s: the fault stays: %s", tc.name, list[0].Fault)
			}
			s.reload()
		}
	})
}

// TestResumption: a session is resumed at every worker, and after a reload, the death of a
// worker and an upgrade.
func TestResumption(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		const workers, visits = 4, 40
		s := begin(t, mode+secured, setup{workers: workers, backends: to(serve(t, echo))})
		clients := map[string]*tls.Config{}
		for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			c := trusting(t)
			c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(4)
			if _, err := visit(s.addr, c); err != nil {
				t.Fatal(err)
			}
			clients[name] = c
		}
		check := func(after string) {
			t.Helper()
			for name, c := range clients {
				resumed := 0
				for range visits {
					state, err := visit(s.addr, c)
					if err != nil {
						t.Fatalf("after %s, TLS %s: %v", after, name, err)
					}
					if state.DidResume {
						resumed++
					}
				}
				if resumed < visits*95/100 {
					t.Errorf("after %s, TLS %s: %d of %d sessions were resumed", after, name, resumed, visits)
				}
			}
		}
		check("the first handshake")
		s.setup.keys += "via = \"x\"\n"
		s.reload()
		check("a reload")
		s.newCert()
		check("another certificate")
		if mode == "mp" {
			for _, l := range s.status().serving()[:2] {
				if _, killed := s.killWorker(l.PID); killed {
					s.successor(l.Slot, l.PID)
				}
			}
			check("the death of two workers")
		}
		s.upgrade()
		check("an upgrade")
		s.upgrade()
		check("another upgrade")
	})
}
