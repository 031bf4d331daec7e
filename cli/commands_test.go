package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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

// TestCommands: the command that arrives at lb, and what is printed.
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
		{args: "backend drain default 10.0.0.1:80", asked: "drain default 10.0.0.1:80 0", out: "default 10.0.0.1:80: draining, weight 2, 3 at work\n"},
		{args: "backend enable api a:1 unix:/s", asked: "enable api a:1 0; enable api unix:/s 0",
			out: "api a:1: draining, weight 2, 3 at work\nnote: the configuration says drain = true\n" +
				"api unix:/s: draining, weight 2, 3 at work\nnote: the configuration says drain = true\n"},
		{args: "backend disable api a:1 b:1 c:1", refuses: "b:1", refusal: api.NotFoundError("pool api has no backend b:1"), code: 1,
			asked: "disable api a:1 0; disable api b:1 0; disable api c:1 0",
			out:   "api a:1: draining, weight 2, 3 at work\napi c:1: draining, weight 2, 3 at work\n", err: "lb: pool api has no backend b:1\n"},
		{args: "backend weight api a:1 5", asked: "weight api a:1 5", out: "api a:1: enabled, weight 5* (2), 3 at work\n"},
		{args: "backend weight api a:1 0", asked: "weight api a:1 0", out: "api a:1: enabled, weight 0* (2), 3 at work\n"},
		{args: "backend weight api a:1 65536", code: 2, err: "lb: weight: 65536 is out of range; use 1 to 65535, or 0 for the weight of the configuration\n"},
		{args: "backend weight api a:1 five", code: 2, err: "lb: <weight>: expected a valid 64 bit int but got \"five\"; see lb --help\n"},
		{args: "backend weight api a:1", code: 2, err: "lb: expected \"<weight>\"; see lb --help\n"},
		{args: "backend drain api", code: 2, err: "lb: expected \"<address> ...\"; see lb --help\n"},
		{args: "backend paint api a:1", code: 2, err: "lb: unexpected argument paint; see lb --help\n"},
		{args: "reload now", code: 2, err: "lb: unexpected argument now; see lb --help\n"},
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

// TestCommandsFindTheSocket: as the configuration has it, even if that is broken.
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

// TestReloadOfABrokenFile: what is wrong is said once, by lb.
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

// busyStatus is what lb says in a bad hour, at noon.
func busyStatus() (st api.Status, noon time.Time) {
	noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	return api.Status{
		Version: "v1.2 go1.26", PID: 41, State: api.Serving, Mode: "mp", Address: "0.0.0.0:8080", Started: ago(49 * time.Hour),
		Config: api.ConfigStatus{File: "/etc/lb.toml", Number: 4, Loaded: ago(62 * time.Minute), Watching: true,
			Fault: "/etc/lb.toml:3:1: prot: unknown key; did you mean \"port\"?\n/etc/lb.toml:4:1: x: unknown key", FaultAt: ago(90 * time.Second)},
		UpgradeFault: "/opt/lb: it ended at once with exit code 2", UpgradeFaultAt: ago(time.Hour),
		Totals: api.Totals{ClientConns: 1200, BackendConns: 64, Exchanges: 9, Tunnels: 1, Requests: 1234567,
			Replies: [6]uint64{2: 1230000, 3: 7, 4: 4000, 5: 560}, Retries: 12, Panics: 1, WorkerRestarts: 2, Reloads: 3, ReloadFaults: 1, Upgrades: 1},
		Loops: []api.Loop{
			{Slot: 0, PID: 42, State: api.LoopServing, Since: ago(49 * time.Hour), Conns: 1200, Exchanges: 9, Requests: 1234567},
			{Slot: 1, State: api.LoopWaiting, Restarts: 2},
		},
		Pools: []api.Pool{
			{Name: "default", Strategy: "p2c", Backends: []api.Backend{
				{Address: "10.0.0.1:80", Weight: 3, ConfiguredWeight: 3, Admin: api.Enabled, Health: "up", Since: ago(3 * time.Hour), InFlight: 7, Attempts: 1200000, Faults: 2},
				{Address: "10.0.0.2:80", Weight: 5, ConfiguredWeight: 1, Runtime: true, Admin: api.Disabled, Health: "unknown", MaxConnections: 1000, InFlight: 2, Attempts: 30000},
				{Address: "10.0.0.3:80", Weight: 1, ConfiguredWeight: 1, Admin: api.Drained, Health: "down", Since: ago(5 * time.Second), HealthReason: "status 503"},
				{Address: "unix:/run/app.sock", Weight: 1, ConfiguredWeight: 1, Admin: api.Enabled, Backup: true, Health: "unknown", Ejected: true, EjectedReason: "connect", EjectedUntil: noon.Add(8 * time.Second)},
			}},
			{Name: "api", Strategy: "hash"},
		},
	}, noon
}

func TestStatusText(t *testing.T) {
	const want = `lb serving on 0.0.0.0:8080 for 2d1h: process 41, mode mp, version v1.2 go1.26
config    number 4, /etc/lb.toml (watched), loaded 1h2m ago
          LAST RELOAD REFUSED 1m30s ago:
          /etc/lb.toml:3:1: prot: unknown key; did you mean "port"?
          /etc/lb.toml:4:1: x: unknown key
upgrade   LAST ONE FAILED 1h0m ago: /opt/lb: it ended at once with exit code 2
now       9 requests at work, 1 tunnel; connections: 1,200 of clients, 64 to backends
so far    1,234,567 requests, 12 retried; answers: 2xx 1,230,000 3xx 7 4xx 4,000 5xx 560
          3 reloads (1 refused), 1 upgrade, 2 worker restarts, 1 panic

LOOP  PROCESS  STATE    FOR   RESTARTS  CONNS  AT WORK  REQUESTS
0     42       serving  2d1h  0         1,200  9        1,234,567
1     -        waiting  -     2         0      0        0

POOL     BACKEND             WEIGHT  AT WORK     REQUESTS   FAULTS  STATE
default  10.0.0.1:80         3       7           1,200,000  2       up for 3h0m
default  10.0.0.2:80         5* (1)  2 of 1,000  30,000     0       disabled*, not checked
default  10.0.0.3:80         1       0           0          0       draining, down for 5s: status 503
default  unix:/run/app.sock  1       0           0          0       ejected for 8s more: connect, not checked, backup
api      (none)
* changed at run time, and not what the configuration says
`
	st, noon := busyStatus()
	var got strings.Builder
	printStatus(&got, st, noon)
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
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

// TestUpgradeFindsTheBinaryHere: a relative path begins at the operator's directory, which
// may be another one than lb's.
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
