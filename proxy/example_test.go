package proxy_test

import (
	"fmt"
	"log/slog"
	"net/netip"

	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/loop/looptest"
	"lb/proxy"
	"lb/proxy/record"
)

// A proxy on one loop between simulated clients and a simulated backend: no socket is
// opened, and no time passes. A real proxy differs only in the loop's kernel.
func Example() {
	cfg, err := config.Parse("lb.toml", []byte(`backends = [{ host = "10.0.0.1", port = 80 }]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	address := loop.Addr{IP: netip.MustParseAddrPort("10.0.0.1:80")}
	kernel := looptest.New(1)
	kernel.Serve(address).OnConnect = func(backend *looptest.Peer) {
		backend.OnBytes = func(*looptest.Peer) {
			backend.Recv()
			backend.Send([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
		}
	}

	l := loop.New(kernel, loop.Options{})
	p := proxy.New(l, proxy.Options{
		Board: board.New(1, 1), // one loop, one backend
		Snapshot: proxy.Snapshot{
			Config: cfg, Number: 1, Loops: 1, Slots: []int{0},
			IDs: [][]int{{0}}, // by pool and backend
		},
		Log: slog.New(slog.DiscardHandler),
		Record: func(r *record.Record) {
			head := "-"
			if len(r.Head) > 0 {
				head = fmt.Sprintf("%s %s", r.Request.MethodName.Of(r.Head), r.Request.Target.Of(r.Head))
			}
			fmt.Printf("%s %q: %d, %d bytes, backend %q, fault %q\n", r.Peer.Address(), head, r.Status, r.Bytes, r.Backend, r.Fault.Cause)
		},
	})
	listener := kernel.Listen()
	if err := l.Listen(listener, p.Door("")); err != nil {
		fmt.Println(err)
		return
	}

	for i, request := range []string{
		"GET /one HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET /two HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
		"nonsense\r\n\r\n",
	} {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 1000)
		kernel.Connect(listener, from).Send([]byte(request))
		for range 10 {
			l.Turn(false)
		}
	}
	// Output:
	// 192.0.2.1 "GET /one": 200, 5 bytes, backend "10.0.0.1:80", fault ""
	// 192.0.2.2 "GET /two": 200, 5 bytes, backend "10.0.0.1:80", fault ""
	// 192.0.2.3 "CONNECT a.example:80": 501, 74 bytes, backend "", fault ""
	// 192.0.2.4 "-": 400, 32 bytes, backend "", fault "bad_request"
}
