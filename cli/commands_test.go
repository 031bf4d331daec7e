package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lb/admin"
	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
)

// serveAt has lb's commands answered by c on the socket at path until the test ends.
func serveAt(t *testing.T, c *testkit.Control, path string) {
	t.Helper()
	r := admin.NewRuntime(c, nil)
	l, err := r.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// changeAll answers a change of a backend, which err refuses; if refuses is not "",
// only that of this address.
func changeAll(err error, refuses string) func(pool, address string, action api.Action, weight int) (api.Backend, error) {
	return func(pool, address string, action api.Action, weight int) (api.Backend, error) {
		if err != nil && (refuses == "" || refuses == address) {
			return api.Backend{}, err
		}
		b := api.Backend{Pool: pool, Address: address, Weight: 2, ConfiguredWeight: 2, Admin: api.Drained, InFlight: 3}
		if action == api.Weight {
			b.Weight, b.Admin = weight, api.Enabled
		}
		return b, nil
	}
}

// give runs lb with args in this process.
func give(args ...string) (exitCode int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	code := run(args, &out, &errOut)
	return code, out.String(), errOut.String()
}

// TestCommands checks what arrives at lb, and what is printed.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	socket := filepath.Join(dir, "s")
	f := &testkit.Control{}
	serveAt(t, f, socket)
	brokenFile := config.Errors{
		{File: "/etc/lb.toml", Line: 3, Column: 8, Key: "port", What: "70000 is out of range", Hint: "use 0 to 65535"},
		{File: "/etc/lb.toml", Line: 9, Column: 1, Key: "prot", What: "unknown key", Hint: `did you mean "port"?`},
	}
	for _, tc := range []struct {
		args     string
		reloaded api.Reloaded
		refusal  error
		refuses  string
		asked    string
		code     int
		out, err string
	}{
		{args: "reload", asked: "reload plan=false", out: "nothing changed\n"},
		{args: "reload --plan", asked: "reload plan=true", out: "nothing would change\n"},
		{args: "reload", reloaded: api.Reloaded{Number: 2, Changes: []string{"port: 80 -> 81", "backend a:1 added"}, Notes: []string{"b:1: weight 5 of the run time is 2 again"}},
			asked: "reload plan=false", out: "port: 80 -> 81\nbackend a:1 added\nnote: b:1: weight 5 of the run time is 2 again\n"},
		{args: "reload", refusal: brokenFile, asked: "reload plan=false", code: 1,
			err: "/etc/lb.toml:3:8: port: 70000 is out of range; use 0 to 65535\n/etc/lb.toml:9:1: prot: unknown key; did you mean \"port\"?\n"},
		{args: "reload", refusal: errors.New("mode: mp -> mt needs lb upgrade"), asked: "reload plan=false", code: 1,
			err: "lb: mode: mp -> mt needs lb upgrade\n"},
		{args: "reload", reloaded: api.Reloaded{Number: 2, Changes: []string{"port: 80 -> 81"}}, refusal: errors.New("loop 3 has not taken it up yet"),
			asked: "reload plan=false", code: 1, out: "port: 80 -> 81\n", err: "lb: loop 3 has not taken it up yet\n"},
		{args: "upgrade", asked: `upgrade ""`, out: "process 77 serves, lb v2; the one before it drains\n"},
		{args: "upgrade --binary ./new", asked: fmt.Sprintf("upgrade %q", filepath.Join(dir, "new")), out: "process 77 serves, lb v2; the one before it drains\n"},
		{args: "upgrade --binary /opt/lb", refusal: errors.New("/opt/lb: exec format error"), asked: `upgrade "/opt/lb"`, code: 1,
			err: "lb: /opt/lb: exec format error\n"},
		{args: "drain", asked: "drain", out: "draining; lb leaves when what runs is answered, or timeouts.drain is over\n"},
		{args: "backend drain default 10.0.0.1:80", asked: "drain default 10.0.0.1:80 0", out: "default 10.0.0.1:80: draining, weight 2, 3 active\n"},
		{args: "backend enable api a:1 unix:/s", asked: "enable api a:1 0; enable api unix:/s 0",
			out: "api a:1: draining, weight 2, 3 active\nnote: the configuration says drain = true\n" +
				"api unix:/s: draining, weight 2, 3 active\nnote: the configuration says drain = true\n"},
		{args: "backend disable api a:1 b:1 c:1", refuses: "b:1", refusal: api.NotFoundError("pool api has no backend b:1"), code: 1,
			asked: "disable api a:1 0; disable api b:1 0; disable api c:1 0",
			out:   "api a:1: draining, weight 2, 3 active\napi c:1: draining, weight 2, 3 active\n", err: "lb: pool api has no backend b:1\n"},
		{args: "backend weight api a:1 5", asked: "weight api a:1 5", out: "api a:1: enabled, weight 5* (2), 3 active\n"},
		{args: "backend weight api a:1 0", asked: "weight api a:1 0", out: "api a:1: enabled, weight 0* (2), 3 active\n"},
		{args: "backend weight api a:1 65536", code: 2, err: "lb: weight: 65536 is out of range; use 1 to 65535, or 0 for the weight of the configuration\n"},
		{args: "backend weight api a:1 five", code: 2, err: "lb: <weight>: expected a valid 64 bit int but got \"five\"; see lb backend weight --help\n"},
		{args: "backend weight api a:1", code: 2, err: "lb: expected \"<weight>\"; see lb backend weight --help\n"},
		{args: "backend drain api", code: 2, err: "lb: expected \"<address> ...\"; see lb backend drain --help\n"},
		{args: "backend paint api a:1", code: 2, err: "lb: unexpected argument paint; see lb backend --help\n"},
		{args: "reload now", code: 2, err: "lb: unexpected argument now; see lb reload --help\n"},
	} {
		f.Reloaded, f.Err, f.Change = tc.reloaded, tc.refusal, changeAll(tc.refusal, tc.refuses)
		f.Upgraded = api.Upgraded{PID: 77, Version: "v2"}
		code, out, err := give(append(strings.Fields(tc.args), "--socket", socket)...)
		asked := f.Asked()
		if code != tc.code || out != tc.out || err != tc.err || asked != tc.asked {
			t.Errorf("lb %s: exit code %d, asked %q\n%s%swant %d, %q\n%s%s", tc.args, code, asked, out, err, tc.code, tc.asked, tc.out, tc.err)
		}
	}
}

// TestCommandsFindTheSocket: the configuration says where, even if it is broken.
func TestCommandsFindTheSocket(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		socket     string // where lb listens, below the directory; "": nowhere
		runtimeDir bool
		args       string
		code       int
		err        string // contains all of these, one a line
	}{
		{name: "beside the pid file", file: "pid_file = \"run.pid\"\n", socket: "run.sock"},
		{name: "by its key", file: "admin.socket = \"here\"\n", socket: "here"},
		{name: "in the user's directory", socket: "lb.sock", runtimeDir: true},
		{name: "nowhere but beside the pid file", file: "pid_file = \"run.pid\"\n", socket: "lb.sock", runtimeDir: true, code: 1,
			err: "lb: no lb answers at run.sock: there is no such socket (--socket"},
		{name: "by a flag", file: "admin.socket = \"off\"\n", socket: "here", args: "--socket here"},
		{name: "of another file", file: "admin.socket = \"off\"\n", socket: "there", args: "-c other.toml"},
		{name: "of a broken file", file: "pid_file = \"run.pid\"\nport = \n", socket: "run.sock", err: "the configuration is not accepted, see lb check"},
		{name: "of a file that is missing", socket: "lb.sock", runtimeDir: true, args: "-c missing.toml", code: 1, err: "lb: open missing.toml: no such file"},
		{name: "off", file: "admin.socket = \"off\"\n", code: 1, err: "admin.socket is \"off\" in lb.toml\nSIGHUP"},
		{name: "not where the flag says", socket: "here", args: "--socket there", code: 1, err: "lb: no lb answers at there: there is no such socket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			t.Setenv("XDG_RUNTIME_DIR", "")
			if tc.runtimeDir {
				t.Setenv("XDG_RUNTIME_DIR", dir)
			}
			if tc.file != "" {
				write(t, dir, "lb.toml", tc.file)
			}
			write(t, dir, "other.toml", "admin.socket = \"there\"\n")
			f := &testkit.Control{Running: api.Status{Address: "192.0.2.1:80"}}
			if tc.socket != "" {
				serveAt(t, f, tc.socket)
			}
			code, out, err := give(append([]string{"status"}, strings.Fields(tc.args)...)...)
			if code != tc.code || strings.Contains(out, "192.0.2.1:80") != (code == 0) || strings.Count(err, "\n") > 1 || (err == "") != (tc.err == "") {
				t.Errorf("exit code %d with\n%s%s", code, out, err)
			}
			for part := range strings.SplitSeq(tc.err, "\n") {
				if !strings.Contains(err, part) {
					t.Errorf("%q, want %q in it", err, part)
				}
			}
		})
	}
}

// TestReloadOfABrokenFile: mistakes are printed once, in the words of lb.
func TestReloadOfABrokenFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, dir, "lb.toml", "admin.socket = \"s\"\nprot = 1\n")
	f := &testkit.Control{Err: config.Errors{{File: "/x/lb.toml", Line: 2, Column: 1, Key: "prot", What: "unknown key"}}}
	serveAt(t, f, "s")
	if code, out, err := give("reload"); code != 1 || out != "" || err != "/x/lb.toml:2:1: prot: unknown key\n" {
		t.Errorf("exit code %d with %q and %q", code, out, err)
	}
}

// busyStatus returns the status of an lb in trouble, at noon.
func busyStatus() (st api.Status, noon time.Time) {
	noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	return api.Status{
		Version: "v1.2 go1.26", PID: 41, State: api.Serving, Mode: "mp", Address: "0.0.0.0:8080", Started: ago(49 * time.Hour),
		Discovery: []api.Discovery{
			{Pool: "web", Source: "dns://web.internal:8080", Up: true, Backends: 3, LastAnswer: ago(4 * time.Second), Changes: 2},
			{Source: "app.internal", Resolver: "10.0.0.2:53", Backends: 2, LastAnswer: ago(5 * time.Minute), Next: noon.Add(3 * time.Second),
				Fault: "no answer from the name server 10.0.0.2:53", FaultAt: ago(2 * time.Second), Errors: 9},
			{Source: "new.internal", Fault: "there is no such name", FaultAt: noon},
		},
		Config: api.ConfigStatus{File: "/etc/lb.toml", Number: 4, Loaded: ago(62 * time.Minute), Watching: true,
			Fault: "/etc/lb.toml:3:1: prot: unknown key; did you mean \"port\"?\n/etc/lb.toml:4:1: x: unknown key", FaultAt: ago(90 * time.Second)},
		UpgradeFault: "/opt/lb: it ended at once with exit code 2", UpgradeFaultAt: ago(time.Hour),
		Troubles: []string{"lines of the access log are lost: /var/log/lb: no space left on device; make room"},
		Totals: api.Totals{ClientConns: 1200, BackendConns: 64, Exchanges: 9, Tunnels: 1, Requests: 1234567, HTTP2: api.HTTP2{ClientConns: 1100, BackendConns: 4, Requests: 1234000, Floods: 3},
			Replies: [6]uint64{2: 1230000, 3: 7, 4: 4000, 5: 560}, Retries: 12, Panics: 1, WorkerRestarts: 2, Reloads: 3, ReloadFaults: 1, Upgrades: 1},
		Loops: []api.Loop{
			{Slot: 0, PID: 42, State: api.LoopServing, Since: ago(49 * time.Hour), Conns: 1200, Exchanges: 9, Requests: 1234567},
			{Slot: 1, State: api.LoopWaiting, Restarts: 2},
		},
		RateLimits: []api.RateLimit{
			{Name: "api", Key: "client_ip", Rate: "100/s", Burst: 200, Passed: 123456, Limited: 42},
			{Name: "keys", Key: "header:x-api-key", Rate: "1000/h", Burst: 100, DryRun: true, Passed: 9, Spared: 3,
				Store: "redis://10.0.0.9:6379/0", StoreState: api.StoreAway, StoreSince: ago(time.Minute), StoreFault: "dial tcp 10.0.0.9:6379: connect: connection refused"},
		},
		Pools: []api.Pool{
			{Name: "default", Strategy: "p2c", Backends: []api.Backend{
				{Address: "10.0.0.1:80", Weight: 3, ConfiguredWeight: 3, Admin: api.Enabled, Health: "up", Since: ago(3 * time.Hour), InFlight: 7, Attempts: 1200002, Requests: 1200000, Faults: 2, LastFault: "connection refused", LastFaultAt: ago(5 * time.Second)},
				{Address: "10.0.0.2:80", Weight: 5, ConfiguredWeight: 1, Runtime: true, Admin: api.Disabled, Health: "unknown", MaxConnections: 1000, InFlight: 2, Attempts: 30000, Requests: 30000},
				{Address: "10.0.0.3:80", Weight: 1, ConfiguredWeight: 1, Admin: api.Drained, Health: "down", Since: ago(5 * time.Second), HealthReason: "status 503"},
				{Address: "unix:/run/app.sock", Weight: 1, ConfiguredWeight: 1, Admin: api.Enabled, Backup: true, Health: "unknown", Ejected: true, EjectedReason: "TLS failed", EjectedUntil: noon.Add(8 * time.Second)},
			}},
			{Name: "api", Strategy: "hash"},
		},
	}, noon
}

var updateGolden = flag.Bool("update", false, "write cli/testdata")

// TestStatusText: what `lb status` prints, at the widths of terminals, without and with
// colours, is what testdata has.
func TestStatusText(t *testing.T) {
	st, noon := busyStatus()
	for _, tc := range []struct {
		name string
		page page
	}{
		{"status.txt", page{}},
		{"status-80.txt", page{width: 80}},
		{"status-80-colour.txt", page{width: 80, colour: true}},
		{"status-120.txt", page{width: 120}},
		{"status-120-colour.txt", page{width: 120, colour: true}},
	} {
		var got strings.Builder
		tc.page.w = &got
		printStatus(tc.page, st, noon)
		file := filepath.Join("testdata", tc.name)
		if *updateGolden {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got.String() != string(want) {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", tc.name, err, got.String(), want)
		}
		for line := range strings.Lines(colours.ReplaceAllString(got.String(), "")) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); tc.page.width > 0 && n > tc.page.width {
				t.Errorf("%s: %d columns: %s", tc.name, n, line)
			}
		}
	}
}

var colours = regexp.MustCompile("\x1b\\[[0-9]*m")

// TestStatusOfLongNames: names that are too long for the terminal are cut in the middle,
// and the line stays within it.
func TestStatusOfLongNames(t *testing.T) {
	var got strings.Builder
	printBackends(page{w: &got, width: 60}, []api.Pool{{Name: "a-pool-with-a-very-long-name", Backends: []api.Backend{
		{Address: "[2001:db8:1234:5678:9abc:def0:1234:5678]:8080", Weight: 1, ConfiguredWeight: 1, Admin: api.Enabled, Health: "up"},
	}}}, time.Time{})
	const want = "POOL          BACKEND       WEIGHT  ACTIVE  REQUESTS  FAULTS  STATE\n" +
		"a-pool…-name  [2001:…:8080  1       0       0         0       up\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// TestLongHeads: what belongs to a name that takes most of the terminal stands below it.
func TestLongHeads(t *testing.T) {
	var got strings.Builder
	printBackends(page{w: &got, width: 80}, []api.Pool{{Name: "a-long-pool-name", Backends: []api.Backend{
		{Address: "unix:/run/some/quite/long/path/app.sock", Weight: 1, ConfiguredWeight: 1, LastFault: "no such file or directory"},
	}}}, time.Time{})
	const want = "last fault of a-long-pool-name unix:/run/some/quite/long/path/app.sock:\n" +
		"   no such file or directory, - ago\n"
	if !strings.HasSuffix(got.String(), want) {
		t.Errorf("got\n%s\nwant, at the end\n%s", got.String(), want)
	}
}

// TestEmptyDefaultPool: a pool "default" without backends is none that an operator knows of.
func TestEmptyDefaultPool(t *testing.T) {
	var got strings.Builder
	printBackends(page{w: &got}, []api.Pool{{Name: "default"}, {Name: "api", Backends: []api.Backend{{Address: "a:1"}}}}, time.Time{})
	if strings.Contains(got.String(), "default") || !strings.Contains(got.String(), "api") {
		t.Errorf("got\n%s", got.String())
	}
}

// TestProblems: what is not well, and nothing else; the exit code says whether anything is.
func TestProblems(t *testing.T) {
	busy, noon := busyStatus()
	well := busy
	well.Config.Fault, well.UpgradeFault, well.Troubles, well.Loops, well.RateLimits = "", "", nil, busy.Loops[:1], busy.RateLimits[:1]
	well.Discovery = busy.Discovery[:1]
	well.Pools = []api.Pool{{Name: "default", Backends: slices.Clone(busy.Pools[0].Backends[:2])}}
	well.Pools[0].Backends[0].LastFault = ""
	lone := well
	lone.Pools = []api.Pool{{Name: "default", Backends: busy.Pools[0].Backends[1:2]}}
	for _, tc := range []struct {
		name string
		st   api.Status
		want string
		err  error
	}{
		{"well", well, "no problems\n", nil},
		{"nothing is in use", lone, "pool default: none of its backends is in use\n", exitStatus(1)},
		{"busy", busy, `configuration: the last reload was refused 1m30s ago: /etc/lb.toml:3:1: prot: unknown key; did you mean "port"?
/etc/lb.toml:4:1: x: unknown key
upgrade: the last one failed 1h0m ago: /opt/lb: it ended at once with exit code 2
lines of the access log are lost: /var/log/lb: no space left on device; make room
loop 1: its worker died, and will be started again; 2 restarts
rate limit keys: redis://10.0.0.9:6379/0 does not answer for 1m0s, so this machine counts alone: dial tcp 10.0.0.9:6379: connect: connection refused
source of backends app.internal (at 10.0.0.2:53): 2s ago: no answer from the name server 10.0.0.2:53
source of backends new.internal: 0s ago: there is no such name
backend 10.0.0.1:80 of pool default: failed 5s ago: connection refused
backend 10.0.0.3:80 of pool default: draining, down for 5s: status 503
backend unix:/run/app.sock of pool default: ejected for 8s more: TLS failed, not checked, backup
`, exitStatus(1)},
	} {
		var got strings.Builder
		if err := printProblems(page{w: &got}, tc.st, noon); err != tc.err || got.String() != tc.want {
			t.Errorf("%s: %v with\n%s\nwant %v with\n%s", tc.name, err, got.String(), tc.err, tc.want)
		}
	}
}

// TestPaper: colours are for terminals, and for those who ask.
func TestPaper(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	for flag, want := range map[string]bool{"auto": false, "always": true, "never": false} {
		p := paper{Color: flag}
		if got := p.page(&strings.Builder{}); got.colour != want || got.width != 0 {
			t.Errorf("--color %s: %+v", flag, got)
		}
	}
}

// TestStatusJSON: a program gets everything back.
func TestStatusJSON(t *testing.T) {
	f, socket := &testkit.Control{}, filepath.Join(t.TempDir(), "s")
	f.Running, _ = busyStatus()
	serveAt(t, f, socket)
	code, out, _ := give("status", "--json", "--socket", socket)
	var got api.Status
	if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil || !reflect.DeepEqual(got, f.Running) {
		t.Errorf("exit code %d, %v, got\n%+v, want\n%+v", code, err, got, f.Running)
	}
}

func TestBackendList(t *testing.T) {
	f, socket := &testkit.Control{}, filepath.Join(t.TempDir(), "s")
	f.Running, _ = busyStatus()
	serveAt(t, f, socket)
	for _, tc := range []struct {
		pool     string
		code     int
		out, err string // contain these
	}{
		{"", 0, "10.0.0.3:80", ""},
		{"default", 0, "unix:/run/app.sock", ""},
		{"api", 0, "api   (none)", ""},
		{"apo", 1, "", `there is no pool "apo"; there are: default, api`},
	} {
		args := []string{"backend", "list", "--socket", socket}
		if tc.pool != "" {
			args = append(args, tc.pool)
		}
		code, out, err := give(args...)
		if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(err, tc.err) || tc.pool == "api" && strings.Contains(out, "10.0.0.") {
			t.Errorf("pool %q: exit code %d with\n%s%s", tc.pool, code, out, err)
		}
	}
}

// TestUpgradeFindsTheBinaryHere: a relative path starts at the directory of the command,
// not at that of lb.
func TestUpgradeFindsTheBinaryHere(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	f, socket := &testkit.Control{}, filepath.Join(t.TempDir(), "s")
	serveAt(t, f, socket)
	give("upgrade", "--binary", "../lb-new", "--socket", socket)
	wd, err := os.Getwd()
	asked, want := f.Asked(), fmt.Sprintf("upgrade %q", filepath.Join(filepath.Dir(wd), "lb-new"))
	if err != nil || asked != want {
		t.Errorf("asked was %s, want %s", asked, want)
	}
}
