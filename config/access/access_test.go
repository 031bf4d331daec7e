package access_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/config/access"
	"lb/config/match"
)

const backend = "[[backends]]\nhost = \"a\"\nport = 1\n"

func parse(t *testing.T, src string) *config.Config {
	t.Helper()
	c, err := config.Parse("f", []byte(src+backend))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRateLimits(t *testing.T) {
	c := parse(t, `[[rate_limits]]
name = "all"
rate = "100/s"
[[rate_limits]]
name = "login"
key = "header:X-API-Key"
rate = "20/m"
burst = 5
match = { host = "A.test", path = "/login", methods = ["POST"] }
dry_run = true
store = "redis://10.0.0.9:6379/0"
[[rate_limits]]
name = "by-route"
key = "route"
rate = "7200/h"
[[rate_limits]]
name = "by-cookie"
key = "cookie:SID"
rate = "1/s"
`)
	l := c.RateLimits
	if len(l) != 4 {
		t.Fatalf("%d limits", len(l))
	}
	if l[0].Key != access.KeyClientIP || l[0].Burst != 100 || l[0].Rate.Interval() != 10*time.Millisecond || l[0].Match.Path != "/" {
		t.Errorf("%+v", l[0])
	}
	want := access.RateLimit{Name: "login", Key: access.KeyHeader, KeyName: "x-api-key", Rate: access.Rate{Count: 20, Per: time.Minute}, Burst: 5,
		Match: match.Conditions{Host: "a.test", Path: "/login", Methods: []string{"POST"}}, DryRun: true, Store: "redis://10.0.0.9:6379/0"}
	if l[1].KeyText() != "header:x-api-key" || !slices.Equal(l[1].Match.Methods, want.Match.Methods) {
		t.Errorf("%+v", l[1])
	}
	got := l[1]
	got.Match.Methods, want.Match.Methods = nil, nil
	if got.Name != want.Name || got.Key != want.Key || got.KeyName != want.KeyName || got.Rate != want.Rate || got.Burst != want.Burst ||
		got.Match.Host != want.Match.Host || got.Match.Path != want.Match.Path || !got.DryRun || got.Store != want.Store {
		t.Errorf("%+v, want %+v", got, want)
	}
	if l[2].Rate.String() != "7200/h" || l[2].Rate.Interval() != 500*time.Millisecond || l[3].KeyName != "SID" {
		t.Errorf("%+v %+v", l[2], l[3])
	}
}

func TestRefusals(t *testing.T) {
	limit := func(keys string) string { return "[[rate_limits]]\n" + keys }
	for src, want := range map[string]string{
		limit("rate = \"1/s\"\n"):                                                         "rate_limits[0]: has no name",
		limit("name = \"a\"\n"):                                                           "rate_limits[0]: has no rate",
		limit("name = \"a b\"\nrate = \"1/s\"\n"):                                         `"a b" is no name for a limit`,
		limit("name = \"a\"\nrate = \"1/d\"\n"):                                           `rate_limits[0].rate: "1/d" is no rate`,
		limit("name = \"a\"\nrate = \"0/s\"\n"):                                           `"0/s" is out of range`,
		limit("name = \"a\"\nrate = 5\n"):                                                 "must be text, not a number",
		limit("name = \"a\"\nrate = \"1/s\"\nkey = \"ip\"\n"):                             `there is no key "ip"`,
		limit("name = \"a\"\nrate = \"1/s\"\nkey = \"header:\"\n"):                        "rate_limits[0].key",
		limit("name = \"a\"\nrate = \"1/s\"\nburst = 0\n"):                                "0 is out of range",
		limit("name = \"a\"\nrate = \"1/s\"\nstore = \"memcache://a\"\n"):                 "is no URL",
		limit("name = \"a\"\nrate = \"1/s\"\nstore = \"redis://:pw@a:99999/0\"\n"):        `rate_limits[0].store: "99999" is not a port`,
		limit("name = \"a\"\nrate = \"1/s\"\nstore = \"redis://:pw@a/zero\"\n"):           `rate_limits[0].store: "zero" is no database`,
		limit("name = \"a\"\nrate = \"1/s\"\nmatch = { pth = \"/\" }\n"):                  `did you mean "path"?`,
		limit("name = \"a\"\nrate = \"1/s\"\n") + limit("name = \"a\"\nrate = \"1/s\"\n"): `there is a limit "a" already, in line 1`,
		"[[listeners]]\naddress = \":80\"\nallow = [\"10.1.0.0/8\"]\n":                    `listeners[0].allow[0]: "10.1.0.0/8" has bits set`,
		"[[routes]]\npath = \"/a\"\npool = \"default\"\ndeny = \"10.0.0.0/8\"\n":          "routes[0].deny: must be a list",
	} {
		_, err := config.Parse("f", []byte(src+backend))
		var all config.Errors
		if !errors.As(err, &all) || len(all) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	c := parse(t, "[[routes]]\npath = \"/a\"\npool = \"default\"\nallow = [\"10.0.0.0/8\", \"::1\"]\ndeny = [\"::ffff:10.9.0.0/112\"]\n")
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}; !slices.Equal(c.Routes[0].Allow, want) {
		t.Errorf("allow %v", c.Routes[0].Allow)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}; !slices.Equal(c.Routes[0].Deny, want) {
		t.Errorf("deny %v", c.Routes[0].Deny)
	}
}

// TestDiff: a change of a limit is a line, and the password of a store is in none.
func TestDiff(t *testing.T) {
	old := parse(t, "[[rate_limits]]\nname = \"a\"\nrate = \"1/s\"\nstore = \"redis://:hunter2@a:1/0\"\n[[rate_limits]]\nname = \"b\"\nrate = \"1/s\"\n")
	now := parse(t, "[[rate_limits]]\nname = \"a\"\nrate = \"2/s\"\nburst = 1\nstore = \"redis://:hunter3@a:1/0\"\n[[rate_limits]]\nname = \"c\"\nkey = \"route\"\nrate = \"3/m\"\n")
	var lines []string
	for _, c := range config.Diff(old, now) {
		lines = append(lines, c.String())
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{"rate limit a: rate 1/s -> 2/s", "rate limit c added (3/m by route)", "rate limit b removed", "store"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hunter") {
		t.Errorf("a credential is shown:\n%s", text)
	}
}
