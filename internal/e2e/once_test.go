package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// deeds counts how often backends have executed each request, by X-ID.
type deeds struct {
	mu sync.Mutex
	by map[string]int
}

func newDeeds() *deeds { return &deeds{by: map[string]int{}} }

func (d *deeds) add(r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.by[r.Header.Get("X-ID")]++
}

// wantOnce checks that no request was executed twice, and that at least least were
// executed.
func (d *deeds) wantOnce(t *testing.T, least int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, n := range d.by {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	if len(d.by) < least {
		t.Errorf("%d requests were executed, want %d at least", len(d.by), least)
	}
}

// forgetful is a backend that closes a conn without notice after 5 to 50 ms without a
// request.
func forgetful(t *testing.T, posts *deeds, closed *atomic.Int64) (addr string) {
	return script(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				closed.Add(1)
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			if r.Method == "POST" {
				posts.add(r)
			}
			if _, err := io.WriteString(c, emptyAnswer); err != nil {
				return
			}
			c.SetReadDeadline(time.Now().Add(5*time.Millisecond + rand.N(45*time.Millisecond)))
		}
	})
}

// Backends close idle conns without notice after 5 to 50 ms, so that again and again a
// request and a close cross. None of 50,000 GETs fails, and no POST is executed twice;
// a POST that fails gets a 502. There are many backends, so that conns are idle for
// about as long.
func TestForgetfulBackends(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	const clients, backends, gets = 400, 32, 50_000
	eachModeAlone(t, func(t *testing.T, mode string) {
		posts := newDeeds()
		var closed, failed, got, posted atomic.Int64
		var addrs []string
		for range backends {
			addrs = append(addrs, forgetful(t, posts, &closed))
		}
		p := start(t, mode, setup{admin: true, backends: to(addrs...)})
		conns := open(t, p.addr, clients)
		w := gather(t, clients, func(i int, stop <-chan struct{}) error {
			pause(rand.N(60*time.Millisecond), stop)
			if rand.IntN(6) > 0 {
				got.Add(1)
				return conns[i].want200(lines("GET / HTTP/1.1", "Host: x"))
			}
			resp, _, err := conns[i].ask(lines("POST / HTTP/1.1", "Host: x", fmt.Sprintf("X-ID: %d", posted.Add(1)), "Content-Length: 4") + "body")
			switch {
			case err != nil:
				return err
			case resp.StatusCode == 502:
				failed.Add(1)
			case resp.StatusCode != 200:
				return fmt.Errorf("a POST was answered with %s", resp.Status)
			}
			return nil
		})
		const least = 10 // of the requests have to meet a close, or the test shows little
		testkit.Until(t, "the GETs", func() bool { return got.Load() >= gets || t.Failed() })
		testkit.Until(t, "requests to meet a close", func() bool { return p.metrics(t)["lb_retries_total"] >= least || t.Failed() })
		w.leave()
		posts.wantOnce(t, int(posted.Load()-failed.Load()))
		t.Logf("%d GETs; %d POSTs, of which %d failed; %d conns closed; %v retries", got.Load(), posted.Load(), failed.Load(), closed.Load(), p.metrics(t)["lb_retries_total"])
	})
}

// Backends read a POST, or a part of it, and reset the conn. Whatever lb retries, each
// POST is executed at most once over all backends.
func TestPostThenReset(t *testing.T) {
	const clients = 16
	posts := 2_000
	if raceOn || testing.Short() {
		posts = 400
	}
	eachMode(t, func(t *testing.T, mode string) {
		done := newDeeds()
		var addrs []string
		for range 3 {
			addrs = append(addrs, script(t, func(c net.Conn) {
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					done.add(r)
					whole := rand.IntN(4) > 0
					if whole {
						io.Copy(io.Discard, r.Body)
					}
					if !whole || rand.IntN(2) == 0 { // the other conns are used again
						c.(*net.TCPConn).SetLinger(0)
						return
					}
					if _, err := io.WriteString(c, emptyAnswer); err != nil {
						return
					}
				}
			}))
		}
		p := start(t, mode, setup{admin: true, backends: to(addrs...), tables: "[eject]\nenabled = false\n" +
			"[retry]\nattempts = 5\nbudget = 1.0\non = [\"connect\", \"stale\", \"reset\", \"502\", \"503\", \"504\"]\n"})
		var n, failed atomic.Int64
		client := newClient(t)
		w := gather(t, clients, func(i int, _ <-chan struct{}) error {
			body := strings.Repeat("x", []int{0, 10, 5_000, 200_000}[rand.IntN(4)])
			req, err := http.NewRequest("POST", p.url("/"), strings.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("X-ID", fmt.Sprint(n.Add(1)))
			resp, err := client.Do(req)
			if err != nil { // lb may close the conn after a 502 that comes before the end of the body
				failed.Add(1)
				return nil
			}
			defer resp.Body.Close()
			if resp.StatusCode != 200 && resp.StatusCode != 502 {
				return fmt.Errorf("a POST was answered with %s", resp.Status)
			}
			if resp.StatusCode == 502 { // and what follows its head may be lost in the same way
				failed.Add(1)
				return nil
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		})
		testkit.Until(t, "the POSTs", func() bool { return n.Load() >= int64(posts) || t.Failed() })
		w.leave()
		t.Logf("%d POSTs, of which %d failed; %v retries", n.Load(), failed.Load(), p.metrics(t)["lb_retries_total"])
		done.wantOnce(t, posts/2)
		if failed.Load() < int64(posts/4) {
			t.Errorf("only %d of %d POSTs failed: that shows little", failed.Load(), n.Load())
		}
	})
}
