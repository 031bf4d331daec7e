package config

import (
	"strings"
	"testing"
)

// FuzzParse: no input makes Parse panic, and every error has a place in the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "\x10", "\xef\xbb\xbfport = 1", "port = 80\nmode = \"mt\"\n", "a.b.c = [1, {d = 2}, [[3]]]\n",
		"[[backends]]\nhost = \"a\"\nport = 1\nweight = 2\n[[backends]]\nsocket = '/a'\n",
		"[timeouts]\nconnect = 30\nqueue = \"0s\"\n[limits]\nbody_bytes = \"64 KiB\"\n",
		"trusted_proxies = [\"10.0.0.0/8\", # c\n '::1',\n]\n", "a = \"\"\"\\\n x\"\"\"\"\n'b' = '''c'''\n",
		"a.b = 1\na = 2\n", "[a.\"b\\u00e9\"]\nc = 1979-05-27 07:32:00\n", "x = {a = 1,\n b.c = 2, # d\n}\n",
		"[a]\n[[a.b]]\n[a.b.c]\nd = 1\n[[a.b]]\n[a.b.c]\nd = 1\n", "\"\" = 1\n", "backends = [1, {}, {host = 3}]\n",
		"[[pools]]\nname = \"a\"\nhash.key = \"header:x\"\n[pools.health]\nexpect = \"200-299,404\"\n[[pools.backends]]\nsocket = \"/a\"\n",
		"[[routes]]\nhost = \"*.a\"\nmethods = [\"GET\"]\nheaders = { \"x\" = \"y\" }\npool = \"default\"\nstrip_prefix = true\n",
		"[[routes]]\nredirect = { to = \"https://{host}{uri}\", code = 301 }\nset_response_headers.X = \"1\"\n",
		"[[listeners]]\naddress = \":443\"\ntls = true\n[tls]\ncert = \"a\"\nhsts = \"1h\"\n[[tls.certs]]\ncert = \"b\"\n[tls.acme]\nnames = [\"a.b\"]\n[backend_tls]\nca = \"c\"\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parse("f", data)
		if err == nil {
			return
		}
		lines := strings.Split(string(data), "\n")
		for _, e := range err.(Errors) {
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 {
				t.Errorf("%+v is outside of %q", e, data)
			}
		}
	})
}
