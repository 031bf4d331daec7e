package accesslog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// TestRefused: a path that cannot be opened is refused with the key, the path and what to do.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tc := range []struct{ path, want string }{
		{dir, "is a directory; name a file in that folder"},
		{filepath.Join(dir, "none", "log"), "no such file or directory; make the folder " + filepath.Join(dir, "none")},
		{filepath.Join(dir, "socket"), `it is a socket; choose a file; a socket of syslog is named "syslog:unix:` + socket + `"`},
		{"syslog:unix:" + socket, "protocol wrong type for socket; choose a datagram socket, such as /dev/log"},
		{"syslog:unix:" + filepath.Join(dir, "none"), "no such file or directory; start syslog, or choose the path at which it listens"},
	} {
		_, err := newRig(t, 100).Prepare(tc.path)
		want := fmt.Sprintf("access_log.path: %q cannot be opened: ", tc.path)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.path, err)
		}
	}
}

// TestMends: each error that a target may have comes with something else to do.
func TestMends(t *testing.T) {
	other := mend("/var/log/lb.log", errors.New("another"))
	seen := map[string]bool{other: true}
	for _, err := range []error{unix.ENOSPC, unix.EFBIG, unix.EROFS, unix.EACCES, unix.ENOENT, unix.EISDIR,
		unix.ENXIO, unix.ECONNREFUSED, unix.EPROTOTYPE, unix.EPIPE} {
		m := mend("/var/log/lb.log", fmt.Errorf("open: %w", err))
		if seen[m] {
			t.Errorf("%v: %s", err, m)
		}
		seen[m] = true
	}
}

// TestPathInUse: a path that is in use and cannot be opened now refuses nothing.
func TestPathInUse(t *testing.T) {
	g, dir := newRig(t, 1000), t.TempDir()
	path := filepath.Join(dir, "logs", "access.log")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	g.use(path)
	g.Start()
	testkit.Rename(t, filepath.Dir(path), filepath.Join(dir, "old"))
	g.use(path)
	g.add(0, 10)
	g.untilWritten()
	wantLines(t, read(t, filepath.Join(dir, "old", "access.log")), 0, 10)
}

// fifo makes a FIFO.
func fifo(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fillUp writes to c, which does not block, size bytes at a time until that takes no more.
func fillUp(t *testing.T, c syscall.Conn, size int) (filled int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Write(func(fd uintptr) bool {
		for {
			n, err := unix.Write(int(fd), make([]byte, size))
			switch {
			case err == unix.EAGAIN:
				return true
			case err != nil && err != unix.EINTR:
				t.Error(err)
				return true
			}
			filled += max(0, n)
		}
	})
	return filled
}

// TestFIFOIsNotRead: a FIFO without a reader holds up nobody. What is lost is said once and
// counted, and a change of the path ends it. A pipe keeps what it has for a later reader.
func TestFIFOIsNotRead(t *testing.T) {
	g, path := newRig(t, 20000), fifo(t)
	reader, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	filled := fillUp(t, reader, 4096)
	g.use(path)
	g.Start()
	var in int
	for ; g.dropped.Load() == 0; in++ {
		g.add(in, in+1)
	}
	testkit.Until(t, "a line in the log", func() bool { return strings.Contains(g.log.String(), "are lost") })
	g.add(in, in+1000)
	if !regexp.MustCompile(`^time=\S+ level=WARN msg="lines of the access log are lost" path=\S+ ` +
		`cause="nobody reads it, or too slowly" mend="start its reader, or choose another access_log.path"\n$`).MatchString(g.log.String()) {
		t.Errorf("it said %s", g.log.String())
	}
	file := filepath.Join(t.TempDir(), "access.log")
	g.use(file)
	g.untilWritten()
	testkit.Until(t, "the end of it to be said", func() bool { return strings.Contains(g.log.String(), "written again") })
	if want := fmt.Sprintf("lost=%d", g.dropped.Load()); !strings.Contains(g.log.String(), want) || g.lost.Load() != 0 {
		t.Errorf("want %s; it said %s", want, g.log.String())
	}
	got := strings.Count(read(t, file), "\n")
	if got != in+1000-int(g.dropped.Load()) {
		t.Errorf("%d lines came, %d were written and %d of them dropped", got, in+1000, g.dropped.Load())
	}
	if _, err := io.ReadFull(reader, make([]byte, filled)); err != nil {
		t.Errorf("what the FIFO had: %v", err)
	}
}

// TestFIFOIsReadSlowly: a reader gets every line whole, however slowly it reads.
func TestFIFOIsReadSlowly(t *testing.T) {
	g, path := newRig(t, 20000), fifo(t)
	g.use(path)
	g.Start()
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go g.addAll(0, 3000)
	var text strings.Builder
	for buf := make([]byte, 1000); !strings.Contains(text.String(), line(2999)) || !strings.Contains(text.String(), line(2998)); {
		n, err := reader.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(buf[:n])
	}
	wantLines(t, text.String(), 0, 3000)
}

// TestEndWithoutReader: the end of lb waits for a second at most, and what is left is counted.
func TestEndWithoutReader(t *testing.T) {
	g, path := newRig(t, 200000), fifo(t)
	g.use(path)
	g.Start()
	g.add(0, 3000)
	began := time.Now()
	if !g.Close() {
		t.Fatal("it did not end")
	}
	if took := time.Since(began); took < endTimeout {
		t.Errorf("it did not wait: %v", took)
	}
	if g.lost.Load() == 0 || !strings.Contains(g.log.String(), fmt.Sprintf(`"lines of the access log were lost" path=%s lost=%d`, path, g.lost.Load())) {
		t.Errorf("lost %d, and said %s", g.lost.Load(), g.log.String())
	}
}

// TestLeave: what is left belongs to another process after Leave.
func TestLeave(t *testing.T) {
	g, path := newRig(t, 200000), fifo(t)
	g.use(path)
	g.Start()
	g.add(0, 3000)
	g.Leave()
	g.Close()
	if g.lost.Load() != 0 || g.rings[0].waits() == 0 {
		t.Errorf("lost %d, left %d bytes", g.lost.Load(), g.rings[0].waits())
	}
}

// syslogServer listens for datagrams.
func syslogServer(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	os.Remove(path)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(testkit.Patience))
	return c
}

// TestSyslog: each line is a message of RFC 5424, and a server that is started again gets
// the ones that come then.
func TestSyslog(t *testing.T) {
	g, path := newRig(t, 20000), filepath.Join(t.TempDir(), "log")
	server := syslogServer(t, path)
	g.use("syslog:unix:" + path)
	g.Start()
	message := regexp.MustCompile(`^<134>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d) \S+ lb ` + fmt.Sprint(os.Getpid()) + ` access - (line .*)$`)
	receive := func(from, to int) {
		t.Helper()
		var all strings.Builder
		for range to - from {
			buf := make([]byte, 8192)
			n, err := server.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			m := message.FindStringSubmatch(string(buf[:n]))
			if m == nil {
				t.Fatalf("a message is %q", buf[:n])
			}
			all.WriteString(m[2] + "\n")
		}
		wantLines(t, all.String(), from, to)
	}
	go g.addAll(0, 2000)
	receive(0, 2000)
	server.Close()
	g.add(2000, 2100)
	testkit.Until(t, "a line in the log", func() bool { return strings.Contains(g.log.String(), "connection refused") })
	if !strings.Contains(g.log.String(), `mend="start syslog, or choose another path"`) {
		t.Errorf("it said %s", g.log.String())
	}
	server = syslogServer(t, path)
	receive(2000, 2100)
	testkit.Until(t, "the end of it to be said", func() bool { return strings.Contains(g.log.String(), "written again") })
}

// TestSyslogHasStopped: a server that reads nothing holds up nobody.
func TestSyslogHasStopped(t *testing.T) {
	g, path := newRig(t, 20000), filepath.Join(t.TempDir(), "log")
	syslogServer(t, path)
	other, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fillUp(t, other.(*net.UnixConn), 1)
	g.use("syslog:unix:" + path)
	g.Start()
	for i := 0; g.dropped.Load() == 0; i++ {
		g.add(i, i+1)
	}
	testkit.Until(t, "a line in the log", func() bool { return strings.Contains(g.log.String(), "syslog is too slow, or has stopped") })
}

// TestSyslogTooLong: a line that the socket never takes is counted, and the next ones come.
func TestSyslogTooLong(t *testing.T) {
	g, path := newRig(t, 1<<22), filepath.Join(t.TempDir(), "log")
	server := syslogServer(t, path)
	g.use("syslog:unix:" + path)
	g.Start()
	g.rings[0].add(strings.Repeat("x", 1<<20) + "\n")
	g.rings[0].add("short\n")
	buf := make([]byte, 8192)
	n, err := server.Read(buf)
	if err != nil || !strings.HasSuffix(string(buf[:n]), " short") || g.lost.Load() != 1 {
		t.Errorf("got %q, %v; lost %d", buf[:n], err, g.lost.Load())
	}
}

// fakeTarget takes what the test says.
type fakeTarget struct {
	room int // bytes that it takes yet
	text strings.Builder
	err  error // when there is no room
}

func (f *fakeTarget) write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.text.Write(b[:n])
	if f.room -= n; n < len(b) {
		return n, f.err
	}
	return n, nil
}

func (f *fakeTarget) await(time.Duration)    {}
func (f *fakeTarget) moved() bool            { return false }
func (f *fakeTarget) cut(int) bool           { return false }
func (f *fakeTarget) slow() (string, string) { return "cause", "mend" }
func (f *fakeTarget) close()                 {}

// TestAnyCut: wherever a target stops to take bytes, with an error or without, it gets the
// rest of the line first, and every line once.
func TestAnyCut(t *testing.T) {
	for _, err := range []error{nil, syscall.ENOSPC} {
		for step := 1; step < 200; step++ {
			g := newRig(t, 1000)
			to := &fakeTarget{err: err}
			g.Writer.to = to
			in := 0
			for in < 60 || g.pending() {
				for in < 60 && g.rings[in%2].add(line(in)) {
					in++
				}
				to.room = step
				g.writeAll()
			}
			wantLines(t, to.text.String(), 0, 60)
		}
	}
}

// TestTroubleIsSaidOnce: troubles that follow each other closely have fewer and fewer lines.
func TestTroubleIsSaidOnce(t *testing.T) {
	var log testkit.Log
	g := newRig(t, 10)
	now, dropped := time.Unix(1000, 0), uint64(5)
	tr := trouble{log: g.o.Log, dropped: dropped}
	for range 600 { // one is lost every second
		dropped++
		now = now.Add(time.Second)
		tr.look(now, state{path: "p", dropped: dropped})
		now = now.Add(time.Second)
		tr.look(now, state{path: "p", dropped: dropped})
	}
	text := g.log.String() + log.String()
	if n := strings.Count(text, "\n"); n < 3 || n > 20 {
		t.Errorf("%d lines: %s", n, text)
	}
	var lost, one int
	for l := range strings.Lines(text) {
		if _, after, ok := strings.Cut(l, " lost="); ok {
			fmt.Sscan(after, &one)
			lost += one
		}
	}
	if lost += int(tr.lost); lost != 600 {
		t.Errorf("%d lines were lost, and %d told", 600, lost)
	}
}
