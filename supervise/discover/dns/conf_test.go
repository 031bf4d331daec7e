package dns

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var plain = conf{servers: []string{"127.0.0.1:53", "[::1]:53"}, ndots: 1, timeout: timeoutMax, attempts: 2}

func with(edit func(c *conf)) conf {
	c := plain
	edit(&c)
	return c
}

var confs = []struct {
	text string
	want conf
}{
	{"", plain},
	{"nameserver", plain},
	{"nameserver x\nnameserver 10.0.0.1 # one\n\tnameserver fe80::1%eth0\n;nameserver 1.1.1.1\n", with(func(c *conf) { c.servers = []string{"10.0.0.1:53", "[fe80::1%eth0]:53"} })},
	{"domain a.b.\nsearch c .d. . e\n", with(func(c *conf) { c.search = []string{"c.", "d.", "e."} })},
	{"search c\ndomain a.b", with(func(c *conf) { c.search = []string{"a.b."} })},
	{"options ndots:5 timeout:1 attempts:3 rotate use-vc edns0 single-request", with(func(c *conf) {
		c.ndots, c.timeout, c.attempts, c.rotate, c.tcp = 5, time.Second, 3, true, true
	})},
	{"options ndots:99 timeout:99 attempts:99", with(func(c *conf) { c.ndots, c.attempts = 15, 5 })},
	{"options ndots:-1 timeout:x attempts: timeout:0 attempts:0", with(func(c *conf) { c.timeout, c.attempts = 100*time.Millisecond, 1 })},
}

func TestParseConf(t *testing.T) {
	for _, tc := range confs {
		if got := parseConf([]byte(tc.text), ""); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %+v, want %+v", tc.text, got, tc.want)
		}
	}
	if got := parseConf(nil, "here.test"); !slices.Equal(got.search, []string{"here.test."}) {
		t.Errorf("domain of the machine: %v", got.search)
	}
	if got := parseConf([]byte(strings.Repeat("nameserver 10.0.0.1\n", 99)), ""); len(got.servers) != serversMax {
		t.Errorf("%d servers", len(got.servers))
	}
}

func TestNames(t *testing.T) {
	c := conf{ndots: 2, search: []string{"a.", "b."}}
	for name, want := range map[string][]string{
		"x.":    {"x."},
		"x":     {"x.a.", "x.b.", "x."},
		"x.y":   {"x.y.a.", "x.y.b.", "x.y."},
		"x.y.z": {"x.y.z.", "x.y.z.a.", "x.y.z.b."},
	} {
		if got := c.names(name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func FuzzParseConf(f *testing.F) {
	for _, tc := range confs {
		f.Add([]byte(tc.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := parseConf(text, "")
		if len(c.servers) == 0 || len(c.servers) > serversMax || len(c.search) > searchMax || c.ndots < 0 || c.ndots > ndotsMax ||
			c.timeout < 100*time.Millisecond || c.timeout > timeoutMax || c.attempts < 1 || c.attempts > attemptsMax {
			t.Errorf("%+v", c)
		}
		for _, n := range c.names("x") {
			if !strings.HasSuffix(n, ".") || strings.HasSuffix(n, "..") {
				t.Errorf("name %q", n)
			}
		}
	})
}

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost\n::1 Localhost. ip6 # x\nfe80::1%eth0 y\n# 1.1.1.1 z\n10.0.0.1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, list := range parseHosts(text) {
			if name == "" || strings.ContainsAny(name, " \t\n#") || len(list) == 0 {
				t.Errorf("%q: %v", name, list)
			}
			for _, ip := range list {
				if !ip.IsValid() || ip.Is4In6() {
					t.Errorf("%q: %v", name, ip)
				}
			}
		}
	})
}
