package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
)

// explained returns what r says to a request.
func (r *rig) explained(t *testing.T, ask api.ExplainAsk) api.Explained {
	t.Helper()
	f, err := r.p.Explain(ask)
	if err != nil {
		t.Fatal(err)
	}
	return f.Answer()
}

// TestExplainStates: each backend has its state and the reason why it can be chosen or not.
func TestExplainStates(t *testing.T) {
	cfg := rigConfig(9)
	p := &cfg.Pools[0]
	p.Backends[4].Drain, p.Backends[6].Backup = true, true
	p.Backends[7].MaxConnections, p.Backends[1].MaxConnections = 2, 5
	p.SlowStart = 10 * time.Second
	r := newRig(t, 1, cfg, false)
	r.pass(time.Minute)
	now := r.l.Now()
	r.board.SetHealth(2, board.Down, board.ReasonStatus, 503, int64(now))
	s := r.board.State(3)
	s.EjectedReason.Store(uint64(board.ReasonTimeout))
	s.EjectedUntil.Store(uint64(now.Add(8 * time.Second)))
	r.board.SetAdmin(5, board.Disabled, int64(now))
	r.board.Backend(0, 7).InFlight.Add(2)
	r.board.State(8).RecoveredAt.Store(uint64(now.Add(-5 * time.Second)))
	r.board.SetWeight(0, 4)
	r.board.Changed()
	got := r.explained(t, api.ExplainAsk{URL: "http://a.test/"})
	for i, want := range []string{
		"unknown true 4: can be chosen", "unknown true 1: can be chosen", "down false 1: its active checks fail: status 503",
		"ejected false 1: ejected for 8s more: no answer in time", "draining false 1: drain = true in the file; clients whose cookie leads here go on",
		"disabled false 1: disabled at run time (lb backend disable)", "unknown false 1: a backup, which is not needed now",
		"unknown false 1: full: 2 of max_connections = 2 are in flight", "unknown true 1: can be chosen; in slow start, with 54 % of its weight",
	} {
		b := got.Backends[i]
		text := b.State + map[bool]string{true: " true ", false: " false "}[b.Candidate] + string('0'+rune(b.Weight)) + ": " + b.Why
		if text != want {
			t.Errorf("backend %d: %s, want %s", i, text, want)
		}
	}
	if got.How != "it is its turn among 3 in this loop" || got.Settled || got.Backends[1].MaxConnections != 5 {
		t.Errorf("%s, settled %t", got.How, got.Settled)
	}
	for _, i := range []int{0, 1, 7, 8} {
		r.board.SetHealth(i, board.Down, board.ReasonConnect, 0, int64(now))
	}
	if got := r.explained(t, api.ExplainAsk{URL: "/"}); got.Backends[6].Why != "can be chosen: a backup, and all others are out" || got.How != "it is the only one that can be chosen" || !got.Settled {
		t.Errorf("the backup: %q, %q", got.Backends[6].Why, got.How)
	}
	r.board.SetHealth(6, board.Down, board.ReasonConnect, 0, int64(now))
	if got := r.explained(t, api.ExplainAsk{URL: "/"}); got.Choice != p.Backends[3].String() || !strings.HasSuffix(got.Backends[3].Why, "because all better ones are out") {
		t.Errorf("the ejected one: %q, %q", got.Choice, got.Backends[3].Why)
	}
	r.board.SetHealth(3, board.Down, board.ReasonConnect, 0, int64(now))
	if got := r.explained(t, api.ExplainAsk{URL: "/"}); got.Answer == nil || got.Answer.Status != 503 || got.How != "no backend of pool default can be chosen: by the active checks all are down, or all that may be used" {
		t.Errorf("none: %+v, %q", got.Answer, got.How)
	}
}

// TestExplainAnswers: each answer of lb's own says what it is for.
func TestExplainAnswers(t *testing.T) {
	cfg := rigConfig(0)
	cfg.Pools = append(cfg.Pools, config.NewPool("api"))
	cfg.Pools[1].Backends = rigConfig(1).Pools[0].Backends
	cfg.Routes = []config.Route{{Path: "/api", Pool: 1, StripPrefix: true}, {Path: "/old", Pool: -1, Redirect: config.Redirect{To: "https://new{uri}", Code: 302}}}
	cfg.Limits.BodyBytes = 5
	r := newRig(t, 1, cfg, false)
	for _, tc := range []struct {
		ask    api.ExplainAsk
		status int
		how    string
	}{
		{api.ExplainAsk{URL: "/"}, 404, `no route takes it, and the pool "default" has no backend`},
		{api.ExplainAsk{URL: "/old"}, 302, "route 2 redirects"},
		{api.ExplainAsk{URL: "//old"}, 400, `servers read its path in different ways, which lead to different routes (paths = "reject")`},
		{api.ExplainAsk{URL: "/api/..%2f../x"}, 400, ""},
		{api.ExplainAsk{URL: "/a b"}, 400, "the head is refused: invalid HTTP version"},
		{api.ExplainAsk{URL: "/api", Headers: []string{"Content-Length: 6"}}, 413, "the body is larger than limits.body_bytes"},
		{api.ExplainAsk{Method: "CONNECT", URL: "a:1"}, 501, "lb forwards to its own backends and opens no tunnels"},
		{api.ExplainAsk{Method: "OPTIONS", URL: "*", Headers: []string{"Max-Forwards: 0"}}, 200, "Max-Forwards is 0: OPTIONS ends here"},
		{api.ExplainAsk{URL: "/api/" + strings.Repeat("x", 20<<10)}, 414, "the head is refused: request target too long"},
	} {
		got := r.explained(t, tc.ask)
		if got.Answer == nil || got.Answer.Status != tc.status || tc.how != "" && got.How != tc.how || got.Choice != "" || got.Head != "" {
			t.Errorf("%s %.40s: %+v, %q, want %d, %q", tc.ask.Method, tc.ask.URL, got.Answer, got.How, tc.status, tc.how)
		}
	}
	if got := r.explained(t, api.ExplainAsk{URL: "/old?token=s3cret"}); !slices.Equal(got.Answer.Fields, []string{"Location: https://new/old?token=***"}) {
		t.Errorf("of a redirect with a token: %q", got.Answer.Fields)
	}
}

// TestExplainQueue: a request for which all are full waits, and so does one with others ahead.
func TestExplainQueue(t *testing.T) {
	cfg := rigConfig(1)
	cfg.Pools[0].Backends[0].MaxConnections = 1
	r := newRig(t, 1, cfg, false)
	for _, want := range []string{"", "it waits for room in the queue of pool default, for at most 5s", "it waits for room in the queue of pool default, 1 before it in this loop, for at most 5s"} {
		got := r.explained(t, api.ExplainAsk{URL: "/"})
		if queued := got.Outcome == api.ToQueue; queued != (want != "") || queued && (got.How != want || got.Choice != "") {
			t.Errorf("%s, %q, want %q", got.Outcome, got.How, want)
		}
		r.k.Connect(r.listener, rigClient).Send([]byte(ask))
		r.settle()
	}
}

// TestExplainQueueOfAnotherLoop: room that another loop has left goes to the first that waits.
func TestExplainQueueOfAnotherLoop(t *testing.T) {
	cfg := rigConfig(1)
	cfg.Pools[0].Backends[0].MaxConnections = 1
	a, _ := twoLoops(t, cfg)
	other := a.board.Backend(1, 0)
	other.InFlight.Set(1)
	a.k.Connect(a.listener, rigClient).Send([]byte(ask))
	a.settle()
	other.InFlight.Set(0)
	if got := a.explained(t, api.ExplainAsk{URL: "/"}); got.Outcome != api.ToQueue || !strings.Contains(got.How, "1 before it") {
		t.Errorf("%s: %s", got.Outcome, got.How)
	}
	a, _ = twoLoops(t, cfg)
	a.board.Backend(1, 0).WaitsSince.Set(1) // none waits here
	a.pass(time.Second)
	if got := a.explained(t, api.ExplainAsk{URL: "/"}); got.Outcome != api.ToQueue {
		t.Errorf("with another loop that waits: %s: %s", got.Outcome, got.How)
	}
}

// TestExplainRoutes: what the taken route does to the head does not change what the others say.
func TestExplainRoutes(t *testing.T) {
	cfg := rigConfig(1)
	beta := []config.Field{{Name: "x-beta", Value: "yes"}}
	cfg.Routes = []config.Route{{Path: "/api", Headers: beta, SetRequestHeaders: []config.Field{{Name: "X-Beta", Value: "no"}}}, {Path: "/", Headers: beta},
		{Path: "/api", Headers: []config.Field{{Name: "x-beta", Value: "no"}}}, {Path: "/api"}, {Host: "a.test", Path: "/api", Scheme: "https"}}
	r := newRig(t, 1, cfg, false)
	got := r.explained(t, api.ExplainAsk{URL: "http://a.test/api", Headers: []string{"X-Beta: yes"}})
	for i, want := range []string{"takes it", "would take it, but the path of route 1 is longer", `header: it needs x-beta="no"`,
		"would take it, but route 1 comes before it in the file", "scheme: it is for https"} {
		if got.Routes[i].Why != want {
			t.Errorf("route %d: %q, want %q", i+1, got.Routes[i].Why, want)
		}
	}
	if !slices.Contains(got.Added, "X-Beta: no") || !slices.Contains(got.Dropped, "X-Beta: yes") {
		t.Errorf("added %q, dropped %q", got.Added, got.Dropped)
	}
}

// TestExplainHash: a hash is settled unless the load has a say.
func TestExplainHash(t *testing.T) {
	for factor, settled := range map[float64]bool{0: true, 1.5: false} {
		cfg := rigConfig(3)
		cfg.Pools[0].Strategy, cfg.Pools[0].Hash = config.HashOnKey, config.Hash{Key: config.KeyHeader, Name: "x-user", BalanceFactor: factor}
		r := newRig(t, 1, cfg, false)
		if got := r.explained(t, api.ExplainAsk{URL: "/", Headers: []string{"X-User: 1"}}); got.Settled != settled || got.HashKey != "header:x-user" {
			t.Errorf("balance_factor %v: settled %t by %s", factor, got.Settled, got.HashKey)
		}
	}
}

// TestExplainBelief: who the client is, and what is believed, is said; the head has what changes.
func TestExplainBelief(t *testing.T) {
	cfg := rigConfig(1)
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	r := newRig(t, 1, cfg, false)
	ask := api.ExplainAsk{URL: "http://a.test/?token=s3cret", From: "10.0.0.1", Headers: []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "Cookie: s3cret", "Referer: http://u:s3cret@b.test/?token=s3cret", "Connection: close"}}
	got := r.explained(t, ask)
	if got.Client != (api.ExplainedClient{Address: "203.0.113.9", Peer: "10.0.0.1", Trusted: true, Scheme: "https"}) {
		t.Errorf("%+v", got.Client)
	}
	if !slices.Contains(got.Added, "X-Forwarded-For: 203.0.113.9, 10.0.0.1") || !slices.Contains(got.Dropped, "Connection: close") || strings.Contains(got.Head+got.Target, "s3cret") ||
		!strings.Contains(got.Head, "Cookie: ***\n") {
		t.Errorf("added %q, dropped %q of\n%s", got.Added, got.Dropped, got.Head)
	}
	ask.From = "192.0.2.1"
	got = r.explained(t, ask)
	if got.Client.Address != "192.0.2.1" || got.Client.Scheme != "http" || !slices.ContainsFunc(got.Notes, func(n string) bool { return strings.Contains(n, "is not believed") }) {
		t.Errorf("of a stranger: %+v, %q", got.Client, got.Notes)
	}
}
