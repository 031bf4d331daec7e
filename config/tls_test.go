package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/internal/testkit"
)

const (
	tlsListener = "[[listeners]]\naddress = \":443\"\ntls = true\n"
	certFiles   = "[tls]\ncert = \"/a.pem\"\nkey = \"/a.key\"\n"
	backendHost = "[[backends]]\nhost = \"a\"\n"
)

// tlsFile has every key of listeners and TLS.
const tlsFile = `
[[listeners]]
address = "0.0.0.0:80"
redirect_https = true
[[listeners]]
address = ":443"
tls = true
[[listeners]]
address = "[::1]:8080"
[[listeners]]
address = "unix:/run/lb.http"
tls = true
[tls]
cert = "site.pem"
key = "/keys/site.key"
min_version = "1.3"
client_auth = "require"
client_ca = "../clients.pem"
hsts = "17520h"
[[tls.certs]]
cert = "b.pem"
[tls.acme]
names = ["Example.COM", "127.0.0.1", "::1", "app.internal", "localhost"]
email = "ops@example.com"
directory = "https://acme.internal:14000/dir"
directory_ca = "pebble.pem"
storage = "acme"
[backend_tls]
ca = "ca.pem"
server_name = "app.example"
client_cert = "lb.pem"
client_key = "lb.pem"
[[backends]]
host = "a"
port = 443
[[backends]]
socket = "/run/app"
tls = true
[[backends]]
host = "b"
port = 443
tls = false
[[pools]]
name = "other"
tls = { insecure = true }
backends = [{ socket = "/a", tls = true }]
[[routes]]
scheme = "https"
pool = "other"
[timeouts]
handshake = "3s"
`

func TestParseTLS(t *testing.T) {
	c, err := Parse("/etc/lb/lb.toml", []byte(tlsFile))
	if err != nil {
		t.Fatal(err)
	}
	listeners := []Listener{{Address: "0.0.0.0:80", RedirectHTTPS: true}, {Address: ":443", TLS: true}, {Address: "[::1]:8080"}, {Address: "unix:/run/lb.http", TLS: true}}
	if !reflect.DeepEqual(c.Listeners, listeners) || !reflect.DeepEqual(c.Listening(), listeners) {
		t.Errorf("listeners %+v, want %+v", c.Listeners, listeners)
	}
	secure := TLS{
		Certs:      []Cert{{"/etc/lb/site.pem", "/keys/site.key"}, {"/etc/lb/b.pem", ""}},
		MinVersion: TLS13, ClientAuth: ClientAuthRequire, ClientCA: "/etc/clients.pem", HSTS: 2 * 365 * 24 * time.Hour,
		ACME: ACME{Names: []string{"example.com", "127.0.0.1", "::1", "app.internal", "localhost"}, Email: "ops@example.com",
			Directory: "https://acme.internal:14000/dir", DirectoryCA: "/etc/lb/pebble.pem", Storage: "/etc/lb/acme"},
	}
	if !reflect.DeepEqual(c.TLS, secure) {
		t.Errorf("tls\n%+v, want\n%+v", c.TLS, secure)
	}
	if want := (BackendTLS{CA: "/etc/lb/ca.pem", ServerName: "app.example", ClientCert: "/etc/lb/lb.pem", ClientKey: "/etc/lb/lb.pem"}); c.Pools[0].TLS != want {
		t.Errorf("backend_tls %+v, want %+v", c.Pools[0].TLS, want)
	}
	backends := []Backend{{Host: "a", Port: 443, Weight: 1, TLS: true}, {Socket: "/run/app", Weight: 1, TLS: true}, {Host: "b", Port: 443, Weight: 1}}
	if !slices.Equal(c.Pools[0].Backends, backends) || c.Pools[1].TLS != (BackendTLS{Insecure: true}) || !c.Pools[1].Backends[0].TLS {
		t.Errorf("pools %+v", c.Pools)
	}
	if c.Routes[0].Scheme != "https" || c.Timeouts.Handshake != 3*time.Second {
		t.Errorf("routes %+v, timeouts %+v", c.Routes, c.Timeouts)
	}
}

// TestOneListener: host and port speak TLS once there is a certificate.
func TestOneListener(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want Listener
	}{
		{"", Listener{Address: "0.0.0.0:8080"}},
		{"host = \"::\"\nport = 443\n[tls]\nmin_version = \"1.3\"\nhsts = \"1h\"\n", Listener{Address: "[::]:443"}},
		{"port = 443\n" + certFiles, Listener{Address: "0.0.0.0:443", TLS: true}},
		{"[[tls.certs]]\ncert = \"a\"\n", Listener{Address: "0.0.0.0:8080", TLS: true}},
		{"tls.acme.names = [\"a.test\"]\n", Listener{Address: "0.0.0.0:8080", TLS: true}},
	} {
		if got := parsed(t, tc.src).Listening(); !reflect.DeepEqual(got, []Listener{tc.want}) {
			t.Errorf("%q: %+v, want %+v", tc.src, got, tc.want)
		}
	}
}

// Addresses that can be listened on side by side.
func TestListenersBesideEachOther(t *testing.T) {
	for _, list := range []string{
		`"127.0.0.1:443", ":443"`, `"127.0.0.1:443", "127.0.0.2:443", "[::1]:443"`, `":80", ":443"`, `"127.0.0.1:0", "127.0.0.2:0"`,
		`":0", "0.0.0.0:0"`, `"unix:/a", "unix:/b"`, `"localhost:80", "127.0.0.1:80"`,
	} {
		src := ""
		for address := range strings.SplitSeq(list, ", ") {
			src += "[[listeners]]\naddress = " + address + "\n"
		}
		parsed(t, src)
	}
}

// tlsRefusals are files that are wrong in one point of listeners or TLS each.
var tlsRefusals = []struct{ src, want string }{
	// Listeners.
	{"listeners = []\n", `1:13: listeners: is empty; name at least one listener`},
	{"listeners = [\":80\"]\n", `1:14: listeners[0]: must be a table, not text; write { address = ":80" }`},
	{"listeners = [443]\n", `1:14: listeners[0]: must be a table, not a number; write ":443"`},
	{"[listeners]\naddress = \":80\"\n", `1:2: listeners: must be a list of tables, not a table; write [[listeners]], once for each listener`},
	{"[[listeners]]\n", `1:3: listeners[0]: has no address; add address = ":443" or another`},
	{"[[listeners]]\naddress = \"\"\n", `2:11: listeners[0].address: is empty; write host:port, ":443" for every address, "[v6]:port" or "unix:/path"`},
	{"[[listeners]]\naddress = 443\n", `2:11: listeners[0].address: must be text, not a number; write ":443"`},
	{"[[listeners]]\naddress = \"443\"\n", `2:11: listeners[0].address: "443" is not host:port; write ":443"`},
	{"[[listeners]]\naddress = \"*:443\"\n", `2:11: listeners[0].address: "*:443" is not host:port; write ":443"`},
	{"[[listeners]]\naddress = \"443 ssl\"\n", `2:11: listeners[0].address: "443 ssl" is not host:port; write ":443", and tls = true below it`},
	{"[[listeners]]\naddress = \"[::]:443 ssl http2\"\n", `2:11: listeners[0].address: "443 ssl http2" is not a port; write "[::]:443", and tls = true below it`},
	{"[[listeners]]\naddress = \"https://0.0.0.0\"\n", `2:11: listeners[0].address: is a URL; write "0.0.0.0:443", and tls = true below it`},
	{"[[listeners]]\naddress = \"http://*:81/x\"\n", `2:11: listeners[0].address: is a URL; write ":81"`},
	{"[[listeners]]\naddress = \"::1:443\"\n", `2:11: listeners[0].address: "::1:443" is not host:port; put an IPv6 address in brackets, such as "[::1]:443"`},
	{"[[listeners]]\naddress = \"localhost\"\n", `2:11: listeners[0].address: "localhost" is not host:port; write host:port, ":443" for every address, "[v6]:port" or "unix:/path"`},
	{"[[listeners]]\naddress = \"/run/lb\"\n", `2:11: listeners[0].address: "/run/lb" is not host:port; write "unix:/run/lb"`},
	{"[[listeners]]\naddress = \"unix:\"\n", `2:11: listeners[0].address: is empty; write the path of a unix socket`},
	{"[[listeners]]\naddress = \":https\"\n", `2:11: listeners[0].address: "https" is not a port; use 0 to 65535`},
	{"[[listeners]]\naddress = \"a b:1\"\n", `2:11: listeners[0].address: "a b" is neither a name nor an IP address; write one of them`},
	{"[[listeners]]\naddress = \":80\"\n[[listeners]]\naddress = \"[::]:80\"\n",
		`4:11: listeners[1].address: "[::]:80" is taken by the listener in line 1; remove one, or give it another port`},
	{"[[listeners]]\naddress = \"0.0.0.0:80\"\n[[listeners]]\naddress = \":80\"\n",
		`4:11: listeners[1].address: ":80" is taken by the listener in line 1; remove one, or give it another port`},
	{"[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n",
		`4:11: listeners[1].address: "127.0.0.1:0" is taken by the listener in line 1; remove one, or give it another port`},
	{"[[listeners]]\naddress = \"127.0.0.1:1\"\n[[listeners]]\naddress = \"[::ffff:127.0.0.1]:1\"\n",
		`4:11: listeners[1].address: "[::ffff:127.0.0.1]:1" is taken by the listener in line 1; remove one, or give it another port`},
	{"[[listeners]]\naddress = \"unix:/a\"\n[[listeners]]\naddress = \"unix:///a\"\n",
		`4:11: listeners[1].address: "unix:///a" is taken by the listener in line 1; remove one, or give it another port`},
	{"port = 80\n[[listeners]]\naddress = \":81\"\n", `1:1: port: is not used with [[listeners]]; remove it: address says where to listen`},
	{"host = \"::\"\n[[listeners]]\naddress = \":81\"\n", `1:1: host: is not used with [[listeners]]; remove it: address says where to listen`},
	{"[[listeners]]\naddress = \":81\"\nredirect_https = true\n",
		`3:18: listeners[0].redirect_https: leads to https, and no listener has it; add [[listeners]] with address = ":443" and tls = true`},
	{tlsListener, `3:7: listeners[0].tls: has no certificate; write cert and key in [tls], or names in [tls.acme]`},
	{tlsListener + "redirect_https = true\n" + certFiles, `4:18: listeners[0].redirect_https: leads to https, which is spoken here already; remove it, or tls = true`},
	{tlsListener + "proxy_protocol = true\n" + certFiles, `4:18: listeners[0].proxy_protocol: believes headers of no proxy; add trusted_proxies = ["10.0.0.0/8"] or another at the top`},
	{tlsListener + "port = 80\n" + certFiles, `4:1: listeners[0].port: unknown key; write address = ":80"`},
	{tlsListener + "bind = \"443 ssl\"\n" + certFiles, `4:1: listeners[0].bind: unknown key; write address = ":443" and tls = true`},

	// Certificates.
	{"[[listeners]]\naddress = \":81\"\n" + certFiles, `4:8: tls.cert: is used by no listener; add tls = true to one of [[listeners]]`},
	{"[[listeners]]\naddress = \":81\"\n[[tls.certs]]\ncert = \"a\"\n", `3:7: tls.certs: is used by no listener; add tls = true to one of [[listeners]]`},
	{"[[listeners]]\naddress = \":81\"\n[tls.acme]\nnames = [\"a.test\"]\n", `4:9: tls.acme.names: is used by no listener; add tls = true to one of [[listeners]]`},
	{"tls = true\n", `1:7: tls: must be a table, not true or false; write [tls], and below it cert and key`},
	{"[tls]\ncert = true\n", `2:8: tls.cert: must be text, not true or false; write one text in quotes`},
	{"[tls]\ncert = \"a\\u0000\"\n", `2:8: tls.cert: has a zero byte in it; write a path`},
	{"[tls]\nkey = \"a.key\"\n", `2:7: tls.key: is the key of no certificate; add cert = "site.pem"`},
	{"[[tls.certs]]\nkey = \"a.key\"\n", `1:7: tls.certs[0]: has no certificate; add cert = "site.pem"`},
	{"[tls]\ncerts = [\"a.pem\"]\n", `2:10: tls.certs[0]: must be a table, not text; write [[tls.certs]] on a line of its own`},
	{"[tls]\ncert = \"a.pem\"\n[[tls.certs]]\ncert = \"./a.pem\"\nkey = \"b\"\n",
		`4:8: tls.certs[0].cert: is the certificate of line 2; remove one: a certificate is served for all names in it`},
	{"[[tls.certs]]\ncert = \"a\"\n[[tls.certs]]\ncert = \"a\"\n",
		`4:8: tls.certs[1].cert: is the certificate of line 2; remove one: a certificate is served for all names in it`},
	{"[tls]\nmin_version = \"1.1\"\n", `2:15: tls.min_version: there is no version of TLS "1.1"; write "1.2" or "1.3": what is older is not spoken`},
	{"[tls]\nmin_version = \"TLSv1.3\"\n", `2:15: tls.min_version: there is no version of TLS "TLSv1.3"; write "1.3"`},
	{"[tls]\nmin_version = 1.2\n", `2:15: tls.min_version: must be text, not a fraction; write "1.2"`},
	{"[tls]\nhsts = 31536000\n", `2:8: tls.hsts: 31536000 has no unit; write "31536000ms" or "31536000s"`},
	{"[tls]\nhsts = \"1500ms\"\n", `2:8: tls.hsts: "1500ms" is not in whole seconds; write "2s"`},
	{"[tls]\nhsts = \"-1s\"\n", `2:8: tls.hsts: "-1s" is not above zero; use "0s" for no such field`},
	{"[tls]\nhsts = \"100000h\"\n", `2:8: tls.hsts: "100000h" is more than 10 years; use at most "87840h"`},
	{"[tls]\nhsts = true\n", `2:8: tls.hsts: true has no unit; write how long, such as "8760h"`},
	{"[tls]\nclient_auth = \"yes\"\n", `2:15: tls.client_auth: there is no way to ask for certificates "yes"; use "none", "request", "require"`},
	{"[tls]\nclient_auth = \"optional\"\n", `2:15: tls.client_auth: there is no way to ask for certificates "optional"; write "request"`},
	{"[tls]\nclient_auth = true\n", `2:15: tls.client_auth: must be text, not true or false; write "require" or "request"`},
	{"[tls]\nclient_auth = \"request\"\n", `2:15: tls.client_auth: needs the authority that certificates of clients come from; add client_ca = "ca.pem"`},
	{"[tls]\nclient_ca = \"ca.pem\"\n", `2:13: tls.client_ca: is not used with client_auth = "none"; add client_auth = "require" or "request"`},

	// ACME.
	{"[tls.acme]\nnames = \"a.test\"\n", `2:9: tls.acme.names: must be a list, not text; write ["a.test"]`},
	{"[tls.acme]\nnames = [1]\n", `2:10: tls.acme.names[0]: must be text, not a number; write a name in quotes, such as "example.com"`},
	{"[tls.acme]\nnames = [\"a.test\", \"A.test\"]\n", `2:20: tls.acme.names[1]: "a.test" is there already; remove one`},
	{"[tls.acme]\nnames = [\"*.a.test\"]\n",
		`2:10: tls.acme.names[0]: "*.a.test" has a star; name each host: HTTP-01 and TLS-ALPN-01 prove single names; for a wildcard, write its files in [[tls.certs]]`},
	{"[tls.acme]\nnames = [\"a.test:443\"]\n", `2:10: tls.acme.names[0]: has a port in it; write "a.test"`},
	{"[tls.acme]\nnames = [\"https://a.test/\"]\n", `2:10: tls.acme.names[0]: is a URL; write "a.test"`},
	{"[tls.acme]\nnames = [\"a.test.\"]\n", `2:10: tls.acme.names[0]: ends in a dot; write "a.test"`},
	{"[tls.acme]\nnames = [\"a..test\"]\n", `2:10: tls.acme.names[0]: "a..test" has an empty part; write a name`},
	{"[tls.acme]\nnames = [\"b\u00fccher.test\"]\n", "2:10: tls.acme.names[0]: \"b\u00fccher.test\" is not in ASCII; write its form that begins with \"xn--\""},
	{"[tls.acme]\nnames = [\"[::1]\"]\n", `2:10: tls.acme.names[0]: has brackets; write "::1"`},
	{"[tls.acme]\nnames = [\"fe80::1%eth0\"]\n", `2:10: tls.acme.names[0]: has a zone, which certificates have not; write "fe80::1"`},
	{"[tls.acme]\nnames = [\"\"]\n", `2:10: tls.acme.names[0]: is empty; write a name, such as "example.com"`},
	{"[tls.acme]\nemail = \"ops\"\n", `2:9: tls.acme.email: "ops" is no address of mail; write one such as "ops@example.com", or "" for none`},
	{"[tls.acme]\ndirectory = \"https://u:hidden@a.test/\"\n", `2:13: tls.acme.directory: has a user name in it; leave it out`},
	{"[tls.acme]\ndirectory = \"staging\"\n",
		`2:13: tls.acme.directory: "staging" is no URL; write one such as "https://acme-v02.api.letsencrypt.org/directory", or "" for it`},
	{"[tls.acme]\ndirectory = \"http://a/dir\"\n", `2:13: tls.acme.directory: "http://a/dir" is not https; write a URL that begins with https://`},
	{"[tls.acme]\ndirectory_ca = \"a.pem\"\n", `2:16: tls.acme.directory_ca: is for a directory of your own; add directory = "https://..."`},
	{"[tls.acme]\nstorage = \"etcd://a:2379\"\n",
		`2:11: tls.acme.storage: lb keeps certificates in a folder, and not in etcd yet; write its path, such as "/var/lib/lb/acme"; machines may share one over the network`},
	{"[tls.acme]\nstorage = \"\"\n", `2:11: tls.acme.storage: is empty; write the path of a folder, such as "/var/lib/lb/acme"`},
	{"[acme]\n", `1:2: acme: unknown key; write it as [tls.acme], and below it names`},

	// Backends.
	{oneBackend + "tls = \"yes\"\n", `4:7: backends[0].tls: must be true or false, not text; write true, without quotes`},
	{oneBackend + "[backend_tls]\n", `4:2: backend_tls: is used by no backend; add tls = true to one of [[backends]]`},
	{onePool + "tls = {}\n", `4:7: pools[0].tls: is used by no backend; add tls = true to one of [[pools.backends]]`},
	{"[backend_tls]\n" + onePool, `1:2: backend_tls: is for the pool "default", which has no backend here; write it below [[pools]], or add [[backends]]`},
	{"[[backends]]\nsocket = \"/a\"\ntls = true\n",
		`3:7: backends[0].tls: needs a name to look for in the certificate, which a unix socket has not; add server_name to [backend_tls]`},
	{"[[pools]]\nname = \"a\"\nbackends = [{ socket = \"/a\", tls = true }]\n",
		`3:36: pools[0].backends[0].tls: needs a name to look for in the certificate, which a unix socket has not; add server_name to [pools.tls]`},
	{backendHost + "port = 443\n[backend_tls]\nca = \"a\"\ninsecure = true\n", `6:12: backend_tls.insecure: means that ca is not used; remove one of the two`},
	{backendHost + "port = 443\n[backend_tls]\nclient_cert = \"a\"\n", `5:15: backend_tls.client_cert: has no key; add client_key = "lb.key"; it may be the same file`},
	{backendHost + "port = 443\n[backend_tls]\nclient_key = \"a\"\n", `5:14: backend_tls.client_key: is the key of no certificate; add client_cert = "lb.pem"`},
	{backendHost + "port = 443\n[backend_tls]\nserver_name = \"a:443\"\n", `5:15: backend_tls.server_name: has a port in it; write "a"`},
	{backendHost + "port = 443\n[backend_tls]\nverify = false\n", `5:1: backend_tls.verify: unknown key; write insecure = true for no verification; leave it out`},
	{"backend_tls = true\n" + backendHost + "port = 443\n", `1:15: backend_tls: must be a table, not true or false; write tls = true in [[backends]]`},

	// Routes and timeouts.
	{oneBackend + aRoute + "scheme = \"HTTPS\"\n", `6:10: routes[0].scheme: there is no scheme "HTTPS"; use "http", "https"`},
	{oneBackend + aRoute + "scheme = true\n", `6:10: routes[0].scheme: must be text, not true or false; write one text in quotes`},
	{oneBackend + aRoute + aRoute + "scheme = \"http\"\n", `6:3: routes[1]: is never reached: the route in line 4 takes all of its requests; write this one first`},
	{oneBackend + aRoute + "scheme = \"http\"\n" + aRoute + "scheme = \"http\"\n", `7:3: routes[1]: takes the same requests as the route in line 4; remove one`},
	{"[timeouts]\nhandshake = \"0s\"\n", `2:13: timeouts.handshake: "0s" is not above zero; no timeout can be turned off; use a long one, such as "24h"`},
}

func TestTLSErrors(t *testing.T) {
	for _, tc := range tlsRefusals {
		checkError(t, tc.src, tc.want)
	}
}

// TestAnyValue: whatever stands where a key of TLS is, there is no panic, and an error has
// its place.
func TestAnyValue(t *testing.T) {
	values := []string{"true", "1", "-1", "1.5", "nan", "\"\"", "\"a\"", "\"https://\"", "\":\"", "\"[\"", "\"*\"", "\"\\u0000\"", "1979-05-27", "[]", "[1]", "[[]]", "[{}]",
		"{}", "{ a = 1 }", "{ cert = 1 }", "{ names = [[]] }", "[{ address = 1 }]", "[{ address = [] }]", "[true, \"a\", {}]"}
	tables := []string{"", "[tls]\n", "[tls.acme]\n", "[[tls.certs]]\n", "[[listeners]]\n", "[backend_tls]\n", "[[pools]]\nname = \"a\"\n", "[[backends]]\n", "[[routes]]\n"}
	for _, table := range tables {
		for _, name := range []string{"tls", "cert", "key", "certs", "acme", "names", "hsts", "address", "listeners", "backend_tls", "ca", "client_auth", "storage", "email", "directory", "scheme",
			"server_name", "insecure", "min_version", "redirect_https", "bind", "port"} {
			for _, v := range values {
				src := table + name + " = " + v + "\n"
				_, err := Parse("f", []byte(src))
				if all, ok := err.(Errors); !ok || len(all) == 0 || all[0].Line < 1 || all[0].Line > strings.Count(src, "\n")+1 {
					t.Errorf("%q: %v", src, err)
				}
			}
		}
	}
}

// tlsDifferences are changes of listeners and TLS.
var tlsDifferences = []struct{ name, old, new, want string }{
	{"everything", oneBackend, `
[[listeners]]
address = ":80"
redirect_https = true
[[listeners]]
address = ":443"
tls = true
[tls]
cert = "a.pem"
key = "a.key"
min_version = "1.3"
client_auth = "request"
client_ca = "ca.pem"
hsts = "8760h"
[[tls.certs]]
cert = "b.pem"
[tls.acme]
names = ["a.test", "b.test"]
email = "a@b.test"
directory = "https://a.test/dir"
directory_ca = "d.pem"
storage = "/s"
[timeouts]
handshake = "5s"
[backend_tls]
ca = "b.pem"
server_name = "b.test"
client_cert = "c.pem"
client_key = "c.key"
[[backends]]
host = "a"
port = 1
tls = true
`, `listener :80 added (redirect_https)
listener :443 added (tls)
tls.min_version: 1.2 -> 1.3
tls.client_auth: none -> request
tls.client_ca: "" -> /ca.pem
tls.hsts: 0s -> 8760h
certificate /a.pem added (for names that no other has)
certificate /b.pem added
tls.acme.names: [] -> [a.test, b.test]
tls.acme.email: "" -> a@b.test
tls.acme.directory: "" -> https://a.test/dir
tls.acme.directory_ca: "" -> /d.pem
tls.acme.storage: /var/lib/lb/acme -> /s
backend a:1: tls false -> true
backend_tls.ca: "" -> /b.pem
backend_tls.server_name: "" -> b.test
backend_tls.client_cert: "" -> /c.pem
backend_tls.client_key: "" -> /c.key
timeouts.handshake: 10s -> 5s
`},
	{"listeners", tlsListener + "[[listeners]]\naddress = \":80\"\n" + certFiles, "[[listeners]]\naddress = \":80\"\nredirect_https = true\n[[listeners]]\naddress = \"unix:/a\"\n" + tlsListener + certFiles,
		"listener :80: redirect_https false -> true\nlistener unix:/a added\nlisteners: [:443, :80] -> [:80, :443]\n"},
	{"fewer listeners", tlsListener + "[[listeners]]\naddress = \":80\"\n" + certFiles, tlsListener + certFiles, "listener :80 removed\n"},
	{"certificates", "[tls]\ncert = \"a\"\n[[tls.certs]]\ncert = \"b\"\n[[tls.certs]]\ncert = \"c\"\n", "[tls]\ncert = \"c\"\nkey = \"k\"\n[[tls.certs]]\ncert = \"a\"\n",
		"certificate /c: key \"\" -> /k\ncertificate /b removed\ntls.certs: [/a, /c] -> [/c, /a]\n"},
	{"a certificate in another table", "[tls]\ncert = \"a\"\n", "[[tls.certs]]\ncert = \"a\"\n", ""},
	{"a pool's TLS", backendHost + "port = 443\n[[pools]]\nname = \"p\"\nbackends = [{ host = \"b\", port = 443 }]\n",
		backendHost + "port = 443\n[[backends]]\nhost = \"c\"\nport = 443\n[[backends]]\nhost = \"d\"\nport = 8443\ntls = true\n" +
			"[[pools]]\nname = \"p\"\nbackends = [{ host = \"b\", port = 443 }]\ntls = { insecure = true }\n",
		"backend c:443 added\nbackend d:8443 added (tls true)\npool p: tls.insecure: false -> true\n"},
	{"the scheme of a route", oneBackend + aRoute, oneBackend + aRoute + "scheme = \"https\"\n", "route / https added (pool default)\nroute / removed\n"},
}

// TestFolder: a file is the same for a reload, which has another name for lb.toml.
func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	testkit.WriteFile(t, FileName, certFiles[:len("[tls]\ncert = \"")]+"a.pem\"\n"+oneBackend)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", FileName, wd + "/" + FileName} {
		c, err := Find(path, Flags{})
		if err != nil || c.TLS.Certs[0].Cert != wd+"/a.pem" {
			t.Errorf("%q: %+v, %v; want a.pem in %s", path, c, err, wd)
		}
	}
}

func TestDiffOfTLS(t *testing.T) {
	for _, tc := range tlsDifferences {
		if got := lines(Diff(parsed(t, tc.old), parsed(t, tc.new))); got != tc.want {
			t.Errorf("%s:\n%swant\n%s", tc.name, got, tc.want)
		}
	}
}

// flagsOf returns the configuration of a file with flags, or the error.
func flagsOf(t *testing.T, src string, f Flags) (*Config, error) {
	t.Helper()
	path := t.TempDir() + "/lb.toml"
	testkit.WriteFile(t, path, src)
	return Find(path, f)
}

func TestFlagsOfTLS(t *testing.T) {
	port, host, cert, key := 8443, "10.0.0.1", "c.pem", "c.key"
	for _, tc := range []struct {
		name      string
		src       string
		flags     Flags
		listening []Listener
		certs     []Cert
		names     []string
	}{
		{"a certificate", oneBackend, Flags{TLSCert: &cert, TLSKey: &key}, []Listener{{Address: "0.0.0.0:8080", TLS: true}}, []Cert{{cert, key}}, nil},
		{"a certificate with its key, on a port", oneBackend, Flags{TLSCert: &cert, Port: &port}, []Listener{{Address: "0.0.0.0:8443", TLS: true}}, []Cert{{cert, ""}}, nil},
		{"in the place of that in the file", oneBackend + certFiles, Flags{TLSCert: &cert}, []Listener{{Address: "0.0.0.0:8080", TLS: true}}, []Cert{{cert, ""}}, nil},
		{"names", oneBackend, Flags{HTTPS: []string{"Example.com", " www.example.com"}},
			[]Listener{{Address: ":443", TLS: true}, {Address: ":80", RedirectHTTPS: true}}, nil, []string{"example.com", "www.example.com"}},
		{"names on an address", "port = 81\n" + oneBackend, Flags{HTTPS: []string{"a.test"}, Host: &host},
			[]Listener{{Address: "10.0.0.1:443", TLS: true}, {Address: "10.0.0.1:80", RedirectHTTPS: true}}, nil, []string{"a.test"}},
		{"names on the file's address", "host = \"::1\"\n" + oneBackend, Flags{HTTPS: []string{"a.test"}},
			[]Listener{{Address: "[::1]:443", TLS: true}, {Address: "[::1]:80", RedirectHTTPS: true}}, nil, []string{"a.test"}},
		{"names on a port", oneBackend + "[tls.acme]\nnames = [\"b.test\"]\n", Flags{HTTPS: []string{"localhost"}, Port: &port}, []Listener{{Address: "0.0.0.0:8443", TLS: true}}, nil, []string{"localhost"}},
		{"names beside a certificate of the file", oneBackend + certFiles, Flags{HTTPS: []string{"a.test"}, Port: &port}, []Listener{{Address: "0.0.0.0:8443", TLS: true}},
			[]Cert{{"/a.pem", "/a.key"}}, []string{"a.test"}},
	} {
		c, err := flagsOf(t, tc.src, tc.flags)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := c.Listening(); !reflect.DeepEqual(got, tc.listening) || !slices.Equal(c.TLS.Certs, tc.certs) || !slices.Equal(c.TLS.ACME.Names, tc.names) {
			t.Errorf("%s: %+v, %+v, %v; want %+v, %+v, %v", tc.name, got, c.TLS.Certs, c.TLS.ACME.Names, tc.listening, tc.certs, tc.names)
		}
	}
}

func TestFlagErrorsOfTLS(t *testing.T) {
	port, host, file, empty := 1, "::", "a", ""
	const ofFile = " is not used with the [[listeners]] of the file; leave it out, or remove them"
	for _, tc := range []struct {
		src   string
		flags Flags
		want  string
	}{
		{oneBackend + tlsListener + certFiles, Flags{Port: &port, Host: &host, TLSCert: &file, TLSKey: &file, HTTPS: []string{"a"}},
			"--port:" + ofFile + "\n--host:" + ofFile + "\n--tls-cert:" + ofFile + "\n--tls-key:" + ofFile + "\n--https:" + ofFile},
		{oneBackend, Flags{TLSKey: &file}, "--tls-key: is the key of no certificate; add --tls-cert FILE"},
		{oneBackend, Flags{TLSCert: &empty}, "--tls-cert: is empty; write the path of a file in PEM"},
		{oneBackend, Flags{TLSCert: &file, HTTPS: []string{"a"}}, "--https: gets certificates by itself, and --tls-cert names one; leave one of the two out"},
		{oneBackend, Flags{HTTPS: []string{""}}, "--https: is empty; write a name, such as \"example.com\""},
		{oneBackend, Flags{HTTPS: []string{"a.test", "", "A.test", "*.b"}}, "--https: is empty; write a name, such as \"example.com\"\n--https: \"a.test\" is there already; remove one\n" +
			"--https: \"*.b\" has a star; name each host: HTTP-01 and TLS-ALPN-01 prove single names; for a wildcard, write its files in [[tls.certs]]"},
	} {
		if _, err := flagsOf(t, tc.src, tc.flags); err == nil || err.Error() != tc.want {
			t.Errorf("got\n%v\nwant\n%s", err, tc.want)
		}
	}
}
