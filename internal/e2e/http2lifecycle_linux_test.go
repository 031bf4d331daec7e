package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// Drains, reloads, upgrades and dead workers under a load of HTTP/2.

// h2Checked answers /ID/SIZE with bodyOf, and checks that a POST has brought that.
func h2Checked(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		part := strings.Split(r.URL.Path, "/")
		if len(part) < 3 {
			return // a check
		}
		id, _ := strconv.ParseUint(part[1], 10, 64)
		size, _ := strconv.Atoi(part[2])
		want := bodyOf(id, size)
		if r.Method == "POST" {
			if got, err := io.ReadAll(r.Body); err != nil {
				return
			} else if !bytes.Equal(got, want) {
				t.Errorf("a backend got %d bytes of %d, or others, and they look whole", len(got), size)
			}
		}
		w.Write(want)
	}
}

// h2Load is a crowd of clients, each with a conn on which several streams run at once.
type h2Load struct {
	*crowd
	addrs   []string
	serial  atomic.Uint64
	whole   atomic.Int64
	refused atomic.Int64 // streams that lb has not begun, which were asked for again

	mu    sync.Mutex
	conns []*h2Conn // by client, or nil
	lost  []string
	dead  int       // conns that ended without a GOAWAY
	last  []*h2Conn // conns that got a GOAWAY
	quit  bool      // clients do not dial again after a GOAWAY
}

// h2Send starts n clients of the addresses in turn.
func h2Send(t *testing.T, n int, addrs ...string) *h2Load {
	t.Helper()
	w := &h2Load{addrs: addrs, conns: make([]*h2Conn, n)}
	w.crowd = gather(t, n, w.turn)
	t.Cleanup(func() {
		w.leave()
		for _, h := range slices.Concat(w.conns, w.last) {
			if h != nil {
				h.end(t)
			}
		}
	})
	return w
}

// turn asks for some streams at once on the conn of client i.
func (w *h2Load) turn(i int, stop <-chan struct{}) error {
	pause(rand.N(3*time.Millisecond), stop)
	h, leaving := w.conn(i)
	if leaving {
		<-stop
		return nil
	}
	if h == nil {
		pause(10*time.Millisecond, stop)
		return nil
	}
	var streams []*h2Stream
	var bodies [][]byte
	for range 1 + rand.IntN(6) {
		id, size := w.serial.Add(1), []int{0, 100, 5_000, 70_000}[rand.IntN(4)]
		body := bodyOf(id, size)
		fields := []string{h2To, h2Kinds[rand.IntN(len(h2Kinds))], ":path", fmt.Sprintf("/%d/%d", id, size)}
		var s *h2Stream
		if rand.IntN(3) == 0 {
			s = h.ask(false, h2Post(fields...))
			go s.data(true, body)
		} else {
			s = h.ask(true, h2Get(fields...))
		}
		streams, bodies = append(streams, s), append(bodies, body)
	}
	for n, s := range streams {
		a := s.answer()
		switch {
		case a.whole(200) && a.body == string(bodies[n]):
			w.whole.Add(1)
		case a.status != 0 && a.ended:
			return fmt.Errorf("stream %d got %v, %d bytes of %d", s.id, a, a.size, len(bodies[n]))
		case a.reset && a.code == http2.ErrCodeRefusedStream, h.wait(func() bool { return s.leftOut() }):
			w.refused.Add(1)
		default:
			w.lose(h, fmt.Sprintf("stream %d: %v", s.id, a))
		}
	}
	return nil
}

// leftOut reports whether a GOAWAY without a fault says that lb has not begun the stream;
// the lock is held.
func (s *h2Stream) leftOut() bool {
	return slices.ContainsFunc(s.c.goaways, func(g h2Goaway) bool { return g.code == http2.ErrCodeNo && g.last < s.id })
}

// lose notes a stream without an answer, unless its conn has died.
func (w *h2Load) lose(h *h2Conn, what string) {
	h.mu.Lock()
	died := h.over && len(h.goaways) == 0
	what += fmt.Sprintf(", the conn is over: %v, %v, GOAWAY %v", h.over, h.failure, h.goaways)
	h.mu.Unlock()
	if !died {
		w.mu.Lock()
		w.lost = append(w.lost, what)
		w.mu.Unlock()
	}
}

// conn returns the conn of client i: a new one if the old one is over or about to end. It
// returns nil if there is none.
func (w *h2Load) conn(i int) (h *h2Conn, leaving bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h = w.conns[i]; h != nil {
		h.mu.Lock()
		over, told := h.over, len(h.goaways) > 0
		h.mu.Unlock()
		switch {
		case !over && !told:
			return h, false
		case told:
			w.last = append(w.last, h)
		default:
			w.dead++
			h.close()
		}
		if w.conns[i] = nil; w.quit {
			return nil, true
		}
	}
	h, err := tryH2(w.addrs[i%len(w.addrs)])
	if err != nil {
		if !w.quit {
			w.lost = append(w.lost, err.Error())
		}
		return nil, w.quit
	}
	w.conns[i] = h
	return h, false
}

// wantNone ends the load and checks that every request was answered.
func (w *h2Load) wantNone(t *testing.T) {
	t.Helper()
	w.leave()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range w.lost {
		if i < 10 {
			t.Errorf("a request went missing: %s", l)
		}
	}
	t.Logf("%d right answers, %d not begun, %d lost, %d conns died", w.whole.Load(), w.refused.Load(), len(w.lost), w.dead)
}

// wantToldTwice wants each conn that was told to leave to have been told twice: first of
// no stream, then of the last one, RFC 9113, 6.8.
func (w *h2Load) wantToldTwice(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.last {
		h.wait(func() bool { return false }) // to its end
		h.mu.Lock()
		if g := h.goaways; len(g) != 2 || g[0] != (h2Goaway{1<<31 - 1, 0}) || g[1].code != 0 || g[1].last >= 1<<31-1 {
			t.Errorf("GOAWAY %v, want one with 2^31-1, and one with the last stream", g)
		}
		h.mu.Unlock()
	}
	t.Logf("%d conns were told to leave", len(w.last))
}

// beginH2 starts a service between clients of HTTP/2 and backends of each kind.
func beginH2(t *testing.T, mode string) (s *service, addrs []string) {
	t.Helper()
	s = newService(t, mode, setup{admin: true, keys: "watch = false\n"})
	backends := map[string]string{}
	for _, kind := range h2Kinds {
		backends[kind] = h2Server(t, kind, h2Checked(t))
	}
	secure := testkit.FreePort(t)
	s.setup.listeners = []string{testkit.FreePort(t), secure + "\ntls = true"}
	s.setup.backends, s.setup.tables = to(backends["http1"]), h2Pools(t, s.dir, "", backends)
	s.setup = s.setup.withCert(t, s.dir)
	s.start()
	noteListener(t, secure, true)
	return s, []string{s.addr, secure}
}

// A drain: nothing is lost, idle conns are told as well, and lb ends well.
func TestHTTP2Drain(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s, addrs := beginH2(t, mode)
		idle := h2Client(t, addrs[0])
		idle.ping(t)
		w := h2Send(t, 8, addrs...)
		w.more(t, 100)
		w.mu.Lock()
		w.quit = true
		w.mu.Unlock()
		s.kill(syscall.SIGTERM)
		testkit.Until(t, "all clients to be told", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !slices.ContainsFunc(w.conns, func(h *h2Conn) bool { return h != nil })
		})
		w.wantToldTwice(t)
		w.wantNone(t)
		if idle.wait(func() bool { return false }); len(idle.goaways) != 2 {
			t.Errorf("an idle conn got GOAWAY %v, want two", idle.goaways)
		}
		if w.dead > 0 {
			t.Errorf("%d conns ended without a GOAWAY", w.dead)
		}
		s.wantExit(0)
	})
}

// Reloads and upgrades: nothing is lost, and no conn ends without a GOAWAY.
func TestHTTP2Upgrades(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s, addrs := beginH2(t, mode)
		w := h2Send(t, 8, addrs...)
		w.more(t, 50)
		for n := range 2 {
			s.setup.keys = strings.Replace(s.setup.keys, "watch = false\n", fmt.Sprintf("watch = false\nvia = \"lb%d\"\n", n), 1)
			s.reload()
			w.more(t, 50)
			s.setup.keys = strings.Replace(s.setup.keys, fmt.Sprintf("via = \"lb%d\"\n", n), "", 1)
			s.setup.tables = strings.Replace(s.setup.tables, "name = \"h2c\"\n", fmt.Sprintf("name = \"h2c\"\nstrategy = %q\n", []string{"random", "least_conn"}[n]), 1)
			s.reload()
			w.more(t, 50)
			s.setup.tables = strings.Replace(s.setup.tables, fmt.Sprintf("strategy = %q\n", []string{"random", "least_conn"}[n]), "", 1)
			s.reload()
			old := s.pid
			s.upgrade()
			w.more(t, 50)
			s.wantExitOf(old, 0)
		}
		w.wantNone(t)
		w.wantToldTwice(t)
		if w.dead > 0 {
			t.Errorf("%d conns ended without a GOAWAY", w.dead)
		}
	})
}

// A killed worker takes its own conns with it, and nothing else.
func TestHTTP2WorkerKilled(t *testing.T) {
	t.Parallel()
	s, addrs := beginH2(t, "mp")
	w := h2Send(t, 12, addrs...)
	w.more(t, 50)
	for round := range 2 {
		before := s.workers(t)
		syscall.Kill(before[round%len(before)], syscall.SIGKILL)
		testkit.Until(t, "a new worker", func() bool {
			return s.metrics(t)["lb_worker_restarts_total"] == float64(round+1) && len(s.status().serving()) == 2
		})
		w.more(t, 50)
	}
	w.wantNone(t)
	if w.dead == 0 || w.dead > 24 {
		t.Errorf("%d conns of 12 ended with two workers", w.dead)
	}
}

// h2IdleMax is how many bytes of lb's memory an idle conn may cost over TLS, and
// h2IdleClearMax in the clear. There is room for garbage, because these are few conns:
// with 10,000 it is 7 KiB and less than 2.
const h2IdleMax, h2IdleClearMax = 12 << 10, 4 << 10

// An idle conn, which has been served, costs little.
func TestHTTP2IdleConns(t *testing.T) {
	bytesOnly(t)
	testkit.Long(t)
	eachModeAlone(t, func(t *testing.T, mode string) {
		s, addrs := beginH2(t, mode)
		for i, most := range []int64{h2IdleClearMax, h2IdleMax} {
			var all sync.WaitGroup
			var mu sync.Mutex
			var conns []*h2Conn
			open := func(n int) {
				for range 16 {
					all.Go(func() {
						for range n / 16 {
							h, err := tryH2(addrs[i])
							if err != nil {
								t.Error(err)
								return
							}
							if a := h.ask(true, h2Get(":path", "/1/10")).answer(); !a.whole(200) {
								t.Errorf("%v", a)
							}
							mu.Lock()
							conns = append(conns, h)
							mu.Unlock()
						}
					})
				}
				all.Wait()
			}
			open(64)
			s.untilMetrics(t, map[string]float64{"lb_exchanges": 0})
			base := s.memory(t)
			const n = 1600
			open(n)
			s.untilMetrics(t, map[string]float64{"lb_exchanges": 0})
			each := (s.memory(t) - base) / n
			t.Logf("%s: an idle conn costs %d bytes", scheme(addrs[i]), each)
			if each > most && !raceOn {
				t.Errorf("%s: an idle conn costs %d bytes, want %d at most", scheme(addrs[i]), each, most)
			}
			for _, h := range conns {
				h.close()
			}
		}
	})
}
