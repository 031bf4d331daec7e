package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows has the packages of lb that each package may import, besides
// lb/internal/invariant, which every package may import. docs/design/architecture.md
// draws it.
var arrows = map[string][]string{
	"lb":               {"cli"},
	"lb/cli":           {"supervise", "admin", "admin/api", "config", "config/socketpath", "backends", "bench", "supervise/certs", "supervise/localca", "cli/faultview", "cli/sources", "cli/top", "cli/words", "config/show", "cli/load", "supervise/remote"},
	"lb/cli/faultview": {"admin/api", "cli/words"},
	"lb/cli/top":       {"admin/api", "cli/words"},
	"lb/cli/sources":   {"admin/api", "cli/words"},
	"lb/cli/words":     {"admin/api"},

	// The rooms of supervise.
	"lb/supervise":               {"supervise/slots", "supervise/conffile", "supervise/signals", "supervise/accesslog", "supervise/acme", "supervise/certs", "supervise/crew", "supervise/discover", "supervise/discover/setup", "supervise/faultwatch", "supervise/handover", "supervise/health", "supervise/listen", "supervise/notice", "supervise/outlier", "supervise/plan", "supervise/ports", "supervise/queue", "supervise/ratestore", "supervise/rings", "internal/filewatch", "internal/host", "internal/systemd", "admin/api", "admin/history", "board", "config", "config/socketpath", "loop/tick", "internal/tlsfault", "supervise/tracing", "config/show", "upstream/usable", "supervise/remote"},
	"lb/supervise/accesslog":     {"supervise/slots", "board", "config/logging"},
	"lb/supervise/signals":       {},
	"lb/supervise/slots":         {"board"},
	"lb/supervise/certs":         {"internal/tlsconf", "admin/api", "config"},
	"lb/supervise/conffile":      {"config", "internal/filewatch", "supervise/remote", "admin/api"},
	"lb/supervise/crew":          {"supervise/slots", "supervise/engine", "supervise/listen", "supervise/plan", "internal/host", "internal/ipc", "internal/tlsconf", "board", "config", "loop/tick", "admin/api", "supervise/asking"},
	"lb/supervise/engine":        {"upstream", "supervise/plan", "internal/host", "internal/ipc", "internal/tlsconf", "proxy", "proxy/observe", "board", "config", "loop", "loop/tick", "supervise/asking"},
	"lb/supervise/handover":      {"supervise/listen", "internal/ipc", "board"},
	"lb/supervise/health":        {"upstream", "board", "config", "loop/tick", "internal/tlsconf", "internal/tlsfault", "proxyproto"},
	"lb/supervise/listen":        {"supervise/discover", "internal/ipc", "internal/unixsock"},
	"lb/supervise/outlier":       {"supervise/plan", "upstream", "board", "config", "config/health", "loop/tick"},
	"lb/supervise/notice":        {"supervise/plan", "upstream/usable", "proxy/faulttext", "proxy/record", "httpparse", "board", "loop/tick", "config"},
	"lb/supervise/plan":          {"config", "internal/tlsconf"},
	"lb/supervise/queue":         {},
	"lb/supervise/ports":         {"supervise/discover", "supervise/listen", "internal/host", "internal/systemd", "internal/unixsock", "admin/api", "config"},
	"lb/supervise/ratestore":     {"admin/api", "board/buckets", "config", "internal/redact"},
	"lb/supervise/rings":         {"admin/api", "board"},
	"lb/supervise/tracing":       {"board", "internal/redact"},
	"lb/supervise/supervisetest": {"config", "internal/testkit"},

	// The members of pools.
	"lb/supervise/discover":            {"admin/api", "config", "config/discovery", "internal/redact"},
	"lb/supervise/discover/dns":        {"config", "config/discovery", "supervise/discover"},
	"lb/supervise/discover/setup":      {"config", "config/discovery", "supervise/discover", "supervise/discover/consul", "supervise/discover/dns", "supervise/discover/docker", "supervise/discover/filesource", "supervise/discover/etcd", "internal/statedir", "internal/storeurl"},
	"lb/supervise/discover/consul":     {"config", "config/discovery", "config/value", "supervise/discover", "supervise/discover/pace"},
	"lb/supervise/discover/docker":     {"config", "config/discovery", "config/value", "supervise/discover", "supervise/discover/pace"},
	"lb/supervise/discover/filesource": {"config", "config/discovery", "internal/filewatch", "supervise/discover"},
	"lb/supervise/discover/pace":       {},
	"lb/supervise/faultwatch":          {"board", "proxy/record", "supervise/plan"},

	"lb/admin":                    {"admin/api", "admin/dashboard", "admin/rest", "board", "config", "httpparse/h2", "internal/unixsock", "admin/metrics", "upstream/usable"},
	"lb/supervise/asking":         {"admin/api"},
	"lb/proxy/admission":          {"proxy/shake", "loop/tick", "proxy/clients", "proxy/lane", "proxy/ratelimit", "proxy/record", "proxy/rewrite", "httpparse", "config"},
	"lb/proxy/explain":            {"admin/api", "proxy/admission", "proxy/ratelimit", "proxy/clients", "proxy/front", "proxy/grpc", "proxy/lane", "proxy/record", "proxy/rewrite", "proxy/route", "httpparse", "arena", "upstream", "board", "config", "loop/tick", "internal/redact", "internal/tlsfault"},
	"lb/config/show":              {"admin/api", "config", "config/tomlfile", "internal/redact"},
	"lb/admin/api":                {},
	"lb/admin/rest":               {"admin/api", "config"},
	"lb/admin/dashboard":          {"admin/api"},
	"lb/admin/history":            {"admin/api", "board", "config"},
	"lb/proxy":                    {"proxy/waiting", "proxy/back", "proxy/backs", "proxy/h1back", "proxy/clients", "proxy/deadline", "proxy/front", "proxy/grpc", "proxy/ejection", "proxy/ids", "proxy/lane", "proxy/leaving", "proxy/ownreply", "proxy/record", "proxy/rewrite", "proxy/retry", "proxy/route", "proxy/shake", "proxy/spread", "proxy/upkeep", "proxy/watch", "internal/tlsconf", "loop", "httpparse", "arena", "upstream", "board", "config", "loop/tick", "admin/api", "proxy/admission", "proxy/explain", "proxy/quota", "proxy/spares", "proxy/origin", "proxy/ratelimit"},
	"lb/proxy/ejection":           {"proxy/record", "upstream"},
	"lb/proxy/leaving":            {"httpparse", "httpparse/list", "board"},
	"lb/board/tally":              {},
	"lb/internal/netset":          {},
	"lb/proxy/crowd":              {"board", "board/tally", "loop", "loop/tick"},
	"lb/proxy/stock":              {"board"},
	"lb/proxy/spares":             {},
	"lb/proxy/quota":              {"board", "board/tally", "config", "loop", "loop/tick", "proxy/record", "proxy/waiting", "upstream"},
	"lb/proxy/waiting":            {"loop", "loop/tick", "upstream"},
	"lb/proxy/clients":            {"proxy/front", "proxy/h1", "proxy/shake", "proxy/spread", "httpparse", "httpparse/urlpath", "internal/tlsconf", "loop", "config", "proxy/h2", "board", "internal/netset", "proxy/crowd", "proxy/preamble", "proxy/lane"},
	"lb/proxy/backconn":           {"proxy/back", "proxy/front", "proxy/record", "loop", "upstream", "board", "config", "loop/tick", "loop/tlsconn", "internal/tlsconf", "proxyproto"},
	"lb/proxy/back":               {"proxy/front", "proxy/lane", "proxy/record", "loop/tick"},
	"lb/proxy/backs":              {"proxy/back", "proxy/backconn", "proxy/front", "proxy/h1back", "proxy/h2back", "proxy/record", "httpparse", "loop", "board", "config", "proxyproto", "proxy/origin"},
	"lb/proxy/h1back":             {"proxy/back", "proxy/backconn", "proxy/lane", "proxy/record", "loop", "loop/tick", "upstream", "board", "proxy/stock", "proxy/front", "proxyproto"},
	"lb/proxy/h2back":             {"proxy/back", "proxy/backconn", "proxy/h1back", "proxy/lane", "proxy/mux", "proxy/record", "httpparse", "httpparse/h2", "loop", "loop/tick", "upstream", "config", "internal/tlsfault", "proxy/front"},
	"lb/proxy/mux":                {"proxy/lane", "httpparse/h2", "loop", "arena", "loop/tick"},
	"lb/proxy/deadline":           {"proxy/lane", "proxy/record", "config", "loop/tick"},
	"lb/proxy/front":              {"proxy/lane", "loop", "httpparse", "arena", "board", "loop/tick", "loop/tlsconn", "proxy/crowd"},
	"lb/proxy/h1":                 {"proxy/front", "proxy/lane", "loop", "httpparse", "loop/tick", "proxy/crowd"},
	"lb/proxy/h2":                 {"board", "proxy/front", "proxy/lane", "proxy/mux", "httpparse", "httpparse/h2", "httpparse/h2/heads", "loop", "loop/tick", "proxy/crowd"},
	"lb/proxy/lane":               {"loop", "httpparse", "arena", "loop/tick"},
	"lb/proxy/ownreply":           {"internal/redact", "proxy/front", "proxy/lane", "proxy/record", "board", "loop/tick"},
	"lb/proxy/accesslog":          {"proxy/faulttext", "proxy/ids", "proxy/record", "internal/redact", "config/logging", "loop/tick", "proxyproto"},
	"lb/proxy/faulttext":          {"proxy/record", "httpparse", "httpparse/h2", "httpparse/h2/heads", "internal/tlsfault"},
	"lb/proxy/observe":            {"proxy/accesslog", "proxy/record", "proxy/rewrite", "board", "config", "loop/tick"},
	"lb/proxy/record":             {"proxy/front", "httpparse", "config", "loop/tick", "internal/tlsfault"},
	"lb/proxy/grpc":               {"proxy/record", "httpparse", "loop/tick"},
	"lb/proxy/rewrite":            {"internal/iptext", "proxy/front", "proxy/grpc", "proxy/ids", "proxy/record", "httpparse", "httpparse/urlpath", "config", "loop/tick"},
	"lb/proxy/ids":                {"loop/tick"},
	"lb/proxy/route":              {"httpparse/urlpath", "config", "internal/netset"},
	"lb/proxy/origin":             {"config", "proxy/front", "proxy/rewrite", "proxyproto"},
	"lb/proxy/preamble":           {"proxy/front", "proxy/lane", "proxyproto", "loop", "board", "loop/tick", "proxy/crowd"},
	"lb/proxyproto":               {"internal/iptext"},
	"lb/internal/iptext":          {},
	"lb/proxy/shake":              {"proxy/front", "proxy/lane", "internal/tlsconf", "loop/tlsconn", "loop", "board", "loop/tick", "proxy/crowd"},
	"lb/proxy/retry":              {"proxy/record", "board", "config", "internal/tlsfault", "upstream"},
	"lb/proxy/ratelimit":          {"proxy/rewrite", "proxy/route", "board", "board/buckets", "config", "config/access", "loop/tick"},
	"lb/proxy/upkeep":             {"loop", "board", "loop/tick"},
	"lb/proxy/watch":              {"loop", "board"},
	"lb/proxy/spread":             {"board", "loop/tick"},
	"lb/upstream":                 {"board", "config", "loop/tick", "upstream/usable"},
	"lb/upstream/usable":          {"board", "config", "config/health"},
	"lb/backends":                 {"loop", "httpparse", "httpparse/h2", "arena", "loop/tick"},
	"lb/bench/guard":              {},
	"lb/bench/churn":              {"bench", "backends", "admin/api"},
	"lb/bench/fleet":              {"upstream", "board", "config", "loop/tick"},
	"lb/bench/relay":              {"loop", "arena"},
	"lb/bench/compare":            {"bench", "bench/report", "bench/relay", "backends", "httpparse/h2"},
	"lb/bench/report":             {"bench/chart"},
	"lb/bench/chart":              {},
	"lb/bench":                    {"loop", "loop/tlsconn", "httpparse", "httpparse/h2", "arena", "loop/tick"},
	"lb/loop":                     {"loop/tick"},
	"lb/loop/looptest":            {"loop", "loop/tick"},
	"lb/loop/tick":                {},
	"lb/config":                   {"internal/redact", "config/access", "config/discovery", "config/health", "config/hints", "config/jsonfile", "config/logging", "config/match", "config/schema", "config/tomlfile", "config/value", "httpparse/urlpath"},
	"lb/config/access":            {"config/match", "config/schema", "config/tomlfile", "config/value"},
	"lb/config/discovery":         {"config/value", "internal/redact"},
	"lb/config/health":            {"config/schema", "config/tomlfile", "config/value"},
	"lb/config/match":             {"config/hints", "config/schema", "config/tomlfile", "config/value"},
	"lb/config/jsonfile":          {"config/tomlfile"},
	"lb/config/hints":             {},
	"lb/config/logging":           {"config/schema", "config/value"},
	"lb/config/socketpath":        {"config"},
	"lb/config/schema":            {"config/hints", "config/tomlfile", "config/value", "internal/redact"},
	"lb/config/tomlfile":          {},
	"lb/config/value":             {},
	"lb/arena":                    {},
	"lb/httpparse":                {"httpparse/claim", "httpparse/ipv6", "httpparse/list"},
	"lb/httpparse/list":           {},
	"lb/httpparse/h2":             {"httpparse", "httpparse/h2/heads", "httpparse/h2/hpack", "loop/tick"},
	"lb/httpparse/h2/heads":       {"httpparse", "httpparse/h2/hpack"},
	"lb/httpparse/claim":          {},
	"lb/httpparse/h2/hpack":       {},
	"lb/httpparse/ipv6":           {},
	"lb/httpparse/urlpath":        {},
	"lb/board":                    {"board/tally", "board/buckets"},
	"lb/board/buckets":            {},
	"lb/internal/e2e":             {},
	"lb/internal/fleet":           {"internal/testkit"},
	"lb/internal/filewatch":       {},
	"lb/internal/host":            {},
	"lb/internal/invariant":       {},
	"lb/internal/ipc":             {},
	"lb/internal/redact":          {},
	"lb/internal/systemd":         {},
	"lb/internal/tlsfault":        {"board"},
	"lb/supervise/acme":           {"supervise/localca", "internal/tlsconf", "config"},
	"lb/supervise/localca":        {},
	"lb/internal/pebble":          {"internal/testkit"},
	"lb/internal/testkit":         {"admin/api"},
	"lb/internal/tlsconf":         {"config"},
	"lb/internal/unixsock":        {"config/value"},
	"lb/loop/tlsconn":             {"loop", "arena", "loop/tick"},
	"lb/internal/apidoc":          {},
	"lb/internal/testkit/browser": {},
	"lb/admin/metrics":            {"admin/api", "upstream/usable", "proxy/record", "board", "config", "httpparse/h2"},
	"lb/bench/scrapes":            {"bench", "backends"},

	// Stores of keys, for discovery and for a configuration.
	"lb/cli/load":                {"config", "supervise/remote"},
	"lb/supervise/remote":        {"admin/api", "internal/filewatch", "internal/statedir", "internal/storeurl", "supervise/store", "supervise/store/consul", "supervise/store/etcd"},
	"lb/supervise/store":         {"internal/storeurl"},
	"lb/supervise/store/consul":  {"internal/storeurl", "supervise/discover/pace", "supervise/store"},
	"lb/supervise/store/etcd":    {"internal/storeurl", "supervise/discover/pace", "supervise/store"},
	"lb/supervise/discover/etcd": {"config", "internal/storeurl", "supervise/store/etcd"},
	"lb/internal/statedir":       {},
	"lb/internal/storeurl":       {},
	"lb/internal/etcdtest":       {"internal/testkit"},
}

// owners has, for each module of others, the packages that may import it. proxy uses
// x/sys for the names of errors only, internal/filewatch for the leases and the notices
// of Linux, which fsnotify does not have.
var owners = map[string][]string{
	"github.com/alecthomas/kong":       {"lb/cli"},
	"github.com/BurntSushi/toml":       {"lb/config/tomlfile"},
	"github.com/HdrHistogram":          {"lb/bench"},
	"github.com/redis/go-redis":        {"lb/supervise/ratestore"},
	"github.com/getkin/kin-openapi":    {"lb/internal/apidoc"},
	"github.com/fsnotify/fsnotify":     {"lb/internal/filewatch"},
	"github.com/cespare/xxhash":        {"lb/upstream", "lb/board", "lb/board/buckets"},
	"github.com/coreos/go-systemd":     {"lb/internal/systemd"},
	"github.com/caddyserver/certmagic": {"lb/supervise/acme"},
	"github.com/mholt/acmez":           {"lb/supervise/acme"},
	"github.com/miekg/dns":             {"lb/supervise/discover/dns"},
	"go.uber.org/zap":                  {"lb/supervise/acme", "lb/supervise/store/etcd", "lb/internal/etcdtest"},
	"go.etcd.io/etcd":                  {"lb/supervise/store/etcd", "lb/internal/etcdtest"},
	"google.golang.org/grpc":           {"lb/supervise/store/etcd"},
	"github.com/prometheus":            {"lb/admin/metrics"},
	"google.golang.org/protobuf":       {"lb/admin/metrics", "lb/supervise/tracing"},
	"golang.org/x/sys":                 {"lb/loop", "lb/loop/looptest", "lb/loop/tlsconn", "lb/board", "lb/internal/ipc", "lb/internal/filewatch", "lb/supervise/crew", "lb/supervise/engine", "lb/supervise/handover", "lb/supervise/listen", "lb/supervise/supervisetest", "lb/proxy", "lb/proxy/h1back", "lb/backends", "lb/bench/relay", "lb/bench", "lb/bench/compare", "lb/admin", "lb/admin/metrics", "lb/admin/rest", "lb/cli", "lb/supervise/accesslog"},
	"charm.land/bubbletea/v2":          {"lb/cli/top"},
	"charm.land/lipgloss/v2":           {"lb/cli/top"},
	"go.opentelemetry.io/otel":         {"lb/supervise/tracing"},
	"go.opentelemetry.io/proto/otlp":   {"lb/supervise/tracing"},
}

// goPackage is what this test reads of `go list -json`.
type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

// list returns the packages of the module as they are built for goos.
func list(t *testing.T, goos string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v", goos, err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "freebsd"} {
		for _, p := range list(t, goos) {
			allowed, ok := arrows[p.ImportPath]
			if !ok {
				t.Errorf("%s is not in the table: draw its arrows here, then go test . -run TestArrowsAreDrawn -update", p.ImportPath)
				continue
			}
			for _, im := range p.Imports {
				checkImport(t, p.ImportPath, im, allowed)
			}
			checkDeps(t, p)
		}
	}
}

// checkImport checks one import of one package.
func checkImport(t *testing.T, from, im string, allowed []string) {
	t.Helper()
	first, _, dotted := strings.Cut(im, "/")
	switch {
	case first == "lb":
		if to := strings.TrimPrefix(im, "lb/"); to != "internal/invariant" && !slices.Contains(allowed, to) {
			t.Errorf("%s imports %s: there is no such arrow", from, im)
		}
	case dotted && strings.Contains(first, "."):
		for module, who := range owners {
			if im == module || strings.HasPrefix(im, module+"/") {
				if !slices.Contains(who, from) {
					t.Errorf("%s imports %s, which is for %v", from, im, who)
				}
				return
			}
		}
		t.Errorf("%s imports %s: a new dependency needs an owner in this table", from, im)
	}
}

// checkDeps keeps net/http out of the data plane, and gRPC's library out of everything but
// the client of etcd, indirect imports included.
func checkDeps(t *testing.T, p goPackage) {
	t.Helper()
	switch p.ImportPath {
	case "lb", "lb/cli", "lb/admin", "lb/admin/dashboard", "lb/admin/rest", "lb/internal/apidoc", "lb/supervise", "lb/supervise/acme", "lb/supervise/health", "lb/internal/pebble", "lb/supervise/supervisetest", "lb/backends", "lb/bench/compare", "lb/admin/metrics", "lb/bench/scrapes", "lb/bench/churn", "lb/supervise/tracing", "lb/supervise/discover/consul", "lb/supervise/discover/docker", "lb/supervise/discover/setup", "lb/cli/load", "lb/supervise/conffile", "lb/supervise/remote", "lb/supervise/store/consul", "lb/supervise/store/etcd", "lb/supervise/discover/etcd", "lb/internal/etcdtest":
	default:
		if slices.Contains(p.Deps, "net/http") {
			t.Errorf("%s depends on net/http, which is for the control plane", p.ImportPath)
		}
	}
	switch p.ImportPath {
	case "lb", "lb/cli", "lb/cli/load", "lb/supervise", "lb/supervise/conffile", "lb/supervise/remote", "lb/supervise/store/etcd", "lb/supervise/discover/etcd", "lb/supervise/discover/setup", "lb/internal/etcdtest":
		return // the client of etcd brings it along
	}
	for _, dep := range p.Deps {
		if strings.HasPrefix(dep, "google.golang.org/grpc") {
			t.Errorf("%s depends on %s, which is for tests and for supervise/store/etcd", p.ImportPath, dep)
			break
		}
	}
}

// TestRooms checks two rules that the table alone does not make plain, on every
// system: the supervisor never touches traffic, so its desk imports neither proxy
// nor loop (its crew's engine does); and ipc carries messages without knowing any, so it
// depends on no package of lb, not even indirectly.
func TestRooms(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "freebsd"} {
		for _, p := range list(t, goos) {
			switch p.ImportPath {
			case "lb/supervise":
				for _, im := range []string{"lb/proxy", "lb/loop"} {
					if slices.Contains(p.Imports, im) {
						t.Errorf("%s: %s imports %s", goos, p.ImportPath, im)
					}
				}
			case "lb/internal/ipc":
				for _, dep := range p.Deps {
					if strings.HasPrefix(dep, "lb/") {
						t.Errorf("%s: %s depends on %s", goos, p.ImportPath, dep)
					}
				}
			}
		}
	}
}
