package supervise

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// When a reload makes an address part of a wider one, or the other way round, other
// sockets serve it, and no client is refused or reset meanwhile.
func TestReloadSamePort(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		in, at := serveEverywhere(t, cfg)
		stop := supervisetest.Asking(t, "127.0.0.1:"+at, "well")
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "127.0.0.1", "0.0.0.0", "127.0.0.1", "0.0.0.0"} {
			in.moveTo(t, cfg, host, at)
			supervisetest.Get("127.0.0.1:"+at).Want(t, "well")
		}
		if stop() == 0 {
			t.Error("nobody has asked")
		}
	})
}

// serveEverywhere is serve at a port that is free at every address. A port that is free at
// 127.0.0.1 may be taken at another address.
func serveEverywhere(t *testing.T, cfg *config.Config) (in *inside, port string) {
	t.Helper()
	cfg.Host, cfg.Port = "0.0.0.0", testkit.HoldPort(t)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	in = serve(t, cfg, Options{})
	_, port, err := net.SplitHostPort(in.addr)
	if err != nil {
		t.Fatal(err)
	}
	return in, port
}

// moveTo reloads cfg with another address.
func (in *inside) moveTo(t *testing.T, cfg *config.Config, host, port string) {
	t.Helper()
	in.reload(t, movedTo(t, cfg, host, port))
}

// movedTo returns cfg with another address.
func movedTo(t *testing.T, cfg *config.Config, host, port string) *config.Config {
	t.Helper()
	after := *cfg
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	after.Host, after.Port = host, n
	return &after
}

// Half a file is not taken up, not even by an operator's word, while a process has it open
// for writing. The whole is, by itself.
func TestReloadHalfWritten(t *testing.T) {
	testkit.Long(t)
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		text := func(seconds int) string {
			return strings.Replace(watchedText(seconds), `"mt"`, strconv.Quote(string(cfg.Mode)), 1)
		}
		path := filepath.Join(t.TempDir(), "lb.toml")
		testkit.WriteFile(t, path, text(1))
		w := watchFile(t, path)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text(2)); err != nil {
			t.Fatal(err)
		}
		for _, plan := range []bool{true, false} {
			if _, err := w.control.Reload(plan); err == nil || !strings.Contains(err.Error(), "still has it open for writing") {
				t.Errorf("a reload beside the writer: %v", err)
			}
		}
		refused := w.control.Status().Totals.ReloadFaults
		w.signals <- syscall.SIGHUP
		testkit.Until(t, "the signal to be refused", func() bool { return w.control.Status().Totals.ReloadFaults > refused })
		if n := w.seconds(); n != 1 {
			t.Errorf("half of the file was taken up: %d", n)
		}
		if _, err := f.WriteString("queue = \"1s\"\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		w.wantTaken(t, 2, 2)
		if queue := w.running.View().Config.Timeouts.Queue; queue != time.Second {
			t.Errorf("queue = %v: a part of the file was taken up", queue)
		}
	})
}
