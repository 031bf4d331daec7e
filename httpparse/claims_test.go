package httpparse

import (
	"strings"
	"testing"
)

// TestHideForged: a stranger's claims are hidden, and aliases of claims, of framing and of
// guarded names from any client. All else stays.
func TestHideForged(t *testing.T) {
	guarded := []string{"X-User", "x-env"}
	for _, tc := range []struct {
		names   string
		guarded []string
		kept    string // of a trusted client's
		strange bool   // a stranger's are kept as well
	}{
		{"X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto Forwarded", nil, "X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto Forwarded", false},
		{"X-Forwarded-Port x-forwarded-x-Y X-Forwarded- X-Forwarded X-ORIGINAL-URL X-Original-Forwarded-For", nil,
			"X-Forwarded-Port x-forwarded-x-Y X-Forwarded- X-Forwarded X-ORIGINAL-URL X-Original-Forwarded-For", false},
		{"X-Real-IP True-Client-IP CF-Connecting-IP Client-IP X-Scheme", nil, "X-Real-IP True-Client-IP CF-Connecting-IP Client-IP X-Scheme", false},
		{"X-Client-Cert-Subject x-client-cert-SAN X-CLIENT-CERT-FINGERPRINT X-Client-Cert-Verified X-Client-Cert-X X_Client_Cert_Subject X-Client_Cert-SAN", nil, "", false},
		{"X-Client-Certificate X-Client-Cert", nil, "X-Client-Certificate X-Client-Cert", true},
		{"X_Forwarded_For X-Forwarded_For x_forwarded-port X.Real.IP X_Original_URL CLIENT_IP X!Forwarded'For Front_End-Https", nil, "", false},
		{"Content_Length Transfer_Encoding transfer.encoding Keep_Alive", nil, "", false},
		{"X_" + strings.Repeat("y", 100) + " X_User my_token _ X-Forward_For X.Y", nil, "X_" + strings.Repeat("y", 100) + " X_User my_token _ X-Forward_For X.Y", true},
		{"X-Forwarded_" + strings.Repeat("y", 100), nil, "", false},
		{"X_User x.USER X_Env X-User X-Env X_Envy", guarded, "X-User X-Env X_Envy", true},
		{"X_User X-User X.User", []string{"X_User"}, "X_User", true},
		{"X-Request-ID X-Requested-With X-Originate X-Real Accept Front-End", nil, "X-Request-ID X-Requested-With X-Originate X-Real Accept Front-End", true},
	} {
		for _, trusted := range []bool{false, true} {
			in := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.ReplaceAll(tc.names, " ", ": v\r\n") + ": v\r\n\r\n"
			r := parsed(t, in)
			r.HideForged([]byte(in), trusted, NewGuarded(tc.guarded))
			got := string(AppendFields(nil, []byte(in), &r.Message, SetOf(Host)))
			want := ""
			if (trusted || tc.strange) && tc.kept != "" {
				want = strings.ReplaceAll(tc.kept, " ", ": v\r\n") + ": v\r\n"
			}
			if got != want {
				t.Errorf("%s, trusted %t: %q, want %q", tc.names, trusted, got, want)
			}
			for _, name := range strings.Fields(tc.names) {
				if _, ok := r.Lookup([]byte(in), name); ok != strings.Contains("\r\n"+want, "\r\n"+name+": v\r\n") {
					t.Errorf("%s, trusted %t: Lookup finds %s: %t", tc.names, trusted, name, ok)
				}
			}
		}
	}
}

// TestHiddenIsNowhere: no method finds a hidden field, however it asks.
func TestHiddenIsNowhere(t *testing.T) {
	in := get("X-Forwarded-For: 1.1.1.1\r\nCookie: a=1\r\nExpect: 100-continue\r\n")
	r := parsed(t, in)
	b := []byte(in)
	r.HideForged(b, false, nil)
	r.Hide(b, "cookie")
	r.Hide(b, "expect")
	if _, ok := r.Find(XForwardedFor); ok {
		t.Error("Find finds it")
	}
	if _, ok := r.LookupCookie(b, "a"); ok {
		t.Error("LookupCookie finds it")
	}
	if r.HasToken(b, Expect, "100-continue") {
		t.Error("HasToken finds it")
	}
}

// TestClaimsAreNotNominated: Connection takes no claim away.
func TestClaimsAreNotNominated(t *testing.T) {
	in := get("Connection: X-Forwarded-For, x-real-ip, X-Hop\r\nX-Forwarded-For: 1\r\nX-Real-IP: 2\r\nX-Hop: 3\r\n")
	r := parsed(t, in)
	if got := string(AppendFields(nil, []byte(in), &r.Message, SetOf(Host, Connection))); got != "X-Forwarded-For: 1\r\nX-Real-IP: 2\r\n" {
		t.Errorf("%q", got)
	}
}

// TestNominatedChoosesNothing: what ends at lb by the client's word is as if it had not
// been sent, but for the fields that lb obeys itself.
func TestNominatedChoosesNothing(t *testing.T) {
	in := get("Connection: X-Hop, Cookie, Expect\r\nConnection: x-two\r\nX-Hop: 1\r\nX-Two: 2\r\nCookie: a=1\r\nX-Stays: 3\r\nExpect: 100-continue\r\n")
	r := parsed(t, in)
	b := []byte(in)
	if !r.MayForge(nil) {
		t.Error("MayForge is false")
	}
	r.HideForged(b, true, nil)
	for name, want := range map[string]bool{"x-hop": false, "X-Two": false, "cookie": false, "x-stays": true, "host": true, "expect": true} {
		if _, ok := r.Lookup(b, name); ok != want {
			t.Errorf("Lookup of %s: %t", name, ok)
		}
	}
	if r.HasLine(b, "x-hop", "1") {
		t.Error("HasLine finds X-Hop")
	}
	if _, ok := r.LookupCookie(b, "a"); ok {
		t.Error("LookupCookie finds the cookie")
	}
}

// TestHideForgedAtEveryCut: an underscore is seen wherever the head was cut.
func TestHideForgedAtEveryCut(t *testing.T) {
	in := []byte(get("X-Forwarded_For: 1.1.1.1\r\nX-A: b\r\n"))
	for cut := range in {
		var p RequestParser
		p.Reset(&testLimits)
		p.Feed(in[:cut])
		if p.Feed(in) != Done {
			t.Fatal(p.Reason)
		}
		p.HideForged(in, true, nil)
		if got := string(AppendFields(nil, in, &p.Message, SetOf(Host))); got != "X-A: b\r\n" {
			t.Errorf("cut at %d: %q", cut, got)
		}
	}
}

// TestWithheld: withheld are what Connection names, guarded names, claims, and aliases.
func TestWithheld(t *testing.T) {
	head := []byte(get("Connection: close, X-Hop\r\nConnection: x-other\r\n"))
	plain := []byte(get("Connection: close\r\n"))
	guarded := NewGuarded([]string{"X-User"})
	const section = "X-Hop: 1\r\nX-OTHER: 2\r\nX-User: 3\r\nX_User: 4\r\nX-Real-IP: 5\r\nX_Original_URL: 6\r\nForwarded: 7\r\nX-Sum: 8\r\nX_Sum: 9\r\n"
	for _, tc := range []struct {
		w    Withheld
		want string
	}{
		{NewWithheld(head, &parsed(t, string(head)).Message, guarded), "X-Sum: 8\r\nX_Sum: 9\r\n"},
		{NewWithheld(plain, &parsed(t, string(plain)).Message, nil), "X-Hop: 1\r\nX-OTHER: 2\r\nX-User: 3\r\nX_User: 4\r\nX-Sum: 8\r\nX_Sum: 9\r\n"},
		{Withheld{}, "X-Hop: 1\r\nX-OTHER: 2\r\nX-User: 3\r\nX_User: 4\r\nX-Sum: 8\r\nX_Sum: 9\r\n"},
	} {
		var trailers Trailers
		trailers.Reset(&testLimits, false)
		b := []byte(section + "\r\n")
		if trailers.Feed(b) != Done {
			t.Fatal(trailers.Reason)
		}
		tc.w.Hide(b, &trailers)
		if got := string(AppendTrailers(nil, b, &trailers)); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// TestScanName: the index of the first byte that is no letter, digit or hyphen, at each place.
func TestScanName(t *testing.T) {
	for n := range 20 {
		for c := range 256 {
			name := []byte(strings.Repeat("a", n) + string([]byte{byte(c)}) + "-Z9")
			want := n
			if c < 0x80 && strings.Contains(alnum+"-", string(rune(c))) {
				want = len(name)
			}
			if got := scanName(name, 0); got != want {
				t.Errorf("%q: %d, want %d", name, got, want)
			}
		}
	}
}
