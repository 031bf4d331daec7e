package discovery

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]URL{
		"dns://web.internal:8080":                    {Scheme: DNS, Hosts: []string{"web.internal:8080"}},
		"DNS://[2001:db8::1]:80/":                    {Scheme: DNS, Hosts: []string{"[2001:db8::1]:80"}, Path: "/"},
		"srv://_http._tcp.web.internal":              {Scheme: SRV, Hosts: []string{"_http._tcp.web.internal"}},
		"consul://127.0.0.1:8500/web?tag=v2":         {Scheme: Consul, Hosts: []string{"127.0.0.1:8500"}, Path: "/web"},
		"etcd://10.0.0.1:2379,10.0.0.2:2379/lb/web/": {Scheme: Etcd, Hosts: []string{"10.0.0.1:2379", "10.0.0.2:2379"}, Path: "/lb/web/"},
		"etcd://me:p%40ss@10.0.0.1:2379/lb/":         {Scheme: Etcd, Hosts: []string{"10.0.0.1:2379"}, Path: "/lb/"},
		"file:///etc/lb/web%20a.json":                {Scheme: File, Path: "/etc/lb/web a.json"},
		"file:/etc/lb/web.json":                      {Scheme: File, Path: "/etc/lb/web.json"},
		"file:conf.d/web%20a.json":                   {Scheme: File, Path: "conf.d/web a.json"},
		"docker:///run/docker.sock":                  {Scheme: Docker, Path: "/run/docker.sock"},
	} {
		u, f := Parse(s)
		if f != nil {
			t.Errorf("%s: %+v", s, f)
			continue
		}
		if u.Scheme != want.Scheme || strings.Join(u.Hosts, " ") != strings.Join(want.Hosts, " ") || u.Path != want.Path {
			t.Errorf("%s is read as %+v, want %+v", s, u, want)
		}
	}
	if u, _ := Parse("consul://127.0.0.1:8500/web?tag=v2&dc=eu"); u.Query.Get("tag") != "v2" || u.Query.Get("dc") != "eu" {
		t.Errorf("parameters %v", u.Query)
	}
	u, _ := Parse("etcd://me:p%40ss@10.0.0.1:2379/lb/")
	if password, _ := u.User.Password(); u.User.Username() != "me" || password != "p@ss" {
		t.Errorf("user %v", u.User)
	}
}

// TestParseRefuses: each mistake has a mend, and no credential is shown.
func TestParseRefuses(t *testing.T) {
	for s, want := range map[string]string{
		"web.internal:8080":                                    "is no URL",
		"http://web.internal":                                  "is no URL",
		"dns://web.internal":                                   "has no port",
		"dns://web.internal:0":                                 `"0" is not a port`,
		"dns://web.internal:80/x":                              "has a path",
		"dns://a:80,b:80":                                      "takes one host",
		"dns://u:hunter2@a:80":                                 "has a user name",
		"dns://a:80?tag=x":                                     `no parameter "tag"`,
		"srv://_http._tcp.web.internal:80":                     "has a port",
		"srv://":                                               "names no host",
		"consul://127.0.0.1:8500":                              "names no service",
		"consul://127.0.0.1:8500/a/b":                          "names no service",
		"consul://127.0.0.1:8500/a?tga=v2":                     `no parameter "tga"`,
		"consul://127.0.0.1:8500/a?scheme=ftp":                 `no scheme "ftp"`,
		"consul://127.0.0.1:8500/a?ca=b":                       "a ca that is not used",
		"consul://127.0.0.1:8500/a?token=hunter2&token_file=b": "has both token and token_file",
		"file:":                                     "is no URL",
		"file:%zz":                                  "is no URL",
		"file:a%00":                                 "is no URL",
		"etcd://127.0.0.1:2379":                     "names no prefix",
		"etcd://127.0.0.1:2379,/x":                  "has no port",
		"etcd://u:hunter2@127.0.0.1:2379/a#x":       "is no URL",
		"etcd://u:hunter2/x@a:2379/lb/":             "not percent-encoded",
		"etcd://u:hunter2#x@a:2379/lb/":             "not percent-encoded",
		"consul://u:hunter2?x@a:8500/web":           "not percent-encoded",
		"file://etc/lb.json":                        "not followed by a path",
		"docker://localhost/run/docker.sock":        "not followed by a path",
		"consul://127.0.0.1:8500/%zz?token=hunter2": "is no URL",
	} {
		_, f := Parse(s)
		if f == nil || !strings.Contains(f.What, want) || f.Hint == "" {
			t.Errorf("%s: %+v, want %q", s, f, want)
		} else if strings.Contains(f.What+f.Hint, "hunter2") {
			t.Errorf("%s: the flaw shows a credential: %+v", s, f)
		}
	}
}

// TestAnchor: paths that do not begin at the root begin at the folder, and nothing else moves.
func TestAnchor(t *testing.T) {
	for s, want := range map[string]string{
		"":                                      "",
		"nonsense":                              "nonsense",
		"file:web.json":                         "file:///etc/lb/web.json",
		"file:../a/b%20c.json":                  "file:///etc/a/b%20c.json",
		"file:///x.json":                        "file:///x.json",
		"dns://a:1":                             "dns://a:1",
		"consul://u:p@a:1/b?tag=d&tag=c":        "consul://u:p@a:1/b?tag=d&tag=c",
		"consul://u:p@a:1/b?tag=d&token_file=c": "consul://u:p@a:1/b?tag=d&token_file=%2Fetc%2Flb%2Fc",
		"etcd://a:1,b:2/c?ca=/d":                "etcd://a:1,b:2/c?ca=/d",
		"docker:///run/docker.sock":             "docker:///run/docker.sock",
	} {
		if got := Anchor(s, "/etc/lb"); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
		if again := Anchor(Anchor(s, "/etc/lb"), "/other"); again != want {
			t.Errorf("%s: moved twice to %s", s, again)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"dns://a:1", "srv://_a._b.c", "etcd://u:p@a:1,b:2/c?ca=d", "file:///x", "consul://a:1/b?tag=%20", "docker:///", "etcd://[::1]:1/x", "file:x%20y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, flaw := Parse(s)
		switch {
		case flaw != nil && (flaw.What == "" || flaw.Hint == ""):
			t.Errorf("%q: %+v", s, flaw)
		case flaw == nil && (u.Scheme == File || u.Scheme == Docker) != (len(u.Hosts) == 0):
			t.Errorf("%q: %+v", s, u)
		case flaw == nil:
			if moved := Anchor(s, "/etc/lb"); Check(moved) != nil || Anchor(moved, "/other") != moved {
				t.Errorf("%q is moved to %q", s, moved)
			}
		}
	})
}
