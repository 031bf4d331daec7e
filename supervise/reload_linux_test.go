package supervise

import (
	"net"
	"strconv"
	"testing"

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
