package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"lb/internal/testkit"
)

// What waits at a frozen backend is asked elsewhere once a check finds it down, in every
// loop: no GET waits for a timeout.
func TestFrozenBackendFoundDown(t *testing.T) {
	testkit.Long(t)
	const clients = 8
	eachMode(t, func(t *testing.T, mode string) {
		a, b, c := startBackend(t), startBackend(t), startBackend(t)
		p := start(t, mode, setup{
			backends: to(a.addr, b.addr, c.addr), admin: true,
			tables: strings.Replace(checks, `"1m"`, `"3s"`, 1) + noHurry,
		})
		conns := open(t, p.addr, clients)
		w := gather(t, clients, func(i int, _ <-chan struct{}) error {
			resp, _, err := conns[i].ask(lines("GET / HTTP/1.1", "Host: x"))
			if err == nil && resp.StatusCode != 200 {
				err = fmt.Errorf("%s, want 200", resp.Status)
			}
			return err
		})
		w.more(t, 20*clients)
		a.Signal(t, syscall.SIGSTOP)
		testkit.Until(t, "it to be down", func() bool { return p.metrics(t)[ofBackend("up", a.addr)] == 0 })
		w.more(t, 20*clients)
		testkit.Until(t, "nothing to wait there", func() bool { return p.metrics(t)[ofBackend("attempts_in_flight", a.addr)] == 0 })
		w.leave()
	})
}

// A client whose odd URL has answers that are no HTTP takes no backend from the others.
func TestOddURLEjectsNot(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		odd := func() string {
			return requests(t, func(c net.Conn, r *http.Request, _ []byte) bool {
				if r.URL.Path == "/odd" {
					io.WriteString(c, "nonsense\r\n")
					return false
				}
				_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				return err == nil
			})
		}
		a, b := odd(), odd()
		p := start(t, mode, setup{backends: to(a, b), admin: true})
		client := dial(t, p.addr)
		status := func(path string) int {
			client.send(t, lines("GET "+path+" HTTP/1.1", "Host: x"))
			resp, _ := client.answer(t)
			return resp.StatusCode
		}
		for range 20 {
			if got := status("/"); got != 200 {
				t.Fatalf("answered with %d", got)
			}
		}
		for range 8 {
			if got := status("/odd"); got != 502 {
				t.Fatalf("answered with %d", got)
			}
		}
		if n := p.faults(t, a) + p.faults(t, b); n != 8 {
			t.Errorf("%v faults, want 8", n)
		}
		for _, addr := range []string{a, b} {
			if p.metrics(t)[ofBackend("ejected", addr)] != 0 {
				t.Errorf("%s is ejected", addr)
			}
		}
	})
}

// A check that passes ends an ejection, however long that would last.
func TestCheckEndsEjection(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{
			backends: to(a.addr, b.addr), admin: true,
			tables: checks + "[eject]\ntime = \"1h\"\ntime_max = \"1h\"\nfaults = 1\n",
		})
		client := dial(t, p.addr)
		up := func() bool { return p.metrics(t)[ofBackend("up", a.addr)] == 1 }
		testkit.Until(t, "it to be up", up)
		a.kill()
		client.answeredBy(t, 4)
		a.again(t)
		testkit.Until(t, "it to be up", up)
		testkit.Until(t, "its ejection to be over", func() bool { return p.metrics(t)[ofBackend("ejected", a.addr)] == 0 })
		if got := client.answeredBy(t, 20); got[a.addr] != 10 {
			t.Errorf("answered by %v, want half by %s", got, a.addr)
		}
	})
}
