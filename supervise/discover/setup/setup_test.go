package setup

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lb/config"
	"lb/supervise/discover"
	"lb/supervise/discover/consul"
	"lb/supervise/discover/dns"
	"lb/supervise/discover/docker"
	"lb/supervise/discover/filesource"
)

func TestCacheFile(t *testing.T) {
	a, b := &config.Config{Source: "/etc/lb/a.toml"}, &config.Config{Source: "/etc/lb/b.toml"}
	for _, tc := range []struct {
		state, xdg, home string
		root             bool
		want             string
	}{
		{"/var/lib/lb:/x", "/xdg", "/home/u", true, "/var/lib/lb"},
		{"none", "/xdg", "/home/u", true, ""},
		{"", "/xdg", "/home/u", true, "/var/lib/lb"},
		{"", "/xdg", "/home/u", false, "/xdg/lb"},
		{"", "xdg", "/home/u", false, "/home/u/.local/state/lb"},
		{"", "", "", false, ""},
	} {
		env := func(name string) string {
			return map[string]string{"STATE_DIRECTORY": tc.state, "XDG_STATE_HOME": tc.xdg, "HOME": tc.home}[name]
		}
		got := CacheFile(a, env, tc.root)
		if tc.want == "" && got != "" || tc.want != "" && filepath.Dir(got) != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
		if other := CacheFile(b, env, tc.root); got != "" && other == got {
			t.Errorf("two configurations share %s", got)
		}
	}
}

func TestSources(t *testing.T) {
	m := &maker{client: dns.New()}
	if s, err := m.source(config.Pool{Discover: "srv://_http._tcp.web.test"}); err != nil || s == nil {
		t.Errorf("srv: %v, %v", s, err)
	}
	for scheme, want := range map[string]discover.Source{
		"consul://127.0.0.1:8500/web": &consul.Source{}, "file:///etc/lb/web.json": &filesource.Source{}, "docker:///run/docker.sock": &docker.Source{},
	} {
		if s, err := m.source(config.Pool{Discover: scheme}); err != nil || reflect.TypeOf(s) != reflect.TypeOf(want) {
			t.Errorf("%s: %T, %v", scheme, s, err)
		}
	}
	for _, url := range []string{"gopher://x:1/y", "srv://x"} {
		if _, err := m.source(config.Pool{Discover: url}); err == nil || !strings.Contains(err.Error(), "discover: ") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
