package crew

import (
	"io"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/internal/ipc"
	"lb/supervise/plan"
)

// A worker reads what the supervisor wrote: every value of the configuration, and
// addresses of each kind.
func TestOrdersArriveWhole(t *testing.T) {
	cfg := config.Default()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	cfg.Pools[0].Backends = append(cfg.Pools[0].Backends, config.Backend{Socket: "/run/app.sock", Weight: 7})
	cfg.Limits.BodyBytes = 1<<62 + 1
	addrs := [][][]plan.Addr{{addrAt("10.0.0.1:1"), nil, {{Path: "/run/app.sock"}}, addrAt("[fe80::1%eth0]:2")}}
	a, b := channels(t)
	given := plan.Seat{
		Snapshot: &plan.Snapshot{Config: cfg, Number: 1 << 60, IDs: [][]int{{5, 0, 7, 9}}, Addrs: addrs},
		Place:    3,
		Loops:    8,
		Slots:    []int{1, 2, 3},
		Sockets:  []uint64{4, 5},
	}
	for _, o := range []order{
		{Start: &startOrder{Slot: 3, Seat: given}},
		{Apply: &given},
		{Addrs: &addrsOrder{ID: 12, Addrs: addrs[0][3]}},
		{Pass: &passOrder{Peer: netip.MustParseAddrPort("[fe80::1%eth0]:2")}},
		{Relayed: true},
		{Retire: true},
		{Drain: true},
		{Cut: true},
		{Ping: 7},
	} {
		if err := a.Send(o); err != nil {
			t.Fatal(err)
		}
		var got order
		if fds, err := b.Receive(&got); err != nil || len(fds) > 0 || !reflect.DeepEqual(got, o) {
			t.Errorf("sent %+v, received %+v, %v, %v", o, got, fds, err)
		}
	}
	a.Close()
	if _, err := b.Receive(&order{}); err != io.EOF {
		t.Errorf("after the other end is gone: %v, want EOF", err)
	}
}

// channels returns both ends of a channel.
func channels(t *testing.T) (a, b *ipc.Channel) {
	t.Helper()
	a, f, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ipc.New(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a, b
}

func addrAt(text string) []plan.Addr { return []plan.Addr{{IP: netip.MustParseAddrPort(text)}} }
