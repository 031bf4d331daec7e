package e2e

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// cpu returns the CPU time that lb's processes have used.
func (s *service) cpu() (used time.Duration) {
	s.t.Helper()
	const tick = time.Second / 100 // USER_HZ
	for _, p := range s.processes(s.t) {
		if f := procStat(p.pid); len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			used += time.Duration(user+system) * tick
		}
	}
	return used
}

// besiegers are clients that come at once, send a request each, and keep their conns
// until the test ends them.
type besiegers struct {
	answered atomic.Int64
	sorry    atomic.Int64 // 503, because lb cannot dial, or a closed conn, because it cannot accept it
	goHome   chan struct{}
	all      sync.WaitGroup
}

func (s *service) besiege(n int) *besiegers {
	b := &besiegers{goHome: make(chan struct{})}
	for range n {
		b.all.Go(func() {
			c, err := redial(s.addr)
			if err != nil {
				s.t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(3 * testkit.Patience))
			resp, body, err := c.ask(lines("GET /bytes/100 HTTP/1.1", "Host: x"))
			switch {
			case err == nil && resp.StatusCode == 200 && len(body) == 100:
				b.answered.Add(1)
				<-b.goHome
			case err == nil && resp.StatusCode == 503, err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
				b.sorry.Add(1)
			default:
				s.t.Errorf("%v with %q, %v; want 200", resp, body, err)
			}
		})
	}
	return b
}

// calm waits until the number of answers has not changed for half a second.
func (b *besiegers) calm(t *testing.T) int64 {
	t.Helper()
	last, since := b.answered.Load(), time.Now()
	testkit.Until(t, "the siege to be calm", func() bool {
		if now := b.answered.Load(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 500*time.Millisecond
	})
	return last
}

// 1,000 clients come to an lb whose limit is 256 descriptors from the start, or becomes
// that low while it runs. It does not crash or spin, and serves the waiting clients as
// conns end.
func TestDescriptorsExhausted(t *testing.T) {
	testkit.Long(t)
	for name, sudden := range map[string]bool{"ulimit": false, "sudden": true} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) {
				needDescriptors(t, 3000)
				set := setup{admin: true, backends: to(demo(t, "127.0.0.1:0", "b").Addr()), tables: "[timeouts]\nqueue = \"60s\"\n"}
				s := newService(t, mode, set)
				if !sudden {
					s.limit = 256
				}
				s.start()
				before := s.processes(t)
				if sudden {
					for _, p := range before {
						entries, err := os.ReadDir("/proc/" + strconv.Itoa(p.pid) + "/fd")
						if err != nil {
							t.Fatal(err)
						}
						lim := unix.Rlimit{Cur: uint64(len(entries) + 40), Max: 1024}
						if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, &lim, nil); err != nil {
							t.Fatal(err)
						}
					}
				}
				const clients = 1000
				b := s.besiege(clients)
				held := b.calm(t)
				var used time.Duration
				for range tries { // a busy machine may not have been calm yet
					before, begun := s.cpu(), time.Now()
					pause(2*time.Second, nil)
					used = s.cpu() - before
					t.Logf("%d of %d have conns; %v of CPU time in %v meanwhile", held, clients, used, time.Since(begun))
					if used <= time.Second {
						break
					}
				}
				if held > 600 {
					t.Errorf("%d clients have conns: that shows nothing", held)
				}
				if used > time.Second {
					t.Errorf("lb used %v of CPU time in two seconds with nothing to do", used)
				}
				close(b.goHome)
				b.all.Wait()
				if n := b.sorry.Load(); n > 0 && !sudden || n > clients/2 {
					t.Errorf("%d of %d clients were sent away", n, clients)
				} else {
					t.Logf("%d were sent away", n)
				}
				for range 20 {
					c := dial(t, s.addr)
					if err := c.want200(lines("GET / HTTP/1.1", "Host: x")); err != nil {
						t.Fatalf("afterwards: %v", err)
					}
					c.Close()
				}
				if now := s.processes(t); len(now) != len(before) || now[0] != before[0] || now[len(now)-1] != before[len(before)-1] {
					t.Errorf("processes %v, want those from before, %v", now, before)
				}
				if st := s.status(); st.State != "serving" {
					t.Errorf("lb is %s", st.State)
				}
			})
		})
	}
}

// needDescriptors raises this process's own limit.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if lim.Cur < n {
		t.Skipf("only %d descriptors for the clients, want %d: raise ulimit -n", lim.Cur, n)
	}
}
