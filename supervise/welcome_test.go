package supervise

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// The line at the start names the version, the file, and every place where lb listens.
func TestStartLine(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "hello").URL)
		cfg.Source, cfg.Admin.Socket = "/etc/lb.toml", filepath.Join(t.TempDir(), "s")
		log := &testkit.Log{}
		in := serve(t, cfg, Options{Log: NewLog(log, "info"), Version: "v9"})
		for _, want := range []string{"msg=serving address=" + in.addr, " version=v9", " file=/etc/lb.toml", " admin=", " commands=" + cfg.Admin.Socket} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in\n%s", want, log.String())
			}
		}
	})
}

func TestAmiss(t *testing.T) {
	for _, tc := range []struct {
		reachable, root, off bool
		want                 []string // how the warnings begin
	}{
		{true, false, false, nil},
		{false, false, true, nil},
		{false, false, false, []string{"no socket for commands"}},
		{true, true, false, []string{"running as root"}},
		{false, true, false, []string{"no socket for commands", "running as root"}},
	} {
		got := amiss(tc.reachable, tc.root, tc.off)
		if len(got) != len(tc.want) {
			t.Errorf("%+v: %v", tc, got)
			continue
		}
		for i, w := range got {
			if !strings.HasPrefix(w.what, tc.want[i]) || w.mend == "" {
				t.Errorf("%+v: %v", tc, w)
			}
		}
	}
}

// A port in use: the error says which process is there, and what to do.
func TestPortInUse(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		cfg.Host, cfg.Port = "127.0.0.1", ln.Addr().(*net.TCPAddr).Port
		in := begin(t, cfg, Options{})
		testkit.Wait(t, in.done, "Serve to return")
		want := "address already in use: another process listens there; end it, or choose another port"
		if runtime.GOOS == "linux" {
			want = fmt.Sprintf("address already in use: process %d (", os.Getpid())
		}
		if in.code != 1 || in.err == nil || !strings.Contains(in.err.Error(), want) {
			t.Errorf("code %d, %v; want %q", in.code, in.err, want)
		}
	})
}

func TestAdminMends(t *testing.T) {
	inUse := fmt.Errorf("admin: cannot listen: %w", syscall.EADDRINUSE)
	cfg := &config.Config{Admin: config.Admin{Address: "127.0.0.1:1"}}
	if got := withAdminMend(inUse, cfg); !strings.Contains(got.Error(), "another process listens there") {
		t.Errorf("admin: %v", got)
	}
	if err := fmt.Errorf("commands: %w", inUse); withAdminMend(err, cfg) != err {
		t.Error("the socket for commands has no port")
	}
}
