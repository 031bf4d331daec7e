package storeurl

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]URL{
		"etcd://127.0.0.1:1/lb/web/":       {Kind: Etcd, Hosts: []string{"127.0.0.1:1"}, Key: "lb/web/"},
		"etcd://a,b:7,[::1]:8,[::2]//k":    {Kind: Etcd, Hosts: []string{"a:2379", "b:7", "[::1]:8", "[::2]:2379"}, Key: "/k"},
		"ETCDS://u:p%40%2F@a/k":            {Kind: Etcd, Hosts: []string{"a:2379"}, Key: "k", TLS: true, User: "u", Password: "p@/"},
		"etcd://a/k?ca=ca.pem":             {Kind: Etcd, Hosts: []string{"a:2379"}, Key: "k", TLS: true, CA: "/etc/lb/ca.pem"},
		"etcd://a/k?tls=true":              {Kind: Etcd, Hosts: []string{"a:2379"}, Key: "k", TLS: true},
		"etcds://a/k?cert=/c&key=/k":       {Kind: Etcd, Hosts: []string{"a:2379"}, Key: "k", TLS: true, Cert: "/c", CertKey: "/k"},
		"consul://a/k?token=s&dc=x":        {Kind: Consul, Hosts: []string{"a:8500"}, Key: "k", Password: "s", Query: url.Values{"dc": {"x"}}},
		"consuls://a?token_file=t":         {Kind: Consul, Hosts: []string{"a:8500"}, TLS: true, PasswordFile: "/etc/lb/t"},
		"etcd://u@b@a/k%20a?server_name=x": {Kind: Etcd, Hosts: []string{"a:2379"}, Key: "k a", User: "u@b", TLS: true, ServerName: "x"},
	} {
		got, err := Parse(in, "/etc/lb", "dc")
		if want.Query == nil {
			want.Query = url.Values{}
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
		if !Is(in) {
			t.Errorf("%s is no URL of a store", in)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"lb.toml":                     "no URL",
		"http://a/k":                  "no URL",
		"etcd:///k":                   "as a host",
		"etcd://a,/k":                 "as a host",
		"etcd://a b/k":                "as a host",
		"etcd://a:0/k":                "as a port",
		"etcd://a:x/k":                "as a port",
		"etcd://secret%zz@a/k":        "percent-encoded",
		"etcd://a/%zz":                "percent-encoded",
		"etcd://a/k#secret":           "#",
		"etcd://a/k?key=/secret":      "no cert",
		"etcd://a/k?tls=secret":       "true nor false",
		"etcd://a/k?ca=secret":        "relative path as ca",
		"etcd://a/k?dial=secret":      `parameter "dial"`,
		"etcd://a/k?token=%zzsecret&": "percent-encoded",
		"etcd://u:secret/x@a/k":       "percent-encoded",
		"etcd://u:secret?x@a/k":       "percent-encoded",
		"etcd:/u:secret@a/k":          "no URL",
	} {
		_, err := Parse(in, "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want %q", in, err, want)
		}
	}
	for _, s := range []string{"lb.toml", "/etc/lb.toml", "etcd", "etcd:x.toml", "a/b://c", "://a"} {
		if Is(s) {
			t.Errorf("%s is the URL of a store", s)
		}
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"etcd://u:secret@a:1,b/lb/k?ca=/x": "etcd://a:1,b/lb/k",
		"consul://a/k?token=secret":        "consul://a/k",
		"etcd://u:secret@a":                "etcd://a",
		"lb.toml":                          "lb.toml",
		"etcd://u:secret/x@a/k":            "etcd://***",
		"etcd://u:secret?x@a/k":            "etcd://***",
		"etcd://a/k@b":                     "etcd://a/k@b",
		"etcd:/u:secret@a/k":               "etcd:/***",
		"ectd://u:secret@a/k":              "ectd://a/k",
	} {
		if got := Shown(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// Nothing makes Parse panic, and no password is left in what is shown.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"etcd://u:p@a,b:7/k?ca=/x", "consuls://[::1]:8/k?token=t", "etcd://a//k%20", "etcd://@/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s, "/etc/lb", "dc", "tag")
		if err != nil {
			return
		}
		again, err := Parse(Shown(s), "/etc/lb")
		if err != nil || !reflect.DeepEqual(again.Hosts, u.Hosts) || again.Key != u.Key || again.User+again.Password != "" {
			t.Errorf("%q: %+v, %v; want the place of %+v", s, again, err, u)
		}
	})
}
