package cli

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"lb/backends"
	"lb/internal/testkit"
)

// mainEnv marks a process in which the test binary is lb itself.
const mainEnv = "LB_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// command is lb with args in dir.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), mainEnv+"=1", "GORACE=atexit_sleep_ms=0", // else each exit takes a second under -race
		"XDG_RUNTIME_DIR="+dir) // for the socket of commands
	return cmd
}

// outcome runs lb with args in dir to its end.
func outcome(dir string, args ...string) (exitCode int, stdout, stderr string) {
	cmd := command(dir, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// write puts text into a file of dir.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	testkit.WriteFile(t, filepath.Join(dir, name), text)
}

// taken returns the address of a listener that is open until the test ends.
func taken(t *testing.T) (addr string, port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String(), ln.Addr().(*net.TCPAddr).Port
}

// listenersFile has a listener of each kind.
const listenersFile = `
[tls.acme]
names = ["a.test"]
[[listeners]]
address = ":80"
redirect_https = true
[[listeners]]
address = "unix:/a"
[[listeners]]
address = ":443"
tls = true
[[backends]]
host = "a"
port = 443
`

func TestExitCodesAndMessages(t *testing.T) {
	addr, port := taken(t)
	dir := t.TempDir()
	write(t, dir, "bad.toml", "port = 80\n[timeouts]\nconect = \"3s\"\nqueue = 5\n")
	write(t, dir, "admin.toml", fmt.Sprintf("host = \"127.0.0.1\"\nport = 0\nadmin.address = %q\nbackends = [{ socket = \"/a\" }]\n", addr))
	write(t, dir, "pools.toml", "[[pools]]\nname = \"a\"\nbackends = [{ socket = \"/a\" }, { socket = \"/b\" }]\n[[routes]]\npool = \"a\"\n")
	write(t, dir, "quiet.toml", "admin.address = \"\"\n[[backends]]\nsocket = \"/a\"\n")
	write(t, dir, "tls.toml", listenersFile)
	const misspelt = "bad.toml:3:1: timeouts.conect: unknown key; did you mean \"connect\"?\n" +
		"bad.toml:4:9: timeouts.queue: 5 has no unit; write \"5s\"\n"
	for _, tc := range []struct {
		args string
		code int
		want string // the whole output; with "..." at its end, how it begins
	}{
		{"serve -c bad.toml", 2, misspelt},
		{"check -c bad.toml", 2, misspelt},
		{"check --config bad.toml", 2, misspelt},
		{"serve -c missing.toml", 1, "lb: open missing.toml: no such file or directory\n"},
		{"check -c missing.toml", 1, "lb: open missing.toml: no such file or directory\n"},
		{fmt.Sprintf("serve -c quiet.toml -H 127.0.0.1 -p %d", port), 1, "lb: listen tcp4 " + addr + ": ..."},
		{fmt.Sprintf("serve -c quiet.toml -m mt -H 127.0.0.1 -p %d", port), 1, "lb: listen tcp4 " + addr + ": ..."},
		{"serve -c admin.toml", 1, "lb: admin: cannot listen on " + addr + ": ..."},
		{fmt.Sprintf("demo-backends --port %d", port), 1, "lb: backends: listen tcp " + addr + ": ..."},
		{fmt.Sprintf("backends --port %d", port), 1, "lb: backends: listen tcp " + addr + ": ..."},
		{"backends --port 9001,70000", 2, "lb: --port: 70000 is out of range; use 0 to 65535\n"},
		{"serve -c quiet.toml -p 0 -H 192.0.2.1", 1, "lb: listen tcp4 192.0.2.1:0: ..."}, // TEST-NET-1, RFC 5737
		{"serve -c quiet.toml -p 0 -H 127.0.0.1 --pid-file missing/pid", 1, "lb: pid file: ..."},
		{"serve -b localhost", 2, "lb: --backend: \"localhost\" is not host:port, [v6]:port, unix:/path or https://host; " +
			"write \"localhost:80\", with the port it listens on\n"},
		{"serve -m fast -p 70000", 2, "lb: --mode: there is no mode \"fast\"; use \"mp\", \"mt\"\n" +
			"lb: --port: 70000 is out of range; use 0 to 65535\n"},
		{"serve --prot 80", 2, "lb: unknown flag --prot, did you mean \"--port\"?; see lb serve --help\n"},
		{"serve -p eighty", 2, "lb: --port: ..."},
		{"serve --demo -b a:1", 2, "lb: --backend and --demo can't be used together; see lb serve --help\n"},
		{"serv", 2, "lb: unexpected argument serv..."},
		{"", 2, "lb: expected one of ..."},
		{"--help", 0, "Usage: lb <command>..."},
		{"check", 1, "lb: there is no lb.toml here, so nothing was checked; write lb check -c FILE\n"},
		{"check -c quiet.toml", 0, "quiet.toml: ok, 1 backend, listening on 0.0.0.0:8080, mode mp, strategy round_robin\n"},
		{"check -c pools.toml", 0, "pools.toml: ok, 2 backends in 2 pools, 1 route, listening on 0.0.0.0:8080, mode mp, strategy round_robin\n"},
		{"check -c tls.toml", 0, "tls.toml: ok, 1 backend, listening on :80 (redirects to https), unix:/a, :443 (tls), mode mp, strategy round_robin\n"},
		{"serve -c tls.toml -p 1", 2, "lb: --port: is not used with the [[listeners]] of the file; leave it out, or remove them\n"},
		{"serve --https a.test,*.b", 2, "lb: --https: \"*.b\" has a star; name each host..."},
		{"serve --https=", 2, "lb: --https: is empty; write a name, such as \"example.com\"\n"}, // of an unset variable: no plain HTTP for it
		{"check quiet.toml", 0, "quiet.toml: ok, 1 backend, listening on 0.0.0.0:8080, mode mp, strategy round_robin\n"},
		{"check bad.toml", 2, misspelt},
		{"check quiet.toml -c bad.toml", 2, "lb: --config: two files, \"quiet.toml\" and \"bad.toml\"; check one at a time\n"},
		{"serve --admin nowhere", 2, "lb: --admin: ..."},
		{"version", 0, "lb ..."},
		{"--version", 0, "lb ..."},
		{"help", 0, "Usage: lb <command>..."},
		{"help serve", 0, "Usage: lb serve..."},
		{"help backend drain", 0, "Usage: lb backend drain..."},
		{"help nothing", 2, "lb: unexpected argument nothing..."},
	} {
		code, out, errOut := outcome(dir, strings.Fields(tc.args)...)
		got := withoutLog(out + errOut)
		if out != "" && code != 0 {
			t.Errorf("lb %s: %q on standard output; errors belong to standard error", tc.args, out)
		}
		begin, open := strings.CutSuffix(tc.want, "...")
		if same := got == tc.want || open && strings.HasPrefix(got, begin); code != tc.code || !same {
			t.Errorf("lb %s: exit code %d with\n%swant %d with\n%s", tc.args, code, got, tc.code, tc.want)
		}
		if tc.code == exitFault && strings.Count(got, "\n") != 1 {
			t.Errorf("lb %s: want one line, not\n%s", tc.args, got)
		}
	}
}

var logLine = regexp.MustCompile(`(?m)^time=\S+ level=.*\n`)

// withoutLog returns text without the lines of the log.
func withoutLog(text string) string {
	return logLine.ReplaceAllString(text, "")
}

// process is a running lb, whose standard output is read line by line.
type process struct {
	*testkit.Process
	read int // bytes of standard output
}

// start runs lb in dir until stop or the end of the test.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	if args[0] == "serve" {
		args = append([]string{"serve", "--log-format", "text"}, args[1:]...)
	}
	return &process{Process: testkit.Start(t, command(dir, args...))}
}

// line returns the next line of standard output.
func (p *process) line(t *testing.T) (text string) {
	t.Helper()
	whole, ended := false, false
	testkit.Until(t, "a line of standard output", func() bool {
		ended = p.Ended()
		text, _, whole = strings.Cut(p.Out.String()[p.read:], "\n")
		return whole || ended
	})
	if !whole {
		t.Fatalf("standard output ends with %q", text)
	}
	p.read += len(text) + 1
	return text
}

// stop sends sig and returns the exit code.
func (p *process) stop(t *testing.T, sig os.Signal) int {
	t.Helper()
	p.Signal(t, sig)
	return p.ExitCode(t)
}

// get returns the answer to a request on a connection of its own.
func get(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	client := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return resp, string(got)
}

// TestDemo runs the commands that `lb serve --demo` prints. The usual ports of the demo
// are taken, so that it has to find others.
func TestDemo(t *testing.T) {
	var busy []string
	for _, port := range demoPorts {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if ln, err := net.Listen("tcp", addr); err == nil {
			defer ln.Close()
			busy = append(busy, addr)
		}
	}
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "lb.toml", "host = \"127.0.0.1\"\nadmin.address = \"127.0.0.1:0\"\n")
			p := start(t, dir, "serve", "--demo", "-m", mode, "-p", "0", "-w", "2")
			first := p.line(t)
			for _, addr := range busy {
				if strings.Contains(first, addr) {
					t.Errorf("%q: %s was not free", first, addr)
				}
			}
			p.line(t)
			for tried := 0; ; tried++ {
				words := strings.Fields(p.line(t))
				if words[0] != "curl" {
					if tried < 7 {
						t.Errorf("only %d lines say what to curl", tried)
					}
					break
				}
				follow(t, words[1:])
			}
			if code := p.stop(t, syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d after SIGTERM, want 0", code)
			}
		})
	}
}

// follow makes the request that curl would make with args, and checks the answer.
func follow(t *testing.T, args []string) {
	t.Helper()
	url, method, body, status := args[len(args)-1], "GET", "", 200
	if args[0] == "-d" {
		method, body, url = "POST", args[1], args[2]
	}
	if strings.HasSuffix(url, "/status/404") {
		status = 404
	}
	resp, got := get(t, method, url, body)
	if resp.StatusCode != status {
		t.Errorf("%s: status %d, want %d", url, resp.StatusCode, status)
	}
	if body != "" && got != body || strings.Contains(url, "/1000") && len(got) != 1000 {
		t.Errorf("%s: %d bytes, %.40q", url, len(got), got)
	}
}

// TestFlagsWinOverFile: the file in the working directory is read, and -b
// replaces all of its backends.
func TestFlagsWinOverFile(t *testing.T) {
	var addrs []string
	for _, name := range []string{"of-the-file", "of-the-flag"} {
		s, err := backends.Start(backends.Options{Addr: "127.0.0.1:0", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		addrs = append(addrs, s.Addr())
	}
	host, port, _ := net.SplitHostPort(addrs[0])
	dir := t.TempDir()
	write(t, dir, "lb.toml", fmt.Sprintf("mode = \"mt\"\nport = 0\nadmin.address = \"\"\n[[backends]]\nhost = %q\nport = %s\n", host, port))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "-H", "127.0.0.1"}, "of-the-file"},
		{[]string{"serve", "-H", "127.0.0.1", "-b", addrs[1]}, "of-the-flag"},
		{[]string{"serve", "-H", "::1", "-m", "mp", "-w", "1", "-b", addrs[1]}, "of-the-flag"},
	} {
		p := start(t, dir, tc.args...)
		addr := served(t, p)
		for range 4 {
			if resp, _ := get(t, "GET", "http://"+addr+"/", ""); resp.Header.Get("X-Backend") != tc.want {
				t.Errorf("%v: %s from %q, want %q", tc.args, resp.Status, resp.Header.Get("X-Backend"), tc.want)
			}
		}
		if code := p.stop(t, syscall.SIGINT); code != 0 {
			t.Errorf("%v: exit code %d after SIGINT, want 0", tc.args, code)
		}
	}
}

// TestReloadReadsTheSameAgain: a reload reads the file of the start, wherever lb was
// started, with the flags of the start. A missing file is refused, not replaced by the
// defaults. A file that did not exist at the start may come later.
func TestReloadReadsTheSameAgain(t *testing.T) {
	const base = "mode = \"mt\"\nhost = \"127.0.0.1\"\nport = 0\nworkers = 1\nadmin.address = \"\"\nwatch = false\n"
	for _, tc := range []struct {
		name, file string // "": there is none at the start
		args       []string
	}{
		{"of its own accord", "lb.toml", nil},
		{"by name", "other.toml", []string{"-c", "other.toml"}},
		{"later", "", []string{"-m", "mt", "-H", "127.0.0.1", "-p", "0", "-w", "1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			file := tc.file
			if file == "" {
				file = "lb.toml"
			} else {
				write(t, dir, file, base)
			}
			p := start(t, dir, append([]string{"serve", "-b", "127.0.0.1:1"}, tc.args...)...)
			served(t, p)
			give := func(command string) (code int, stdout, stderr string) {
				return outcome(dir, command, "--socket", filepath.Join(dir, "lb.sock"))
			}
			write(t, dir, file, base+"timeouts.connect = \"5s\"\n[[backends]]\nsocket = \"/x\"\n")
			if code, out, err := give("reload"); code != 0 || !strings.Contains(out, "timeouts.connect: 3s -> 5s\n") || strings.Contains(out, "backend") {
				t.Errorf("a change: exit code %d with %q and %q", code, out, err)
			}
			if code, out, _ := give("status"); code != 0 || !strings.Contains(out, filepath.Join(dir, file)+" (not watched)") {
				t.Errorf("exit code %d with\n%s, want the whole path of %s", code, out, file)
			}
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
			if code, out, err := give("reload"); code != 1 || out != "" || !strings.Contains(err, filepath.Join(dir, file)+": no such file") {
				t.Errorf("no file: exit code %d with %q and %q", code, out, err)
			}
			if code, out, err := give("drain"); code != 0 {
				t.Errorf("drain: exit code %d with %q and %q", code, out, err)
			}
			if code := p.ExitCode(t); code != 0 {
				t.Errorf("exit code %d after lb drain, want 0", code)
			}
		})
	}
}

// TestNoLB: a command that finds no lb says where it has looked, and looks nowhere else
// if the file names a place.
func TestNoLB(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "lb.toml", "pid_file = \"lb.pid\"\n")
	for _, args := range []string{"status", "status --json", "reload", "upgrade", "drain", "backend list", "backend drain default a:1", "backend weight default a:1 2"} {
		code, out, errOut := outcome(dir, strings.Fields(args)...)
		want := "lb: no lb answers at lb.sock: there is no such socket"
		if code != 1 || out != "" || !strings.HasPrefix(errOut, want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("lb %s: exit code %d with %q and %q, want 1 and %q", args, code, out, errOut, want)
		}
	}
}

// served returns the address that lb says it serves.
func served(t *testing.T, p *process) string {
	t.Helper()
	addr := p.Serving(t)
	if addr == "" {
		t.Fatal("lb did not begin")
	}
	return addr
}

func TestBackendsAlone(t *testing.T) {
	p := start(t, t.TempDir(), "demo-backends", "--port", "0,0")
	seen := map[string]bool{}
	for range 2 {
		url := p.line(t)[len("backend on "):]
		resp, _ := get(t, "GET", url, "")
		seen[resp.Header.Get("X-Backend")] = resp.StatusCode == 200
	}
	if len(seen) != 2 {
		t.Errorf("the answers come from %v, want two backends", seen)
	}
	if code := p.stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
}
