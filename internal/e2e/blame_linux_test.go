package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"lb/internal/testkit"
)

// oversized are requests that exceed a limit of lb, and how lb answers them. A part of
// the chunked one is at the backend by then.
var oversized = map[string]struct {
	text   string
	status int
}{
	"body":   {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20001\r\n\r\n" + strings.Repeat("x", 20001), 413},
	"chunks": {"POST /status/200 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1388\r\n"+strings.Repeat("x", 5000)+"\r\n", 5) + "0\r\n\r\n", 413},
	"head":   {"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 2<<10) + "\r\n\r\n", 431},
	"target": {"GET /" + strings.Repeat("x", 600) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
}

const oversizedLimits = "[limits]\nbody_bytes = 20000\nheader_bytes = \"2KiB\"\ntarget_bytes = 500\n"

// A thousand clients that leave in the middle and a thousand that ask for too much count
// as no fault of a backend. A single fault would eject it.
func TestClientsEjectNobody(t *testing.T) {
	testkit.Long(t)
	const clients = 1000
	acts := maps.Clone(aborts)
	acts["no answer yet"] = says("GET /delay/200ms HTTP/1.1\r\nHost: x\r\n\r\n") // a client that has only ended its stream may still read: the backend has to answer
	eachModeAlone(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(a.Addr(), b.Addr()), admin: true, tables: oversizedLimits + "[eject]\nfaults = 1\ntime = \"1h\"\ntime_max = \"1h\"\n"})
		for how, act := range acts {
			var all sync.WaitGroup
			for i := range clients/len(acts) + 1 {
				all.Go(func() {
					if err := leave(p.addr, act, i%2 == 0); err != nil && how != "part of a body" && how != "part of chunks" {
						t.Errorf("%s: %v", how, err)
					}
				})
			}
			all.Wait()
		}
		for what, tc := range oversized {
			for range clients / len(oversized) {
				c := dial(t, p.addr)
				go c.Write([]byte(tc.text)) // lb may not read all of it
				if resp, _, err := c.try(); err != nil || resp.StatusCode != tc.status {
					t.Fatalf("%s: %v, %v; want %d", what, resp, err, tc.status)
				}
				c.Close()
			}
		}
		testkit.Until(t, "all to end", func() bool { m := p.metrics(t); return m["lb_exchanges"] == 0 && m["lb_tunnels"] == 0 })
		if got := dial(t, p.addr).answeredBy(t, 40); got["a"] != 20 || got["b"] != 20 {
			t.Errorf("answered by %v, want 20 by each", got)
		}
		if n := p.faults(t, a.Addr()) + p.faults(t, b.Addr()); n != 0 || p.told("backend ejected") != 0 {
			t.Errorf("%v faults are counted, want none", n)
		}
		if n := p.metrics(t)["lb_client_aborts_total"]; n == 0 {
			t.Error("no client is counted that went away")
		}
	})
}

// Answers of any status are no faults unless eject.on_status names them, and neither
// are lb's own.
func TestAnswersEjectNobody(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(a.Addr(), b.Addr()), admin: true, tables: "[eject]\nfaults = 1\n"})
		client := newClient(t)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, status := range []int{301, 400, 404, 500, 502, 503, 504} {
			for range 10 {
				if resp, _ := get(t, client, p.url(fmt.Sprintf("/status/%d", status))); resp.StatusCode != status {
					t.Errorf("%s, want %d", resp.Status, status)
				}
			}
		}
		if n := p.faults(t, a.Addr()) + p.faults(t, b.Addr()); n != 0 || p.told("backend ejected") != 0 {
			t.Errorf("%v faults are counted, want none", n)
		}
	})
}
