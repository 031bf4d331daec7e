package acme

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/config"
	"lb/internal/pebble"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
	"lb/supervise/localca"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pebble.Remove()
	os.Exit(code)
}

// loops stands for those of lb: it serves the Material that was published last, over TLS
// and, for HTTP-01, without.
type loops struct {
	*Manager
	log        testkit.Log
	now        atomic.Pointer[Material]
	set        atomic.Pointer[tlsconf.Set]
	plain, tls net.Listener
}

// start starts loops whose Manager has no names yet.
func start(t *testing.T) *loops {
	t.Helper()
	return startWith(t, true)
}

// startWith is start. alone is Options.Alone.
func startWith(t *testing.T, alone bool) *loops {
	t.Helper()
	l := &loops{plain: listen(t), tls: listen(t)}
	l.now.Store(&Material{})
	l.Manager = New(Options{
		Log:        slog.New(slog.NewTextHandler(&l.log, nil)),
		Publish:    func(m Material) <-chan struct{} { return l.publish(t, m) },
		CheckEvery: 100 * time.Millisecond,
		Alone:      alone,
	})
	go http.Serve(l.plain, http.HandlerFunc(l.answer))
	go l.shake()
	t.Cleanup(func() {
		l.Close()
		if t.Failed() {
			t.Logf("log:\n%s", l.log.String())
		}
	})
	return l
}

// listen returns a listener that is closed when the test ends.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// publish has m served.
func (l *loops) publish(t *testing.T, m Material) <-chan struct{} {
	s := &tlsconf.Secrets{Tokens: m.Tokens}
	for _, c := range m.Certs {
		s.Certs = append(s.Certs, c.Cert)
	}
	set, err := tlsconf.Build(&config.Config{Listeners: []config.Listener{{TLS: true}}}, s)
	if err != nil {
		t.Errorf("published: %v", err)
	} else {
		l.set.Store(set)
		l.now.Store(&m)
	}
	taken := make(chan struct{})
	close(taken)
	return taken
}

// answer answers HTTP-01.
func (l *loops) answer(w http.ResponseWriter, r *http.Request) {
	if text, ok := l.now.Load().Tokens[strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")]; ok {
		w.Write([]byte(text))
		return
	}
	http.NotFound(w, r)
}

// shake makes handshakes.
func (l *loops) shake() {
	choose := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := l.set.Load().Server
		if c.GetConfigForClient != nil {
			if other, err := c.GetConfigForClient(hello); other != nil || err != nil {
				return other, err
			}
		}
		return c, nil
	}
	for {
		c, err := l.tls.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			tls.Server(c, &tls.Config{GetConfigForClient: choose}).Handshake()
		}()
	}
}

// served returns the certificate that a client gets for name, and whether one that trusts
// roots believes it.
func (l *loops) served(t *testing.T, name string, roots *x509.CertPool) (leaf *x509.Certificate, good bool) {
	t.Helper()
	c, err := tls.Dial("tcp", l.tls.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	chain := c.ConnectionState().PeerCertificates
	others := x509.NewCertPool()
	for _, o := range chain[1:] {
		others.AddCert(o)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: others})
	return chain[0], err == nil
}

// internal returns the root of the internal authority in storage.
func internal(t *testing.T, storage string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(localca.RootPath(storage))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal("no root", err)
	}
	return pool
}

// settingsFor returns a configuration with these names, at p, or at Let's Encrypt if p is
// nil.
func settingsFor(storage string, p *pebble.Authority, names ...string) *config.Config {
	c := config.Default()
	c.Listeners = []config.Listener{{Address: ":80"}, {Address: ":443", TLS: true}}
	c.TLS.ACME = config.ACME{Names: names, Storage: storage}
	if p != nil {
		c.TLS.ACME.Directory, c.TLS.ACME.DirectoryCA = p.Directory, p.CA
	}
	return c
}

// use has l use cfg.
func (l *loops) use(t *testing.T, cfg *config.Config) {
	t.Helper()
	c, err := l.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Commit(c)
}

// status returns that of name.
func (l *loops) status(t *testing.T, name string) Status {
	t.Helper()
	for _, s := range l.Status() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no status of %s", name)
	return Status{}
}

// lines returns how many lines of the log have all of parts.
func (l *loops) lines(parts ...string) (n int) {
	for line := range strings.Lines(l.log.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			n++
		}
	}
	return n
}

// TestInternalNames checks that no network is needed for them, and that one certificate
// has all of them, since clients send no SNI for an address.
func TestInternalNames(t *testing.T) {
	l, storage := start(t), filepath.Join(t.TempDir(), "acme")
	l.use(t, settingsFor(storage, nil, "localhost", "*.localhost", "127.0.0.1", "db.internal"))
	l.Begin()
	roots := internal(t, storage)
	for _, name := range []string{"localhost", "a.localhost", "127.0.0.1", "db.internal"} {
		if leaf, good := l.served(t, name, roots); !good {
			t.Errorf("%s: %v", name, leaf)
		}
	}
	for _, s := range l.Status() {
		if s.Source != SourceInternal || s.StandIn || s.Error != "" || time.Until(s.Until) < 30*24*time.Hour {
			t.Errorf("status %+v", s)
		}
	}
	if n := len(l.now.Load().Certs); n != 1 {
		t.Errorf("%d certificates", n)
	}
	before, _ := l.served(t, "localhost", roots)
	l.use(t, settingsFor(storage, nil, "localhost", "*.localhost", "127.0.0.1", "db.internal"))
	if after, _ := l.served(t, "localhost", roots); !after.Equal(before) {
		t.Error("another certificate after a reload that changes nothing")
	}
	l.use(t, settingsFor(storage, nil))
	if n := len(l.now.Load().Certs); n != 0 || len(l.Status()) != 0 {
		t.Errorf("%d certificates without a name, status %v", n, l.Status())
	}
}

// TestLeavesAreRenewed lets time pass: leaves of the internal authority are replaced when
// half of their life is over.
func TestLeavesAreRenewed(t *testing.T) {
	l := start(t)
	l.use(t, settingsFor(t.TempDir(), nil, "localhost", "example.com"))
	begun := time.Now()
	local, standIn := l.status(t, "localhost").Until, l.status(t, "example.com").Until
	for _, tt := range []struct {
		days                 int
		newLocal, newStandIn bool
	}{{3, false, false}, {4, false, true}, {5, false, false}, {29, false, true}, {31, true, false}} {
		at := begun.Add(time.Duration(tt.days) * 24 * time.Hour)
		if changed := l.readAll(at); changed != (tt.newLocal || tt.newStandIn) {
			t.Errorf("day %d: changed %v", tt.days, changed)
		}
		a, b := l.status(t, "localhost").Until, l.status(t, "example.com").Until
		if a.After(local) != tt.newLocal || b.After(standIn) != tt.newStandIn {
			t.Errorf("day %d: until %v and %v", tt.days, a, b)
		}
		local, standIn = a, b
	}
}

// TestObtain gets certificates by one kind of challenge alone each, and by both.
func TestObtain(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	for _, tt := range []struct {
		kind       string
		http, over bool
	}{{"http-01", true, false}, {"tls-alpn-01", false, true}, {"-01", true, true}} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			l, storage := start(t), t.TempDir()
			o := pebble.Options{HTTP: testkit.HoldPort(t), TLS: testkit.HoldPort(t)} // refuse connections
			if tt.http {
				o.HTTP = port(l.plain)
			}
			if tt.over {
				o.TLS = port(l.tls)
			}
			p := pebble.Start(t, o)
			cfg := settingsFor(storage, p, "a.example.com", "b.example.com", "localhost")
			if !tt.http {
				cfg.Listeners = cfg.Listeners[1:] // no plain listener, so no HTTP-01
			}
			l.use(t, cfg)
			standIn, good := l.served(t, "a.example.com", internal(t, storage))
			if s := l.status(t, "a.example.com"); !good || !s.StandIn || s.Source != SourceStandIn || !s.Until.Equal(standIn.NotAfter) {
				t.Errorf("before: status %+v, good %v", s, good)
			}
			if n := l.lines("internal authority is served until", "name=a.example.com"); n != 1 {
				t.Errorf("%d lines of a stand-in", n)
			}
			l.Begin()
			roots := p.Roots(t)
			for _, name := range []string{"a.example.com", "b.example.com"} {
				testkit.Until(t, "the certificate of "+name, func() bool { _, good := l.served(t, name, roots); return good })
				if s := l.status(t, name); s.StandIn || s.Source != SourceACME || s.Error != "" {
					t.Errorf("status %+v", s)
				}
				for _, parts := range [][]string{{"certificate is asked for"}, {"challenge", "type=", tt.kind}, {"certificate obtained", "until="}} {
					// The last line comes after the certificate is served.
					testkit.Until(t, fmt.Sprintf("a line of the log with %q of %s", parts, name), func() bool { return l.lines(append(parts, "name="+name)...) > 0 })
				}
			}
			if _, good := l.served(t, "localhost", internal(t, storage)); !good {
				t.Error("localhost")
			}
			testkit.Until(t, "the challenges to be gone", func() bool {
				m := l.now.Load()
				return len(m.Certs) == 3 && len(m.Tokens) == 0
			})
		})
	}
}

// TestFailure has the authority fail, and come back.
func TestFailure(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	const name = "c.example.com"
	l, storage := start(t), t.TempDir()
	p := pebble.Start(t, pebble.Options{HTTP: port(l.plain), TLS: port(l.tls)})
	p.Fail(t, name, true)
	l.use(t, settingsFor(storage, p, name))
	l.Begin()
	testkit.Until(t, "the failure, and that it is published", func() bool {
		m := l.now.Load()
		return l.status(t, name).Error != "" && m != nil && m.Faults[name] != ""
	})
	s := l.status(t, name)
	if !strings.Contains(s.Error, "resolve") {
		t.Errorf("error %q", s.Error)
	}
	if wait := time.Until(s.Next); !s.StandIn || wait < 30*time.Second || wait > time.Minute {
		t.Errorf("status %+v", s)
	}
	if got := l.now.Load().Faults[name]; !strings.Contains(got, s.Error) || !strings.Contains(got, s.Next.UTC().Format(time.RFC3339)) {
		t.Errorf("fault %q", got)
	}
	if _, good := l.served(t, name, internal(t, storage)); !good {
		t.Error("no stand-in")
	}
	if l.lines("certificate could not be obtained", "name="+name, "cause=", "retry_in=1m0s") != 1 || l.lines("level=WARN") != 1 {
		t.Error("want one line of the log")
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	const name = "d.example.com"
	l, cfg := start(t), settingsFor(t.TempDir(), nil, name)
	cfg.TLS.ACME.Directory = "https://" + testkit.RefusingAddr(t) + "/dir"
	l.use(t, cfg)
	l.Begin()
	testkit.Until(t, "the failure", func() bool { return l.status(t, name).Error != "" })
	if s := l.status(t, name); !strings.HasPrefix(s.Error, "no answer of the authority: ") || !strings.Contains(s.Error, "connection refused") || s.Next.IsZero() {
		t.Errorf("status %+v", s)
	}
	testkit.Until(t, "the warning", func() bool { return l.lines("certificate could not be obtained") == 1 })
	if l.lines("level=WARN") != 1 {
		t.Error("want one warning for the attempt, though it had several tries")
	}
}

// moduleDir returns where the source of a module is.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
