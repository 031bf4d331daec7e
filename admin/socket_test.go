package admin

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// TestSocketMode: only the owner may open the socket, whatever the umask is.
func TestSocketMode(t *testing.T) {
	dir := t.TempDir()
	for name, mask := range map[string]int{"nothing": 0, "usual": 0o022, "all": 0o777} {
		path := filepath.Join(dir, name)
		old := syscall.Umask(mask) // no other test of this package runs at the same time
		l, err := NewRuntime(&testkit.Control{}, nil).Listen(path)
		syscall.Umask(old)
		if err != nil {
			t.Errorf("umask %#o: %v", mask, err)
			continue
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("umask %#o: %v, %v", mask, info, err)
		}
		l.Close()
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("umask %#o: a socket is left behind", mask)
		}
	}
}

// stale leaves a socket at path, as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestSocketListen(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	stale(t, at("stale"))
	live, err := net.Listen("unix", at("live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.WriteFile(at("file"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("file"), at("link")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ path, want string }{ // "": it listens
		{at("new"), ""},
		{at("stale"), ""},
		{at("live"), "another process listens there"},
		{at("file"), "there is a file that is no socket"},
		{at("link"), "there is a file that is no socket"},
		{dir, "there is a file that is no socket"},
		{at("none/s"), "no such file or directory"},
		{at("file/s"), "not a directory"},
		{at(strings.Repeat("a", 104)), "the path is "},
	} {
		l, err := NewRuntime(&testkit.Control{}, nil).Listen(tc.path)
		switch {
		case err == nil:
			l.Close()
			if tc.want != "" {
				t.Errorf("%s: listens; want %q", tc.path, tc.want)
			}
		case tc.want == "":
			t.Errorf("%s: %v", tc.path, err)
		case !strings.HasPrefix(err.Error(), "commands: cannot listen on "+tc.path+": "+tc.want) ||
			!strings.HasSuffix(err.Error(), " (set [admin] socket)") || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: %v; want %q in one line", tc.path, err, tc.want)
		}
	}
	if b, err := os.ReadFile(at("file")); string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if c, err := net.Dial("unix", at("live")); err != nil {
		t.Errorf("the live one: %v", err)
	} else {
		c.Close()
	}
}

// TestSocketIsNeverAbstract: a name that begins with "@" is a file as well. One
// in Linux's abstract space would be open to every user.
func TestSocketIsNeverAbstract(t *testing.T) {
	t.Chdir(t.TempDir())
	r := NewRuntime(&testkit.Control{}, nil)
	l, err := r.Listen("@lb")
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(l)
	defer closeRuntime(t, r)
	if info, err := os.Lstat("@lb"); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if err := NewClient("@lb").Drain(); err != nil {
		t.Error(err)
	}
}

// TestNoAnswer: one line says why there was no answer, and what to do about it.
func TestNoAnswer(t *testing.T) {
	dir := t.TempDir()
	stale(t, filepath.Join(dir, "stale"))
	testkit.WriteFile(t, filepath.Join(dir, "file"), "")
	hold := make(chan struct{})
	c := &testkit.Control{Hold: hold}
	busy := commands(t, c)
	defer close(hold)
	for _, tc := range []struct {
		path, want string
		late       bool
	}{
		{filepath.Join(dir, "none"), "there is no such socket", false},
		{filepath.Join(dir, "stale"), "it has ended and its socket is left", false},
		{filepath.Join(dir, "file"), "that is no socket", false},
		{filepath.Join(dir, strings.Repeat("a", 200)), "", false},
		{busy, "has not answered for 20ms", true},
	} {
		limit := testkit.Patience
		if tc.late {
			limit = 20 * time.Millisecond
		}
		err := NewClient(tc.path).ask("GET", "/v1/status", limit, nil, &struct{}{})
		var none *NoAnswerError
		if !errors.As(err, &none) || none.Path != tc.path || none.Late > 0 != tc.late ||
			!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v; want %q", tc.path, err, tc.want)
		}
		if reached := NewClient(tc.path).Reach() == nil; reached != tc.late {
			t.Errorf("%s: reached is %v", tc.path, reached)
		}
	}
}

// TestStrangers: an answer that does not come from lb is an error.
func TestStrangers(t *testing.T) {
	for _, answer := range []string{
		"",
		"220 mail.example.com ESMTP\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://example.com/\r\n\r\n",
	} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Read(make([]byte, 4096))
				conn.Write([]byte(answer))
				conn.Close()
			}
		}()
		if err := NewClient(path).Drain(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", answer, err)
		} else {
			t.Log(err)
		}
		l.Close()
		<-done
	}
}
