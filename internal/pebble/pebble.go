// Package pebble starts an ACME authority for tests: pebble, of Let's Encrypt, with a DNS
// server that says 127.0.0.1 for every name. Both are built from the module proxy, by a
// module of its own in the folder commands. Nothing but tests imports this package.
package pebble

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lb/internal/testkit"
)

// Options say what an authority of a test is to be.
type Options struct {
	HTTP, TLS int           // the ports at which it looks for answers to challenges; every name is 127.0.0.1
	Life      time.Duration // of its certificates; 0: 90 days
}

// Authority is an ACME authority, with a DNS server that knows every name.
type Authority struct {
	Directory string // URL
	CA        string // path of the authority of that URL, in PEM
	*testkit.Process
	manage, dns string
	client      *http.Client
}

// built is the folder with the commands, or "" if they are not built yet.
var built string

// build builds the commands, once for a test binary, and returns their folder.
var build = sync.OnceValues(func() (dir string, err error) {
	if built, err = os.MkdirTemp("", "lb-pebble-"); err != nil {
		return "", err
	}
	_, here, _, _ := runtime.Caller(0)
	const commands = "github.com/letsencrypt/pebble/v2/cmd/"
	cmd := exec.Command("go", "build", "-C", filepath.Join(filepath.Dir(here), "commands"), "-o", built+"/", commands+"pebble", commands+"pebble-challtestsrv")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return built, nil
})

// Remove removes what Start has built. It is for TestMain.
func Remove() {
	if built != "" {
		os.RemoveAll(built)
	}
}

// Start starts an authority, which ends with the test. It rejects some nonces, as
// it may.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	programs, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, ca := t.TempDir(), testkit.NewCA(t, "authority of the directory")
	cert, key := ca.Issue(t, testkit.Leaf{IPs: []string{"127.0.0.1"}}).Write(t, dir, "directory")
	listen, manage, dns, control := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"httpPort": o.HTTP, "tlsPort": o.TLS, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "of tests", "validityPeriod": int(o.Life.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	testkit.WriteFile(t, filepath.Join(dir, "pebble.json"), string(settings))
	testkit.Start(t, exec.Command(filepath.Join(programs, "pebble-challtestsrv"), "-defaultIPv6", "", "-dnsserver", dns,
		"-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", control))
	cmd := exec.Command(filepath.Join(programs, "pebble"), "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", dns)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	p := &Authority{Directory: "https://" + listen + "/dir", CA: ca.Write(t, dir, "ca"), manage: manage, dns: control}
	p.Process = testkit.Start(t, cmd)
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true}}
	testkit.Until(t, "pebble to listen", func() bool { return answers(listen) && answers(manage) && answers(control) })
	return p
}

// answers reports whether something listens at addr.
func answers(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// Roots returns the authority of the certificates that p issues.
func (p *Authority) Roots(t testing.TB) *x509.CertPool {
	t.Helper()
	res, err := p.client.Get("https://" + p.manage + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s, %v", text, err)
	}
	return pool
}

// Fail has every lookup of name fail, or no longer.
func (p *Authority) Fail(t testing.TB, name string, fail bool) {
	t.Helper()
	path := map[bool]string{true: "/set-servfail", false: "/clear-servfail"}[fail]
	body, _ := json.Marshal(map[string]string{"host": name + "."})
	res, err := http.Post("http://"+p.dns+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

// Issued returns how many certificates p has issued.
func (p *Authority) Issued() int { return strings.Count(p.Out.String(), "Issued certificate serial") }
