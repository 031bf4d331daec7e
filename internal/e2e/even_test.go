package e2e

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// tries is how often a test measures something that a busy machine can spoil, but not
// bring about.
const tries = 8

const emptyAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// Eight loops, each with an eighth of the clients, share four backends as evenly as one
// loop would: the busiest backend has at most 1.3 times the requests of the idlest, as
// the backends count them, on average over many looks. On a busy machine the backends
// count late, and the test measures again.
func TestEvenOverLoops(t *testing.T) {
	testkit.Long(t)
	const loops, backends, clients, samples = 8, 4, 160, 160
	for _, strategy := range []string{"least_conn", "p2c"} {
		t.Run(strategy, func(t *testing.T) {
			eachModeAlone(t, func(t *testing.T, mode string) {
				var inFlight [backends]atomic.Int64
				var addrs []string
				for i := range inFlight {
					addrs = append(addrs, requests(t, func(c net.Conn, _ *http.Request, _ []byte) bool {
						inFlight[i].Add(1)
						pause(50*time.Millisecond+rand.N(100*time.Millisecond), nil)
						inFlight[i].Add(-1)
						_, err := io.WriteString(c, emptyAnswer)
						return err == nil
					}))
				}
				p := start(t, mode, setup{workers: loops, keys: fmt.Sprintf("strategy = %q\n", strategy), backends: to(addrs...)})
				conns := open(t, p.addr, clients)
				w := gather(t, clients, func(i int, _ <-chan struct{}) error { return conns[i].want200(lines("GET / HTTP/1.1", "Host: x")) })
				w.more(t, 2*clients)
				look := time.NewTicker(5 * time.Millisecond)
				defer look.Stop()
				ratio := math.Inf(1)
				for range tries {
					sum := 0.0
					for range samples {
						testkit.Wait(t, look.C, "a tick")
						var now []int64
						for i := range inFlight {
							now = append(now, inFlight[i].Load())
						}
						sum += float64(slices.Max(now)) / float64(max(1, slices.Min(now)))
					}
					ratio = sum / samples
					if t.Logf("%.3f on average", ratio); ratio <= 1.3 {
						break
					}
				}
				w.leave()
				if ratio > 1.3 {
					t.Errorf("the busiest backend has %.3f times the requests of the idlest, want 1.3 at most", ratio)
				}
			})
		})
	}
}

// want200 sends text and wants a whole answer of 200, for any goroutine.
func (c *rawConn) want200(text string) error {
	resp, _, err := c.ask(text)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s, want 200", resp.Status)
	}
	return err
}

// Every strategy keeps weights of 3 and 1 within 2 %, over all loops. Strategies that
// choose at random or by keys need many requests for that; those that count requests in
// flight need many at once; and least_time needs answers that take long compared with
// the delays of a busy machine.
func TestWeightsOfStrategies(t *testing.T) {
	testkit.Long(t)
	bytesOnly(t)
	for _, tc := range []weighed{
		{"round_robin", "", "/", 128, 32},
		{"random", "", "/", 128, 128},
		{"hash", "[hash]\nkey = \"header:X-Key\"\n", "/", 128, 128},
		{"least_conn", "", "/delay/40ms", 128, 32},
		{"p2c", "", "/delay/40ms", 128, 32},
		{"least_time", "", "/delay/60ms", 512, 32},
	} {
		t.Run(tc.strategy, func(t *testing.T) {
			eachModeAlone(t, func(t *testing.T, mode string) {
				const want, within = 0.75, 0.02
				share := 0.0
				for range tries {
					share = tc.shareOfHeavy(t, mode)
					t.Logf("%.4f of the requests", share)
					if share >= want*(1-within) && share <= want*(1+within) || t.Failed() {
						return
					}
				}
				t.Errorf("the heavier one had %.4f of the requests, want %.2f within %.0f %%", share, want, 100*within)
			})
		})
	}
}

// weighed is a strategy and the load that shows its shares: the number of clients, and
// of requests of each.
type weighed struct {
	strategy, keys, path string
	clients, each        int
}

// shareOfHeavy returns which share of the requests the heavier backend has had.
func (w *weighed) shareOfHeavy(t *testing.T, mode string) float64 {
	heavy, light := demo(t, "127.0.0.1:0", "heavy"), demo(t, "127.0.0.1:0", "light")
	p := start(t, mode, setup{
		keys:     fmt.Sprintf("strategy = %q\n", w.strategy),
		backends: []backend{{addr: heavy.Addr(), weight: 3}, {addr: light.Addr(), weight: 1}},
		tables:   w.keys,
	})
	var byHeavy atomic.Int64
	var all sync.WaitGroup
	for i, c := range open(t, p.addr, w.clients) {
		all.Go(func() {
			pause(rand.N(60*time.Millisecond), nil) // not all at once: in a burst, the backend with more of the requests takes longer
			for n := range w.each {
				resp, _, err := c.ask(lines("GET "+w.path+" HTTP/1.1", "Host: x", fmt.Sprintf("X-Key: %d-%d", i, n)))
				if err != nil || resp.StatusCode != 200 {
					t.Error(resp, err)
					return
				}
				if resp.Header.Get("X-Backend") == "heavy" {
					byHeavy.Add(1)
				}
			}
		})
	}
	all.Wait()
	return float64(byHeavy.Load()) / float64(w.clients*w.each)
}
