package ratelimit

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/board/buckets"
	"lb/config"
	"lb/config/access"
	"lb/config/match"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/rewrite"
)

const start = tick.Instant(time.Hour)

// asking is a request of a client.
func asking(t testing.TB, from, line, fields string) *rewrite.Request {
	t.Helper()
	var p httpparse.RequestParser
	p.Reset(&httpparse.Limits{HeadBytes: 16 << 10, Fields: 100, TargetBytes: 4 << 10})
	text := []byte(line + " HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n")
	if p.Feed(text) != httpparse.Done {
		t.Fatalf("%q: %v", text, p.Reason)
	}
	peer := new(front.Peer)
	addr, _ := netip.ParseAddr(from) // not valid: a unix socket
	peer.Set(netip.AddrPortFrom(addr, 1), front.Plain)
	r := &p.Request
	return &rewrite.Request{Message: r, Text: text, Peer: peer, Config: config.Default(), Hops: -1}
}

// limited returns a configuration with limits of one request an hour.
func limited(limits ...access.RateLimit) *config.Config {
	cfg := config.Default()
	for i, l := range limits {
		l.Name = fmt.Sprint("limit", i)
		if l.Rate.Count == 0 {
			l.Rate = access.Rate{Count: 1, Per: time.Hour}
		}
		l.Burst = max(1, l.Burst)
		cfg.RateLimits = append(cfg.RateLimits, l)
	}
	return cfg
}

// TestKeys: which requests are counted together.
func TestKeys(t *testing.T) {
	byIP := access.RateLimit{Key: access.KeyClientIP}
	byHeader := access.RateLimit{Key: access.KeyHeader, KeyName: "x-api-key"}
	byCookie := access.RateLimit{Key: access.KeyCookie, KeyName: "user"}
	for _, tc := range []struct {
		name   string
		limit  access.RateLimit
		a, b   string // address and field line
		shared bool
	}{
		{"another client", byIP, "192.0.2.1 ", "192.0.2.2 ", false},
		{"the same client", byIP, "192.0.2.1 ", "192.0.2.1 X: y", true},
		{"a mapped address", byIP, "192.0.2.1 ", "::ffff:192.0.2.1 ", true},
		{"a /64", byIP, "2001:db8::1 ", "2001:db8::ffff:1 ", true},
		{"another /64", byIP, "2001:db8::1 ", "2001:db8:0:1::1 ", false},
		{"unix sockets", byIP, " ", " ", true},
		{"no word of strangers", byIP, "192.0.2.1 X-Forwarded-For: 192.0.2.7", "192.0.2.1 X-Forwarded-For: 192.0.2.8", true},
		{"a header", byHeader, "192.0.2.1 X-Api-Key: a", "192.0.2.2 x-api-key: a", true},
		{"another value", byHeader, "192.0.2.1 X-Api-Key: a", "192.0.2.1 X-Api-Key: b", false},
		{"an empty value", byHeader, "192.0.2.1 X-Api-Key:", "192.0.2.1 X: y", false},
		{"without the header", byHeader, "192.0.2.1 ", "192.0.2.1 ", true},
		{"without the header, another client", byHeader, "192.0.2.1 ", "192.0.2.2 ", false},
		{"a value like an address", byHeader, "192.0.2.1 ", "192.0.2.2 X-Api-Key: \xc0\x00\x02\x01", false},
		{"a cookie", byCookie, "192.0.2.1 Cookie: user=a; x=y", "192.0.2.2 Cookie: user=a", true},
		{"another cookie", byCookie, "192.0.2.1 Cookie: user=a", "192.0.2.1 Cookie: user=b", false},
		{"without the cookie", byCookie, "192.0.2.1 Cookie: x=a", "192.0.2.1 ", true},
	} {
		s := New(limited(tc.limit), board.New(1, 1), 0)
		ask := func(client string) *Over {
			from, field, _ := strings.Cut(client, " ")
			if strings.Contains(field, "\x00") { // no such head is valid
				field = "X-Api-Key: \xc0\xa8"
			}
			if field != "" {
				field += "\r\n"
			}
			return s.Admit(asking(t, from, "GET /", field), start)
		}
		if ask(tc.a) != nil {
			t.Errorf("%s: the first is refused", tc.name)
		}
		if got := ask(tc.b) != nil; got != tc.shared {
			t.Errorf("%s: counted together: %t", tc.name, got)
		}
	}
}

// TestLookStays: what Look has returned is not changed by what a loop does next: it is written
// into an explanation meanwhile.
func TestLookStays(t *testing.T) {
	s := New(limited(access.RateLimit{Key: access.KeyClientIP}), board.New(1, 1), 0)
	r := asking(t, "192.0.2.1", "GET /", "")
	s.Admit(r, start)
	_, over := s.Look(r, start)
	want := string(over.Lines)
	if s.Admit(r, start.Add(time.Minute)) == nil {
		t.Fatal("not refused")
	}
	if got := string(over.Lines); got != want {
		t.Errorf("%q has become %q", want, got)
	}
}

// TestOver: what is said to a client that is over a limit.
func TestOver(t *testing.T) {
	for _, tc := range []struct {
		rate   access.Rate
		burst  int
		after  time.Duration // since the bucket was emptied
		policy string
		wait   string
	}{
		{access.Rate{Count: 100, Per: time.Second}, 200, 0, "q=200;w=2", "1"},
		{access.Rate{Count: 1, Per: time.Hour}, 1, 0, "q=1;w=3600", "3600"},
		{access.Rate{Count: 1, Per: time.Hour}, 1, time.Hour - 1, "q=1;w=3600", "1"},
		{access.Rate{Count: 1, Per: time.Hour}, 1, time.Hour - time.Second - 1, "q=1;w=3600", "2"},
		{access.Rate{Count: 2, Per: time.Minute}, 1, 0, "q=1;w=30", "30"},
		{access.Rate{Count: 1_000_000, Per: time.Second}, 1, 0, "q=1;w=1", "1"},
	} {
		s := New(limited(access.RateLimit{Key: access.KeyClientIP, Rate: tc.rate, Burst: tc.burst}), board.New(1, 1), 0)
		r := asking(t, "192.0.2.1", "GET /", "")
		for range tc.burst {
			if s.Admit(r, start) != nil {
				t.Errorf("%+v: refused too early", tc)
			}
		}
		over := s.Admit(r, start.Add(tc.after))
		if over == nil {
			t.Errorf("%+v: not refused", tc)
			continue
		}
		want := "Retry-After: " + tc.wait + "\r\nRateLimit-Policy: \"limit0\";" + tc.policy + "\r\nRateLimit: \"limit0\";r=0;t=" + tc.wait + "\r\n"
		if string(over.Lines) != want || over.Text != `the rate limit "limit0" is used up` {
			t.Errorf("%+v: %q %q, want %q", tc, over.Text, over.Lines, want)
		}
	}
}

// TestSeveral: a request that one limit refuses is not charged to another, before it or after
// it, and counts in the refusing one alone. A limit that only counts refuses nothing.
func TestSeveral(t *testing.T) {
	b := board.New(1, 1)
	all := access.RateLimit{Key: access.KeyClientIP, Burst: 3}
	one := access.RateLimit{Key: access.KeyClientIP, Match: match.Conditions{Path: "/one"}}
	dry := access.RateLimit{Key: access.KeyClientIP, DryRun: true}
	s := New(limited(all, one, all, dry), b, 0)
	for _, tc := range []struct {
		target string
		over   int // number of the limit, or -1
	}{{"/one", -1}, {"/one", 1}, {"/one", 1}, {"/", -1}, {"/", -1}, {"/", 0}, {"/one", 0}} { // of two that are as late, the first
		over, got := s.Admit(asking(t, "192.0.2.1", "GET "+tc.target, ""), start), -1
		if over != nil {
			got = over.Number
		}
		if got != tc.over && tc.over >= 0 || (got < 0) != (tc.over < 0) {
			t.Errorf("%s: limit %d, want %d", tc.target, got, tc.over)
		}
	}
	var counts []string
	for i := range 4 {
		c := b.Buckets().Totals(b.Buckets().Limit(fmt.Sprint("limit", i)), 1)
		counts = append(counts, fmt.Sprint(c.Passed, c.Refused, c.Spared))
	}
	if got := strings.Join(counts, ", "); got != "3 2 0, 1 2 0, 3 0 0, 1 0 2" {
		t.Errorf("counts are %s", got)
	}
}

// TestStored: machines with the same sticky_key agree on the keys of a limit with a store,
// and on no others; what is taken is noted.
func TestStored(t *testing.T) {
	key := func(sticky, store string) (uint64, int) {
		cfg := limited(access.RateLimit{Key: access.KeyClientIP, Store: store})
		cfg.StickyKey = sticky
		b := board.New(1, 1)
		s := New(cfg, b, 0)
		r, noted := asking(t, "192.0.2.1", "GET /", ""), 0
		for range 3 {
			s.Admit(r, start)
		}
		b.Buckets().Notes(0).Read(nil, func(buckets.Note) { noted++ })
		return s.keyOf(&s.limits[0], r), noted
	}
	one, noted := key("a", "redis://h/0")
	two, _ := key("a", "redis://h/0")
	other, _ := key("b", "redis://h/0")
	mine, unnoted := key("a", "")
	yours, _ := key("a", "")
	if one != two || one == other || mine == yours || noted != 1 || unnoted != 0 {
		t.Errorf("%x %x %x %x %x, %d and %d notes", one, two, other, mine, yours, noted, unnoted)
	}
}

// TestNone: without limits there is no set.
func TestNone(t *testing.T) {
	if s := New(config.Default(), board.New(1, 1), 0); s != nil {
		t.Errorf("%+v", s)
	}
	var s *Set
	if all, over := s.Look(nil, 0); all != nil || over != nil {
		t.Errorf("%v %v", all, over)
	}
}

// TestAdmitAllocates: neither a request that passes nor one that is refused costs memory.
func TestAdmitAllocates(t *testing.T) {
	cfg := limited(access.RateLimit{Key: access.KeyClientIP, Burst: 50}, access.RateLimit{Key: access.KeyHeader, KeyName: "x", Match: match.Conditions{Path: "/a"}, Burst: 1000})
	s := New(cfg, board.New(1, 1), 0)
	plain, odd := asking(t, "192.0.2.1", "GET /a/b", "X: y\r\n"), asking(t, "192.0.2.1", "GET //a/%61", "X: y\r\n")
	refused := 0
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range []*rewrite.Request{plain, odd} {
			if s.Admit(r, start) != nil {
				refused++
			}
		}
	}); n != 0 || refused == 0 {
		t.Errorf("%v allocations, %d refused", n, refused)
	}
	if !bytes.HasPrefix(s.lines, []byte("Retry-After")) {
		t.Error("no lines")
	}
}
