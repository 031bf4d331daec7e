package supervise

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/supervise/certs"
	"lb/supervise/supervisetest"
)

// shows reports whether the lb at addr shows p to a new client.
func shows(t *testing.T, addr string, p *testkit.Pair) bool {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Equal(p.X509)
}

// secured makes cfg speak TLS with the certificate in dir, which is p.
func secured(t *testing.T, cfg *config.Config, dir string, p *testkit.Pair) *config.Config {
	t.Helper()
	cert, key := p.Write(t, dir, "site")
	cfg.Listeners = []config.Listener{{Address: "127.0.0.1:0", TLS: true}}
	cfg.TLS.Certs = []config.Cert{{Cert: cert, Key: key}}
	return cfg
}

// TestManagedCertificates: once a caller of SetManaged has waited, every new handshake has
// what it has set, also if a reload comes between.
func TestManagedCertificates(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		ca := testkit.NewCA(t, "ca")
		cfg = secured(t, cfg, t.TempDir(), ca.Issue(t, testkit.Leaf{Names: []string{"other.test"}}))
		in := serve(t, cfg, Options{})
		manager := in.control.(commands).d.certs
		for i := range 6 {
			p := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
			taken, err := manager.SetManaged(certs.Managed{Certs: []certs.ManagedCert{
				{Cert: tlsconf.Cert{Chain: p.Cert, Key: p.Key}, Source: "acme"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 1 {
				in.reload(t, changed(cfg, func(c *config.Config) { c.Via = fmt.Sprint("v", i) }))
			}
			testkit.Wait(t, taken, "the loops to have it")
			for range 4 {
				if !shows(t, in.addr, p) {
					t.Errorf("certificate %d is not in use", i)
				}
			}
		}
		last, err := manager.SetManaged(certs.Managed{})
		if err != nil {
			t.Fatal(err)
		}
		in.signals <- syscall.SIGQUIT
		testkit.Wait(t, last, "the end of the wait at the end of lb")
	})
}

// TestUnfitCertificateRefused: at the start and in a reload, with the file and its key.
func TestUnfitCertificateRefused(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		ca, dir := testkit.NewCA(t, "ca"), t.TempDir()
		good := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
		cfg = secured(t, cfg, dir, good)
		in := serve(t, cfg, Options{})
		_, foreign := ca.Issue(t, testkit.Leaf{}).Write(t, dir, "foreign")
		bad := changed(cfg, func(c *config.Config) { c.TLS.Certs = []config.Cert{{Cert: cfg.TLS.Certs[0].Cert, Key: foreign}} })
		in.wantRefused(t, bad, "tls.key: "+foreign+" does not fit the certificate "+cfg.TLS.Certs[0].Cert)
		if !shows(t, in.addr, good) {
			t.Error("the certificate in use is another")
		}
		in.next.Store(cfg)
		os.Remove(filepath.Join(dir, "site.key"))
		if _, err := in.control.Reload(true); err == nil || !strings.Contains(err.Error(), "site.key does not exist") {
			t.Errorf("a plan says %v", err)
		}
		next := begin(t, cfg, Options{})
		if next.addr != "" || next.err == nil || !strings.Contains(next.err.Error(), "tls.key: "+dir+"/site.key does not exist") {
			t.Errorf("a start says %v", next.err)
		}
	})
}
