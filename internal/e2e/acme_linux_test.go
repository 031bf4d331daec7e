package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lb/internal/pebble"
	"lb/internal/testkit"
)

// site is an lb with a plain and a TLS listener and certificates from an authority.
type site struct {
	*service
	plain, secure int // ports of the listeners; plain 0: none
	storage       string
}

// newSite returns a site that does not run yet. Its requests are answered with "hello".
func newSite(t *testing.T, mode string, plain bool) *site {
	t.Helper()
	hello := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	v := &site{service: newService(t, mode, setup{keys: "watch = false\n", backends: to(hello)}), secure: testkit.HoldPort(t)}
	if plain {
		v.plain = testkit.HoldPort(t)
	}
	v.storage = v.file("acme")
	return v
}

// at has the certificates of names come from p.
func (v *site) at(p *pebble.Authority, names ...string) {
	v.setup.listeners = []string{fmt.Sprintf("127.0.0.1:%d\ntls = true", v.secure)}
	if v.plain > 0 {
		v.setup.listeners = append(v.setup.listeners, fmt.Sprintf("127.0.0.1:%d\nredirect_https = true", v.plain))
	}
	text := fmt.Sprintf("[tls.acme]\nnames = [\"%s\"]\nstorage = %q\n", strings.Join(names, `", "`), v.storage)
	if p != nil {
		text += fmt.Sprintf("directory = %q\ndirectory_ca = %q\n", p.Directory, p.CA)
	}
	v.setup.tables = text
}

// root returns that of lb's internal authority.
func (v *site) root() *x509.CertPool {
	v.t.Helper()
	pool := x509.NewCertPool()
	if text := v.want("trust", "--pem"); !pool.AppendCertsFromPEM([]byte(text)) {
		v.t.Fatalf("root: %s", text)
	}
	return pool
}

// get asks for https://name/ over a new conn. It returns the certificate that it got, or
// nil if roots do not vouch for it.
func (v *site) get(name string, roots *x509.CertPool) *x509.Certificate {
	v.t.Helper()
	c := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", v.secure))
		},
	}}
	resp, err := c.Get("https://" + name + "/")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
		v.t.Errorf("%s: %s %q, %v", name, resp.Status, body, err)
	}
	return resp.TLS.PeerCertificates[0]
}

// obtained waits until lb has a certificate of p for name, and returns it.
func (v *site) obtained(p *pebble.Authority, name string) (leaf *x509.Certificate) {
	v.t.Helper()
	roots := p.Roots(v.t)
	testkit.Until(v.t, "the certificate of "+name, func() bool {
		leaf = v.get(name, roots)
		return leaf != nil
	})
	return leaf
}

// stored returns the certificate of name that is in the storage.
func (v *site) stored(name string) *x509.Certificate {
	v.t.Helper()
	paths, _ := filepath.Glob(filepath.Join(v.storage, "certificates", "*", name, name+".crt"))
	if len(paths) != 1 {
		v.t.Fatalf("certificates of %s: %v", name, paths)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		v.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		v.t.Fatal(err)
	}
	return leaf
}

// TestACME gets a certificate by each challenge alone, and has another served before. Its
// life is so short that it is renewed at once.
func TestACME(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		for _, kind := range []string{"http-01", "tls-alpn-01"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				byChallenge(t, mode, kind)
			})
		}
	})
}

// byChallenge is TestACME with one kind of challenge.
func byChallenge(t *testing.T, mode, kind string) {
	const name = "a.example.com"
	v := newSite(t, mode, kind == "http-01")
	o := pebble.Options{HTTP: v.plain, TLS: testkit.HoldPort(t), Life: 20 * time.Minute}
	if kind == "tls-alpn-01" {
		o.HTTP, o.TLS = testkit.HoldPort(t), v.secure
	}
	p := pebble.Start(t, o)
	p.Fail(t, name, true) // so that the stand-in stays long enough to be seen
	v.at(p, name, "localhost")
	v.start()
	if v.get(name, v.root()) == nil || v.get("localhost", v.root()) == nil {
		t.Error("lb's internal authority does not vouch for the names")
	}
	if v.told("level=INFO", "internal authority is served until", "name="+name) != 1 {
		t.Error("no line of the log about the stand-in")
	}
	testkit.Until(t, "the failure", func() bool { return v.told("certificate could not be obtained", "name="+name, "retry_in=1m0s") > 0 })
	testkit.Until(t, "the failure in lb status", func() bool {
		out := v.lb("status", "--color", "never").out
		return strings.Contains(out, "stand-in") && strings.Contains(out, "resolve") && strings.Contains(out, "next try")
	})
	if v.get(name, v.root()) == nil {
		t.Error("no stand-in after the failure")
	}

	p.Fail(t, name, false)
	v.at(p, "localhost") // a name that is taken out and put back is asked for at once
	v.reload()
	v.at(p, name, "localhost")
	v.reload()
	v.obtained(p, name)
	for _, parts := range [][]string{{"certificate is asked for"}, {"challenge", "type=" + kind}, {"certificate obtained"}} {
		// The last line comes after the certificate is served.
		testkit.Until(t, fmt.Sprintf("a line of the log with %q", parts), func() bool { return v.told(append(parts, "level=INFO", "name="+name)...) > 0 })
	}
	testkit.Until(t, "the renewal", func() bool { return v.told("certificate renewed", "name="+name) > 0 })
	if p.Issued() != 2 {
		t.Errorf("%d certificates were issued", p.Issued())
	}
	testkit.Until(t, "the new certificate to be served", func() bool {
		leaf := v.get(name, p.Roots(t))
		return leaf != nil && leaf.Equal(v.stored(name))
	})
	if v.get("localhost", v.root()) == nil {
		t.Error("localhost is lost")
	}
	if out := v.lb("status", "--color", "never").out; strings.Contains(out, "stand-in") || strings.Contains(out, "next try") {
		t.Errorf("status:\n%s", out)
	}
}

// TestACMEShared has two lbs with one storage ask for a certificate: there is one order. A
// third one serves what they have got without asking, an upgrade of it as well.
func TestACMEShared(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		const name = "s.example.com"
		a, b, c := newSite(t, mode, true), newSite(t, mode, true), newSite(t, mode, true)
		p := pebble.Start(t, pebble.Options{HTTP: a.plain, TLS: testkit.HoldPort(t)}) // a answers for b as well
		for _, v := range []*site{a, b, c} {
			v.storage = a.storage
			v.at(p, name)
		}
		a.start()
		b.start()
		x, y := a.obtained(p, name), b.obtained(p, name)
		if x.SerialNumber.Cmp(y.SerialNumber) != 0 || p.Issued() != 1 {
			t.Errorf("serials %v and %v, %d issued", x.SerialNumber, y.SerialNumber, p.Issued())
		}
		p.Signal(t, os.Kill)
		c.start()
		roots := x509.NewCertPool()
		roots.AddCert(x) // the authority is gone; a client may trust the leaf itself
		if c.get(name, roots) == nil {
			t.Error("not served at once")
		}
		c.upgrade()
		testkit.Until(t, "the new process to serve it", func() bool { return c.get(name, roots) != nil })
		if c.told("certificate is asked for") != 0 || c.told("level=WARN", "certificate") != 0 {
			t.Error("it was asked for again")
		}
		if locks, _ := filepath.Glob(filepath.Join(a.storage, "locks", "*")); len(locks) > 0 {
			t.Errorf("left: %v", locks)
		}
	})
}
