package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lb/internal/testkit"
	"lb/internal/unixsock"
)

// openUnixAt is open for a test that wants the error.
func openUnixAt(t *testing.T, path string) (*Set, error) {
	t.Helper()
	a, err := Resolve(t.Context(), net.DefaultResolver, "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	return a.Open(t.Context(), 3, nil)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// A unix socket is shared by all loops, and every user may connect, whatever the umask is.
func TestUnixSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := syscall.Umask(0o077) // no other test of this package runs at the same time
	ls, err := openUnixAt(t, path)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	if ls.Addr != "unix:"+path || !ls.Shared || len(ls.Deal(3)[2]) != 1 {
		t.Errorf("%+v, want one socket for all loops", ls)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o666 {
		t.Errorf("%v, %v; want mode 0666", info, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	ls.Leave()
	if exists(path) {
		t.Error("the path is left behind")
	}
}

// A socket that a process has left behind is replaced, and nothing else is.
func TestUnixStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := openUnixAt(t, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openUnixAt(t, path); !errors.Is(err, unixsock.ErrInUse) {
		t.Errorf("while a process listens: %v, want it to be in use", err)
	}
	if !exists(path) {
		t.Fatal("the path of a socket that is in use is gone")
	}
	first.Close() // as with the end of a process
	second, err := openUnixAt(t, path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	third, err := openUnixAt(t, path)
	if err != nil {
		t.Fatal(err)
	}
	second.Leave()
	if !exists(path) {
		t.Error("the path is removed by a process whose socket is not there any longer")
	}
	third.Leave()
	testkit.WriteFile(t, path, "precious")
	if _, err := openUnixAt(t, path); !errors.Is(err, unixsock.ErrNotSocket) {
		t.Errorf("a file is there: %v", err)
	}
}

// Of two processes that have a socket, one removes its path: the one that opened it, or
// that owns it since.
func TestUnixOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := openUnixAt(t, path)
	if err != nil {
		t.Fatal(err)
	}
	take := func() *Set {
		t.Helper()
		h, fds := old.Hand()
		var own []int
		for _, fd := range fds {
			n, err := syscall.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			own = append(own, n)
		}
		ls, err := Take(h, own)
		if err != nil {
			t.Fatal(err)
		}
		return ls
	}
	take().Leave() // an upgrade that failed
	if !exists(path) {
		t.Fatal("the path is removed by a process that does not own it")
	}
	next := take()
	next.Own()
	old.Disown()
	old.Leave()
	if !exists(path) {
		t.Fatal("the path is removed by the old process")
	}
	next.Leave()
	if exists(path) {
		t.Error("the path is left behind")
	}
}
