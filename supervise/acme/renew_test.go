package acme

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"lb/internal/pebble"
	"lb/internal/testkit"
)

// obtained has l get the certificate of name, and returns what is served then.
func (l *loops) obtained(t *testing.T, p *pebble.Authority, name string) (serial string) {
	t.Helper()
	roots := p.Roots(t)
	testkit.Until(t, "the certificate of "+name, func() bool {
		leaf, good := l.served(t, name, roots)
		serial = leaf.SerialNumber.String()
		return good
	})
	return serial
}

// TestRenewal renews a certificate, then has that fail: the old one stays. Another
// Manager serves it at once, without the network.
func TestRenewal(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	l, storage := start(t), t.TempDir()
	// Certmagic does not forget in this process when a name was to be tried again: -count.
	name := fmt.Sprintf("r%d.example.com", port(l.tls))
	// A third of it is left when the renewal begins, which takes some seconds to fail.
	p := pebble.Start(t, pebble.Options{HTTP: port(l.plain), TLS: port(l.tls), Life: 24 * time.Second})
	cfg := settingsFor(storage, p, name)
	l.use(t, cfg)
	l.Begin()
	first, roots := l.obtained(t, p, name), p.Roots(t)
	testkit.Until(t, "another certificate", func() bool {
		leaf, good := l.served(t, name, roots)
		return good && leaf.SerialNumber.String() != first
	})
	testkit.Until(t, "the line of the log about the renewal", func() bool { return l.lines("certificate renewed", "name="+name) > 0 }) // it comes after
	if l.lines("certificate is asked for", "renewal=true") == 0 {
		t.Error("no line of the log about the renewal before it")
	}
	p.Fail(t, name, true)
	testkit.Until(t, "the failure", func() bool { return l.status(t, name).Error != "" })
	if s := l.status(t, name); s.StandIn || s.Source != SourceACME || s.Next.IsZero() {
		t.Errorf("status %+v", s)
	}
	testkit.Until(t, "the line of the log about the failure", func() bool { // it comes after
		return l.lines("level=WARN", "certificate could not be renewed, the old one is served", "name="+name, "retry_in=") == 1
	})

	other := start(t)
	other.use(t, cfg)
	if s := other.status(t, name); s.StandIn || !s.Until.Equal(l.status(t, name).Until) {
		t.Errorf("status of the other %+v", s)
	}
}

// TestNamesChange adds a name and removes another one: the third goes on, and is not
// asked for again.
func TestNamesChange(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	l, storage := start(t), t.TempDir()
	p := pebble.Start(t, pebble.Options{HTTP: port(l.plain), TLS: port(l.tls), Life: 20 * time.Second})
	l.use(t, settingsFor(storage, p, "stays.example.com", "goes.example.com"))
	l.Begin()
	gone := l.obtained(t, p, "goes.example.com")
	l.obtained(t, p, "stays.example.com")
	l.use(t, settingsFor(storage, p, "stays.example.com", "comes.example.com"))
	if _, good := l.served(t, "stays.example.com", p.Roots(t)); !good {
		t.Error("the name that stays is not served")
	}
	l.obtained(t, p, "comes.example.com")
	if n := l.lines("certificate is asked for", "name=stays.example.com", "renewal=false"); n != 1 {
		t.Errorf("asked for %d times", n)
	}
	if leaf, _ := l.served(t, "goes.example.com", p.Roots(t)); leaf.SerialNumber.String() == gone {
		t.Error("the removed name is served")
	}
	testkit.Until(t, "the renewal of the name that stays", func() bool { return l.lines("certificate renewed", "name=stays") > 0 })
	testkit.Until(t, "the renewal of the name that came", func() bool { return l.lines("certificate renewed", "name=comes") > 0 })
	if n := l.lines("certificate renewed", "name=goes"); n != 0 {
		t.Error("the removed name is renewed")
	}
}

// TestSharedStorage has two machines ask for the same name: there is one order, and both
// serve its certificate.
func TestSharedStorage(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	const name = "s.example.com"
	a, b, storage := start(t), start(t), t.TempDir()
	p := pebble.Start(t, pebble.Options{HTTP: port(a.plain), TLS: testkit.HoldPort(t)})
	cfg := settingsFor(storage, p, name)
	// b may be the one that asks: a then answers for it, having looked in the storage.
	a.o.Alone, b.o.Alone = false, false
	a.use(t, cfg)
	b.use(t, cfg)
	a.Begin()
	b.Begin()
	if x, y := a.obtained(t, p, name), b.obtained(t, p, name); x != y {
		t.Errorf("serials %s and %s", x, y)
	}
	if n := p.Issued(); n != 1 {
		t.Errorf("%d certificates were issued", n)
	}
}

// TestOthersChallenge has the authority look at a machine that has asked for nothing.
func TestOthersChallenge(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		asks, answers, storage := startWith(t, false), start(t), t.TempDir()
		o := pebble.Options{HTTP: port(answers.plain), TLS: testkit.HoldPort(t)}
		if kind == "tls-alpn-01" {
			o = pebble.Options{HTTP: testkit.HoldPort(t), TLS: port(answers.tls)}
		}
		p := pebble.Start(t, o)
		answers.use(t, settingsFor(storage, p, "other.example.com"))
		answers.work.Go(answers.look) // and nothing else of Begin
		cfg := settingsFor(storage, p, "o.example.com")
		if kind == "tls-alpn-01" {
			cfg.Listeners = cfg.Listeners[1:]
		}
		asks.use(t, cfg)
		asks.Begin()
		asks.obtained(t, p, "o.example.com")
	}
}

// TestClose ends a Manager while the authority waits for it. The next one gets the
// certificate, without waiting for a lock of the first.
func TestClose(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	const name = "u.example.com"
	first, next, storage := start(t), start(t), t.TempDir()
	p := pebble.Start(t, pebble.Options{HTTP: port(next.plain), TLS: testkit.HoldPort(t)}) // first is never asked
	cfg := settingsFor(storage, p, name)
	first.o.Publish = func(m Material) <-chan struct{} { return make(chan struct{}) } // no loop takes it
	first.use(t, cfg)
	first.Begin()
	testkit.Until(t, "a challenge", func() bool { return first.lines("challenge") > 0 })
	first.Close()
	if locks, _ := filepath.Glob(filepath.Join(storage, "locks", "*")); len(locks) > 0 {
		t.Errorf("left: %v", locks)
	}
	if tokens, _ := filepath.Glob(filepath.Join(storage, "acme", "*", "challenge_tokens", "*")); len(tokens) > 0 {
		t.Errorf("left: %v", tokens)
	}
	next.use(t, cfg)
	next.Begin()
	next.obtained(t, p, name)
}

// TestTakenTooLate: a certificate that comes while the Manager is stopped is the next
// process's.
func TestTakenTooLate(t *testing.T) {
	l := start(t)
	l.use(t, settingsFor(t.TempDir(), nil, "example.com"))
	s := l.sites["example.com"]
	l.Stop()
	l.take(s)
	if s.real != nil {
		t.Error("it is taken")
	}
}

// TestPauses holds the pauses between renewals to certmagic's, which are not exported.
func TestPauses(t *testing.T) {
	dir := moduleDir(t, "github.com/caddyserver/certmagic")
	source, err := os.ReadFile(filepath.Join(dir, "async.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), "var retryIntervals = []time.Duration{")
	list, _, _ = strings.Cut(list, "\n}")
	var want []time.Duration
	for _, m := range regexp.MustCompile(`(?m)^\s*(\d+) \* time\.(Minute|Hour),`).FindAllStringSubmatch(list, -1) {
		n, _ := strconv.Atoi(m[1])
		want = append(want, time.Duration(n)*map[string]time.Duration{"Minute": time.Minute, "Hour": time.Hour}[m[2]])
	}
	if !slices.Equal(pauses, want) {
		t.Errorf("%v, certmagic has %v", pauses, want)
	}
}

// TestListensNowhere checks that certmagic cannot bind the address that it would bind.
func TestListensNowhere(t *testing.T) {
	l := start(t)
	l.use(t, settingsFor(t.TempDir(), nil, "example.com"))
	a := l.agent
	if a.issuer.AltHTTPPort != port(a.taken) || a.issuer.AltTLSALPNPort != port(a.taken) || a.issuer.ListenHost != "127.0.0.1" {
		t.Errorf("%s, ports %d and %d; taken is %v", a.issuer.ListenHost, a.issuer.AltHTTPPort, a.issuer.AltTLSALPNPort, a.taken.Addr())
	}
	for range 3 {
		if _, err := http.Get("http://" + a.taken.Addr().String()); err == nil {
			t.Error("something answers there")
		}
	}
	if a.issuer.CA != certmagic.LetsEncryptProductionCA || a.issuer.TestCA != certmagic.LetsEncryptStagingCA {
		t.Errorf("authorities %s, %s", a.issuer.CA, a.issuer.TestCA)
	}
}

func TestRefused(t *testing.T) {
	l, dir := start(t), t.TempDir()
	testkit.WriteFile(t, filepath.Join(dir, "empty.pem"), "")
	for _, tt := range []struct{ storage, ca, want string }{
		{filepath.Join(dir, "empty.pem"), "", "tls.acme.storage: "},
		{dir, filepath.Join(dir, "none.pem"), "tls.acme.directory_ca: "},
		{dir, filepath.Join(dir, "empty.pem"), "has no certificate"},
	} {
		cfg := settingsFor(tt.storage, nil, "a.example.com")
		cfg.TLS.ACME.DirectoryCA = tt.ca
		if _, err := l.Prepare(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
