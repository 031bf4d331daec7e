package rewrite

import (
	"net/netip"
	"strings"
	"testing"

	"lb/config"
	"lb/httpparse"
)

// TestNextHop: elements of Forwarded, as RFC 7239 has them and as they are found.
func TestNextHop(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want string // from|host|proto of each element, or "bad" at the end
	}{
		{"", ""},
		{"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60||http"},
		{`For="[2001:db8:cafe::17]:4711"`, "[2001:db8:cafe::17]:4711||"},
		{"for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com", "192.0.2.43|| 198.51.100.17|example.com|http"},
		{`for=1.1.1.1:80 ; host="a:1" ,for=b`, "1.1.1.1:80|a:1| b||"},
		{`for="a,b;c=d";proto=https`, "a,b;c=d||https"},
		{";;for=a;", "a||"},
		{"for=", "||"},
		{`for="`, "bad"},
		{`for=a, for="b`, "a|| bad"},
		{`for="a\"b"`, "bad"},
		{`for="a"b`, "bad"},
		{`for=a"b"`, "bad"},
		{"for", "bad"},
		{"=a", "bad"},
		{"for =a", "bad"},
	} {
		var got []string
		for rest := []byte(tc.in); len(rest) > 0; {
			h, after, ok := nextHop(rest)
			if !ok {
				got = append(got, "bad")
				break
			}
			got, rest = append(got, string(h.from)+"|"+string(h.host)+"|"+string(h.proto)), after
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%q: %q, want %q", tc.in, s, tc.want)
		}
	}
}

// TestSecure: the client's side is https by the last word of a trusted proxy.
func TestSecure(t *testing.T) {
	for _, tc := range []struct {
		fields string
		want   bool // for a trusted client; a stranger's never is
	}{
		{"", false},
		{"X-Forwarded-Proto: https\r\n", true},
		{"X-Forwarded-Proto: HTTPS\r\n", true},
		{"X-Forwarded-Proto: http\r\n", false},
		{"X-Forwarded-Proto: http, https\r\n", true},
		{"X-Forwarded-Proto: https, http\r\n", false},
		{"X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", true},
		{"X-Forwarded-Proto:\r\n", false},
		{"Forwarded: proto=https\r\n", true},
		{"Forwarded: proto=http, for=a;proto=\"https\",\r\n", true},
		{"Forwarded: proto=https, for=a\r\n", false},
		{"Forwarded: proto=https, \"\r\n", false},
		{"Forwarded: proto=https\r\nX-Forwarded-For: 1.1.1.1\r\n", false},
		{"Forwarded: proto=https\r\nX-Forwarded-Proto: http\r\n", false},
	} {
		in := get(tc.fields)
		for _, trusted := range []bool{false, true} {
			r := Request{Message: parse(t, in), Text: []byte(in), Config: new(config.Config), Peer: newPeer("192.0.2.1", trusted)}
			if got := r.Secure(); got != (tc.want && trusted) {
				t.Errorf("%q, trusted %t: %t", tc.fields, trusted, got)
			}
		}
	}
}

// TestAppendForwarded7239: what lb writes in Forwarded.
func TestAppendForwarded7239(t *testing.T) {
	cfg := &config.Config{Forwarded: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	const own = "for=10.0.0.1;host=a;proto=http"
	for _, tc := range []struct {
		name, peer string
		trusted    bool
		fields     string
		want       string
	}{
		{"stranger", "192.0.2.1", false, "Forwarded: for=x\r\n", "for=192.0.2.1;host=a;proto=http"},
		{"IPv6", "2001:db8::1", false, "", `for="[2001:db8::1]";host=a;proto=http`},
		{"unix", "", false, "", "for=unknown;host=a;proto=http"},
		{"trusted, nothing said", "10.0.0.1", true, "", own},
		{"trusted, appended to", "10.0.0.1", true, "Forwarded: for=1.1.1.1\r\nForwarded:\r\nForwarded: for=2.2.2.2\r\n", "for=1.1.1.1, for=2.2.2.2, " + own},
		{"trusted, beside X-Forwarded-For", "10.0.0.1", true, "Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", "for=1.1.1.1, " + own},
		{"trusted, X-Forwarded alone", "10.0.0.1", true, "X-Forwarded-For: [2001:db8::1]:2, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n", `for="[2001:db8::1]";proto=https, ` + own},
		{"trusted, no scheme", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: a b\r\n", "for=1.1.1.1, " + own},
		{"trusted, cannot be read", "10.0.0.1", true, "Forwarded: for=\"\r\n", own},
	} {
		in := get(tc.fields)
		r := Request{Message: parse(t, in), Text: []byte(in), Config: cfg, Peer: newPeer(tc.peer, tc.trusted), Hops: -1}
		r.Message.HideForged(r.Text, tc.trusted, nil)
		out := string(r.AppendHead(nil))
		_, after, _ := strings.Cut(out, "\r\nForwarded: ")
		if got, _, _ := strings.Cut(after, "\r\n"); got != tc.want || strings.Count(out, "\r\nForwarded:") != 1 {
			t.Errorf("%s: %q, want %q", tc.name, out, tc.want)
		}
	}
}

// TestGuarded: the fields that routes set in requests or match.
func TestGuarded(t *testing.T) {
	if Guarded([]config.Route{{SetResponseHeaders: []config.Field{{Name: "X-A"}}}}, nil) != nil {
		t.Error("fields of responses are guarded")
	}
	g := Guarded([]config.Route{{}, {SetRequestHeaders: []config.Field{{Name: "X-A"}}}, {Headers: []config.Field{{Name: "x-b"}}}}, nil)
	in := get("X_A: 1\r\nX_b: 2\r\nX_C: 3\r\n")
	m := parse(t, in)
	m.HideForged([]byte(in), true, g)
	if got := string(httpparse.AppendFields(nil, []byte(in), &m.Message, 0)); got != "Host: a\r\nX_C: 3\r\n" {
		t.Errorf("%q", got)
	}
}

// FuzzForwarded: what lb writes can be read again, whatever a trusted proxy sent, and its
// last element is lb's own.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"for=1.1.1.1", `for="[::1]:2";proto=https, host=a`, `for="`, ",;=", `a="\""`} {
		f.Add(s, s)
	}
	cfg := &config.Config{Forwarded: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	f.Fuzz(func(t *testing.T, said, list string) {
		in := get("Forwarded: " + said + "\r\nX-Forwarded-For: " + list + "\r\n")
		var p httpparse.RequestParser
		p.Reset(&limits)
		if p.Feed([]byte(in)) != httpparse.Done || int(p.HeadLen) != len(in) {
			return
		}
		r := Request{Message: &p.Request, Text: []byte(in), Config: cfg, Peer: newPeer("10.0.0.1", true), Hops: -1}
		bound := r.HeadBytes()
		out := r.AppendHead(nil)
		if len(out) > bound {
			t.Errorf("%q: %d bytes, HeadBytes says %d", out, len(out), bound)
		}
		again := Request{Message: parse(t, string(out)), Text: out, Config: cfg, Peer: newPeer("10.0.0.1", true)}
		last, ok := again.lastHop()
		if !ok || string(last.from) != "10.0.0.1" || string(last.host) != "a" || string(last.proto) != "http" {
			t.Errorf("%q: %q, %t", out, last, ok)
		}
	})
}

// TestTrusts: a unix socket is in no network, not even in that of all addresses.
func TestTrusts(t *testing.T) {
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	tens := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tc := range []struct {
		peer     string
		networks []netip.Prefix
		want     bool
	}{
		{"10.1.2.3", tens, true},
		{"fd00::1", tens, true},
		{"11.1.2.3", tens, false},
		{"11.1.2.3", all, true},
		{"", all, false},
		{"10.1.2.3", nil, false},
	} {
		if got := Trusts(tc.networks, newPeer(tc.peer, false)); got != tc.want {
			t.Errorf("%q in %v: %t, want %t", tc.peer, tc.networks, got, tc.want)
		}
	}
}
