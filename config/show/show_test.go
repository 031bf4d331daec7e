package show

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lb/admin/api"
	"lb/config"
	"lb/config/tomlfile"
)

// every has every key of every table, each in a line of its own.
const every = `mode = "mt"
workers = 3
via = "lb"
trusted_proxies = ["10.0.0.0/8"]
forwarded = true
early_hints = false
log_level = "warn"
log_format = "json"
request_id = "X-Id"
paths = "normalize"
pid_file = "lb.pid"
watch = false
abort_on_close = false
sticky_key = "a key of sixteen"
strategy = "hash"
sticky = "at"
reuse = "never"
protocol = "http1"
slow_start = "3s"
send_proxy = "v1"
idle_max = 4
drain_header = "X-Drain"
discover = "dns://web.test:80"
resolver = "10.0.0.2:53"
resolve_min = "2s"
resolve_max = "20s"

[hash]
key = "header:x-user"
balance_factor = 1.5

[health]
type = "http"
path = "/ok"
host = "check.test"
method = "HEAD"
interval = "7s"
interval_down = "2s"
timeout = "3s"
rise = 3
fall = 4
expect = "200"
panic = "fail_open"
panic_percent = 90

[eject]
enabled = true
faults = 4
time = "11s"
time_max = "6m"
max_percent = 40
on_status = [503]
error_rate = 0.5
latency_factor = 3
window = "20s"
requests_min = 30

[[backends]]
host = "10.0.0.1"
port = 81
weight = 2
backup = false
drain = true
max_connections = 9
idle_max = 2
tls = true

[[backends]]
socket = "/run/app.sock"
weight = 1
backup = false
drain = false
max_connections = 0
idle_max = 3
tls = false

[backend_tls]
ca = "ca.pem"
server_name = "app.test"
client_cert = "me.pem"
client_key = "me.key"
insecure = false

[[listeners]]
address = ":443"
tls = true
redirect_https = false
proxy_protocol = true
allow = ["10.0.0.0/8"]
deny = ["10.9.0.0/16"]

[tls]
cert = "a.pem"
key = "a.key"
min_version = "1.3"
client_auth = "request"
client_ca = "clients.pem"
hsts = "1h"

[[tls.certs]]
cert = "b.pem"
key = "b.key"

[tls.acme]
names = ["a.test"]
email = "me@a.test"
directory = "https://acme.test/dir"
directory_ca = "acme.pem"
storage = "acme"

[http2]
enabled = false
streams = 99

[[pools]]
name = "api"
strategy = "random"
sticky = "api-at"
reuse = "always"
protocol = "http1"
slow_start = "4s"
send_proxy = "v2"
idle_max = 5
drain_header = "X-Drain"
discover = "srv://_http._tcp.web.test"
resolver = "10.0.0.3:53"
resolve_min = "3s"
resolve_max = "30s"

[pools.hash]
key = "path"
balance_factor = 0

[pools.health]
type = "tcp"
service = ""
interval = "7s"
interval_down = "2s"
timeout = "3s"
rise = 3
fall = 4
panic = "fail_open"
panic_percent = 90

[pools.eject]
enabled = false
faults = 4
time = "11s"
time_max = "6m"
max_percent = 40
on_status = []
error_rate = 0.5
latency_factor = 3
window = "20s"
requests_min = 30

[pools.tls]
ca = ""
server_name = ""
client_cert = ""
client_key = ""
insecure = false

[[pools.backends]]
host = "10.0.0.2"
port = 82
weight = 1
backup = false
drain = false
max_connections = 0
idle_max = 3
tls = true

[[routes]]
host = "a.test"
path = "/api"
scheme = "https"
methods = ["GET", "POST"]
pool = "api"
paths = "raw"
strip_prefix = true
allow = ["10.0.0.0/8"]
deny = ["10.9.0.0/16"]
requests_max = 5

[routes.headers]
X-Beta = "yes"
Authorization = "Bearer hunter2"

[routes.set_request_headers]
X-New = "1"
X-Auth-Token = "hunter2"

[routes.set_response_headers]
X-Served = "lb"

[[routes]]
host = "b.test"
path = "/old"
scheme = "http"
methods = ["GET"]
paths = "raw"
allow = ["10.0.0.0/8"]
deny = ["10.9.0.0/16"]

[routes.redirect]
to = "https://new.test{uri}"
code = 302

[[rate_limits]]
name = "api"
key = "header:x-api-key"
rate = "100/s"
burst = 200
dry_run = true
store = "redis://127.0.0.1:6379/0"

[rate_limits.match]
host = "a.test"
path = "/api"
scheme = "https"
methods = ["GET"]

[rate_limits.match.headers]
X-Beta = "yes"

[retry]
attempts = 1
on = ["connect"]
budget = 0.1
budget_min = 2

[access_log]
path = "access.log"
format = "combined"
sample = 0.5
slow = "2s"

[tracing]
endpoint = "http://127.0.0.1:4318/v1/traces"
sample = 0.2

[metrics]
per_backend = true

[admin]
address = "127.0.0.1:9901"
socket = "lb.sock"
token = "hunter2 hunter2 hunter2"

[timeouts]
client_idle = "1s"
client_header = "1s"
client_body = "1s"
client_write = "1s"
connect = "1s"
backend_write = "1s"
response = "1s"
backend_body = "1s"
backend_idle = "1s"
tunnel_idle = "1s"
tunnel_half_closed = "1s"
handshake = "1s"
queue = "1s"
drain = "1s"
drain_delay = "1s"

[limits]
header_bytes = "8KiB"
fields = 50
target_bytes = "2KiB"
body_bytes = "1MiB"
connections = 1000
connections_per_client = 10
`

// parse returns the configuration of text.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("lb.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bySetting returns the settings by key.
func bySetting(list []api.Setting) map[string]api.Setting {
	out := map[string]api.Setting{}
	for _, s := range list {
		out[s.Key] = s
	}
	return out
}

// elsewhere are keys that cannot be in the file beside the others.
var elsewhere = []string{"host", "port", "health.service", "pools[0].health.path", "pools[0].health.host", "pools[0].health.method", "pools[0].health.expect",
	"routes[1].pool", "routes[0].redirect.to", "routes[1].requests_max"}

// TestEveryKey: each key of the file is there once, with the line in which it stands and the
// value that stands there, and no other key is without a reason.
func TestEveryKey(t *testing.T) {
	cfg := parse(t, every)
	lines := strings.Split(every, "\n")
	seen := map[int]bool{}
	for _, s := range Settings(cfg, Runtime{}) {
		if s.Source == api.FromDefault && contains(elsewhere, s.Key) {
			continue
		}
		if s.Source != api.FromFile || s.File != "lb.toml" || s.Line < 1 || s.Line > len(lines) {
			t.Errorf("%+v, want a line of the file", s)
			continue
		}
		seen[s.Line] = true
		line := lines[s.Line-1]
		name, value, _ := strings.Cut(line, " = ")
		if strings.HasPrefix(line, "[routes.headers]") || strings.HasPrefix(line, "[rate_limits.match.headers]") {
			continue // names of fields that routes match are in lower case
		}
		if !strings.HasSuffix(s.Key, name) {
			t.Errorf("%s is said to be in line %d: %s", s.Key, s.Line, line)
		}
		plain := strings.NewReplacer(`"`, "", "/", "").Replace
		if path := filepath.Base(s.Value); s.Value != "set" && plain(s.Value) != plain(value) && plain(path) != plain(value) {
			t.Errorf("%s is %s, and line %d has %s", s.Key, s.Value, s.Line, value)
		}
	}
	for i, line := range lines {
		if strings.Contains(line, " = ") && !seen[i+1] && !strings.HasPrefix(line, "X-Beta") && !strings.HasPrefix(line, "Authorization") {
			t.Errorf("nothing comes from line %d: %s", i+1, line)
		}
	}
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

// TestSecrets: no value of a secret is shown.
func TestSecrets(t *testing.T) {
	got := bySetting(Settings(parse(t, every), Runtime{}))
	for key, want := range map[string]string{"sticky_key": "set", "admin.token": "set", "routes[0].headers.authorization": "set",
		"routes[0].set_request_headers.X-Auth-Token": "set"} {
		if got[key].Value != want {
			t.Errorf("%s: %+v, want %s", key, got[key], want)
		}
	}
	for key, s := range got {
		if strings.Contains(s.Value, "hunter2") || strings.Contains(s.Value, "sixteen") {
			t.Errorf("%s is shown: %s", key, s.Value)
		}
	}
	if got := bySetting(Settings(config.Default(), Runtime{})); got["sticky_key"].Value != "none" || got["admin.token"].Value != "none" {
		t.Errorf("without secrets: %+v, %+v", got["sticky_key"], got["admin.token"])
	}
}

// TestDefaults: what no file says is a default.
func TestDefaults(t *testing.T) {
	for _, cfg := range []*config.Config{config.Default(), parse(t, "[[backends]]\nhost = \"a\"\nport = 1\n")} {
		for _, s := range Settings(cfg, Runtime{}) {
			said := cfg.File != nil && (s.Key == "backends[0].host" || s.Key == "backends[0].port")
			if (s.Source == api.FromDefault) == said || (s.Line > 0) != said {
				t.Errorf("%+v", s)
			}
		}
	}
}

// TestFlags: a flag wins, and says what it overrules.
func TestFlags(t *testing.T) {
	text := func(s string) *string { return &s }
	number := func(n int) *int { return &n }
	t.Chdir(t.TempDir())
	file := "port = 1\nstrategy = \"random\"\nlog_level = \"info\"\n[[backends]]\nhost = \"a\"\nport = 1\n[tls]\ncert = \"a.pem\"\nkey = \"a.key\"\n"
	if err := os.WriteFile("lb.toml", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	find := func(f config.Flags) map[string]api.Setting {
		t.Helper()
		cfg, err := config.Find("lb.toml", f)
		if err != nil {
			t.Fatal(err)
		}
		return bySetting(Settings(cfg, Runtime{}))
	}
	got := find(config.Flags{Mode: text("mt"), Host: text("::1"), Strategy: text("p2c"), LogLevel: text("debug"), PIDFile: text("p"), Admin: text(""),
		Workers: number(2), Port: number(7), Backends: []string{"b:2", "c:3"}, TLSCert: text("f.pem"), TLSKey: text("f.key")})
	for key, want := range map[string]string{
		"mode": "mt --mode 0", "host": "::1 --host 0", "strategy": "p2c --strategy 2", "log_level": "debug --log-level 3", "pid_file": "p --pid-file 0",
		"admin.address": `"" --admin 0`, "workers": "2 --workers 0", "port": "7 --port 1", "backends[0].host": "b --backend 5", "backends[1].port": "3 --backend 0",
		"tls.cert": "f.pem --tls-cert 8", "tls.key": "f.key --tls-key 9",
	} {
		if s := got[key]; s.Source != api.FromFlag || fmt.Sprintf("%s %s %d", s.Value, s.Flag, s.Line) != want {
			t.Errorf("%s: %+v, want %s", key, s, want)
		}
	}
	if s := got["tls.certs[0].cert"]; s.Key != "" {
		t.Errorf("the certificate is there twice: %+v", s)
	}
	if err := os.WriteFile("lb.toml", []byte("[[backends]]\nhost = \"a\"\nport = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = find(config.Flags{HTTPS: []string{"a.test"}})
	for key, want := range map[string]string{"tls.acme.names": "[a.test]", "listeners[0].address": ":443", "listeners[1].redirect_https": "true"} {
		if s := got[key]; s.Source != api.FromFlag || s.Flag != "--https" || s.Value != want {
			t.Errorf("%s: %+v, want %s", key, s, want)
		}
	}
}

// TestEveryFlag: no flag is overlooked.
func TestEveryFlag(t *testing.T) {
	for i := range reflect.TypeFor[config.Flags]().NumField() {
		cfg := config.Default()
		field := reflect.ValueOf(&cfg.Flags).Elem().Field(i)
		if field.Kind() == reflect.Slice {
			field.Set(reflect.ValueOf([]string{"a"}))
		} else {
			field.Set(reflect.New(field.Type().Elem()))
		}
		if len(flagsOf(cfg)) == 0 {
			t.Errorf("%s sets nothing", reflect.TypeFor[config.Flags]().Field(i).Name)
		}
	}
}

// TestRuntime: what an operator has changed wins over the file.
func TestRuntime(t *testing.T) {
	cfg := parse(t, every)
	got := bySetting(Settings(cfg, Runtime{LogLevel: "debug", Backend: func(pool, i int) (int, string) {
		switch {
		case pool == 0 && i == 0:
			return 7, "enabled"
		case pool == 1:
			return 0, api.Disabled
		}
		return 0, api.Drained
	}}))
	for key, want := range map[string]string{"log_level": "debug", "backends[0].weight": "7", "backends[1].drain": "true", "pools[0].backends[0].drain": "true (disabled)"} {
		if s := got[key]; s.Source != api.FromRuntime || s.Value != want || s.Line == 0 {
			t.Errorf("%s: %+v, want %s", key, s, want)
		}
	}
	for _, key := range []string{"backends[0].drain", "backends[1].weight", "pools[0].backends[0].weight"} {
		if s := got[key]; s.Source != api.FromFile {
			t.Errorf("%s: %+v", key, s)
		}
	}
	same := bySetting(Settings(cfg, Runtime{LogLevel: "warn"}))
	if s := same["log_level"]; s.Source != api.FromFile {
		t.Errorf("the same level as in the file: %+v", s)
	}
	cfg.LogLevel = "debug" // as lb has it then
	if s := bySetting(Settings(cfg, Runtime{LogLevel: "debug"}))["log_level"]; s.Source != api.FromRuntime || s.Value != "debug" {
		t.Errorf("another level than in the file: %+v", s)
	}
	cfg = config.Default()
	cfg.LogLevel = "error"
	if s := bySetting(Settings(cfg, Runtime{LogLevel: "error"}))["log_level"]; s.Source != api.FromRuntime {
		t.Errorf("another level than the default: %+v", s)
	}
}

// FuzzSettings: every file that is accepted can be shown, and places are in the file.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(every))
	f.Add([]byte("backends = [{host = \"a\", port = 1}]\nroutes = [{headers = {\"x y\" = \"1\"}, pool = \"default\"}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("lb.toml", data)
		if err != nil {
			return
		}
		file := tomlfile.New(data)
		for _, s := range Settings(cfg, Runtime{}) {
			if s.Source == api.FromFile && (s.Line < 1 || s.Line > strings.Count(string(data), "\n")+1) || s.Source != api.FromFile && s.Line != 0 || file.Empty() && s.Line != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}
