package crew

import (
	"encoding/json"
	"io"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/internal/ipc"
	"lb/internal/tlsconf"
	"lb/supervise/plan"
)

// The text of an order does not change with the names in this package: without /proc
// a supervisor starts its workers from a file that an update may have replaced.
func TestStartOrderText(t *testing.T) {
	text, err := json.Marshal(order{Start: &startOrder{Slot: 3, Seat: plan.Seat{
		Snapshot: &plan.Snapshot{Number: 2, IDs: [][]int{{5, 6}}},
		Place:    1,
		Loops:    2,
		Slots:    []int{3, 4},
		Sockets:  []uint64{7},
	}}})
	want := `{"Start":{"Slot":3,"Share":{"Snapshot":{"Config":null,"Number":2,"IDs":[[5,6]]},` +
		`"Place":1,"Loops":2,"Slots":[3,4],"Sockets":[7]}}}`
	if err != nil || string(text) != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
}

// What a worker reads is what the supervisor meant: every value of the
// configuration, and backends of each kind.
func TestOrdersArriveWhole(t *testing.T) {
	cfg := config.Default()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	at := config.Backend{Host: "fe80::1%eth0", Name: "app.test", Port: 2, Weight: 1, TLS: true}
	cfg.Pools[0].Backends = append(cfg.Pools[0].Backends, config.Backend{Socket: "/run/app.sock", Weight: 7}, at)
	cfg.Limits.BodyBytes = 1<<62 + 1
	a, b := channels(t)
	given := plan.Seat{
		Snapshot: &plan.Snapshot{Config: cfg, Number: 1 << 60, IDs: [][]int{{5, 0, 7, 9}}},
		Place:    3,
		Loops:    8,
		Slots:    []int{1, 2, 3},
		Sockets:  []uint64{4, 5},
	}
	for _, o := range []order{
		{Start: &startOrder{Slot: 3, Seat: given}},
		{Apply: &given},
		{Change: &plan.Delta{From: 1, Number: 2, Pools: []plan.PoolDelta{{Pool: 3, Removed: []int{0, 4}, Added: []plan.Added{{At: 1, Backend: at, ID: 12, Series: -1}}}}}},
		{Secrets: &tlsconf.Secrets{Number: 3, Certs: []tlsconf.Cert{{Chain: []byte("c"), Key: []byte("k"), Challenge: "n"}}, ClientCA: []byte("a"),
			Tickets: [][]byte{{1}, {2}}, Pools: []*tlsconf.PoolSecrets{nil, {CA: []byte("p")}}, Tokens: map[string]string{"t": "a"}}},
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
