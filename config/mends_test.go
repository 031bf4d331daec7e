package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lb/config/value"
)

// mend is a mistake, what is said about it, and what a person has in the file who does
// that to the letter.
type mend struct {
	wrote, says, followed string
	means                 func(c *Config) bool // what the person wanted
}

const aRoute = "[[routes]]\npool = \"default\"\n"

func pool(c *Config) Pool       { return c.Pools[0] }
func backend(c *Config) Backend { return c.Pools[0].Backends[0] }
func route(c *Config) Route     { return c.Routes[0] }

// mends are those that were followed and led nowhere, and their like. oneBackend is added
// to a file that has no [[backends]].
var mends = []mend{
	// Sizes.
	{"[limits]\nbody_bytes = \"10MB\"", `write "10MiB"`, "[limits]\nbody_bytes = \"10MiB\"", func(c *Config) bool { return c.Limits.BodyBytes == 10<<20 }},
	{"[limits]\nbody_bytes = \"10m\"", `write "10MiB"`, "[limits]\nbody_bytes = \"10MiB\"", nil},
	{"[limits]\nbody_bytes = \"2 gb\"", `write "2GiB"`, "[limits]\nbody_bytes = \"2GiB\"", nil},
	{"[limits]\nbody_bytes = \"500 bytes\"", `write "500"`, "[limits]\nbody_bytes = \"500\"", nil},
	{"[limits]\nbody_bytes = \"1.5MB\"", `write "1536KiB"`, "[limits]\nbody_bytes = \"1536KiB\"", nil},
	{"[limits]\nbody_bytes = \"1.5MiB\"", `write "1536KiB"`, "[limits]\nbody_bytes = \"1536KiB\"", nil},
	{"[limits]\nheader_bytes = \"8k\"", `write "8KiB"`, "[limits]\nheader_bytes = \"8KiB\"", nil},
	{"[limits]\nheader_bytes = \"10MB\"", `10MB is out of range; use 1KiB to 1MiB`, "[limits]\nheader_bytes = \"1MiB\"", nil},
	{"[limits]\nbody_bytes = -1", `0 is unlimited`, "[limits]\nbody_bytes = 0", func(c *Config) bool { return c.Limits.BodyBytes == 0 }},
	{"[limits]\nbody_bytes = \"unlimited\"", `0 is unlimited`, "[limits]\nbody_bytes = 0", nil},
	{"[limits]\nbody_bytes = false", `0 is unlimited`, "[limits]\nbody_bytes = 0", nil},
	{"[limits]\nbody_bytes = 10MB", `write "10MiB"`, "[limits]\nbody_bytes = \"10MiB\"", nil},

	// Where it is.
	{"[[backends]]\nhost = \"http://127.0.0.1\"\nport = 80", `write host = "127.0.0.1"`, "[[backends]]\nhost = \"127.0.0.1\"\nport = 80", nil},
	{"[[backends]]\nhost = \"http://127.0.0.1:8000/x\"\nport = 80", `write host = "127.0.0.1" and port = 8000`, "[[backends]]\nhost = \"127.0.0.1\"\nport = 8000",
		func(c *Config) bool { return backend(c).Port == 8000 }},
	{"[[backends]]\nhost = \"https://a\"\nport = 443", `write host = "a", port = 443 and tls = true`, "[[backends]]\nhost = \"a\"\nport = 443\ntls = true",
		func(c *Config) bool { return backend(c).TLS }},
	{"[[backends]]\nhost = \"a:80\"\nport = 1", `write host = "a" and port = 80`, "[[backends]]\nhost = \"a\"\nport = 80", nil},
	{"[[backends]]\naddress = \"10.0.0.1:80\"", `write host = "10.0.0.1" and port = 80`, "[[backends]]\nhost = \"10.0.0.1\"\nport = 80", nil},
	{"[[backends]]\naddress = \"app\"", `write host and port`, "[[backends]]\nhost = \"app\"\nport = 80", nil},
	{"[[backends]]\nurl = \"http://app/\"", `write host = "app" and port = 80`, "[[backends]]\nhost = \"app\"\nport = 80", nil},
	{"[[backends]]\nserver = \"unix:/run/a\"", `write socket = "/run/a"`, "[[backends]]\nsocket = \"/run/a\"", nil},
	{"backends = [\"10.0.0.1:80\", \"unix:/a\"]", `write { host = "10.0.0.1", port = 80 }`, "backends = [{ host = \"10.0.0.1\", port = 80 }, { socket = \"/a\" }]", nil},
	{"[[backends]]\nsocket = \"unix:/run/app.sock\"", "", "[[backends]]\nsocket = \"unix:/run/app.sock\"", func(c *Config) bool { return backend(c).Socket == "/run/app.sock" }},
	{"[[backends]]\nsocket = \"unix:///run/app.sock\"", "", "[[backends]]\nsocket = \"unix:///run/app.sock\"", func(c *Config) bool { return backend(c).String() == "unix:/run/app.sock" }},
	{"admin.socket = \"unix:/run/lb\"", "", "admin.socket = \"unix:/run/lb\"", func(c *Config) bool { return c.Admin.Socket == "/run/lb" }},
	{"host = \"http://0.0.0.0:80\"", `write host = "0.0.0.0" and port = 80`, "host = \"0.0.0.0\"\nport = 80", nil},
	{"listen = \":8081\"", `write port = 8081`, "port = 8081", func(c *Config) bool { return c.Port == 8081 }},
	{"bind = \"*:8081\"", `write port = 8081`, "port = 8081", nil},
	{"address = \"127.0.0.1:8081\"", `write host = "127.0.0.1" and port = 8081`, "host = \"127.0.0.1\"\nport = 8081", nil},
	{"port = \":8081\"", `write port = 8081`, "port = 8081", nil},
	{"host = [\"0.0.0.0\", \"::\"]", `"::" takes IPv6 and IPv4`, "host = \"::\"", nil},
	{"[admin]\nport = 9091", `write address = "127.0.0.1:9091"`, "[admin]\naddress = \"127.0.0.1:9091\"", nil},
	{"[admin]\naddress = \"http://127.0.0.1:9091/\"", `write "127.0.0.1:9091"`, "[admin]\naddress = \"127.0.0.1:9091\"", nil},
	{"[admin]\naddress = 9091", `write "127.0.0.1:9091"`, "[admin]\naddress = \"127.0.0.1:9091\"", nil},
	{"[admin]\naddress = false", `write "" for off`, "[admin]\naddress = \"\"", func(c *Config) bool { return c.Admin.Address == "" }},
	{"admin = false", `write admin = { address = "", socket = "off" }`, "admin = { address = \"\", socket = \"off\" }", nil},
	{"[health]\nport = 8081", "checks go to the backend's port; leave it out", "[health]", func(c *Config) bool { return c.Port == 8080 }},
	{"[health]\nhost = \"http://app\"", `write "app"`, "[health]\nhost = \"app\"", nil},

	// Listeners and TLS.
	{"listeners = [\":81\", \"443 ssl\"]", `write { address = ":443", tls = true }`, "listeners = [{ address = \":81\" }, { address = \":443\", tls = true }]\n" + certFiles, nil},
	{"listeners = [81]", `write ":81"`, "[[listeners]]\naddress = \":81\"", nil},
	{"listen = \"443 ssl\"", `write [[listeners]], and below it address = ":443" and tls = true`, tlsListener + certFiles, func(c *Config) bool { return c.Listeners[0].TLS }},
	{"bind = \"*:443 ssl crt /etc/a.pem\"", `write [[listeners]], and below it address = ":443" and tls = true`, tlsListener + certFiles, nil},
	{"[[listeners]]\nport = 81", `write address = ":81"`, "[[listeners]]\naddress = \":81\"", nil},
	{"[[listeners]]\nlisten = \"/run/lb\"", `write address = "unix:/run/lb"`, "[[listeners]]\naddress = \"unix:/run/lb\"", nil},
	{"[[listeners]]\naddress = \":443\"\nssl = true\n" + certFiles, `write tls = true`, tlsListener + certFiles, nil},
	{tlsListener + "cert = \"/a.pem\"\n" + certFiles, `write [tls], and below it cert and key`, tlsListener + certFiles, nil},
	{"ssl_certificate = \"/a.pem\"", `write [tls], and below it cert and key`, certFiles, func(c *Config) bool { return c.Listening()[0].TLS }},
	{"[tls]\nssl_certificate = \"/a.pem\"", `write cert`, "[tls]\ncert = \"/a.pem\"", nil},
	{"[tls]\nprotocols = [\"TLSv1.3\"]", `write min_version = "1.2" or "1.3"`, "[tls]\nmin_version = \"1.3\"", func(c *Config) bool { return c.TLS.MinVersion == TLS13 }},
	{"[tls]\nmin_version = \"tls1.2\"", `write "1.2"`, "[tls]\nmin_version = \"1.2\"", nil},
	{"[tls]\ndomains = [\"a.test\"]", `write names in [tls.acme]`, "[tls.acme]\nnames = [\"a.test\"]", nil},
	{"[tls]\nverify = true", `write client_auth = "require" and client_ca`, "[tls]\nclient_auth = \"require\"\nclient_ca = \"a\"", nil},
	{"hsts = \"1h\"", `"hsts" belongs to [tls]`, "[tls]\nhsts = \"1h\"", func(c *Config) bool { return c.TLS.HSTS == time.Hour }},
	{"[tls]\nhsts = false", `write "0s" for none`, "[tls]\nhsts = \"0s\"", nil},
	{"[tls]\nhsts = \"365d\"", `write "8760h"`, "[tls]\nhsts = \"8760h\"", nil},
	{"letsencrypt = true", `write names in [tls.acme]`, "[tls.acme]\nnames = [\"a.test\"]", nil},
	{"[tls.acme]\nstaging = true", `write directory = "https://acme-staging-v02.api.letsencrypt.org/directory"`, "[tls.acme]\ndirectory = \"https://acme-staging-v02.api.letsencrypt.org/directory\"", nil},
	{"force_ssl = true", `write [[listeners]] with address = ":80" and redirect_https = true, and another with address = ":443" and tls = true`,
		"[[listeners]]\naddress = \":80\"\nredirect_https = true\n" + tlsListener + certFiles, nil},
	{"[[backends]]\nurl = \"https://app/\"", `write host = "app", port = 443 and tls = true`, "[[backends]]\nhost = \"app\"\nport = 443\ntls = true", nil},
	{"backends = [\"https://app:8443\"]", `write { host = "app", port = 8443, tls = true }`, "backends = [{ host = \"app\", port = 8443, tls = true }]", func(c *Config) bool { return backend(c).TLS }},
	{oneBackend + "scheme = \"https\"", "write tls = true for https", oneBackend + "tls = true", nil},
	{"[[backends]]\nhost = \"a\"\nport = 443\nverify = false", "write insecure = true in [backend_tls]", "[[backends]]\nhost = \"a\"\nport = 443\n[backend_tls]\ninsecure = true",
		func(c *Config) bool { return pool(c).TLS.Insecure }},
	{"[timeouts]\ntls_handshake = \"5s\"", "write handshake", "[timeouts]\nhandshake = \"5s\"", nil},
	{"[health]\ntls = true", "checks go over TLS where the backend has tls = true; leave it out", "[health]", nil},

	// Kinds.
	{"sticky = true", `write the cookie's name, such as sticky = "lb_backend"`, "sticky = \"lb_backend\"", func(c *Config) bool { return pool(c).Sticky == "lb_backend" }},
	{"sticky = false", `write "" for none`, "sticky = \"\"", func(c *Config) bool { return pool(c).Sticky == "" }},
	{"via = false", `write "" for no Via`, "via = \"\"", func(c *Config) bool { return c.Via == "" }},
	{"pid_file = false", `write "" for none`, "pid_file = \"\"", nil},
	{"log_level = true", `write one text in quotes`, "log_level = \"info\"", nil},
	{"workers = \"auto\"", `0 is one per CPU`, "workers = 0", func(c *Config) bool { return c.Workers == 0 }},
	{"workers = \"4\"", `0 is one per CPU`, "workers = 0", nil},
	{"watch = \"yes\"", `write true, without quotes`, "watch = true", nil},
	{"watch = 0", `write false`, "watch = false", func(c *Config) bool { return !c.Watch }},
	{"health = true", `write [health] on a line of its own`, "[health]", func(c *Config) bool { return pool(c).Health.Type == CheckHTTP }},
	{"health = \"/up\"", `write health = { path = "/up" }`, "health = { path = \"/up\" }", func(c *Config) bool { return pool(c).Health.Path == "/up" }},
	{"eject = false", `write eject = { enabled = false }`, "eject = { enabled = false }", func(c *Config) bool { return !pool(c).Eject.Enabled }},
	{"retry = 3", `write retry = { attempts = 3 }`, "retry = { attempts = 3 }", nil},
	{"retry = false", `write retry = { attempts = 0 }`, "retry = { attempts = 0 }", func(c *Config) bool { return c.Retry.Attempts == 0 }},
	{"hash = \"path\"", `write hash = { key = "path" }`, "hash = { key = \"path\" }", nil},
	{"trusted_proxies = \"10.0.0.0/8\"", `write ["10.0.0.0/8"]`, "trusted_proxies = [\"10.0.0.0/8\"]", nil},
	{"slow_start = false", `write "0s" for none`, "slow_start = \"0s\"", nil},

	// Times.
	{"[timeouts]\nconnect = 1.5", `write "1.5s"`, "[timeouts]\nconnect = \"1.5s\"", func(c *Config) bool { return c.Timeouts.Connect == 1500*time.Millisecond }},
	{"[timeouts]\nconnect = 5000", `write "5000ms" or "5000s"`, "[timeouts]\nconnect = \"5000ms\"", nil},
	{"[timeouts]\nconnect = \"30 sec\"", `write "30s"`, "[timeouts]\nconnect = \"30s\"", nil},
	{"[timeouts]\ntunnel_idle = \"1d\"", `write "24h"`, "[timeouts]\ntunnel_idle = \"24h\"", nil},
	{"[timeouts]\ntunnel_idle = \"0s\"", `use a long one, such as "24h"`, "[timeouts]\ntunnel_idle = \"24h\"", nil},
	{"[timeouts]\nconnect = 30s", `write "30s" in quotes`, "[timeouts]\nconnect = \"30s\"", nil},

	// Routes.
	{aRoute + "host = [\"a\", \"b\"]", `write a [[routes]] for each host`, aRoute + "host = \"a\"\n" + aRoute + "host = \"b\"", func(c *Config) bool { return len(c.Routes) == 2 }},
	{aRoute + "path = [\"/a\", \"/b\"]", `write a [[routes]] for each path`, aRoute + "path = \"/a\"\n" + aRoute + "path = \"/b\"", nil},
	{aRoute + "host = [\"a\"]", `write "a", without brackets`, aRoute + "host = \"a\"", nil},
	{aRoute + "host = \"https://a.test/\"", `write host = "a.test"; a route takes every scheme`, aRoute + "host = \"a.test\"", nil},
	{aRoute + "host = \"*.a.test:443\"", `write host = "*.a.test"; a route takes every scheme`, aRoute + "host = \"*.a.test\"", func(c *Config) bool { return route(c).Host == "*.a.test" }},
	{aRoute + "methods = \"GET\"", `write ["GET"]`, aRoute + "methods = [\"GET\"]", nil},
	{aRoute + "port = 443", `write scheme = "https"`, aRoute + "scheme = \"https\"", func(c *Config) bool { return route(c).Scheme == "https" }},
	{aRoute + "tls = true", `write scheme = "https"`, aRoute + "scheme = \"https\"", nil},
	{"[[routes]]\nredirect = \"/b\"", `write redirect = { to = "/b" }`, "[[routes]]\nredirect = { to = \"/b\" }", nil},
	{aRoute + "set_request_headers = { \"X-Real-IP\" = \"{client_ip}\" }", `{client_ip} is not filled in here, but sent as it stands; leave it out: lb sends X-Forwarded-For`, aRoute, nil},
	{aRoute + "set_request_headers = { X-A = \"$remote_addr\" }", `$remote_addr is not filled in`, aRoute, nil},
	{aRoute + "set_request_headers = { X-A = \"%[src]\" }", `%[src] is not filled in`, aRoute, nil},
	{aRoute + "set_request_headers = { X-A = \"%{REMOTE_ADDR}s\" }", `is not filled in`, aRoute, nil},
	{aRoute + "set_request_headers = { X-A = \"{http.request.host}\" }", `leave it out: lb sends X-Forwarded-Host`, aRoute, nil},
	{aRoute + "set_response_headers = { X-A = \"${HOSTNAME}\" }", `write a fixed text`, aRoute + "set_response_headers = { X-A = \"a\" }", nil},
	{aRoute + "set_response_headers = { Server = \"\" }", "", aRoute + "set_response_headers = { Server = \"\" }", func(c *Config) bool { return route(c).SetResponseHeaders[0] == Field{Name: "Server", Value: ""} }},
	{aRoute + "set_request_headers = { Host = \"\" }", "is empty, and no request is without it; write a name, or leave it out", aRoute, nil},
	{aRoute + "remove_response_headers = [\"Server\"]", `write set_response_headers or set_request_headers in [[routes]], with "" for a field that is to go`,
		aRoute + "set_response_headers = { Server = \"\" }", nil},

	// Syntax.
	{"host = 0.0.0.0", `write "0.0.0.0" in quotes`, "host = \"0.0.0.0\"", nil},
	{"mode = mt # threads", `write "mt" in quotes`, "mode = \"mt\" # threads", nil},
	{"watch = False", `write false`, "watch = false", nil},
	{"port = 0080", `write 80`, "port = 80", nil},
	{"port = 80;", `remove the ";" at the end`, "port = 80", nil},
	{"port = 80,", `remove the "," at the end`, "port = 80", nil},
	{"host = \"::1\";\nport = 80", `remove the ";" at the end`, "host = \"::1\"\nport = 80", nil},
	{"host = \"::1", `a quote is missing at the end`, "host = \"::1\"", nil},
	{"host = \u201c::1\u201d", `write straight quotes`, "host = \"::1\"", nil},
	{"port = 80\nhost: 10.0.0.1\nmode = \"mt\"", `write host = "10.0.0.1"`, "port = 80\nhost = \"10.0.0.1\"\nmode = \"mt\"", nil},
	{"port 80", `write port = 80`, "port = 80", nil},
	{"// a comment\nport = 80", `a comment begins with #`, "# a comment\nport = 80", nil},
	{"[[backends]\nhost = \"a\"\nport = 1", `a bracket is missing: [[backends]]`, oneBackend, nil},
	{"[[backends\nhost = \"a\"\nport = 1", `a bracket is missing: [[backends]]`, oneBackend, nil},
	{"[timeouts\nconnect = \"1s\"", `a bracket is missing: [timeouts]`, "[timeouts]\nconnect = \"1s\"", nil},
	{"[timeouts]]\nconnect = \"1s\"", `a bracket is too many: [timeouts]`, "[timeouts]\nconnect = \"1s\"", nil},
	{"[limits]\nfields = 9\n[limits]\nconnections = 1", `keep one [limits], with all of its keys`, "[limits]\nfields = 9\nconnections = 1", nil},
	{"[backends]\nhost = \"a\"\nport = 1\n[backends]\nhost = \"b\"\nport = 1", `write [[backends]] each time`, "[[backends]]\nhost = \"a\"\nport = 1\n[[backends]]\nhost = \"b\"\nport = 1", nil},

	// Tables.
	{"[timeouts]\nport = 81", `"port" belongs to the top, above the first [table]`, "port = 81\n[timeouts]", func(c *Config) bool { return c.Port == 81 }},
	{"[retry]\ntimeout = \"1s\"", "the next backend is asked at once; leave it out", "[retry]", nil},
	{oneBackend + "name = \"a\"", "a backend goes by its address; leave it out", oneBackend, nil},
	{"balance = \"roundrobin\"", `write strategy = "round_robin"`, "strategy = \"round_robin\"", nil},
	{"timeout = \"30s\"", "write [timeouts], and below it response", "[timeouts]\nresponse = \"30s\"", nil},
}

// TestMends follows each mend: the file is accepted then, and means what was wanted.
func TestMends(t *testing.T) {
	whole := func(src string) string {
		if strings.Contains(src, "backends") {
			return src + "\n"
		}
		return src + "\n" + oneBackend
	}
	for _, tc := range mends {
		_, err := Parse("f", []byte(whole(tc.wrote)))
		if got := errorText(err); tc.says == "" && err != nil || !strings.Contains(got, tc.says) {
			t.Errorf("%q:\n got %s\nwant %s", tc.wrote, got, tc.says)
		}
		if tc.followed == "" {
			continue
		}
		c, err := Parse("f", []byte(whole(tc.followed)))
		if err != nil {
			t.Errorf("%q, as it was said:\n%v", tc.followed, err)
		} else if tc.means != nil && !tc.means(c) {
			t.Errorf("%q means another thing: %+v", tc.followed, c)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Words of other proxies have an answer in whatever table they stand, and none of them
// is a key in the wrong place.
func TestWordsOfOthers(t *testing.T) {
	for _, word := range []string{
		"ssl", "https", "acme", "letsencrypt", "ssl_certificate", "ssl_protocols", "ssl_ciphers", "ssl_verify_client", "force_ssl", "mtls", "sni", "ocsp", "h2", "alpn", "grpc", "http3", "upstream", "server", "listen", "location", "proxy_pass", "frontend",
		"bind", "balance", "access_log_format", "customlog", "error_log", "gzip", "worker_processes", "worker_connections", "keepalive", "maxconn",
		"limit_req", "include", "user", "group", "daemon", "stats", "prometheus", "cache", "websocket", "cors", "auth", "whitelist",
		"accept_proxy", "nameserver", "consul", "client_max_body_size", "proxy_read_timeout", "error_page", "healthcheck", "rewrite", "real_ip",
		"http", "global", "defaults", "stream", "root", "env", "reverse_proxy", "virtual_host", "services", "log",
	} {
		for _, src := range []string{word + " = true\n" + oneBackend, oneBackend + "[" + word + "]\nx = 1\n", oneBackend + "[[" + word + "]]\nx = 1\n"} {
			_, err := Parse("f", []byte(src))
			var all Errors
			if !errors.As(err, &all) || len(all) != 1 || all[0].Key != word {
				t.Errorf("%q: %v", src, err)
				continue
			}
			for _, poor := range []string{"known here", "did you mean", "belongs to"} {
				if strings.Contains(all[0].Hint, poor) {
					t.Errorf("%q: %s", src, all[0].Hint)
				}
			}
		}
	}
}

// Values with braces that are not to be filled in are sent as they are.
func TestBracesThatStand(t *testing.T) {
	for _, s := range []string{`{"group":"default","max_age":86400,"endpoints":[{"url":"https://a.test/r"}]}`, `geolocation=(self "https://a.test"), camera=()`,
		`max-age=31536000; includeSubDomains`, `US$5 and $total`, `100%`, `a%20b`, `default-src 'self' {x}`, `{}`} {
		src := oneBackend + aRoute + "set_response_headers = { X-A = '''" + s + "''' }\n"
		if _, err := Parse("f", []byte(src)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// Files of other kinds are known by what is in them, or by their names.
func TestOtherFormats(t *testing.T) {
	for _, tc := range []struct{ name, src, format string }{
		{"lb.yaml", "port: 8080\nbackends:\n  - host: a\n    port: 1\n", "YAML"},
		{"lb.toml", "---\nport: 8080\n", "YAML"},
		{"lb.toml", "# mine\nhost: 0.0.0.0\nport: 8080\nbackends:\n- host: 127.0.0.1\n  port: 9001\n", "YAML"},
		{"lb.yml", "just words\n", "YAML"},
		{"lb.json", "{\n  \"port\": 8080,\n  \"backends\": [{\"host\": \"a\"}]\n}\n", "JSON"},
		{"lb.toml", "{\"port\": 8080}", "JSON"},
		{"lb.toml", "[\n {\"host\": \"a\"}\n]\n", "JSON"},
		{"lb.toml", "events {}\nhttp {\n  upstream app {\n    server 127.0.0.1:9001;\n  }\n  server {\n    listen 80;\n    location / { proxy_pass http://app; }\n  }\n}\n", "nginx's configuration"},
		{"lb.toml", "upstream app {\n  server 127.0.0.1:9001;\n}\n", "nginx's configuration"},
		{"lb.toml", "global\n    maxconn 100\nfrontend web\n    bind *:80\n    default_backend app\nbackend app\n    server a 127.0.0.1:9001\n", "HAProxy's configuration"},
		{"lb.toml", "example.com {\n\treverse_proxy 127.0.0.1:9001\n}\n", "a Caddyfile"},
		{"lb.toml", "<?xml version=\"1.0\"?>\n<lb/>\n", "XML"},
		{"lb.toml", "\xff\xfep\x00o\x00", "UTF-16"},
		{"lb.toml", "\x1f\x8b\x08\x00\x00", "no text"},
	} {
		_, err := Parse(tc.name, []byte(tc.src))
		if got := errorText(err); !strings.Contains(got, "this looks like "+tc.format+"; lb reads TOML") || strings.Contains(got, "\n") {
			t.Errorf("%s %q: %s", tc.name, tc.src, got)
		}
	}
	for _, name := range []string{"lb.yaml", "lb.json", "lb"} { // its content counts
		if _, err := Parse(name, []byte(oneBackend)); err != nil {
			t.Errorf("%s with TOML in it: %v", name, err)
		}
	}
	if f := value.TrimUnix("/unix:/a"); f != "/unix:/a" {
		t.Errorf("%q", f)
	}
}
