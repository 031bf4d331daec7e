package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lb/admin/api"
	"lb/internal/testkit"
)

// terminal is a pseudo terminal: what a test writes to it are keys, what it reads the screen.
type terminal struct {
	master, slave *os.File
	mu            sync.Mutex
	screen        bytes.Buffer
}

// openTerminal opens a terminal of that size, until the test ends.
func openTerminal(t *testing.T, columns, rows uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave}
	term.resize(t, columns, rows)
	var read sync.WaitGroup
	read.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				return // the last one that had the terminal open has closed it
			}
			term.mu.Lock()
			term.screen.Write(b[:n])
			term.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		slave.Close()
		read.Wait()
		master.Close()
	})
	return term
}

func (term *terminal) resize(t *testing.T, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(term.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

// text returns everything that was written to the screen since the last forget.
func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

func (term *terminal) forget() {
	term.mu.Lock()
	defer term.mu.Unlock()
	term.screen.Reset()
}

// press sends keys.
func (term *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// settings returns how the terminal is set.
func (term *terminal) settings(t *testing.T) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// watched returns an lb with two backends, and its socket.
func watched(t *testing.T) (c *testkit.Control, socket string) {
	t.Helper()
	c = &testkit.Control{Running: api.Status{State: api.Serving, Address: "192.0.2.1:80", Mode: "mp", Pools: []api.Pool{{Name: "web", Backends: []api.Backend{
		{Pool: "web", Address: "10.0.0.1:80", Admin: api.Enabled, Health: "up"}, {Pool: "web", Address: "10.0.0.2:80", Admin: api.Enabled, Health: "up"}}}}}}
	c.Changed = api.Backend{Pool: "web", Address: "10.0.0.2:80", Admin: api.Drained}
	socket = filepath.Join(t.TempDir(), "s")
	serveAt(t, c, socket)
	return c, socket
}

// TestTop: the live view on a real terminal, driven by keys. q ends it with exit code 0, and
// the terminal is as before.
func TestTop(t *testing.T) {
	c, socket := watched(t)
	term := openTerminal(t, 100, 20)
	before := term.settings(t)
	cmd := command(t.TempDir(), "top", "--every", "200ms", "--socket", socket)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	see := func(what string) {
		t.Helper()
		testkit.Until(t, fmt.Sprintf("%q", what), func() bool { return strings.Contains(term.text(), what) })
		term.forget()
	}
	see("10.0.0.2:80")
	if term.settings(t) == before {
		t.Error("keys are not read one by one")
	}
	term.press(t, "?")
	see("any key goes back")
	term.press(t, "x")
	see("10.0.0.2:80")
	term.press(t, "jjd")
	see("drain 10.0.0.2:80 of pool web?")
	term.press(t, "y")
	testkit.Until(t, "the change", func() bool { return strings.Contains(c.Asked(), "drain web 10.0.0.2:80 0") })
	term.resize(t, 60, 12)
	see("10.0.0.1:80")
	term.press(t, "q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("q: %v\n%q", err, term.text())
	}
	if term.settings(t) != before {
		t.Error("the terminal is not as before")
	}
	testkit.Until(t, "the screen of before, and its cursor", func() bool {
		return strings.Contains(term.text(), "\x1b[?1049l") && strings.Contains(term.text(), "\x1b[?25h")
	})
}

// TestTopWithoutTerminal: one page, and the end. Without an lb it says so.
func TestTopWithoutTerminal(t *testing.T) {
	_, socket := watched(t)
	code, out, errOut := outcome(t.TempDir(), "top", "--every", "200ms", "--socket", socket)
	if code != 0 || errOut != "" || !strings.Contains(out, "10.0.0.2:80") || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d with %q and\n%s", code, errOut, out)
	}
	if code, _, errOut := outcome(t.TempDir(), "top", "--socket", "nowhere"); code != 1 || !strings.Contains(errOut, "no lb answers at nowhere") {
		t.Errorf("exit code %d with %q", code, errOut)
	}
}
