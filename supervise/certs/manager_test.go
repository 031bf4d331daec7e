package certs

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
	"lb/internal/tlsconf"
)

// rig is a Manager whose look is called by hand, at times that the test sets.
type rig struct {
	t   *testing.T
	log testkit.Log
	m   *Manager
	now time.Time
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, now: time.Now()}
	r.m = New(slog.New(slog.NewTextHandler(&r.log, nil)))
	return r
}

// use uses cfg, which has to be good.
func (r *rig) use(cfg *config.Config) *tlsconf.Secrets {
	r.t.Helper()
	l, err := r.m.Prepare(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.m.Use(l)
}

// looks looks as often as it takes to take up what has changed, and reports whether
// anything was.
func (r *rig) looks() (changed bool) {
	for range 2 {
		r.now = r.now.Add(lookEvery)
		changed = r.m.look(r.now) || changed
	}
	return changed
}

// secrets returns the secrets in use.
func (r *rig) secrets() *tlsconf.Secrets {
	s, _ := r.m.Secrets()
	return s
}

// logged returns how often text is in the log.
func (r *rig) logged(text string) int { return strings.Count(r.log.String(), text) }

// tlsConfig returns a configuration with one TLS listener and these certificates.
func tlsConfig(certs ...config.Cert) *config.Config {
	cfg := config.Default()
	cfg.TLS.Certs = certs
	cfg.Listeners = []config.Listener{{Address: ":443", TLS: true}}
	return cfg
}

func TestNoTLS(t *testing.T) {
	r := newRig(t)
	if s := r.use(config.Default()); s != nil || r.looks() {
		t.Errorf("secrets %+v", s)
	}
	taken, err := r.m.SetManaged(Managed{Tokens: map[string]string{"a": "b"}})
	if err != nil || !testkit.IsClosed(taken) {
		t.Errorf("%v: a wait for loops that need nothing", err)
	}
}

// TestSwap: a pair that was replaced, in any way, is taken up; what does not fit is not,
// and is logged once after a while.
func TestSwap(t *testing.T) {
	r, ca, dir := newRig(t), testkit.NewCA(t, "ca"), t.TempDir()
	issue := func() *testkit.Pair { return ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}) }
	first := issue()
	cert, key := first.Write(t, dir, "site")
	s := r.use(tlsConfig(config.Cert{Cert: cert, Key: key}))
	want := func(what string, p *testkit.Pair) {
		t.Helper()
		if got := r.secrets(); !bytes.Equal(got.Certs[0].Chain, p.Cert) || !bytes.Equal(got.Certs[0].Key, p.Key) {
			t.Fatalf("%s: another certificate is in use", what)
		}
	}
	want("at first", first)
	if r.looks() || r.secrets() != s {
		t.Fatal("something has changed by itself")
	}
	second := issue()
	second.Write(t, dir, "site")
	if r.now = r.now.Add(lookEvery); r.m.look(r.now) {
		t.Error("taken up at once: it may not be whole")
	}
	if !r.looks() || r.secrets().Number <= s.Number {
		t.Error("not taken up, or with the old number")
	}
	want("renamed into place", second)
	third := issue()
	testkit.SwapFile(t, cert, string(third.Cert)) // the key is to come
	if r.looks() || r.logged("not taken up") != 0 {
		t.Error("half of a pair was taken up, or refused at once")
	}
	want("half a pair", second)
	testkit.WriteFile(t, key, string(third.Key))
	if !r.looks() {
		t.Error("the other half was not taken up")
	}
	want("written in place", third)
	os.Remove(cert)
	os.Remove(key)
	for range 40 {
		if r.looks() {
			t.Fatal("nothing was taken up")
		}
	}
	want("removed", third)
	if n := r.logged("does not exist"); n != 1 || r.m.List()[0].Fault == "" {
		t.Errorf("said %d times, status has %q", n, r.m.List()[0].Fault)
	}
	third.Write(t, dir, "site")
	if r.looks() || r.m.List()[0].Fault != "" { // other files, with the same content
		t.Errorf("fault %q stays", r.m.List()[0].Fault)
	}
	want("back again", third)
	if n := r.logged("certificate files are again those in use"); n != 1 {
		t.Errorf("that it is well again was said %d times", n)
	}
}

// TestLinks: links that lead elsewhere, as certbot and Kubernetes change files.
func TestLinks(t *testing.T) {
	r, ca, dir := newRig(t), testkit.NewCA(t, "ca"), t.TempDir()
	versions := map[string]*testkit.Pair{}
	for _, v := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
		versions[v] = ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}})
		versions[v].Write(t, filepath.Join(dir, v), "tls")
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, at+".new")); err != nil {
			t.Fatal(err)
		}
		testkit.Rename(t, filepath.Join(dir, at+".new"), filepath.Join(dir, at))
	}
	link("v1", "..data")
	link("..data/tls.pem", "tls.pem")
	link("..data/tls.key", "tls.key")
	r.use(tlsConfig(config.Cert{Cert: filepath.Join(dir, "tls.pem"), Key: filepath.Join(dir, "tls.key")}))
	link("v2", "..data")
	if !r.looks() || !bytes.Equal(r.secrets().Certs[0].Chain, versions["v2"].Cert) {
		t.Error("the new directory was not taken up")
	}
}

// TestPrepareRefuses: a configuration with unfit files is refused, and nothing changes.
func TestPrepareRefuses(t *testing.T) {
	r, ca, dir := newRig(t), testkit.NewCA(t, "ca"), t.TempDir()
	cert, key := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}).Write(t, dir, "a")
	s := r.use(tlsConfig(config.Cert{Cert: cert, Key: key}))
	_, foreign := ca.Issue(t, testkit.Leaf{}).Write(t, dir, "b")
	cfg := tlsConfig(config.Cert{Cert: cert, Key: foreign}, config.Cert{Cert: dir + "/none"})
	cfg.TLS.ClientAuth, cfg.TLS.ClientCA = config.ClientAuthRequire, dir+"/ca.pem"
	_, err := r.m.Prepare(cfg)
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{"tls.key: " + foreign + " does not fit", "tls.certs: " + dir + "/none does not exist", "tls.client_ca: " + dir + "/ca.pem does not exist"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of\n%v\nwant %s", i, err, want)
		}
	}
	if r.secrets() != s || r.looks() {
		t.Error("something has changed")
	}
}

// TestEverything: each file comes to where it belongs.
func TestEverything(t *testing.T) {
	r, ca, dir := newRig(t), testkit.NewCA(t, "ca"), t.TempDir()
	one := ca.Issue(t, testkit.Leaf{Names: []string{"one.test"}})
	oneFile := filepath.Join(dir, "one.pem")
	testkit.WriteFile(t, oneFile, string(one.Key)+string(one.Cert))
	lb := ca.Issue(t, testkit.Leaf{Names: []string{"lb.test"}, Client: true})
	lbCert, lbKey := lb.Write(t, dir, "lb")
	cfg := tlsConfig(config.Cert{Cert: oneFile})
	cfg.TLS.ClientAuth, cfg.TLS.ClientCA = config.ClientAuthRequest, ca.Write(t, dir, "ca")
	cfg.Pools = append(cfg.Pools, config.NewPool("api"))
	api := &cfg.Pools[1]
	api.Backends = []config.Backend{{Host: "b", Port: 443, Weight: 1, TLS: true}}
	api.TLS = config.BackendTLS{CA: cfg.TLS.ClientCA, ClientCert: lbCert, ClientKey: lbKey}
	s := r.use(cfg)
	if !bytes.Equal(s.Certs[0].Chain, one.Cert) || !bytes.Equal(s.Certs[0].Key, one.Key) || !bytes.Equal(s.ClientCA, ca.Cert) {
		t.Error("secrets for clients")
	}
	if len(s.Pools) != 2 || s.Pools[0] != nil || !bytes.Equal(s.Pools[1].CA, ca.Cert) ||
		!bytes.Equal(s.Pools[1].ClientCert, lb.Cert) || !bytes.Equal(s.Pools[1].ClientKey, lb.Key) {
		t.Error("secrets for backends")
	}
	if len(s.Tickets) != 1 || len(s.Tickets[0]) != 32 {
		t.Errorf("%d keys of tickets", len(s.Tickets))
	}
	list := r.m.List()
	if len(list) != 2 || list[0].Name != "one.test" || list[0].Issuer != "ca" || list[0].File != oneFile || list[1].Pool != "api" {
		t.Errorf("status %+v", list)
	}
	next := ca.Issue(t, testkit.Leaf{Names: []string{"lb.test"}, Client: true})
	next.Write(t, dir, "lb")
	if !r.looks() || !bytes.Equal(r.secrets().Pools[1].ClientCert, next.Cert) {
		t.Error("the certificate for backends was not taken up")
	}
	other := testkit.NewCA(t, "other")
	other.Write(t, dir, "ca")
	if !r.looks() || !bytes.Equal(r.secrets().Pools[1].CA, other.Cert) || !bytes.Equal(r.secrets().ClientCA, other.Cert) {
		t.Error("the authorities were not taken up")
	}
}

func TestTickets(t *testing.T) {
	r, ca := newRig(t), testkit.NewCA(t, "ca")
	cert, key := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}).Write(t, t.TempDir(), "a")
	cfg := tlsConfig(config.Cert{Cert: cert, Key: key})
	first := r.use(cfg).Tickets[0]
	for i := range 4 {
		if got := r.secrets().Tickets; len(got) != min(i+1, ticketsKept) || slices.ContainsFunc(got, func(k []byte) bool { return bytes.Equal(k, first) }) != (i < ticketsKept) {
			t.Errorf("after %d rotations: %d keys", i, len(got))
		}
		if r.now = r.now.Add(ticketEvery - 2*time.Second); r.m.look(r.now) {
			t.Error("rotated too early")
		}
		r.now = r.now.Add(3 * time.Second)
		if !r.m.look(r.now) {
			t.Error("not rotated")
		}
	}
	kept := r.secrets()
	if again := r.use(cfg); len(again.Tickets) != ticketsKept || !bytes.Equal(again.Tickets[0], kept.Tickets[0]) {
		// Use goes by the clock: a key of the future is one of a clock that was set back.
		if !bytes.Equal(again.Tickets[1], kept.Tickets[0]) {
			t.Error("a reload has lost the keys")
		}
	}
	next := newRig(t)
	next.m.Inherit(r.m.HandOver())
	got := next.use(cfg)
	if !bytes.Equal(got.Tickets[0], r.secrets().Tickets[0]) && !bytes.Equal(got.Tickets[1], r.secrets().Tickets[0]) || got.Number <= r.secrets().Number {
		t.Error("an upgrade has lost the keys, or the number")
	}
	for _, text := range []string{"", "{", `{"Tickets":{"Keys":["AAAA"]}}`} {
		bad := newRig(t)
		bad.m.Inherit([]byte(text))
		if s := bad.use(cfg); len(s.Tickets) != 1 || len(s.Tickets[0]) != 32 {
			t.Errorf("after %q: %d keys", text, len(s.Tickets))
		}
	}
}

func TestManaged(t *testing.T) {
	r, ca := newRig(t), testkit.NewCA(t, "ca")
	pair, challenge := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}), ca.Issue(t, testkit.Leaf{Names: []string{"b.test"}})
	x := Managed{
		Certs: []ManagedCert{
			{tlsconf.Cert{Chain: pair.Cert, Key: pair.Key}, "internal"},
			{tlsconf.Cert{Chain: challenge.Cert, Key: challenge.Key, Challenge: "b.test"}, "acme"},
		},
		Tokens: map[string]string{"t": "answer"},
		Faults: map[string]string{"a.test": "no answer", "b.test": "refused"},
	}
	early, err := r.m.SetManaged(x) // before there is a configuration
	if err != nil || testkit.IsClosed(early) {
		t.Fatal(err)
	}
	cfg := tlsConfig()
	cfg.TLS.ACME.Names = []string{"a.test", "b.test"}
	s := r.use(cfg)
	if len(s.Certs) != 2 || s.Certs[1].Challenge != "b.test" || s.Tokens["t"] != "answer" {
		t.Errorf("%+v", s)
	}
	want := []api.Certificate{
		{Name: "a.test", Names: []string{"a.test"}, Issuer: "ca", Expires: pair.X509.NotAfter, Source: "internal", Fault: "no answer"},
		{Name: "b.test", Names: []string{"b.test"}, Fault: "refused"},
	}
	if got := r.m.List(); len(got) != 2 || got[0].Fault != want[0].Fault || got[0].Source != "internal" || got[1].Fault != "refused" || got[1].Name != "b.test" {
		t.Errorf("status %+v, want %+v", got, want)
	}
	later, err := r.m.SetManaged(Managed{Certs: x.Certs[:1]})
	if err != nil || len(r.secrets().Certs) != 1 || r.secrets().Number <= s.Number {
		t.Errorf("%v, %d certificates", err, len(r.secrets().Certs))
	}
	if r.m.Taken(s.Number); !testkit.IsClosed(early) || testkit.IsClosed(later) {
		t.Error("the wrong caller was told")
	}
	bad := x
	bad.Certs = []ManagedCert{{tlsconf.Cert{Chain: pair.Cert, Key: challenge.Key}, "acme"}}
	if _, err := r.m.SetManaged(bad); err == nil || len(r.secrets().Certs) != 1 {
		t.Errorf("%v: an unfit certificate was taken", err)
	}
	if r.m.Close(); !testkit.IsClosed(later) {
		t.Error("a caller waits for ever")
	}
}

// TestNews: the goroutine notices both what is set and what is in files, and ends.
func TestNews(t *testing.T) {
	r, ca, dir := newRig(t), testkit.NewCA(t, "ca"), t.TempDir()
	cert, key := ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}).Write(t, dir, "a")
	r.use(tlsConfig(config.Cert{Cert: cert, Key: key}))
	news := make(chan struct{}, 100)
	r.m.Start(func(<-chan struct{}) { news <- struct{}{} })
	if _, err := r.m.SetManaged(Managed{Tokens: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	testkit.Wait(t, news, "what was set")
	ca.Issue(t, testkit.Leaf{Names: []string{"a.test"}}).Write(t, dir, "a")
	testkit.Wait(t, news, "what was written")
	r.m.Close()
}

// TestReminders: once a day from 14 days before the end, and from the end on.
func TestReminders(t *testing.T) {
	r, ca := newRig(t), testkit.NewCA(t, "ca")
	end := r.now.Add(15 * 24 * time.Hour)
	long := ca.Issue(t, testkit.Leaf{Names: []string{"long.test"}, NotBefore: end.Add(-90 * 24 * time.Hour), NotAfter: end})
	short := ca.Issue(t, testkit.Leaf{Names: []string{"short.test"}, NotAfter: r.now.Add(24 * time.Hour)})
	dir := t.TempDir()
	longCert, longKey := long.Write(t, dir, "long")
	shortCert, shortKey := short.Write(t, dir, "short")
	r.use(tlsConfig(config.Cert{Cert: longCert, Key: longKey}, config.Cert{Cert: shortCert, Key: shortKey}))
	if r.logged(`"certificate expires soon" name=short.test`) != 0 {
		t.Error("a certificate that lives for a day is said to expire a day before")
	}
	const day, hour = 24 * time.Hour, time.Hour
	for _, tc := range []struct {
		after       time.Duration
		soon, ended int // lines about the long one so far
	}{
		{0, 0, 0}, {day - hour, 0, 0}, {day + hour, 1, 0}, {2 * day, 1, 0}, {2*day + 2*hour, 2, 0}, {15*day - hour, 3, 0},
		{15*day + hour, 3, 1}, {16 * day, 3, 1}, {17 * day, 3, 2},
	} {
		r.m.look(r.now.Add(tc.after))
		soon, ended := r.logged(`"certificate expires soon" name=long.test`), r.logged(`"certificate has expired" name=long.test`)
		if soon != tc.soon || ended != tc.ended {
			t.Errorf("after %v: %d and %d lines, want %d and %d", tc.after, soon, ended, tc.soon, tc.ended)
		}
	}
	if r.logged(`"certificate has expired" name=short.test`) == 0 {
		t.Error("its end is not said")
	}
}
