package ports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// activatedEnv marks a process that prints what systemd has given it; its value is the
// addresses of the listeners, separated by blanks.
const activatedEnv = "LB_TEST_ACTIVATED"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=10") // else every process built with -race takes a second to end
	if addresses := os.Getenv(activatedEnv); addresses != "" {
		tellGiven(strings.Fields(addresses))
	}
	os.Exit(m.Run())
}

// given is the report of such a process.
type given struct {
	Shared bool     // of all that serves, each of two loops has all sockets
	Listen []string // what is left of systemd's variables
	Open   []int    // of the descriptors that were given, those that an exec would pass on
	Serves []string // the addresses of the sockets of each listener
	Log    string
	Err    string
}

// tellGiven is main of such a process.
func tellGiven(addresses []string) {
	var g given
	var log bytes.Buffer
	files, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // activated unsets it
	p := New(net.DefaultResolver, slog.New(slog.NewTextHandler(&log, nil)))
	p.Take(nil)
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "LISTEN_") {
			g.Listen = append(g.Listen, entry)
		}
	}
	for fd := 3; fd < 3+files; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			g.Open = append(g.Open, fd)
		}
	}
	if err := p.Open(listening(addresses...), 3); err != nil {
		g.Err = err.Error()
	}
	g.Shared = true
	for _, set := range p.InUse() {
		g.Serves = append(g.Serves, set.Addr)
		g.Shared = g.Shared && (!set.Systemd || len(set.Deal(2)[1]) == len(strings.Split(set.Addr, ",")))
	}
	g.Log = log.String()
	p.Close()
	json.NewEncoder(os.Stdout).Encode(g)
	os.Exit(0)
}

// askGiven starts a process as systemd does, with files, and returns its report.
func askGiven(t *testing.T, addresses string, files ...*os.File) (g given) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), activatedEnv+"="+addresses, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=a:b:c:d")
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &g)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if g.Err != "" || !g.Shared {
		t.Errorf("listeners %s, given %d sockets: %+v", addresses, len(files), g)
	}
	if len(g.Listen) > 0 || len(g.Open) > 0 {
		t.Errorf("left for other processes: %v and descriptors %v", g.Listen, g.Open)
	}
	return g
}

// opened returns a socket as systemd opens it, and its address.
func opened(t *testing.T, network, address string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr().String()
}

// With one listener, all sockets of systemd are served in its place, by all loops,
// whatever the configured address is.
func TestActivated(t *testing.T) {
	one, addrOne := opened(t, "tcp", "127.0.0.1:0")
	two, addrTwo := opened(t, "tcp", "127.0.0.1:0")
	all, addrAll := opened(t, "tcp", ":0") // ListenStream=PORT
	_, port, _ := net.SplitHostPort(addrAll)
	for _, tc := range []struct {
		address string
		files   []*os.File
		want    string
	}{
		{addrOne, []*os.File{one}, addrOne},
		{"0.0.0.0:80", []*os.File{one}, addrOne},
		{addrOne, []*os.File{one, two}, addrOne + "," + addrTwo},
		{addrTwo, []*os.File{one, two}, addrOne + "," + addrTwo},
		{"0.0.0.0:" + port, []*os.File{one, all}, addrOne + "," + addrAll},
		{":" + port, []*os.File{one, all}, addrOne + "," + addrAll},
		{"127.0.0.1:0", []*os.File{one, two, all}, addrOne + "," + addrTwo + "," + addrAll},
	} {
		if g := askGiven(t, tc.address, tc.files...); !slices.Equal(g.Serves, []string{tc.want}) {
			t.Errorf("configured %s: serves %s, want %s", tc.address, g.Serves, tc.want)
		}
	}
}

// With several listeners, a socket serves the one at whose address or port it is, others
// serve the first, and lb opens what is missing.
func TestActivatedListeners(t *testing.T) {
	one, addrOne := opened(t, "tcp", "127.0.0.1:0")
	two, addrTwo := opened(t, "tcp", "127.0.0.1:0")
	all, addrAll := opened(t, "tcp", ":0")
	path := filepath.Join(t.TempDir(), "s")
	file, _ := opened(t, "unix", path)
	_, portAll, _ := net.SplitHostPort(addrAll)
	free := testkit.FreePort(t)
	for _, tc := range []struct {
		addresses string
		files     []*os.File
		want      []string
	}{
		{addrOne + " " + addrTwo, []*os.File{two, one}, []string{addrOne, addrTwo}},
		{"127.0.0.1:80 " + addrTwo, []*os.File{one, two}, []string{addrOne, addrTwo}}, // one is nobody else's
		{addrOne + " " + free, []*os.File{two, one}, []string{addrTwo + "," + addrOne, free}},
		{addrOne + " 0.0.0.0:" + portAll, []*os.File{all, one}, []string{addrOne, addrAll}}, // by the port
		{free + " :" + portAll, []*os.File{all}, []string{free, addrAll}},                   // by the address
		{addrOne + " unix:" + path, []*os.File{file, one}, []string{addrOne, "unix:" + path}},
	} {
		g := askGiven(t, tc.addresses, tc.files...)
		if !slices.Equal(g.Serves, tc.want) {
			t.Errorf("configured %s: serves %s, want %s", tc.addresses, g.Serves, tc.want)
		}
	}
}

// Sockets that are of no use are logged, and do not keep lb from serving the others.
func TestActivatedOdd(t *testing.T) {
	one, addr := opened(t, "tcp", "127.0.0.1:0")
	path := t.TempDir() + "/s"
	unixSocket, _ := opened(t, "unix", path)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	udp, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	g := askGiven(t, "127.0.0.1:0", udp, unixSocket, one)
	if !slices.Equal(g.Serves, []string{addr}) {
		t.Errorf("serves %s; want %s alone", g.Serves, addr)
	}
	for _, want := range []string{"socket=a", "ListenStream", "socket=unix:" + path, "no listener has this address"} {
		if !strings.Contains(g.Log, want) {
			t.Errorf("the log does not tell %q:\n%s", want, g.Log)
		}
	}
	if g := askGiven(t, "127.0.0.1:0"); g.Log != "" {
		t.Errorf("nothing was given: %s", g.Log)
	}
}

// systemd accepts the unit files.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze, of Debian's package systemd, is not installed")
	}
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"lb.service", "lb.socket"} {
		text, err := os.ReadFile("../../packaging/" + name)
		if err != nil {
			t.Fatal(err)
		}
		// lb lives without it, and then handshakes hold up traffic: loop/tlsconn.
		if name == "lb.service" && !regexp.MustCompile(`(?m)^SystemCallFilter=[^~\n]*\bsetpriority\b`).Match(text) {
			t.Errorf("%s does not allow setpriority, which @resources has", name)
		}
		// systemd-analyze wants the program to exist.
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/lb"), []byte(os.Args[0]))
		paths = append(paths, dir+"/"+name)
		if err := os.WriteFile(paths[len(paths)-1], text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
