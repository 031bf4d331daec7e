package supervise

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lb/supervise/listen"
)

// activatedEnv marks a process that prints what systemd has given it.
const activatedEnv = "LB_TEST_ACTIVATED"

// given is the report of such a process.
type given struct {
	Sets   []string // addresses
	Shared bool
	Listen []string // what is left of systemd's variables
	Open   []int    // of the descriptors that were given, those that an exec would pass on
	Serves string   // what is chosen for activatedEnv's host and port
	Log    string
}

func init() { roles[activatedEnv] = tellGiven }

// tellGiven is main of such a process.
func tellGiven(address string) {
	var g given
	var log bytes.Buffer
	files, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // activated unsets it
	p := ports{log: NewLog(&log, "info")}
	p.take(nil)
	sets := p.given
	g.Log, g.Shared = log.String(), len(sets) > 0
	for _, ls := range sets {
		g.Sets = append(g.Sets, strings.Split(ls.Addr, ",")...)
		g.Shared = g.Shared && ls.Shared && ls.Systemd && len(ls.Deal(2)[1]) == len(g.Sets)
	}
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
	host, port, _ := net.SplitHostPort(address)
	var number int
	fmt.Sscan(port, &number)
	ls, err := listen.Open(net.DefaultResolver, host, number, 3, sets...)
	if err != nil {
		g.Serves = err.Error()
	} else {
		g.Serves = ls.Addr
	}
	json.NewEncoder(os.Stdout).Encode(g)
	os.Exit(0)
}

// askGiven starts a process as systemd does, with files, and returns its report.
func askGiven(t *testing.T, address string, files ...*os.File) (g given) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), activatedEnv+"="+address, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=a:b:c")
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &g)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(g.Listen) > 0 || len(g.Open) > 0 {
		t.Errorf("left for other processes: %v and descriptors %v", g.Listen, g.Open)
	}
	return g
}

// listening returns a socket as systemd opens it, and its address.
func listening(t *testing.T, network, address string) (*os.File, string) {
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

// All sockets of systemd are served, by all loops, whatever the configured address is.
func TestActivated(t *testing.T) {
	one, addrOne := listening(t, "tcp", "127.0.0.1:0")
	two, addrTwo := listening(t, "tcp", "127.0.0.1:0")
	all, addrAll := listening(t, "tcp", ":0") // ListenStream=PORT
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
		g := askGiven(t, tc.address, tc.files...)
		if len(g.Sets) != len(tc.files) || !g.Shared {
			t.Errorf("%s: sockets %v, shared %v; want all of %d in one set", tc.address, g.Sets, g.Shared, len(tc.files))
		}
		if g.Serves != tc.want {
			t.Errorf("configured %s, given %v: serves %s, want %s", tc.address, g.Sets, g.Serves, tc.want)
		}
	}
}

// Sockets that are of no use are logged, and do not keep lb from serving the others.
func TestActivatedOdd(t *testing.T) {
	one, addr := listening(t, "tcp", "127.0.0.1:0")
	unixSocket, _ := listening(t, "unix", t.TempDir()+"/s")
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
	if len(g.Sets) != 1 || g.Serves != addr {
		t.Errorf("sets %v, serves %s; want %s alone", g.Sets, g.Serves, addr)
	}
	for _, want := range []string{"socket=a", "ListenStream", "socket=b", "IPv4 or IPv6"} {
		if !strings.Contains(g.Log, want) {
			t.Errorf("the log does not tell %q:\n%s", want, g.Log)
		}
	}
	if g := askGiven(t, "127.0.0.1:0"); len(g.Sets) != 0 || g.Log != "" {
		t.Errorf("nothing was given: %v, %s", g.Sets, g.Log)
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
		text, err := os.ReadFile("../packaging/" + name)
		if err != nil {
			t.Fatal(err)
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
